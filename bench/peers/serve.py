#!/usr/bin/env python3
"""Answers timing requests, one JSON object a line, so that another process can alternate its runs with PyTorch's.

    <- {"ready": true, "header": {...}}
    -> {"name": "train_step[network=crnn,batch=64,f32,compile]", "repeat": 3}
    <- {"name": "...", "us": [10512.2, 10498.0, 10533.1], "flops": 3.1e10, "bytes": 0}
    -> {"name": "train_step[network=crnn,batch=64,f32]", "like": "weights.safetensors"}
    <- {"name": "...", "us": [9805.1], "flops": ..., "bytes": ..., "loss": 93.1}
    -> {"forget": true}
    <- {"forgotten": 2}
    -> {"name": "nonsense"}
    <- {"error": "..."}

A name is built and warmed up at its first request, and kept until all are forgotten; end of input ends the program. A network that is like a file has
its weights, and its loss is that of the batch in it. Names: cases.py.
"""

import argparse
import json
import os
import sys

import cases
import measure


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: PyTorch's choice")
    parser.add_argument("--allocator", default="auto", help="auto, system, jemalloc or tcmalloc_minimal")
    options = parser.parse_args()
    measure.tune(options.allocator, options.threads)

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    samplers = {}

    def answer(request):
        if "forget" in request:
            count = len(samplers)
            samplers.clear()
            measure.free()
            return {"forgotten": count}
        name = request["name"]
        if name not in samplers:
            samplers[name] = measure.Sampler(cases.build(name, options.device, request.get("like")), options.device)
        sampler = samplers[name]
        us = [sampler() for _ in range(request.get("repeat", 1))]
        return {"name": name, "us": us, "flops": sampler.case.flops, "bytes": sampler.case.bytes, "loss": sampler.case.loss}

    print(json.dumps({"ready": True, "header": measure.header(options.device)}), file=answers)
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:  # the client decides what a refusal means
            reply = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(reply), file=answers)


if __name__ == "__main__":
    main()
