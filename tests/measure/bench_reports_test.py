"""What `scrawl bench` makes of reports that are there: comparisons, tables, pictures.

bench_reports_test.py SCRAWL
"""
import copy
import csv
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HEADER = {"machine": "Linux x86_64, 2 CPUs", "cpu": "Test & Sons <CPU>", "gpu": None, "clocks": "1 MHz", "driver": None, "load": 0.5,
          "flushed_bytes": 1024, "libraries": {"cpu": "oneDNN 3"}, "commit": "abc", "date": "2026-11-22T10:00:00Z", "command": "scrawl bench",
          "ceilings": {"copy": {"per_second": 2e10, "by": "flat"}, "f32": {"per_second": 1e11, "by": "onednn"},
                       "bf16": {"per_second": 4e11, "by": "onednn"}}}
SVG = "{http://www.w3.org/2000/svg}"
NAME = "conv2d.forward[N=64,C=1,f32]"


def spread(median, low=None, high=None):
    return {"median": median, "p10": low or median * 0.99, "p90": high or median * 1.01, "mad": 0.1, "samples": 9}


def row(name=NAME, us=100.0, low=None, high=None, **changes):
    return {"name": name, "device": "cpu", "variant": "loops", "type": name[:-1].split(",")[-1], "cache": "cold", "us": us and spread(us, low, high),
            "counts": {}, "flops": 1e6, "bytes": 1e5, "percent_of_limit": 10.0, "peer": None, "peer_us": None, "ratio": None, "peers": [],
            "search": None, "passed": True, "wrong": None, "refused": None, **changes}


def beside(*peers):
    """Names and ratios; the first is the fastest."""
    all_of = [{"name": name, "us": spread(100 * ratio), "ratio": spread(ratio)} for name, ratio in peers]
    return {"peer": all_of[0]["name"], "peer_us": all_of[0]["us"], "ratio": all_of[0]["ratio"], "peers": all_of}


WRONG = {"us": None, "percent_of_limit": None, "passed": False, "wrong": "y: too far off"}


class Reports(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, *rows, **header):
        path = self.folder / name
        path.write_text(json.dumps({"header": {**copy.deepcopy(HEADER), **header}, "rows": rows}))
        return path

    def bench(self, *arguments, code=0, path=None):
        run = subprocess.run([SCRAWL, "bench", *map(str, arguments)], capture_output=True, text=True,
                             env={**os.environ, **({"PATH": path} if path is not None else {})})
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run.stdout if code in (0, 1) else run.stderr

    def compare(self, before, after, *flags, code=0):
        return self.bench("--compare", self.write("old.json", *before), self.write("new.json", *after), *flags, code=code)


