#!/usr/bin/env python3
"""Measures what decides the kernels' bars and needs only PyTorch: the device's two ceilings, then PyTorch's best
training steps, CTC, LSTM, convolutions and softmax. Most important first; stops when the minutes are over."""

import argparse
import sys
import time

import cases
import measure

LAYERS = {  # C H W K R P of the convolutions of crnn (a) and cnn62 (b)
    "a1": (1, 64, 256, 32, 3, 1), "a2": (32, 32, 128, 64, 3, 1), "a3": (64, 16, 64, 128, 3, 1),
    "b1": (3, 64, 64, 512, 5, 0), "b2": (512, 30, 30, 256, 3, 0), "b3": (256, 14, 14, 256, 3, 0),
}


def groups(gpu):
    """Groups of names; the members of a group are alternated. A CPU gets the small sizes only."""
    batches = (64, 256, 1024) if gpu else (64,)
    types = ("bf16", "f16") if gpu else ("f32", "bf16")
    side = 8192 if gpu else 2048
    yield [f"copy[bytes={(4 << 30) if gpu else (1 << 29)}]"]
    yield [f"gemm[M={side},N={side},K={side},{kind}]" for kind in (*types, *(("tf32",) if gpu else ()))]
    graphs = (",graph",) if gpu else ()
    for batch in batches:
        for network in ("crnn", "cnn62"):
            for kind in ("bf16", "tf32") if gpu else ("f32", "bf16"):
                step = f"train_step[network={network},batch={batch},{kind}"
                yield [f"{step}{mode},channels_last{graph}]" for graph in ("", *graphs) for mode in ("", ",compile")]
    for batch in batches:
        yield [f"ctc.gradient[T=64,N={batch},K=30,L=24,ctc={kind}]"
               for kind in (("native", "cudnn", "cudnn_device") if gpu else ("native",))]
    yield ["ctc.gradient[T=512,N=64,K=100,L=100,ctc=native]"]
    for batch in batches:
        for kind in (("f16", "bf16", "tf32", "f32") if gpu else ("f32", "bf16")):
            yield [f"lstm.{which}[T=64,N={batch},I=512,H=256,D=2,{kind}]" for which in ("forward", "forward_backward")]
    for batch in batches:
        for layer, (c, h, w, k, r, p) in LAYERS.items():
            for kind in types:
                shape = f"[N={batch},C={c},H={h},W={w},K={k},R={r},P={p},{kind}"
                works = ("forward", "backward_weight") + (() if layer in ("a1", "b1") else ("backward_data",))
                yield [f"conv2d.{work}{shape}{cache}]" for work in works for cache in (("", ",cold") if gpu else ("",))]
    for classes in (30, 62, 256, 4096, 32768):
        rows = ((64 << 20) if gpu else (4 << 20)) // classes
        for kind in ("f32", "bf16"):
            shape = f"[rows={rows},K={classes},{kind}]"
            yield [f"softmax.forward{shape}", f"softmax.backward{shape}", f"cross_entropy.gradient{shape}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seconds", type=float, default=1.0, help="sampling time of each name")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: PyTorch's choice")
    parser.add_argument("--allocator", default="auto", help="auto, system, jemalloc or tcmalloc_minimal")
    parser.add_argument("--json", default="measure_first.json", help="report, rewritten after each group")
    options = parser.parse_args()
    measure.tune(options.allocator, options.threads)

    deadline = time.monotonic() + 60 * options.minutes
    head, rows = measure.header(options.device), []
    for group in groups(options.device.startswith("cuda")):
        if time.monotonic() > deadline:
            print(f"time is over; not measured: {group[0]} and what follows", file=sys.stderr)
            break
        rows += measure.compare(group, options.device, options.seconds)
        measure.write(options.json, head, rows)


if __name__ == "__main__":
    main()
