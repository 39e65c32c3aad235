#!/usr/bin/env python3
"""Weights that scrawl writes are a PyTorch module's: trains a small CRNN, loads it into PyTorch by name, and compares the
texts and confidences of both on images. Usage: model.py BUILD_FOLDER"""

import json
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "golden"), str(ROOT / "bench" / "peers")]
from make_model_golden import load_network  # noqa: E402


def read(log_p, symbols):
    """Greedy text and confidence: the best path's probability, per character."""
    best = log_p.argmax(1).tolist()
    classes = [k for i, k in enumerate(best) if k != 0 and (i == 0 or k != best[i - 1])]
    return "".join(symbols[k - 1] for k in classes), math.exp(log_p.max(1).values.sum().item() / max(1, len(classes)))


def main():
    scrawl = pathlib.Path(sys.argv[1]) / "tools" / "scrawl"
    with tempfile.TemporaryDirectory() as folder:
        data, run = f"{folder}/words", f"{folder}/run"
        subprocess.run([scrawl, "data", "synth", "--out", data, "--count", "4000"], check=True, capture_output=True)
        # Nothing between the file's pixels and the network's input but the polarity.
        fixed = ["--set", "input.contrast='keep'", "--set", "input.ink='dark'"]
        subprocess.run([scrawl, "train", "crnn-small", "--data", data, "--out", run, "--epochs", "4", *fixed], check=True,
                       capture_output=True)
        images = sorted(pathlib.Path(data).glob("images/*/*.png"))[:20]
        readings = json.loads(subprocess.run([scrawl, "predict", run, *images, "--json"], check=True, capture_output=True).stdout)
        network, about = load_network(f"{run}/weights/best.safetensors")
        for image, reading in zip(images, readings, strict=True):
            pixels = 255 - np.asarray(Image.open(image).convert("L"))
            with torch.no_grad():
                log_p = torch.log_softmax(network(torch.from_numpy(pixels.copy())[None, None] / 255)[:, 0], 1)
            text, confidence = read(log_p, about["alphabet"]["symbols"])
            assert reading["text"] == text, (image, reading, text)
            assert math.isclose(reading["confidence"], confidence, rel_tol=1e-3), (image, reading, confidence)
    print(f"{len(images)} readings are PyTorch's")


if __name__ == "__main__":
    main()
