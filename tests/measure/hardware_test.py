"""hardware.py puts what reports say into the right cells, and says so where there is none.

hardware_test.py SCRAWL
"""
import copy
import json
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import hardware  # noqa: E402

HEADER = {"gpu": "NVIDIA Test, 1 multiprocessor", "driver": "1.2.3", "commit": "abcdef0123", "date": "2026-11-22T10:00:00Z",
          "ceilings": {"copy": {"per_second": 4.2e12, "by": "flat"}, "bf16": {"per_second": 7.5e14, "by": "mma_128x128"}}}
WHERE = "NVIDIA Test, driver 1.2.3, 2026-11-22, abcdef0"
LISTED = [{"operation": "lstm.forward", "layer": "lstm1", "type": "bf16", "variant": variant, "name": f"lstm.forward[N={n},bf16]"}
          for variant in ("resident", "steps") for n in (64, 256)]


def spread(us):
    return {"median": us, "p10": us - 1, "p90": us + 1, "mad": 0.5, "samples": 9}


def kernel(variant="resident", n=64, cache="cold", **changes):
    return {"name": f"lstm.forward[N={n},bf16]", "device": "cuda", "variant": variant, "type": "bf16", "cache": cache, "us": spread(12.5),
            "flops": 1e9, "bytes": 1e6, "tflop_per_s": 80.0, "gb_per_s": 80.0, "percent_of_limit": 61.2, "peer": "cudnn_1", "peer_us": spread(25),
            "ratio": spread(2.0), "passed": True, "wrong": None, **changes}


