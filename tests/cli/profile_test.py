#!/usr/bin/env python3
"""`scrawl profile` as a user meets it. No test here looks at how long anything took.
Usage: profile_test.py SCRAWL RECORDER [unittest arguments]"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import cli_test
import ranges_test

SCRAWL = RECORDER = None
PHASES = ("forward", "backward", "optimiser")


def run(*arguments, **environment):
    return subprocess.run([SCRAWL, *map(str, arguments)], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **environment})


class Profile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="scrawl-profile-"))
        cls.recipe = cls.folder / "tiny.toml"
        cls.recipe.write_text(cli_test.RECIPE.format(extra="", rate=0.01))
        cls.data = cls.folder / "bars"
        cli_test.write_set(cls.data, 20)
        cls.json, cls.trace = cls.folder / "profile.json", cls.folder / "trace.json"
        result = run("profile", cls.recipe, "--device", "cpu", "--threads", 1, "--classes", 2, "--steps", 2,
                     "--json", cls.json, "--trace", cls.trace)
        assert result.returncode == 0, result.stderr
        cls.table, cls.profile = result.stdout, json.loads(cls.json.read_text())
        inspected = run("inspect", cls.recipe, "--device", "cpu", "--classes", 2, "--batch", 8, "--json")
        cls.planned = json.loads(inspected.stdout)["calls"]

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def expect(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertEqual(result.stdout, "")

    def test_every_planned_call_appears_once(self):
        found = sorted((row["phase"].replace("optimiser", "update"), call["name"], call["variant"])
                       for row in self.profile["rows"] for call in row["calls"])
        self.assertEqual(found, sorted((call["phase"], call["name"], call["variant"]) for call in self.planned))
        rows = [(row["phase"], row["node"]) for row in self.profile["rows"]]
        self.assertEqual(len(rows), len(set(rows)))

    def test_shares_add_up_and_rows_are_sorted_by_them(self):
        shares = [row["share"] for row in self.profile["rows"]]
        self.assertAlmostEqual(sum(shares), 1)
        self.assertEqual(shares, sorted(shares, reverse=True))
        for row in self.profile["rows"]:
            self.assertAlmostEqual(sum(call["share"] for call in row["calls"]), row["share"])

    def test_the_table_has_each_node_and_says_that_samples_are_random(self):
        self.assertIn("random samples", self.table)
        for row in self.profile["rows"]:
            self.assertRegex(self.table, rf"(?m)% +- .* {row['phase']} +{row['node'] or '-'} +{row['variant']}$")
        for gap in ("host", "launch", "data", "idle"):
            self.assertIn(f"{gap} ", self.table)
            self.assertIn(gap, self.profile["profile"]["gaps_us"])

    def test_ceilings_and_limits_are_there(self):
        self.assertEqual(set(self.profile["header"]["ceilings"]), {"copy", "f32"})
        for row in self.profile["rows"]:
            self.assertIsNotNone(row["percent_of_limit"])

    def test_data_of_ones_own_is_used_and_named(self):
        out = self.folder / "data.json"
        result = run("profile", self.recipe, "--device", "cpu", "--threads", 1, "--data", self.data, "--steps", 1,
                     "--json", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        about = json.loads(out.read_text())["profile"]
        self.assertIn(str(self.data), about["data"])
        self.assertEqual(about["classes"], 2)
        self.assertNotIn("random", result.stdout)

    def test_simt_counts(self):
        out = self.folder / "simt.json"
        simt, = (device for device in json.loads(run("devices", "--json").stdout)["devices"] if device["name"] == "simt")
        if simt["unusable"]:
            self.skipTest(simt["unusable"])
        result = run("profile", "mlp", "--device", "simt", "--batch", 1, "--json", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        profile = json.loads(out.read_text())
        self.assertIsNone(profile["profile"]["step_us"])
        self.assertTrue(profile["rows"])
        for row in profile["rows"]:
            self.assertIsNone(row["us"])
            self.assertEqual(row["counts"]["launches"], sum(call["launches"] for call in row["calls"]))
            self.assertGreater(row["counts"]["lanes"], 0)
        self.expect(run("profile", "mlp", "--device", "simt", "--trace", self.folder / "none.json"), 2, "--trace", "simt")

    def test_ranges_of_profilers_have_the_names_of_the_rows(self):
        libraries = json.loads(run("devices", "--json").stdout)["libraries"]
        nvtx, = (library for library in libraries if library["name"] == "NVTX")
        if nvtx["unusable"]:
            self.skipTest(nvtx["unusable"])
        record = self.folder / "record"
        result = run("profile", self.recipe, "--device", "cpu", "--threads", 1, "--classes", 2, "--steps", 1,
                     NVTX_INJECTION64_PATH=RECORDER, NVTX_RECORD=str(record))
        self.assertEqual(result.returncode, 0, result.stderr)
        steps = ranges_test.nested([line.split(" ", 1)[1] for line in record.read_text().splitlines()])
        self.assertEqual({name for name, _ in steps}, {"step"})
        rows = {(row["phase"], row["node"]) for row in self.profile["rows"] if row["node"]}
        for _, step in steps:
            self.assertEqual([name for name, _ in step], ["data", *PHASES])
            self.assertEqual({(phase, node) for phase, within in step for node, _ in within}, rows)

    def test_wrong_input(self):
        profile = ("profile", self.recipe, "--device", "cpu", "--threads", 1)
        self.expect(run("profile", "mnits"), 2, "mnist")
        self.expect(run(*profile, "--steps", 0), 2, "--steps", "expected at least 1, got 0")
        self.expect(run(*profile, "--classes", 1), 2, "expected at least 2, got 1")
        self.expect(run(*profile, "--precision", "f64"), 2, "f64")
        self.expect(run(*profile, "--precision", "f16"), 4, "f16")
        self.expect(run("profile", self.recipe, "--device", "abacus"), 4, "abacus")
        self.expect(run(*profile, "--data", self.folder / "absent"), 3, "absent")
        self.expect(run(*profile, "--data", self.data, "--classes", 3), 2, "--classes")
        cuda, = (device for device in json.loads(run("devices", "--json").stdout)["devices"] if device["name"] == "cuda")
        if cuda["unusable"]:
            self.expect(run("profile", self.recipe, "--device", "cuda"), 4, "device cuda")
        for option in ("--json", "--trace"):
            self.expect(run(*profile, "--steps", 1, option, self.folder / "nowhere" / "file"), 7, "nowhere")


if __name__ == "__main__":
    SCRAWL, RECORDER = sys.argv[1:3]
    os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "2")
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
