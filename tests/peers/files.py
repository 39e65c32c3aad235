"""The packages safetensors and tensorboard read the files that scrawl writes.

python files.py BUILD_FOLDER
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors import safe_open
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
import make_io_goldens as golden  # noqa: E402


def check_tensors(path):
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"scrawl": golden.metadata()}, file.metadata()
        assert json.loads(file.metadata()["scrawl"]) == golden.METADATA
        expected = golden.tensors()
        assert set(file.keys()) == set(expected), file.keys()
        for name, tensor in expected.items():
            got = file.get_tensor(name)
            assert got.dtype == tensor.dtype and got.shape == tensor.shape, (name, got, tensor)
            assert torch.equal(got, tensor), (name, got, tensor)


def check_events(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"train/loss", "val/cer"}, events.Tags()
    # Step 3 of the first file is forgotten: the second one says that the run resumed after step 2.
    loss = [(p.wall_time, p.step, p.value) for p in events.Scalars("train/loss")]
    expected = [(1001, 0, 2), (1002, 1, 1), (1003, 2, 2 / 3), (1005, 3, 0.25), (1005, 1 << 40, 0.125)]
    assert len(loss) == len(expected), loss
    for got, want in zip(loss, expected):
        assert got[:2] == want[:2] and abs(got[2] - want[2]) < 1e-7, (got, want)
    assert [p.step for p in events.Scalars("val/cer")] == [0, 1, 2], events.Scalars("val/cer")


def main():
    build = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([build / "tests/io/write_samples", folder], check=True)
        check_tensors(pathlib.Path(folder) / "sample.safetensors")
        check_events(pathlib.Path(folder) / "events")
    print("files: safetensors and tensorboard read what scrawl wrote")


if __name__ == "__main__":
    main()