class Compare(Reports):
    def test_each_kind_of_change_is_counted(self):
        names = [f"gemm[M={m},f32]" for m in range(6)]
        before = [row(name) for name in names[:5]]
        after = [row(names[0], us=50), row(names[1], us=200), row(names[2], us=102), row(names[3], **WRONG), row(names[5])]
        text = self.compare(before, after)
        self.assertIn("1 faster, 1 slower, 1 same, 1 wrong now, 1 only in the old, 1 only in the new", text)
        self.assertRegex(text, r"2\.00 x faster +100\.00 \[99\.00, 101\.00\] +50\.00 \[49\.50, 50\.50\] +gemm\[M=0,f32\] by loops, cold")
        self.assertRegex(text, r"2\.00 x slower .*M=1")
        self.assertRegex(text, r"wrong now .*M=3.*y: too far off")
        self.assertNotIn("M=2", text)

    def test_intervals_that_overlap_are_the_same_however_far_the_medians(self):
        text = self.compare([row(us=100, low=90, high=160)], [row(us=150, low=155, high=170)])
        self.assertIn("0 faster, 0 slower, 1 same", text)

    def test_medians_within_three_percent_are_the_same_however_narrow(self):
        self.assertIn("1 same", self.compare([row(us=100, low=99.9, high=100.1)], [row(us=102.9, low=102.8, high=103)]))
        self.assertIn("1 slower", self.compare([row(us=100, low=99.9, high=100.1)], [row(us=103.1, low=103, high=103.2)]))

    def test_the_largest_change_is_on_top_and_what_is_wrong_above_it(self):
        names = [f"gemm[M={m},f32]" for m in range(4)]
        text = self.compare([row(name) for name in names], [row(names[0], us=110), row(names[1], us=10), row(names[2], us=300),
                                                            row(names[3], **WRONG)])
        self.assertEqual(re.findall(r"M=(\d)", text), ["3", "1", "2", "0"])

    def test_strict_fails_where_something_is_slower_or_wrong_now_alone(self):
        for after, code in ((row(us=200), 1), (row(**WRONG), 1), (row(us=50), 0), (row(), 0), (row("gemm[M=1,f32]"), 0)):
            self.compare([row()], [after], "--strict", code=code)
            self.compare([row()], [after])

    def test_what_was_wrong_and_no_longer_is_does_not_fail(self):
        self.assertIn("1 right now", self.compare([row(**WRONG)], [row()], "--strict"))

    def test_rows_pair_by_variant_type_cache_and_device_too(self):
        for change in ({"variant": "tiles"}, {"type": "bf16"}, {"cache": "hot"}, {"device": "cuda"}):
            self.assertIn("0 same, 1 only in the old, 1 only in the new", self.compare([row()], [row(**change)]))

    def test_rows_of_one_key_pair_in_their_order(self):
        self.assertIn("1 faster, 1 slower", self.compare([row(us=100), row(us=100)], [row(us=50), row(us=200)]))

    def test_counts_have_no_times_to_compare(self):
        counted = row(us=None, counts={"lanes": 32})
        self.assertIn("0 same, 1 without times", self.compare([counted], [counted]))

    def test_other_circumstances_are_said(self):
        before = self.write("old.json", row())
        after = self.write("new.json", row(), gpu="NVIDIA Test", driver="1.2", libraries={"cpu": "oneDNN 4"}, machine="Linux arm")
        text = self.bench("--compare", before, after)
        for difference in ("gpu: none -> NVIDIA Test", "driver: none -> 1.2", "cpu: oneDNN 3 -> oneDNN 4",
                           "machine: Linux x86_64, 2 CPUs -> Linux arm"):
            self.assertIn(f"differs: {difference}\n", text)
        self.assertNotIn("differs", self.bench("--compare", before, before))

    def test_a_peer_that_greets_at_another_hour_is_the_same_peer(self):
        def greeting(torch, date):
            return {"peer": json.dumps({"ready": True, "header": {"date": date, "libraries": {"torch": torch}}})}
        before = self.write("old.json", row(), libraries=greeting("2.15", "today"))
        self.assertNotIn("differs", self.bench("--compare", before, self.write("new.json", row(), libraries=greeting("2.15", "now"))))
        self.assertIn('differs: peer: {"torch":"2.15"} -> {"torch":"2.16"}',
                      self.bench("--compare", before, self.write("new.json", row(), libraries=greeting("2.16", "now"))))


class BadInput(Reports):
    def test_what_is_no_report_is_a_data_error_that_says_where(self):
        def changed(**changes):
            return json.dumps({"header": HEADER, "rows": [{**row(), **changes}]})
        for text, expected in (
                ("{", "not JSON"), ("[]", "an object of header and rows"), ('{"runs": []}', "an object of header and rows"),
                (json.dumps({"header": HEADER, "rows": {}}), "rows: expected a list, got object"),
                (json.dumps({"header": {}, "rows": []}), "header.machine: expected text, got nothing"),
                (json.dumps({"header": HEADER, "rows": [{"name": "Softmax", "state": "passed"}]}), "rows[0].cache: expected text, got nothing"),
                (changed(us=40.0), "rows[0].us: expected an object, got number"), (changed(cache="warm"), "rows[0].cache: expected cold or hot, got warm"),
                (changed(us={**spread(1), "median": 0}), "rows[0].us.median: expected more than 0, got 0"),
                (changed(flops="many"), "rows[0].flops: expected a number, got string")):
            bad = self.folder / "bad.json"
            bad.write_text(text)
            for arguments in (("--compare", self.write("good.json", row()), bad), ("--report", bad, "--csv", self.folder / "x.csv")):
                message = self.bench(*arguments, code=3)
                self.assertIn("bad.json", message)
                self.assertIn(expected, message)
        self.assertFalse((self.folder / "x.csv").exists())

    def test_a_file_that_is_not_there_is_named(self):
        self.assertIn("nowhere.json", self.bench("--compare", self.write("good.json", row()), self.folder / "nowhere.json", code=3))

    def test_a_folder_that_is_not_there_is_a_write_error(self):
        for flag in ("--csv", "--md", "--plot"):
            self.bench("--report", self.write("good.json", row()), flag, self.folder / "nowhere" / "x.svg", code=7)

    def test_flags_that_contradict_are_refused(self):
        good = self.write("good.json", row())
        for arguments in (("--strict",), ("--compare", good), ("--compare", good, good, "--csv", "x"), ("--report", good, "conv2d"),
                          ("--list", "--csv", "x"), ("--report", good, "--plot", "x.pdf")):
            self.bench(*arguments, code=2)


