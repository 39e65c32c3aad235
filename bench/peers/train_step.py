#!/usr/bin/env python3
"""Times PyTorch's training step and inference (the batch and one image) of a network, variants alternated."""

import argparse
import itertools

import cases
import measure


def names(options):
    """A name for each combination: eager always, the other variants where asked for."""
    layouts = [[], ["channels_last"]] if options.channels_last else [[]]
    modes = [[], ["compile"]] if options.compile else [[]]
    graphs = [[], ["graph"]] if options.graph else [[]]
    works = [("train_step", options.batch), ("inference", options.batch), ("inference", 1)]
    for (work, batch), kind, mode, layout, graph in itertools.product(works, options.type, modes, layouts, graphs):
        yield f"{work}[{','.join([f'network={options.network}', f'batch={batch}', kind, *mode, *layout, *graph])}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=cases.NETWORKS, default="crnn")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--type", choices=cases.TYPES, nargs="+", default=["f32"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="torch.compile beside eager")
    parser.add_argument("--channels-last", action="store_true", help="NHWC beside NCHW")
    parser.add_argument("--graph", action="store_true", help="a CUDA graph beside launches")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: PyTorch's choice")
    parser.add_argument("--allocator", default="auto", help="auto, system, jemalloc or tcmalloc_minimal")
    parser.add_argument("--seconds", type=float, default=5.0, help="sampling time of each kind of work and variant")
    parser.add_argument("--json", help="report to write")
    options = parser.parse_args()
    measure.tune(options.allocator, options.threads)

    rows = []
    for _, group in itertools.groupby(names(options), key=lambda name: name.split(",")[:2]):
        rows += measure.compare(list(group), options.device, options.seconds)
    if options.json:
        measure.write(options.json, measure.header(options.device), rows)


if __name__ == "__main__":
    main()
