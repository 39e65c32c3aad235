#!/usr/bin/env python3
"""What a profiler sees of a training: NVTX ranges, recorded by tests/device/nvtx_recorder.
Usage: ranges_test.py SCRAWL RECORDER [unittest arguments]"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import cli_test

SCRAWL = RECORDER = None
STEPS = 2


def run(*arguments, **environment):
    return subprocess.run([SCRAWL, *map(str, arguments)], check=True, capture_output=True, text=True,
                          env={**os.environ, **environment}).stdout


def nested(lines):
    """The ranges of one thread as a tree: (name, ranges within)."""
    root = ("", [])
    open_ranges = [root]
    for line in lines:
        what, domain, *name = line.split(" ", 2)
        assert domain == "scrawl", line
        if what == "push":
            open_ranges.append((name[0], []))
            open_ranges[-2][1].append(open_ranges[-1])
        else:
            open_ranges.pop()
    assert open_ranges == [root], "ranges that never end"
    return root[1]


class Ranges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        libraries = json.loads(run("devices", "--json"))["libraries"]
        nvtx, = (library for library in libraries if library["name"] == "NVTX")
        if nvtx["unusable"]:
            raise unittest.SkipTest(nvtx["unusable"])

    def test_a_training_shows_its_steps_phases_and_nodes(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for i in range(32):
                image = folder / "data" / "ab"[i % 2] / f"{i}.png"
                image.parent.mkdir(parents=True, exist_ok=True)
                cli_test.write_png(image, [[255 if (x + i) % 16 < 4 + 8 * (i % 2) else 0 for x in range(16)]] * 16)
            recipe, record = folder / "tiny.toml", folder / "record"
            recipe.write_text(cli_test.RECIPE.format(extra="", rate=0.01))
            run("train", recipe, "--data", folder / "data", "--out", folder / "run", "--device", "cpu", "--epochs", 1,
                "--set", "training.batch=12", NVTX_INJECTION64_PATH=RECORDER, NVTX_RECORD=str(record))
            nodes = [node["name"] for node in json.loads(run("inspect", recipe, "--device", "cpu", "--json"))["nodes"]]
            by_thread = {}
            for line in record.read_text().splitlines():
                thread, rest = line.split(" ", 1)
                by_thread.setdefault(thread, []).append(rest)

        self.assertEqual(len(by_thread), 1)
        ranges = nested(*by_thread.values())
        steps = [within for name, within in ranges if name == "step"]
        self.assertEqual(len(steps), STEPS)
        self.assertLess(len(steps), len(ranges), "validation shows nothing")
        self.assertLessEqual({name for name, _ in ranges}, {"step", "prepare", "forward"})
        for step in steps:
            self.assertEqual([name for name, _ in step], ["data", "forward", "backward", "optimiser"])
            (_, data), (_, forward), (_, backward), (_, optimiser) = step
            self.assertEqual(data, [])
            visited = [name for name, _ in forward]
            self.assertEqual(visited, [name for name in nodes if name in visited], "forward: not in the graph's order")
            self.assertGreaterEqual(len(visited), 5)
            self.assertTrue(set(name for name, _ in backward) <= set(nodes) and backward)
            self.assertTrue(set(name for name, _ in optimiser) <= set(nodes))
            for _, within in forward + backward + optimiser:
                self.assertEqual(within, [])

    def test_nobody_listens_and_nothing_is_recorded(self):
        with tempfile.TemporaryDirectory() as folder:
            record = pathlib.Path(folder) / "record"
            run("inspect", "mnist", NVTX_RECORD=str(record))
            self.assertFalse(record.exists())


if __name__ == "__main__":
    SCRAWL, RECORDER = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