class Tables(Reports):
    def rows(self):
        return [row(**beside(("onednn, blocked", 1.25), ("pytorch", 3.0)), us=123.456),
                row('odd["quoted",f32]', us=0.5, flops=0, percent_of_limit=None, passed=None, cache="hot"),
                row("lstm.forward[N=1,f32]", **{**WRONG, "wrong": "y | z:\ntoo far off"}),
                row("gemm[M=1,f32]", passed=False)]

    def test_csv_gives_back_every_cell(self):
        path = self.folder / "x.csv"
        self.bench("--report", self.write("r.json", *self.rows()), "--csv", path)
        with path.open(newline="") as file:
            first, odd, wrong, failed = csv.DictReader(file)
        self.assertEqual(list(first), ["name", "variant", "type", "cache", "us", "us_p10", "us_p90", "tflop_per_s", "gb_per_s", "percent_of_limit",
                                       "x_vendor", "vendor", "x_pytorch", "result"])
        self.assertEqual(first["name"], NAME)
        self.assertAlmostEqual(float(first["us"]), 123.456)
        self.assertAlmostEqual(float(first["tflop_per_s"]), 1e6 / 123.456 * 1e-6, 6)
        self.assertAlmostEqual(float(first["gb_per_s"]), 1e5 / 123.456 * 1e-3, 5)
        # 1e6 FLOPs at 1e11 a second: 10 us, more than 1e5 bytes at 2e10
        self.assertAlmostEqual(float(first["percent_of_limit"]), 1000 / 123.456, 4)
        self.assertEqual([first[key] for key in ("cache", "x_vendor", "vendor", "x_pytorch", "result")],
                         ["cold", "1.25000", "onednn, blocked", "3.00000", "passed"])
        self.assertEqual(odd["name"], 'odd["quoted",f32]')
        self.assertEqual([odd[key] for key in ("tflop_per_s", "percent_of_limit", "x_vendor", "vendor", "x_pytorch", "result")], [""] * 6)
        self.assertEqual([wrong["us"], wrong["result"]], ["", "wrong: y | z:\ntoo far off"])
        self.assertEqual(failed["result"], "failed")

    def test_markdown_has_a_row_of_as_many_cells_for_each(self):
        path = self.folder / "x.md"
        self.bench("--report", self.write("r.json", *self.rows()), "--md", path)
        lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in path.read_text().splitlines()]
        self.assertEqual([len(cells) for cells in lines], [14] * 6)
        self.assertTrue(all(re.fullmatch(r" -+:? ", cell) for cell in lines[1]))
        self.assertEqual([cell.strip() for cell in lines[2]],
                         [f"`{NAME}`", "loops", "f32", "cold", "123", "122", "125", "0.00810", "0.810", "8.10", "1.25", "onednn, blocked", "3.00", "passed"])
        self.assertEqual(lines[4][-1].strip(), r"wrong: y \| z: too far off")

    def test_without_a_file_the_table_is_printed(self):
        self.assertIn(f"| `{NAME}` | loops |", self.bench("--report", self.write("r.json", row())))

    def test_reports_that_are_kept_can_be_read(self):
        for path in sorted((pathlib.Path(__file__).parents[2] / "bench" / "results").glob("*.json")):
            if path.stem.endswith("-static"):  # predictions, which have no times
                self.bench("--report", path, code=3)
                continue
            rows = json.loads(path.read_text())["rows"]
            self.assertEqual(self.bench("--report", path).count("\n"), 2 + len(rows), path)
            self.assertIn(f" {len(rows)} same, 0 only in the old, 0 only in the new", self.bench("--compare", path, path, "--strict"))


