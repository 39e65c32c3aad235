#!/usr/bin/env python3
"""`scrawl bench` as a user meets it: what it measures, what it says, and one clear message for each wrong input. No
time is asserted. Usage: bench_test.py SCRAWL [unittest arguments]"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRAWL = None
DENSE = "dense.forward[rows=8,I=16,O=24,f32]"
USAGE, DEVICE, WRITE = 2, 4, 7


def bench(*arguments, code=0):
    result = subprocess.run([SCRAWL, "bench", *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
    return result


class Bench(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.json = pathlib.Path(folder.name) / "report.json"

    def measured(self, *arguments):
        result = bench("--device", "cpu", "--threads", 1, "--seconds", 0.01, "--json", self.json, *arguments)
        return result, json.loads(self.json.read_text())

    def test_a_name_is_measured_cold_and_hot_beside_the_library(self):
        result, report = self.measured(DENSE)
        rows = [row for row in report["rows"] if row["name"] == DENSE]
        self.assertEqual({row["cache"] for row in rows}, {"cold", "hot"})
        for row in rows:
            self.assertTrue(row["passed"])
            self.assertEqual(row["flops"], 2 * 8 * 16 * 24)
            self.assertLessEqual(row["us"]["p10"], row["us"]["median"])
            self.assertLessEqual(row["us"]["median"], row["us"]["p90"])
            self.assertEqual(row["peer"], "onednn")
        self.assertEqual({"copy", "f32"}, report["header"]["ceilings"].keys())
        self.assertIn("oneDNN", report["header"]["libraries"]["cpu"])
        self.assertIn("% of the limit", result.stdout)

    def test_a_filter_takes_what_the_recipes_ask_for(self):
        listed = json.loads(bench("lstm", "--device", "cpu", "--list", "--json", "-", "--type", "f32").stdout)
        self.assertEqual({row["operation"] for row in listed}, {"lstm.forward", "lstm.backward"})
        self.assertTrue(all(row["layer"].startswith("crnn lstm") for row in listed), listed)
        self.assertIn("lstm.forward[T=64,N=64,I=64,H=256,D=2,f32]", {row["name"] for row in listed})
        more = json.loads(bench("lstm", "--device", "cpu", "--list", "--json", "-", "--type", "f32", "--sweep").stdout)
        self.assertIn("lstm.forward[T=2048,N=64,I=1024,H=1024,D=2,f32]", {row["name"] for row in more})
        self.assertGreater(len(more), len(listed))

    def test_a_shape_is_that_of_one_operation(self):
        _, report = self.measured("softmax.forward", "--shape", "rows=40,K=7", "--type", "f32")
        self.assertEqual({row["name"] for row in report["rows"]}, {"softmax.forward[rows=40,K=7,f32]"})

    def test_simt_counts_in_place_of_times(self):
        bench(DENSE, "--device", "simt", "--json", self.json)
        for row in json.loads(self.json.read_text())["rows"]:
            self.assertIsNone(row["us"])
            self.assertEqual(row["counts"], {"lanes": 128, "launches": 1})
            self.assertTrue(row["passed"])

    def test_static_says_what_is_counted_and_by_what(self):
        bench("--static", DENSE, "--json", self.json)
        (row,) = json.loads(self.json.read_text())["rows"]
        (launch,) = row["launches"]
        self.assertEqual(launch["blocks"], 1)
        self.assertGreaterEqual(launch["global_bytes"], 4 * (8 * 16 + 16 * 24 + 24 + 8 * 24))
        self.assertGreater(row["us"], 0)

    def test_a_peer_that_is_missing_is_said_once_and_the_rest_runs(self):
        result, report = self.measured(DENSE, "softmax.forward[rows=40,K=7,f32]", "--against", "vendor,torch", "--peer", "/no/such/python")
        self.assertEqual(result.stderr.count("PyTorch is left out"), 1)
        self.assertEqual(len({row["name"] for row in report["rows"]}), 2)

    def test_a_peer_that_knows_no_such_work_is_said_once_an_operation(self):
        answer = 'import sys\nprint("{}", flush=True)\nfor _ in sys.stdin: print(\'{"error": "no such work"}\', flush=True)'
        peer = self.json.with_name("peer.py")
        peer.write_text(answer)
        result, _ = self.measured(DENSE, DENSE.replace("rows=8", "rows=9"), "--against", "torch", "--peer", f"{sys.executable} {peer}")
        self.assertEqual(result.stderr.count("PyTorch is left out of dense.forward"), 1)
        self.assertIn("no such work", result.stderr)

    def test_wrong_inputs_say_what_was_expected(self):
        for arguments, code, words in (
            (("dens.forward[rows=8,I=16,O=24,f32]",), USAGE, ["expected one of", "dense.forward"]),
            (("dense.forwrd",), USAGE, ["no problem has this in its name", "dense.forward"]),
            (("dense.forward[rows=8,I=16,f32]",), USAGE, ["expected O=..."]),
            (("dense.forward[rows=8,I=16,O=24,M=2,f32]",), USAGE, ["M: expected one of"]),
            (("dense.forward", "--shape", "rows=8,I=sixteen,O=24"), USAGE, ["I: expected a whole number", "sixteen"]),
            (("--shape", "rows=8"), USAGE, ["--shape: expected one operation"]),
            (("dense", "--type", "f8"), USAGE, ["expected bf16, f16, tf32 or f32, got f8"]),
            (("dense", "--batch", "0"), USAGE, ["at least 1"]),
            (("dense", "--recipe", "crn"), USAGE, ["crn"]),
            (("dense", "--device", "tpu"), DEVICE, ["tpu"]),
            (("conv2d.forward[N=1,C=3,H=4,W=4,K=2,R=9,f32]",), USAGE, ["expected at least 9 pixels"]),
        ):
            with self.subTest(arguments):
                device = () if "--device" in arguments else ("--device", "cpu")
                result = bench(*arguments, *device, code=code)
                for word in words:
                    self.assertIn(word, result.stderr)
                self.assertEqual(result.stdout, "")

    def test_a_report_that_cannot_be_written_is_an_error(self):
        result = bench(DENSE, "--device", "cpu", "--seconds", 0.01, "--json", "/no/such/folder/report.json", code=WRITE)
        self.assertIn("/no/such/folder", result.stderr)


if __name__ == "__main__":
    SCRAWL = sys.argv.pop(1)
    unittest.main()
