#!/usr/bin/env python3
"""`scrawl tune` and --choices as a user meets them: what is written, followed, recorded, and needed again. No time is
asserted. Usage: tune_test.py SCRAWL [unittest arguments]"""

import json
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

import cli_test
from cli_test import columns, listed, run, tensor_bytes

USAGE, DATA, DEVICE = 2, 3, 4
CPU = ("--device", "cpu")
LAST = "weights/last.safetensors"


class Choices(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="scrawl-tune-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.data, cls.recipe, cls.tuned = cls.folder / "bars", cls.folder / "tiny.toml", cls.folder / "tuned.json"
        cli_test.write_set(cls.data, 60)
        cls.recipe.write_text(cli_test.RECIPE.format(rate="0.01", extra=""))
        result = run("tune", cls.recipe, *CPU, "--classes", 2, "--seconds", 0.01, "--step-seconds", 0.01, "--choices", cls.tuned,
                     "--force", "--json")
        assert result.returncode == 0, result.stderr
        cls.told, cls.file = json.loads(result.stdout), json.loads(cls.tuned.read_text())
        # Whatever is fastest here and now: a convolution that takes another variant than the usual.
        cls.forward = next(call for call in cls.told["calls"] if call["call"].startswith("conv2d_forward") and call["uses"])
        cls.other = next(time["variant"] for time in cls.forward["measured"] if time["variant"] != cls.forward["first"])

    def choose(self, name, variant, **header):
        """A choice file of that name, by which the convolution takes that variant."""
        calls = [{**call, "variant": variant} if call["call"] == self.forward["call"] else call for call in self.file["calls"]]
        path = self.folder / name
        path.write_text(json.dumps({**self.file, "calls": calls, **header}))
        return path

    def train(self, out, *more):
        return run("train", self.recipe, *CPU, "--data", self.data, "--out", out, *more)

    def expect(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertEqual(result.stdout, "")

    def test_the_file_holds_what_was_chosen_of_what_was_measured(self):
        self.assertEqual(self.told["choices"], str(self.tuned))
        self.assertEqual({call["call"]: call["variant"] for call in self.file["calls"]},
                         {call["call"]: call["chosen"] for call in self.told["calls"] if call["kept"]})
        for call in self.file["calls"]:
            self.assertIn(call["variant"], [time["variant"] for time in call["measured"]])
        self.assertEqual((self.file["device"], self.file["batch"], self.file["type"]), ("cpu", 8, "f32"))

    def test_inspect_shows_which_calls_took_a_chosen_variant(self):
        choices = self.choose("shown.json", self.other)
        shown = run("inspect", self.recipe, *CPU, "--classes", 2, "--batch", 8, "--calls", "--choices", choices)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertRegex(shown.stdout, rf"conv2d_forward +{self.other} \(chosen\)")
        self.assertRegex(shown.stdout, rf"{self.forward['first']} +refused: left out by the choice file")

    def test_a_run_repeats_its_bits_and_resumes_by_the_same_file_only(self):
        choices = self.choose("first.json", self.other)
        whole, again, cut = (self.folder / name for name in ("whole", "again", "cut"))
        for out in (whole, again, cut):
            result = self.train(out, "--choices", choices)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stderr, r"names the variants of [1-9]\d* of the step's")
        self.assertEqual(tensor_bytes(whole / LAST), tensor_bytes(again / LAST))

        shutil.rmtree(sorted(cut.glob("checkpoints/step_*"))[-1])  # as if killed in the last epoch
        another, moved = self.folder / "another.json", self.folder / "moved.json"
        another.write_text(choices.read_text() + " ")
        choices.rename(moved)
        began = f"began with --choices {choices}"
        self.expect(self.train(cut, "--resume"), USAGE, "choice file: expected", "got none", began)
        self.expect(self.train(cut, "--resume", "--choices", another), USAGE, "choice file: expected", began)
        self.expect(self.train(cut, "--resume", "--choices", choices), DATA, str(choices))
        result = self.train(cut, "--resume", "--choices", moved)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(tensor_bytes(whole / LAST), tensor_bytes(cut / LAST))
        self.assertEqual(columns(whole / "results.csv"), columns(cut / "results.csv"))

        for command in (["eval", whole, "--data", self.data], ["predict", whole, self.data / "h" / "0.png"]):
            result = run(*command, *CPU, "--choices", moved)
            self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_run_without_choices_does_not_take_them_up(self):
        out = self.folder / "without"
        self.assertEqual(self.train(out).returncode, 0)
        self.expect(self.train(out, "--resume", "--choices", self.tuned), USAGE, "choice file: expected none", "began without --choices")

    def test_choices_that_do_not_fit(self):
        inspect = ("inspect", self.recipe, *CPU, "--classes", 2, "--batch", 8, "--choices")
        for header, word in (({"processor": "another"}, "got choices for another"), ({"device": "cuda"}, "got choices for cuda"),
                             ({"choices": 0}, "expected version 1, got 0"), ({"best": 1}, "got best")):
            self.expect(run(*inspect, self.choose("bad.json", self.other, **header)), USAGE, "bad.json", word)
        self.expect(run(*inspect, self.choose("bad.json", "magic")), USAGE, self.forward["call"], "got magic", "scrawl tune")
        self.expect(self.train(self.folder / "magic", "--choices", self.folder / "bad.json"), USAGE, "got magic")

    def test_times_are_not_measured_where_they_mean_nothing(self):
        if any(device["name"] == "simt" and not device["unusable"] for device in listed("devices")):
            self.expect(run("tune", self.recipe, "--device", "simt"), DEVICE, "expected cpu or cuda, got simt")


if __name__ == "__main__":
    cli_test.SCRAWL = sys.argv.pop(1)
    os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "2")
    unittest.main()
