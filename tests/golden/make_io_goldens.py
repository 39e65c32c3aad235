"""Makes io.safetensors and io.tfevents with the packages safetensors and tensorboard.

python make_io_goldens.py [FOLDER]    (default: the folder of this script)

The content is that of tests/io/samples.cpp, whose files must equal these byte for byte.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

METADATA = {"alphabet": 'aäß "\\\n€', "architecture": "crnn-small", "version": 1}


def tensors():
    return {
        "conv1.weight": torch.tensor([0.5, -1, 3.25, 1e-30, 65504, -0.0]).reshape(2, 1, 3, 1),
        "optimizer.moment": torch.tensor([1 / 3, 1e300], dtype=torch.float64),
        "bn1.running_mean": torch.tensor([1, -2.5, 3.140625], dtype=torch.bfloat16),
        "loss_scale": torch.tensor([0.0999755859375], dtype=torch.float16),
        "labels": torch.tensor([-1, 0, 2147483647], dtype=torch.int32).reshape(1, 1, 1, 1, 3),
        "samples": torch.tensor(4503599627370497, dtype=torch.int64),
        "mask": torch.tensor([0, 255, 7, 1, 2], dtype=torch.uint8),
        "größe.empty": torch.zeros(0, 4),
    }


def metadata():
    return json.dumps(METADATA, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def events():
    yield event_pb2.Event(wall_time=1000, file_version="brain.Event:2")
    for step in range(4):
        for tag, value in (("train/loss", 2 / (step + 1)), ("val/cer", 0.5)):
            point = summary_pb2.Summary.Value(tag=tag, simple_value=value)
            yield event_pb2.Event(wall_time=1001 + step, step=step, summary=summary_pb2.Summary(value=[point]))


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    folder = folder.parent if folder.is_file() else folder
    save_file(tensors(), folder / "io.safetensors", metadata={"scrawl": metadata()})
    with open(folder / "io.tfevents", "wb") as file:
        writer = RecordWriter(file)
        for event in events():
            writer.write(event.SerializeToString())


if __name__ == "__main__":
    main()