class Plot(Reports):
    def plot(self, *rows, **header):
        path = self.folder / "x.svg"
        self.bench("--report", self.write("r.json", *rows, **header), "--plot", path)
        self.root = xml.etree.ElementTree.parse(path).getroot()
        self.assertNotRegex(path.read_text(), r"(?i)[\" -](nan|inf)\b")
        self.texts = [element.text for element in self.root.iter(f"{SVG}text")]
        return {title.text: element for element in self.root.iter() for title in element.findall(f"{SVG}title")}

    def test_each_problem_has_a_point_of_ours_and_the_vendors(self):
        titles = self.plot(row(us=100, **beside(("onednn", 0.5))), row("lstm.forward[N=1,f32]", us=10),
                           row("conv2d.forward[N=64,C=1,bf16]", us=10, **beside(("pytorch", 2), ("onednn", 4))))
        ours, theirs = (titles[f"{NAME} by {who}: {figures}"] for who, figures in
                        (("loops", "100.00 us, 10.0 GFLOP/s"), ("onednn", "50.00 us, 20.0 GFLOP/s")))
        self.assertEqual((ours.tag, theirs.tag), (f"{SVG}circle", f"{SVG}path"))
        # Twice as fast is above.
        self.assertLess(float(re.match(r"M\S+ (\S+?)l", theirs.get("d"))[1]), float(ours.get("cy")))
        self.assertIn("conv2d.forward[N=64,C=1,bf16] by onednn: 400.00 us, 2.50 GFLOP/s", titles)
        self.assertIn("lstm.forward[N=1,f32] by loops: 10.00 us, 100 GFLOP/s", titles)
        for label in ("Roofline", "f32", "bf16", "conv2d", "lstm", "100 GFLOP/s", "400 GFLOP/s", "copy, 20.0 GB/s", "FLOP/byte"):
            self.assertIn(label, self.texts)
        self.assertNotIn("Bytes", self.texts)

    def test_a_point_on_the_limit_is_on_the_line(self):
        titles = self.plot(row(us=10))  # 1e6 FLOPs at 1e11 a second, 10 a byte: right of the ridge at 5
        flat = [line for line in self.root.iter(f"{SVG}line") if line.get("stroke-width") == "1.5" and line.get("y1") == line.get("y2")]
        self.assertEqual([line.get("y1") for line in flat], [titles[f"{NAME} by loops: 10.00 us, 100 GFLOP/s"].get("cy")])

    def test_of_each_problem_the_fastest_variant_is_drawn_and_cold_before_hot(self):
        titles = self.plot(row(us=100), row(us=80, variant="tiles"), row(us=20, cache="hot"))
        self.assertEqual([title for title in titles if title.startswith(NAME)], [f"{NAME} by tiles: 80.00 us, 12.5 GFLOP/s"])

    def test_rows_without_flops_are_bars_over_the_copy_rate(self):
        titles = self.plot(row("softmax.forward[rows=1,f32]", us=10, flops=0, **beside(("onednn", 2))), row("copy[elements=1,f32]", us=20, flops=0),
                           row("copy[elements=2,f32]", us=5, flops=0))
        half, mean = titles["softmax.forward f32: 50%, 10.0 GB/s"], titles["copy f32: 50%, 10.0 GB/s"]  # of 25% and 100%
        self.assertEqual(half.get("width"), mean.get("width"))
        self.assertIn("copies, 20.0 GB/s", self.texts)
        self.assertIn("copy[elements=2,f32] by loops: 100.0% of copies", titles)
        self.assertIn("softmax.forward f32: the vendor", titles)
        self.assertNotIn("Roofline", self.texts)

    def test_ratios_are_bars_from_one(self):
        titles = self.plot(row(**beside(("onednn", 0.5))), row("conv2d.forward[N=1,f32]", **beside(("onednn", 2))),
                           row("dense.forward[N=1,f32]", **beside(("pytorch", 0.5))), row("lstm.forward[N=1,f32]", **beside(("onednn", 2))))
        even, slow, fast = (titles[f"{bar}"] for bar in ("conv2d.forward f32: 1.00 (0.50-2.00)", "dense.forward f32: 0.50", "lstm.forward f32: 2.00"))
        ends = [(float(bar.get("x")), float(bar.get("x")) + float(bar.get("width"))) for bar in (even, slow, fast)]
        one = ends[0][0]
        self.assertAlmostEqual(ends[1][1], one, delta=0.11)
        self.assertAlmostEqual(ends[2][0], one, delta=0.11)
        self.assertAlmostEqual(ends[1][1] - ends[1][0], ends[2][1] - ends[2][0], delta=0.11)
        self.assertIn("conv2d.forward[N=1,f32] by loops: 2.00 x onednn", titles)

    def test_no_two_texts_overlap_and_all_are_on_the_page(self):
        names = [f"{operation}[N={n},{kind}]" for operation in ("conv2d_moments.forward", "dense.backward_weight", "batch_norm_pool.backward", "lstm.forward")
                 for n in (1, 3000) for kind in ("f32", "tf32", "bf16", "f16")]
        self.plot(*(row(name, us=10 ** (i % 5), flops=1e6 * (i % 4), **beside(("onednn", 10.0 ** (i % 7 - 3)))) for i, name in enumerate(names)))
        boxes = []
        for text in self.root.iter(f"{SVG}text"):
            size, x, y = (float(text.get(key)) for key in ("font-size", "x", "y"))
            self.assertGreaterEqual(size, 11)
            width = 0.6 * size * len(text.text)
            left = x - {"start": 0, "middle": width / 2, "end": width}[text.get("text-anchor")]
            if not text.get("transform"):
                boxes.append((text.text, left, left + width, y - 0.75 * size, y + 0.2 * size))
        page = [float(self.root.get(key)) for key in ("width", "height")]
        self.assertEqual(page[0], 900)
        for i, (words, left, right, top, bottom) in enumerate(boxes):
            self.assertTrue(0 <= left and right <= page[0] + 1 and 0 <= top and bottom <= page[1], words)
            for other, *box in boxes[:i]:
                self.assertFalse(left < box[1] and box[0] < right and top < box[3] and box[2] < bottom, (words, other))

    def test_what_was_not_measured_leaves_its_part_out(self):
        self.plot(row(), ceilings={})
        self.assertNotIn("copy, 20.0 GB/s", self.texts)
        self.plot(row(**beside(("sum of its calls", 1.0))), row(us=200))
        self.assertNotIn("Times as fast as the best peer", self.texts)

    def test_nothing_to_draw_is_a_data_error(self):
        path = self.folder / "x.svg"
        self.assertIn("expected rows with times", self.bench("--report", self.write("r.json", row(**WRONG)), "--plot", path, code=3))
        self.assertFalse(path.exists())

    def test_a_png_without_a_converter_says_what_to_install(self):
        path = self.folder / "x.png"
        self.assertIn("librsvg2-bin", self.bench("--report", self.write("r.json", row()), "--plot", path, code=2, path=str(self.folder)))
        self.assertFalse(path.exists())

    def convert_with(self, script):
        """In place of rsvg-convert."""
        program = self.folder / "rsvg-convert"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return f"{self.folder}:/usr/bin:/bin"

    def test_a_png_is_what_the_converter_makes_of_the_svg(self):
        path = self.folder / "x.png"
        self.bench("--report", self.write("r.json", row()), "--plot", path, path=self.convert_with(r"printf '\211PNG'; cat $2"))
        made = path.read_bytes()
        self.assertEqual(made[:4], b"\x89PNG")
        xml.etree.ElementTree.fromstring(made[4:])

    def test_a_converter_that_fails_leaves_nothing(self):
        path = self.folder / "x.png"
        for script in ("exit 3", "echo no picture"):
            self.assertIn("expected a PNG", self.bench("--report", self.write("r.json", row()), "--plot", path, code=2, path=self.convert_with(script)))
        self.assertFalse(path.exists())


if __name__ == "__main__":
    SCRAWL = sys.argv.pop()
    unittest.main()