def cells(text, *parts):
    """Of the one row that has all of these."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if all(part in line for part in parts)]
    assert len(rows) == 1, (parts, rows)
    return rows[0]


class Hardware(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def report(self, part, *rows, gpu="a", **header):
        (self.folder / f"{gpu}-{part}.json").write_text(json.dumps({"header": {**copy.deepcopy(HEADER), **header}, "rows": rows}))

    def document(self):
        return hardware.document(self.folder, LISTED)

    def test_what_never_ran_says_so(self):
        text = self.document()
        for asked in ("lstm.forward lstm1 | resident", "lstm.forward lstm1 | steps", "`Softmax`", "`Block`", "`memcheck`", "device copy rate",
                      "`train_step[network=cnn62,batch=256,bf16]`"):
            self.assertIn(hardware.NEVER, cells(text, asked), asked)
        self.assertIn(f"ceilings: {hardware.NEVER}", text)
        self.assertNotIn("passed |", text)

    def test_a_kernel_that_passed_has_where_time_ratio_and_percent(self):
        self.report("kernels", kernel(), kernel(cache="hot", us=spread(9)))
        row = cells(self.document(), "`lstm.forward[N=64,bf16]`")
        self.assertEqual(row[1:9], ["resident", "bf16", WHERE, "passed", "12.50 (11.50-13.50) cold; 9.00 (8.00-10.00) hot",
                                    "80.0 TFLOP/s, 80 GB/s", "2.00 x cudnn_1", "61%"])

    def test_what_is_left_of_a_kernel_has_still_never_run(self):
        self.report("kernels", kernel())
        text = self.document()
        self.assertIn(hardware.NEVER, cells(text, "lstm.forward lstm1 | resident"))
        self.assertIn(hardware.NEVER, cells(text, "lstm.forward lstm1 | steps"))

    def test_a_wrong_kernel_is_failed_and_has_no_time(self):
        self.report("kernels", kernel(us=None, percent_of_limit=None, peer=None, ratio=None, tflop_per_s=None, gb_per_s=None,
                                      passed=False, wrong="y: too far off"))
        self.assertEqual(cells(self.document(), "`lstm.forward[N=64,bf16]`")[3:9], [WHERE, "FAILED: y: too far off", "", "", "", ""])

    def predict(self, **changes):
        launch = {"kernel": "step<bf16>", "blocks": 264, "threads": 128, "shared_bytes": 40960, "registers": 168, "resident_blocks": 2, "waves": 1.0,
                  "instructions_a_warp": 1200, "products_a_warp": 64, "global_bytes": 2.5e6,
                  "serial": {"barriers": 3, "shuffles": 0, "flags": 64}, "us": 30.0, "by": "issue", **changes}
        row = {"operation": "lstm.forward", "layer": "lstm1", "type": "bf16", "variant": "resident", "name": "lstm.forward[N=64,bf16]",
               "us": 40.0, "limit_us": 10.0, "launches": [launch, {**launch, "kernel": "pack", "us": 10.0, "by": "memory", "times": 4}]}
        (self.folder / "sm_90a-static.json").write_text(json.dumps({"header": {"gpu": "H200, not measured"}, "rows": [row]}))

    def test_a_prediction_stands_in_its_own_columns_until_and_after_it_ran(self):
        self.predict()
        for rows in ((), (kernel(),)):
            self.report("kernels", *rows) if rows else None
            text = self.document()
            row = next(line for line in text.splitlines() if "| resident | bf16 |" in line).split(" | ")
            self.assertEqual(row[-3:-1], ["40.0 at `N=64`", "10.0 (25%), memory"])
            self.assertIn("`step` 264 blocks of 128, 168 registers, 40 KiB: 2 a multiprocessor, 1.0 waves; 1,200 instructions a warp, 64 mma, "
                          "3 barriers, 64 flags, 2.5 MB; 4 x `pack`", row[-1])
            self.assertIn("1.5 us a step", row[-1])
            self.assertEqual(text.count("40.0 at"), 1)

    def test_a_prediction_without_machine_code_has_no_registers(self):
        self.predict(registers=0, resident_blocks=0, waves=0, instructions_a_warp=0)
        self.assertIn("`step` 264 blocks of 128, 40 KiB; 64 mma, 3 barriers", self.document())

    def test_the_newest_report_of_a_gpu_has_the_last_word(self):
        self.report("kernels", kernel(us=spread(50)), gpu="z", date="2026-01-01T00:00:00Z")
        self.report("kernels", kernel())
        self.assertIn("12.50", cells(self.document(), "`lstm.forward[N=64,bf16]`")[5])

    def test_two_gpus_are_two_rows(self):
        self.report("kernels", kernel())
        self.report("kernels", kernel(), gpu="b", gpu_name="x")
        other = json.loads((self.folder / "b-kernels.json").read_text())
        other["header"]["gpu"] = "NVIDIA Other"
        (self.folder / "b-kernels.json").write_text(json.dumps(other))
        self.assertEqual(self.document().count("`lstm.forward[N=64,bf16]`"), 2)

    def test_suites_and_tools_have_state_and_counts(self):
        self.report("tests", {"name": "Softmax", "state": "failed", "seconds": 3, "detail": "1 failed: Softmax.x"}, device="cuda")
        self.report("sanitizers", {"name": "memcheck", "state": "passed", "seconds": 3, "detail": "40 passed"}, device="cuda")
        text = self.document()
        self.assertEqual(cells(text, "`Softmax`")[2:], [WHERE, "FAILED", "1 failed: Softmax.x"])
        self.assertEqual(cells(text, "`memcheck`")[2:], [WHERE, "passed", "40 passed"])

    def test_steps_stand_beside_their_peer(self):
        self.report("training", kernel(variant="scrawl", cache="hot", us=spread(8000), peer="pytorch eager", peer_us=spread(20000),
                                       ratio=spread(2.5)) | {"name": "train_step[network=cnn62,batch=256,bf16]"})
        self.assertEqual(cells(self.document(), "`train_step[network=cnn62,batch=256,bf16]`")[1:],
                         [WHERE, "8.000 (7.999-8.001)", "pytorch eager", "20.0 (20.0-20.0)", "2.50"])

    def test_questions_are_answered_by_their_rows(self):
        self.report("measure_first", kernel(variant="pytorch") | {"name": "copy[bytes=1]"})
        self.assertEqual(cells(self.document(), "device copy rate")[1:], [WHERE, "`copy[bytes=1]` 12.5 us"])

    def test_every_peer_stands_beside_and_how_the_best_was_found(self):
        peers = [{"name": "cudnn standard bf16", "us": spread(50), "ratio": spread(4.0)}, {"name": "cudnn persist_static f16", "us": spread(25),
                                                                                         "ratio": spread(2.0)}]
        search = {"plans": 8, "refused": 3, "tried": 4, "wrong": 1, "failed": 0, "cut_short": True, "unavailable": None}
        self.report("kernels", kernel(peers=peers, search=search))
        self.assertEqual(cells(self.document(), "`lstm.forward[N=64,bf16]`", "resident")[7],
                         "4.00 x cudnn standard bf16, 2.00 x cudnn persist_static f16 (4 of 8 plans, 3 refused, 1 wrong, cut short)")

    def test_cudnn_called_directly_answers_with_times_and_refusals(self):
        self.report("kernels", kernel(), kernel(variant="cudnn standard bf16", us=spread(50), peer=None, refused=None),
                    kernel(variant="cudnn persist_static bf16", us=None, peer=None, passed=None, refused="cuDNN: an LSTM:\nNOT_SUPPORTED | 3000"),
                    kernel(variant="cudnn persist_dynamic bf16", us=None, peer=None, passed=None, refused=None, wrong="y: too far off"))
        self.assertEqual(cells(self.document(), "every cuDNN RNN algorithm")[1:], [WHERE, "<br>".join((
            "`lstm.forward[N=64,bf16]` by cudnn standard bf16: 50.0 us",
            "`lstm.forward[N=64,bf16]` by cudnn persist_static bf16: refused: cuDNN: an LSTM: NOT_SUPPORTED / 3000",
            "`lstm.forward[N=64,bf16]` by cudnn persist_dynamic bf16: WRONG: y: too far off"))])

    def test_a_search_answers_with_the_best_plan_once_a_problem(self):
        search = {"plans": 20, "refused": 8, "tried": 12, "wrong": 1, "failed": 2, "cut_short": False, "unavailable": None}
        peers = [{"name": f"cudnn engine {n}", "us": spread(us), "ratio": spread(2.0)} for n, us in ((41, 25), (2, 30))]
        row = {"name": "conv2d.forward[N=64,bf16]", "peers": peers, "search": search}
        none = {"name": "conv2d.forward[N=64,f16]", "peers": [], "search": {**search, "plans": 0, "unavailable": "cuDNN: not found"}}
        self.report("kernels", kernel("a") | row, kernel("b") | row, kernel("a", cache="hot") | row, kernel("a") | none,
                    kernel("a") | row | {"name": "conv2d.forward[N=64,tf32]"})
        self.assertEqual(cells(self.document(), "plan search")[1:], [WHERE, "<br>".join((
            "`conv2d.forward[N=64,bf16]`: 25.0 us by cudnn engine 41, 30.0 us by cudnn engine 2 (12 of 20 plans, 8 refused, 1 wrong, 2 failed)",
            "`conv2d.forward[N=64,f16]`: no plan: cuDNN: not found"))])

    def test_what_is_to_be_measured_first_waits_for_its_part(self):
        self.assertEqual(cells(self.document(), "every cuDNN RNN algorithm")[1:], [hardware.NEVER, "`gpu_check.sh --only kernels`"])
        self.assertEqual(cells(self.document(), "device copy rate")[1:], [hardware.NEVER, "`gpu_check.sh --only measure_first`"])

    def test_what_ran_on_simt_is_not_hardware(self):
        self.report("tests", {"name": "Softmax", "state": "passed", "seconds": 3, "detail": ""}, device="simt")
        self.report("kernels", kernel(device="simt"))
        self.assertNotIn(WHERE, self.document())

    def test_every_listed_variant_has_a_row(self):
        listed = hardware.listing(PROGRAM)
        self.assertGreater(len({item["variant"] for item in listed}), 15)
        text = hardware.document(self.folder, listed)
        for item in listed:
            self.assertIn(f"| {item['variant']} | {item['type']} | {hardware.NEVER} |", text)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop()
    unittest.main()
