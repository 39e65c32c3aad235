#!/usr/bin/env python3
"""scrawl as other projects meet it: installed, moved to another folder, found by find_package, and the examples of
tools/examples built and run there.
Usage: examples_test.py SOURCE BUILD WORK --config CONFIG --cmake CMAKE -- [options that configure a project]"""

import argparse
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

OPTIONS = None
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "SCRAWL_RECIPES"}

# What is not a program's own choice: language, places, definitions of libraries.
ALLOWED_FLAG = re.compile(r"-(std=|D|isystem|o$|c$|M[DTF]$|fPIE$|fPIC$)")


def run(*command, **options):
    return subprocess.run(
        [str(word) for word in command], text=True, capture_output=True, timeout=300, env=ENVIRONMENT, **options
    )


def succeed(*command, **options):
    done = run(*command, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def configure(source, folder, *settings):
    command = [OPTIONS.cmake, "-S", source, "-B", folder, f"-DCMAKE_PREFIX_PATH={OPTIONS.work / 'moved'}"]
    return run(*command, *OPTIONS.project, *settings)


def project(name, lines):
    """A folder with a CMake project of these lines."""
    folder = OPTIONS.work / name
    folder.mkdir()
    start = "cmake_minimum_required(VERSION 3.25)\nproject(user LANGUAGES CXX)\n"
    (folder / "CMakeLists.txt").write_text(start + lines)
    return folder


def logistic(x):
    return 1 / (1 + math.exp(-x))


def lstm(x, w_ih, w_hh, b, steps, samples, inputs, hidden):
    """y (T, N, 2 H), flat, by the formulas of kernels/lstm.h."""
    y = [0.0] * (steps * samples * 2 * hidden)
    for d in range(2):
        for n in range(samples):
            h, c = [0.0] * hidden, [0.0] * hidden
            for t in range(steps) if d == 0 else reversed(range(steps)):
                gates = []
                for row in range(d * 4 * hidden, (d + 1) * 4 * hidden):
                    at = (t * samples + n) * inputs
                    gates.append(
                        b[row]
                        + sum(w_ih[row * inputs + i] * x[at + i] for i in range(inputs))
                        + sum(w_hh[row * hidden + j] * h[j] for j in range(hidden))
                    )
                i, f, g, o = (gates[k * hidden : (k + 1) * hidden] for k in range(4))
                c = [logistic(f[j]) * c[j] + logistic(i[j]) * math.tanh(g[j]) for j in range(hidden)]
                h = [logistic(o[j]) * math.tanh(c[j]) for j in range(hidden)]
                at = ((t * samples + n) * 2 + d) * hidden
                y[at : at + hidden] = h
    return y


class Installed(unittest.TestCase):
    """Everything happens in the moved folder: what was installed may not remember where."""

    @classmethod
    def setUpClass(cls):
        shutil.rmtree(OPTIONS.work, ignore_errors=True)
        OPTIONS.work.mkdir(parents=True)
        succeed(OPTIONS.cmake, "--install", OPTIONS.build, "--config", OPTIONS.config, "--prefix", OPTIONS.work / "first")
        cls.prefix = (OPTIONS.work / "first").rename(OPTIONS.work / "moved")
        cls.examples = OPTIONS.work / "examples"
        done = configure(OPTIONS.source / "tools/examples", cls.examples)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        succeed(OPTIONS.cmake, "--build", cls.examples, "--parallel", "2")

    def programs(self, name):
        """Builds of an example that run here. One for a GPU ends with 4 where there is none."""
        found = []
        for program in (self.examples / name, self.examples / f"{name}_simt"):
            if not program.exists():
                continue
            done = run(program)
            if program.name == name and done.returncode == 4:
                self.assertIn("no GPU", done.stderr)
            else:
                self.assertEqual(done.returncode, 0, done.stderr)
                found.append(done.stdout)
        self.assertTrue(found, f"no build of {name} ran")
        return found

    def test_ctc_on_pointers_and_a_stream_of_ones_own(self):
        # Activations are all 0: each of K^T paths is as likely. A label of L symbols, r of which follow their like, is
        # what C(T + L - r, 2 L) of them read as.
        losses = [
            12 * math.log(5) - math.log(math.comb(15, 6)),
            9 * math.log(5) - math.log(math.comb(9 + 2 - 1, 4)),
        ]
        # Behind a blank, the other 11 frames read as the whole label; the first frame is a blank or the label's first.
        for output in self.programs("ctc_kernel"):
            numbers = [float(word) for word in re.findall(r"-?\d+\.\d+", output)]
            self.assertEqual(len(numbers), 7, output)
            for got, expected in zip(numbers, losses):
                self.assertAlmostEqual(got, expected, delta=2e-4)
            blank = math.comb(14, 6) / math.comb(15, 6)
            for got, expected in zip(numbers[2:], (0.2 - blank, 0.2 - (1 - blank), 0.2, 0.2, 0.2)):
                self.assertAlmostEqual(got, expected, delta=2e-4)

    def test_an_lstm_on_pointers_and_a_stream_of_ones_own(self):
        steps, samples, inputs, hidden = 4, 2, 3, 8

        def wave(count, rate):
            return [math.sin(rate * i) for i in range(count)]

        rows = 8 * hidden
        expected = lstm(
            wave(steps * samples * inputs, 0.7), wave(rows * inputs, 0.3), wave(rows * hidden, 0.2), wave(rows, 0.5),
            steps, samples, inputs, hidden,
        )  # fmt: skip
        for output in self.programs("lstm_kernel"):
            got = [float(line) for line in output.split()]
            self.assertEqual(len(got), len(expected))
            for a, b in zip(got, expected):
                self.assertAlmostEqual(a, b, delta=1e-3)  # products may be made in tf32

    def test_a_network_that_learns(self):
        losses = [float(loss) for loss in re.findall(r"loss (\d+\.\d+)", succeed(self.examples / "train_network"))]
        self.assertEqual(len(losses), 6)
        self.assertLess(losses[-1], 0.3)  # guessing costs log 2
        self.assertLess(losses[-1], losses[0] / 2)

    def test_the_cpu_backend_of_another_project(self):
        output = succeed(self.examples / "cpu_backend").splitlines()
        self.assertRegex(output[0], r"^by \w+")
        self.assertEqual(output[1:], ["0.0900 0.2447 0.6652", "0.3333 0.3333 0.3333"])

    def test_every_header_compiles_and_no_flag_of_ours_reaches_users(self):
        include = self.prefix / "include/scrawl"
        headers = sorted(path.relative_to(include).as_posix() for path in include.rglob("*.h"))
        self.assertIn("kernels/ctc.h", headers)
        folder = project("headers", "find_package(scrawl REQUIRED)\nadd_executable(headers headers.cpp)\n"
                         "target_link_libraries(headers PRIVATE scrawl::models scrawl::synth)\n")  # fmt: skip
        includes = "".join(f'#include "{header}"\n' for header in headers)
        (folder / "headers.cpp").write_text(includes + "int main() { return scrawl::recipe_names().empty(); }\n")
        done = configure(folder, folder / "build", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        command = json.loads((folder / "build/compile_commands.json").read_text())[0]["command"].split()
        flags = [word for word in command if word.startswith("-") and not ALLOWED_FLAG.match(word)]
        self.assertEqual(flags, [])
        succeed(OPTIONS.cmake, "--build", folder / "build")

    def test_a_component_that_is_not_there_is_named(self):
        folder = project("absent", "find_package(scrawl REQUIRED COMPONENTS abacus)\n")
        done = configure(folder, folder / "build")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"component abacus: this scrawl has\s+kernels, cpu")

    def test_the_program_finds_its_recipes_where_it_was_moved(self):
        recipes = self.prefix / "share/scrawl/recipes"
        shutil.copy(recipes / "mlp.toml", recipes / "another.toml")
        program = self.prefix / "bin/scrawl"
        self.assertIn("dense", succeed(program, "inspect", "another", cwd="/"))
        (recipes / "another.toml").unlink()
        with tempfile.TemporaryDirectory() as elsewhere:
            alone = shutil.copy(program, elsewhere)
            done = run(alone, "inspect", "mlp", cwd="/")
        self.assertEqual(done.returncode, 2)
        self.assertIn("recipe mlp: not found, nor any other", done.stderr)

    def test_no_file_names_a_folder_of_the_machine(self):
        if OPTIONS.config != "Release":
            self.skipTest("other builds keep folders for debuggers")
        folders = [str(folder).encode() for folder in (OPTIONS.source, OPTIONS.build, OPTIONS.work / "first")]
        # nvcc writes a kernel's source file beside its lines, for profilers, and maps no prefix.
        has_kernels = ("libscrawl_cuda.a", "scrawl") if (self.prefix / "lib/libscrawl_cuda.a").exists() else ()
        named = [
            f"{path.relative_to(self.prefix)}: {folder.decode()}"
            for path in self.prefix.rglob("*")
            if path.is_file() and path.name not in has_kernels
            for content in [path.read_bytes()]
            for folder in folders
            if folder in content
        ]
        self.assertEqual(named, [])


def main():
    global OPTIONS
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--config", required=True)
    parser.add_argument("--cmake", required=True)
    split = sys.argv.index("--")
    OPTIONS = parser.parse_args(sys.argv[1:split])
    OPTIONS.project = sys.argv[split + 1 :]
    OPTIONS.work /= "installed"
    unittest.main(argv=["examples_test.py"], verbosity=2)


if __name__ == "__main__":
    main()
