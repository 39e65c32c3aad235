#!/usr/bin/env python3
"""Golden of a whole model: trains a tiny CRNN with scrawl, loads its weights into a PyTorch module of the same recipe by
name, and keeps the model file with PyTorch's log-probabilities on a random image batch, in double precision.

Usage: make_model_golden.py SCRAWL SYNTHETIC_DATA_FOLDER (of `scrawl data synth`)
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "bench" / "peers"))
from networks import make_network  # noqa: E402

RECIPE = """
name = "golden"
[input]
height = 32
width = 128
fit = "left"
[data]
labels = "text"
[network]
layers = [
  { type = "conv", filters = 16, kernel = 3, padding = "same", bias = false }, { type = "batch_norm" },
  { type = "relu" }, { type = "max_pool", window = 2 },
  { type = "conv", filters = 24, kernel = 3, padding = "same" }, { type = "batch_norm" },
  { type = "relu" }, { type = "max_pool", window = [4, 2] }, { type = "dropout", rate = 0.1 },
  { type = "columns" }, { type = "dense", units = 24 }, { type = "relu" },
  { type = "lstm", units = 20 }, { type = "lstm", units = 12 }, { type = "classes" },
]
[training]
epochs = 1
schedule = { kind = "constant", learning_rate = 0.003 }
"""


def load_network(path):
    """The PyTorch module of a scrawl model file, every tensor taken over by name."""
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["scrawl"])
        weights = {name: file.get_tensor(name) for name in file.keys()}
    classes = len(about["alphabet"]["symbols"]) + (1 if about["alphabet"]["target"] == "sequence" else 0)
    network = make_network(tomllib.loads(about["recipe"]), classes)
    missing, unexpected = network.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    assert not missing and not unexpected, (missing, unexpected)
    return network.eval(), about


def main():
    scrawl, data = sys.argv[1:]
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "golden.toml").write_text(RECIPE)
    subprocess.run([scrawl, "train", folder / "golden.toml", "--data", data, "--out", folder / "run"], check=True)
    model = HERE / "model.safetensors"
    shutil.copy(folder / "run" / "weights" / "last.safetensors", model)
    network, _ = load_network(model)
    pixels = np.random.default_rng(1).integers(0, 256, (3, 1, 32, 128), dtype=np.uint8)
    with torch.no_grad():
        logits = network.double()(torch.from_numpy(pixels).double() / 255)
    expected = torch.log_softmax(logits, -1).numpy()
    save_file({"pixels": pixels, "log_probabilities": expected}, HERE / "model_expected.safetensors")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
