#!/usr/bin/env python3
"""The command line as a user meets it: results, exit codes, one clear message for each wrong input, and runs that
survive signals. Usage: cli_test.py SCRAWL [unittest arguments]"""

import gzip
import json
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

SCRAWL = None

RECIPE = """
name = "tiny"
[input]
height = 16
width = 16
ink = "light"
[data]
validation_fraction = 0.25
augment = {{ shift = 0.05 }}
[network]
layers = [
  {{ type = "conv", filters = 16, kernel = 3, padding = "same" }},
  {{ type = "batch_norm" }},
  {{ type = "relu" }},
  {{ type = "max_pool" }},
  {{ type = "flatten" }},
  {{ type = "dropout", rate = 0.1 }},
  {extra}
  {{ type = "classes" }},
]
[training]
epochs = 3
batch = 8
schedule = {{ kind = "cosine", learning_rate = {rate} }}
"""


def write_png(path, rows):
    """Gray rows of bytes as a PNG."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def write_set(folder, count):
    """Class folders of horizontal and vertical bars: two classes that any network can tell apart."""
    draw = random.Random(1)
    for label in ("h", "v"):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            at = draw.randrange(4, 12)
            rows = [[255 if (y if label == "h" else x) in (at, at + 1) else draw.randrange(40) for x in range(16)]
                    for y in range(16)]
            write_png(folder / label / f"{i}.png", rows)


def run(*arguments, **options):
    return subprocess.run([SCRAWL, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


def listed(what):
    """The devices or the libraries of `scrawl devices`."""
    return json.loads(run("devices", "--json").stdout)[what]


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="scrawl-cli-"))
        cls.data = cls.folder / "bars"
        write_set(cls.data, 60)
        cls.recipe = cls.write_recipe("tiny.toml")
        cls.run_folder = cls.folder / "run"
        trained = run("train", cls.recipe, "--data", cls.data, "--out", cls.run_folder, "--json")
        assert trained.returncode == 0, trained.stderr
        cls.trained = json.loads(trained.stdout)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def write_recipe(cls, name, rate="0.01", extra="", change=lambda text: text):
        path = cls.folder / name
        path.write_text(change(RECIPE.format(rate=rate, extra=extra)))
        return path

    def expect(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertEqual(result.stdout, "")

    # What commands give.

    def test_training_leaves_a_run_directory(self):
        for name in ("config.toml", "results.csv", "weights/best.safetensors", "weights/last.safetensors"):
            self.assertTrue((self.run_folder / name).exists(), name)
        self.assertTrue(list(self.run_folder.glob("events.out.tfevents.*")))
        self.assertEqual(len((self.run_folder / "results.csv").read_text().splitlines()), 1 + 3)
        self.assertEqual(self.trained["epochs"], 3)

    def test_bars_are_told_apart(self):
        result = run("eval", self.run_folder, "--data", self.data, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        metrics = json.loads(result.stdout)
        self.assertLessEqual({"dataset", "split", "samples", "skipped", "loss", "accuracy", "accuracy_ci95", "precision_macro",
                              "recall_macro", "f1_macro", "seconds", "images_per_second"}, set(metrics))
        self.assertGreaterEqual(metrics["accuracy"], 0.9)

    def test_predictions_name_image_text_confidence_and_alternatives(self):
        images = [self.data / "h" / "0.png", self.data / "v" / "0.png"]
        result = run("predict", self.run_folder, *images, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        readings = json.loads(result.stdout)
        self.assertEqual([r["image"] for r in readings], list(map(str, images)))
        self.assertEqual([r["text"] for r in readings], ["h", "v"])
        self.assertEqual(readings[0]["alternatives"][0]["text"], "v")
        self.assertAlmostEqual(readings[0]["confidence"] + readings[0]["alternatives"][0]["confidence"], 1, places=5)

    def test_inspect_knows_recipes_models_checkpoints_and_data(self):
        self.assertEqual(json.loads(run("inspect", "crnn", "--json").stdout)["recipe"], "crnn")
        self.assertEqual(json.loads(run("inspect", self.run_folder, "--json").stdout)["model"]["alphabet"], ["h", "v"])
        checkpoint = max((self.run_folder / "checkpoints").iterdir())
        self.assertIn("conv1.weight", run("inspect", checkpoint).stdout)
        self.assertEqual(json.loads(run("data", "inspect", self.data, "--json").stdout)["samples"], 120)

    def test_the_version_is_that_of_the_project(self):
        project = pathlib.Path(__file__).parents[2] / "CMakeLists.txt"
        version = re.search(r"project\(scrawl VERSION (\S+)", project.read_text()).group(1)
        self.assertEqual(run("--version").stdout, f"scrawl {version}\n")
        header, _ = tensor_file(self.run_folder / "weights/best.safetensors")
        self.assertIn(version, str(header["__metadata__"]))

    def test_a_model_says_how_its_input_is_prepared_in_the_words_of_recipes(self):
        header, _ = tensor_file(self.run_folder / "weights/best.safetensors")
        described, = (json.loads(value) for value in header["__metadata__"].values())
        self.assertEqual((described["input"]["ink"], described["input"]["fit"]), ("light", "centre"))

    def test_devices_are_listed(self):
        devices = listed("devices")
        self.assertEqual([device["name"] for device in devices], ["cpu", "cuda", "simt"])
        self.assertEqual(devices[0]["unusable"], "")
        for device in devices:
            self.assertNotEqual(device["unusable"] == "", device["hardware"] == "", device)
            is_gpu = device["name"] != "cpu" and device["unusable"] == ""
            self.assertEqual(len(device["gpus"]) > 0, is_gpu, device)
            for gpu in device["gpus"]:
                self.assertRegex(gpu["compute_capability"], r"^\d+\.\d$")
                self.assertGreater(gpu["memory_bytes"], 0)
                self.assertGreater(gpu["multiprocessors"], 0)
        text = run("devices").stdout
        for device in devices:
            self.assertRegex(text, rf"(?m)^{device['name']} +{re.escape(device['hardware'] or 'not usable: ')}")

    def test_libraries_are_listed_with_their_use_or_why_they_are_absent(self):
        libraries = listed("libraries")
        self.assertEqual([library["name"] for library in libraries], ["cuDNN", "cuBLASLt", "NCCL", "NVTX"])
        text = run("devices").stdout
        for library in libraries:
            self.assertTrue(library["used_for"], library)
            self.assertNotEqual(library["unusable"] == "", library["version"] == "", library)
            line, = (line for line in text.splitlines() if line.startswith(library["name"] + " "))
            self.assertIn(library["unusable"].split("\n")[0] or library["version"], line)
            self.assertIn(library["path"], line)
            self.assertIn(library["used_for"], line)

    # Runs that are interrupted.

    def train(self, out, *more, recipe=None):
        return [SCRAWL, "train", str(recipe or self.recipe), "--data", str(self.data), "--out", str(out), *map(str, more)]

    def test_a_killed_run_continues_bit_for_bit(self):
        often = ("--epochs", 60, "--set", "training.checkpoint_minutes=0.01")
        whole, killed = self.folder / "whole", self.folder / "killed"
        subprocess.run(self.train(whole, *often), check=True, capture_output=True)
        draw = random.Random(2)
        resume, killed_in_time = [], 0
        for _ in range(4):
            saved = set(killed.glob("checkpoints/step_*/DONE"))
            process = subprocess.Popen(self.train(killed, *often, *resume), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 60
            while process.poll() is None and set(killed.glob("checkpoints/step_*/DONE")) <= saved:
                self.assertLess(time.monotonic(), deadline, "no checkpoint came")
                time.sleep(0.002)
            time.sleep(draw.uniform(0, 0.1))
            process.kill()
            process.wait()
            killed_in_time += process.returncode == -signal.SIGKILL
            resume = ["--resume"]
        self.assertGreater(killed_in_time, 0, "every process ended before it was killed")
        finished = subprocess.run(self.train(killed, *often, *resume), capture_output=True, text=True)
        self.assertEqual(finished.returncode, 0, finished.stderr)
        for name in ("last", "best"):
            path = f"weights/{name}.safetensors"
            # Metrics differ in seconds only; weights must not differ at all.
            self.assertEqual(tensor_bytes(whole / path), tensor_bytes(killed / path), name)
        self.assertEqual(columns(whole / "results.csv"), columns(killed / "results.csv"))

    def test_threads_spin_for_a_bounded_time_unless_the_environment_says_otherwise(self):
        for name, mine, bounded in (("own", {}, True), ("passive", {"OMP_WAIT_POLICY": "passive"}, False),
                                    ("seven", {"GOMP_SPINCOUNT": "7"}, False)):
            environment = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
            process = subprocess.Popen(self.train(self.folder / f"spin-{name}", "--epochs", 100000),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment | mine)
            process.stderr.read(1)  # it has begun
            started_with = pathlib.Path(f"/proc/{process.pid}/environ").read_text().split("\0")
            process.kill()
            process.communicate()
            self.assertTrue(any(entry.startswith("PATH=") for entry in started_with), started_with)
            self.assertEqual("GOMP_SPINCOUNT=100000" in started_with, bounded)

    def test_a_run_belongs_to_one_process_at_a_time(self):
        out = self.folder / "shared"
        process = subprocess.Popen(self.train(out, "--epochs", 100000), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not list(out.glob("checkpoints/step_*/DONE")):
            self.assertIsNone(process.poll(), "it ended by itself")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        try:
            self.expect(subprocess.run(self.train(out, "--epochs", 100000, "--resume"), capture_output=True, text=True),
                        2, "another process is writing there")
            # Before the end of its first epoch, or soon after: either way something can be read.
            self.assertIn(run("predict", out, self.data / "h" / "0.png").returncode, (0, 3))
        finally:
            process.kill()
            process.wait()
        self.expect(subprocess.run(self.train(out, "--epochs", 3, "--resume"), capture_output=True, text=True),
                    2, "expected epochs = 100000, got epochs = 3")

    def test_signals_save_a_checkpoint_and_leave_with_their_code(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            out = self.folder / f"signal{code}"
            process = subprocess.Popen(self.train(out, "--epochs", 100000), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            deadline = time.monotonic() + 60
            while not (out / "results.csv").exists() or len((out / "results.csv").read_text().splitlines()) < 2:
                self.assertIsNone(process.poll(), "it ended by itself")
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            process.send_signal(number)
            _, messages = process.communicate(timeout=60)
            self.assertEqual(process.returncode, code, messages)
            self.assertIn("--resume", messages)
            self.assertTrue(list(out.glob("checkpoints/step_*/DONE")))

    def test_a_run_that_diverges_stops_with_its_own_code(self):
        recipe = self.write_recipe("wild.toml", rate="1000.0", change=lambda t: t.replace("[training]", "[training]\noptimizer = { kind = \"sgd\", l2 = 1.0 }"))
        result = subprocess.run(self.train(self.folder / "wild", "--epochs", 50, recipe=recipe), capture_output=True, text=True)
        self.expect(result, 6, "step skipped", "diverged")

    def test_an_old_run_is_not_overwritten(self):
        before = (self.run_folder / "weights/best.safetensors").read_bytes()
        self.expect(run("train", self.recipe, "--data", self.data, "--out", self.run_folder), 2, "--resume")
        self.assertEqual((self.run_folder / "weights/best.safetensors").read_bytes(), before)

    def test_a_resumed_run_keeps_its_settings(self):
        self.expect(run("train", self.recipe, "--data", self.data, "--out", self.run_folder, "--resume", "--epochs", 9), 2, "settings")

    def test_what_decides_the_bits_is_checked_when_a_run_is_resumed(self):
        out, data = self.folder / "resumed", self.folder / "more"
        shutil.copytree(self.data, data)
        command = ["train", self.recipe, "--data", data, "--out", out]
        self.assertEqual(run(*command).returncode, 0)
        resume = [*command, "--resume"]
        self.expect(run(*resume, "--kernels", "native"), 2, "kernels: expected auto, got native")
        self.expect(run(*resume, "--threads", "1"), 2, "threads: expected 2, got 1")
        self.expect(run(*resume, env={**os.environ, "ONEDNN_MAX_CPU_ISA": "SSE41"}), 2, "libraries: expected")
        self.expect(run(*resume, "--load", self.run_folder), 2, "--load")
        write_png(data / "h" / "another.png", [[0] * 16] * 16)
        self.expect(run(*resume), 2, "the data set is not the one", "120 samples", "121 samples")
        (data / "h" / "another.png").unlink()
        self.assertEqual(run(*resume).returncode, 0)
        state = next(iter(sorted(out.glob("checkpoints/step_*"))[-1:])) / "state.json"
        state.write_text(state.read_text().replace('"position"', '"poison"'))
        self.expect(run(*resume), 3, "checkpoint of step", "position")

    def test_a_run_without_a_checkpoint_yet_can_begin_again(self):
        out = self.folder / "early"
        (out / "weights").mkdir(parents=True)
        (out / "results.csv").write_text("epoch,train_loss\n")
        self.assertEqual(run(*self.train(out)[1:]).returncode, 0)

    def test_there_must_be_something_to_resume(self):
        self.expect(run("train", self.recipe, "--data", self.data, "--out", self.folder / "nothing", "--resume"), 2, "nothing to resume")

    # Wrong input.

    def test_misspelt_words_get_the_nearest_one(self):
        self.expect(run("trian", "mnist"), 2, "train")
        self.expect(run("train", "mnist", "--epohcs", 3), 2, "--epochs")
        self.expect(run("train", "mnits"), 2, "mnist")
        bad = self.write_recipe("key.toml", change=lambda t: t.replace("epochs", "epochz"))
        self.expect(run("train", bad, "--data", self.data, "--out", self.folder / "x"), 2, "key.toml:", "epochs")

    def test_a_layer_that_does_not_fit_names_its_line(self):
        bad = self.write_recipe("layer.toml", extra='{ type = "conv", filters = 4 },')
        line = 1 + bad.read_text().splitlines().index('  { type = "conv", filters = 4 },')
        self.expect(run("train", bad, "--data", self.data, "--out", self.folder / "y"), 2, f"layer.toml:{line}")
        unknown = self.write_recipe("type.toml", extra='{ type = "convolution" },')
        self.expect(run("inspect", unknown), 2, "type.toml:", "convolution", "conv")

    def test_an_augmentation_beyond_its_limit_names_its_line(self):
        bad = self.write_recipe("shift.toml", change=lambda t: t.replace("shift = 0.05", "shift = 0.95"))
        line = 1 + bad.read_text().splitlines().index("augment = { shift = 0.95 }")
        result = run("train", bad, "--data", self.data, "--out", self.folder / "shift")
        self.expect(result, 2, f"shift.toml:{line}: data.augment.shift: expected 0 to 0.9, got 0.95")

    def test_data_that_cannot_be_used(self):
        out = self.folder / "z"
        self.expect(run("train", self.recipe, "--data", self.folder / "absent", "--out", out), 3, "absent")
        table = self.folder / "table.csv"
        table.write_text("picture,label\na.png,x\n")
        self.expect(run("train", self.recipe, "--data", table, "--out", self.folder / "z2"), 3, "picture")
        idx = self.folder / "idx"
        idx.mkdir()
        packed = gzip.compress(struct.pack(">IIII", 0x803, 100, 28, 28) + bytes(78400))
        for split in ("train", "t10k"):
            (idx / f"{split}-images-idx3-ubyte.gz").write_bytes(packed[:-20])
            (idx / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(struct.pack(">II", 0x801, 100) + bytes(100)))
        self.expect(run("train", "mnist", "--data", idx, "--out", self.folder / "z3"), 3, "images-idx3-ubyte.gz")

    def test_paths_that_the_system_refuses(self):
        name = "x" * 300
        self.expect(run("train", self.recipe, "--data", self.folder / name, "--out", self.folder / "long"), 3, name)
        self.expect(run("eval", name, "--data", self.data), 3, name)
        self.expect(run("data", "inspect", self.folder / name), 3, name)
        self.expect(run("inspect", name), 2, name)
        self.expect(run("train", f"{name}.toml", "--data", self.data), 2, name)

    def test_a_row_that_cannot_be_used_is_left_out(self):
        table = self.folder / "rows.csv"
        os.mkfifo(self.folder / "pipe.png")
        names = [self.data / "h" / "0.png", "x" * 300 + ".png", "pipe.png"]
        table.write_text("image,label\n" + "".join(f"{name},h\n" for name in names))
        found = json.loads(run("data", "inspect", table, "--json").stdout)
        self.assertEqual((found["samples"], found["skipped"]), (1, {"unreadable image": 2}))
        self.expect(run("data", "inspect", table, "--strict"), 3, "xxx.png: unreadable image")

    def test_images_that_cannot_be_read(self):
        broken = self.folder / "broken.png"
        broken.write_bytes(b"no picture")
        self.expect(run("predict", self.run_folder, broken), 3, "broken.png")
        good = self.data / "h" / "1.png"
        result = run("predict", self.run_folder, broken, good)  # the others are read all the same
        self.assertEqual(result.returncode, 3)
        self.assertIn(str(good), result.stdout)

    def test_weights_that_are_damaged(self):
        weights = (self.run_folder / "weights/best.safetensors").read_bytes()
        for name, content in (("short", weights[:-5]), ("header", b"\xff" * 8 + weights[8:]), ("empty", b"")):
            path = self.folder / f"{name}.safetensors"
            path.write_bytes(content)
            self.expect(run("predict", path, self.data / "h" / "0.png"), 3, f"{name}.safetensors")
        self.expect(run("eval", self.folder / "no-model", "--data", self.data), 3, "no-model")

    def test_strictness_reaches_evaluation(self):
        data = self.folder / "one-bad"
        shutil.copytree(self.data, data)
        (data / "v" / "0.png").write_bytes(b"no image")
        lenient = run("eval", self.run_folder, "--data", data, "--split", "train", "--json")
        self.assertEqual(lenient.returncode, 0, lenient.stderr)
        self.assertGreaterEqual(json.loads(lenient.stdout)["skipped"], 1)
        self.expect(run("eval", self.run_folder, "--data", data, "--split", "train", "--strict"), 3, "0.png")

    def test_a_layer_without_its_size(self):
        recipe = self.write_recipe("sizeless.toml", change=lambda t: t.replace("filters", "filter"))
        self.expect(run("train", recipe, "--data", self.data, "--out", self.folder / "sizeless"), 2,
                    "sizeless.toml:", "filters: expected a whole number of at least 1, got none but filter")

    def test_a_damaged_checkpoint_names_itself(self):
        out = self.folder / "damaged"
        shutil.copytree(self.run_folder, out)
        latest = max((out / "checkpoints").iterdir())
        (latest / "state.json").write_text("{")
        self.expect(subprocess.run(self.train(out, "--resume"), capture_output=True, text=True), 3, str(latest),
                    "the checkpoint before it")

    def test_results_that_cannot_be_delivered(self):
        for command in (["eval", self.run_folder, "--json"], ["inspect", "mnist"], ["devices"], ["--help"],
                        ["predict", self.run_folder, self.data / "h" / "0.png"]):
            with open("/dev/full", "w") as full:
                result = subprocess.run([SCRAWL, *map(str, command)], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(result.returncode, 7, command)
            self.assertIn("No space left", result.stderr)

    def test_weights_that_are_no_numbers(self):
        weights = (self.run_folder / "weights/best.safetensors").read_bytes()
        path = self.folder / "nan.safetensors"
        path.write_bytes(weights[:-4] + struct.pack("<f", float("nan")))
        self.expect(run("predict", path, self.data / "h" / "0.png"), 3, "expected finite numbers, got nan")

    def test_a_loss_that_nothing_tells_is_null(self):
        foreign = self.folder / "foreign"
        shutil.copytree(self.data / "h", foreign / "x")
        found = run("eval", self.run_folder, "--data", foreign, "--json")
        if found.returncode == 0:
            self.assertIsNone(json.loads(found.stdout)["loss"])
        else:
            self.expect(found, 3, "x")

    def test_eval_takes_changes_of_data_only(self):
        self.expect(run("eval", self.run_folder, "--data", self.data, "--set", "input.ink=dark"), 2, "changes of data only")
        self.expect(run("eval", self.run_folder, "--data", self.data, "--set", "data.path=x"), 2, "--data names the set")

    def test_settings_that_cannot_be_used(self):
        for assignment, complaint in (("training.epochs=many", "--set: training.epochs: expected a whole number"),
                                      ("training.epoch=3", "--set: training.epoch: unknown key; did you mean epochs?"),
                                      ("training.precision=bf166", "got bf166; did you mean bf16?"),
                                      ("data.path=\x7f", "expected a value in UTF-8 without control characters"),
                                      ("training.epochs", "expected key=value")):
            self.expect(run("train", self.recipe, "--data", self.data, "--set", assignment), 2, complaint)

    def test_a_configuration_file_changes_how_eval_reads_data(self):
        config = self.folder / "over.toml"
        config.write_text("[data]\nvalidation_fraction = 7\n")
        self.expect(run("eval", self.run_folder, "--config", config), 2, "validation_fraction")

    def test_places_that_cannot_be_written(self):
        blocked = self.folder / "file"
        blocked.write_text("")
        self.expect(run("train", self.recipe, "--data", self.data, "--out", blocked / "run"), 7, "file")

    def test_devices_that_are_not_there(self):
        train = ("train", self.recipe, "--data", self.data, "--out", self.folder / "w", "--device")
        self.expect(run(*train, "gpu"), 4, "expected auto, cuda, cpu or simt, got gpu")
        for device in listed("devices"):
            if device["unusable"]:
                self.expect(run(*train, device["name"]), 4, f"device {device['name']}: {device['unusable']}")
        self.assertFalse((self.folder / "w").exists())

    def test_precisions_that_the_processor_lacks(self):
        for precision, limit in (("bf16", "AVX2"), ("f16", "ALL"), ("tf32", "ALL")):
            out = self.folder / precision
            self.expect(run("train", self.recipe, "--data", self.data, "--out", out, "--device", "cpu", "--set",
                            f"training.precision={precision}", env={**os.environ, "ONEDNN_MAX_CPU_ISA": limit}),
                        4, f"cpu: {precision}: expected", "f32")
            self.assertFalse(out.exists())

    # On simt, which runs what GPUs run.

    def dense(self):
        """A recipe of dense layers, for the devices that have no others yet."""
        for device in listed("devices"):
            if device["name"] == "simt" and device["unusable"]:
                self.skipTest(device["unusable"])
        image = re.compile(r"  { type = \"(conv|batch_norm|relu|max_pool)\".*\n")
        return self.write_recipe("dense.toml", extra='{ type = "dense", units = 24 }, { type = "tanh" },',
                                 change=lambda text: image.sub("", text))

    def test_simt_trains_and_reads_as_the_processor_does(self):
        recipe, losses = self.dense(), {}
        for device, precision in (("cpu", "f32"), ("simt", "f32"), ("simt", "tf32"), ("simt", "bf16"), ("simt", "f16")):
            out = self.folder / f"{device}-{precision}"
            command = ["train", recipe, "--data", self.data, "--out", out, "--device", device, "--precision", precision]
            trained = run(*command)
            self.assertEqual(trained.returncode, 0, trained.stderr)
            losses[out] = float(columns(out / "results.csv")[-1][2])
        expected = losses[self.folder / "cpu-f32"]
        for out, loss in losses.items():
            self.assertAlmostEqual(loss, expected, delta=1e-5 if out.name.endswith("-f32") else 0.05 * expected, msg=out)

        out, image = self.folder / "simt-f32", self.data / "h" / "0.png"
        read = [json.loads(run("predict", out, image, "--device", device, "--json").stdout)[0] for device in ("cpu", "simt")]
        self.assertEqual(read[0]["text"], read[1]["text"])
        self.assertAlmostEqual(read[0]["confidence"], read[1]["confidence"], places=5)
        found = [json.loads(run("eval", out, "--device", device, "--json").stdout) for device in ("cpu", "simt")]
        self.assertEqual(found[0]["accuracy"], found[1]["accuracy"])
        self.assertAlmostEqual(found[0]["loss"], found[1]["loss"], places=5)

    def test_a_run_on_simt_continues_bit_for_bit_and_on_simt_only(self):
        recipe, whole, cut = self.dense(), self.folder / "simt-whole", self.folder / "simt-cut"

        def train(out, *more, device="simt", precision="f16"):
            return run(*self.train(out, "--device", device, "--precision", precision, *more, recipe=recipe)[1:])

        for out in (whole, cut):
            self.assertEqual(train(out).returncode, 0)
        shutil.rmtree(sorted(cut.glob("checkpoints/step_*"))[-1])  # as if killed in the last epoch
        self.expect(train(cut, "--resume", precision="bf16"), 2, "expected precision = 'f16'", "got precision = 'bf16'")
        self.expect(train(cut, "--resume", precision="tf32"), 2, "products of f32: expected exact, got tf32")
        self.expect(train(cut, "--resume", device="cpu", precision="f32"), 2, "libraries: expected simt")
        resumed = train(cut, "--resume")
        self.assertEqual(resumed.returncode, 0, resumed.stderr)
        self.assertEqual(tensor_bytes(whole / "weights/last.safetensors"), tensor_bytes(cut / "weights/last.safetensors"))
        self.assertEqual(columns(whole / "results.csv"), columns(cut / "results.csv"))

    def test_convolutions_train_on_simt_as_they_do_on_the_cpu(self):
        self.dense()
        found = {}
        for device in ("simt", "cpu"):
            out = self.folder / ("convolutions-" + device)
            # Not by Adam, who follows the sign of a gradient's rounding.
            result = run("train", self.recipe, "--data", self.data, "--out", out, "--device", device, "--set",
                         "training.optimizer={kind='sgd', momentum=0.9}")
            self.assertEqual(result.returncode, 0, result.stderr)
            found[device] = [float(row[2]) for row in columns(out / "results.csv")[1:]]  # losses
        self.assertLess(found["simt"][-1], 0.5 * found["simt"][0])
        for simt, cpu in zip(found["simt"], found["cpu"], strict=True):
            self.assertAlmostEqual(simt, cpu, delta=1e-3)

    def test_libraries_alone_leave_ours_what_none_has_and_say_what_they_refuse(self):
        libraries = ("--kernels", "vendor", "--device", "cpu")
        result = run("inspect", "mlp", *libraries, "--calls")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"dense1 dense_forward +onednn")
        self.assertRegex(result.stdout, r"optimizer_step +\w+")
        result = run("inspect", "crnn", *libraries)
        self.expect(result, 2, "calls that no variant takes", "hides NaN")
        for convolution in ("conv1", "conv2", "conv3"):
            for call in ("pool_forward", "pool_backward"):
                self.assertRegex(result.stderr, rf"{convolution}/\S*pool.* {call}: ")
        self.assertNotIn("optimizer_step", result.stderr)
        self.expect(run("inspect", "mlp", "--kernels", "vendor", "--device", "simt"), 2, "simt", "libraries")

    def test_a_gpu_that_is_not_here_is_planned_for(self):
        result = run("inspect", "cnn62", "--device", "cuda", "--batch", "256", "--calls")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("conv1 conv2d_pool_forward", result.stdout)
        self.assertIn("implicit_64x64", result.stdout)
        if "is not here" in result.stderr:
            self.assertIn("132 multiprocessors", result.stderr)


def tensor_file(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), data[8 + length:]


def tensor_bytes(path):
    header, data = tensor_file(path)
    header.pop("__metadata__")
    return header, data


def columns(path):
    """Rows without what depends on the clock."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    clock = {rows[0].index(name) for name in ("images_per_second", "data_wait", "seconds")}
    return [[value for i, value in enumerate(row) if i not in clock] for row in rows]


if __name__ == "__main__":
    SCRAWL = sys.argv.pop(1)
    os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "2")
    unittest.main(verbosity=2)
