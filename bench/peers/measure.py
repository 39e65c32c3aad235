"""Timing of the PyTorch peers: samples, alternation, statistics, and the report that bench/measure.h also writes."""

import ctypes.util
import gc
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time

import torch

import cases

COLD_BYTES = 256 << 20  # past twice the L2 of an H200 (60 MB); on a CPU past the private caches


def tune(allocator, threads):
    """Restarts the program with the allocator preloaded, which only the loader can do; sets thread counts."""
    names = {"auto": ("jemalloc", "tcmalloc_minimal", "tcmalloc"), "system": ()}.get(allocator, (allocator,))
    library = next(filter(None, map(ctypes.util.find_library, names)), None)
    if allocator not in ("auto", "system") and not library:
        sys.exit(f"allocator: expected lib{allocator} to be installed, found none")
    preloaded = os.environ.get("LD_PRELOAD", "")
    if library and library not in preloaded:
        os.environ["LD_PRELOAD"] = f"{library}:{preloaded}".rstrip(":")
        os.environ["MALLOC_CONF"] = "background_thread:true,dirty_decay_ms:-1,muzzy_decay_ms:-1"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    if threads:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.backends.cudnn.benchmark = True


def free():
    """Memory of the cases that are gone, back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Sampler:
    """Times a case: `runs` calls in a row, in microseconds a call.

    On a GPU with events. Kernels are queued behind a wait of the device, so that the host's launch time stays out
    of their figure; steps are not, since that time is part of a step."""

    def __init__(self, case, device, min_sample_us=200.0):
        self.case, self.device, self.runs, self.host_seconds = case, torch.device(device), 1, 0.0
        self.flush = torch.empty(COLD_BYTES, dtype=torch.uint8, device=device) if case.cold else None
        for _ in range(3):
            self()
        most = 1024 if self.device.type == "cpu" or case.whole_step else 16  # no more than the host can queue meanwhile
        while not case.cold and self.runs < most and self() * self.runs < min_sample_us:
            self.runs *= 2

    def __call__(self):
        if self.flush is not None:
            self.flush.add_(1)
        return self._cuda() if self.device.type == "cuda" else self._cpu()

    def _cpu(self):
        start = time.perf_counter_ns()
        for _ in range(self.runs):
            self.case.run()
        return (time.perf_counter_ns() - start) / 1e3 / self.runs

    def _cuda(self):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        if not self.case.whole_step:
            torch.cuda._sleep(int(2e9 * (5e-4 + 1.5 * self.host_seconds)))  # clocks: longer than the host takes
        start.record()
        queued = time.perf_counter()
        for _ in range(self.runs):
            self.case.run()
        self.host_seconds = time.perf_counter() - queued
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop) * 1e3 / self.runs


def alternate(samplers, seconds, least=5, most=100):
    """Samples of each, in rounds A B, B A, A B, ... so that drift of the machine falls on all alike."""
    samples = [[] for _ in samplers]
    deadline = time.monotonic() + seconds
    for turn in range(most):
        if turn >= least and time.monotonic() > deadline:
            break
        order = range(len(samplers)) if turn % 2 == 0 else reversed(range(len(samplers)))
        for i in order:
            samples[i].append(samplers[i]())
    return samples


def compare(names, device, seconds):
    """Rows of the names, alternated for `seconds` each. A name that the device refuses is reported and left out."""
    built = {}
    for name in names:
        try:
            built[name] = Sampler(cases.build(name, device), device)
        except RuntimeError as error:  # out of memory, no cuDNN, not capturable
            print(f"left out: {name}: {str(error).splitlines()[0]}", file=sys.stderr)
    samples = alternate(list(built.values()), seconds * len(built))
    rows = [row(name, sampler.case, device, s) for (name, sampler), s in zip(built.items(), samples)]
    for measured in rows:
        print_row(measured)
    return rows


def summarize(samples):
    """The spread object of the schema; percentiles interpolate linearly between ranks."""
    ordered = sorted(samples)

    def percentile(p):
        rank = p * (len(ordered) - 1)
        low = int(rank)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (rank - low) * (ordered[high] - ordered[low])

    median = percentile(0.5)
    return {"median": median, "p10": percentile(0.1), "p90": percentile(0.9),
            "mad": statistics.median(abs(s - median) for s in ordered), "samples": len(ordered)}


def row(name, case, device, samples):
    return {"name": name, "device": device, "variant": "pytorch", "type": case.type,
            "cache": "cold" if case.cold else "hot", "us": summarize(samples), "flops": case.flops,
            "bytes": case.bytes, "percent_of_limit": None, "peer": None, "peer_us": None, "ratio": None,
            "passed": None}


def _first_line(path, key):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return ""


def _output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def header(device):
    here = pathlib.Path(__file__).parent
    gpu = torch.device(device).type == "cuda"
    clock = _output_of("nvidia-smi", "--query-gpu=clocks.sm,clocks.mem", "--format=csv,noheader") if gpu \
        else _first_line("/proc/cpuinfo", "cpu MHz") + " MHz"
    onednn = re.search(r"MKL-DNN v([\d.]+)", torch.__config__.show())
    libraries = {"torch": torch.__version__, "oneDNN": onednn[1] if onednn else "none", "threads": str(torch.get_num_threads()),
                 "preloaded": os.environ.get("LD_PRELOAD", "")}
    if gpu:
        libraries |= {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}
    return {"machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
            "cpu": _first_line("/proc/cpuinfo", "model name"),
            "gpu": torch.cuda.get_device_name() if gpu else None, "clocks": clock,
            "driver": _output_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader") if gpu else None,
            "load": round(os.getloadavg()[0], 2), "flushed_bytes": COLD_BYTES, "libraries": libraries,
            "commit": os.environ.get("SCRAWL_COMMIT") or _output_of("git", "-C", str(here), "describe", "--always", "--dirty") or "unknown",
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": " ".join([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]])}


def write(path, head, rows):
    pathlib.Path(path).write_text(json.dumps({"header": head, "rows": rows}, indent=1) + "\n")


def print_row(row):
    us = row["us"]
    rate = f"{row['flops'] / us['median'] / 1e6:9.3f} TFLOP/s" if row["flops"] else " " * 17
    rate += f"{row['bytes'] / us['median'] / 1e3:9.1f} GB/s" if row["bytes"] else ""
    print(f"{us['median']:12.1f} us  [{us['p10']:.1f}, {us['p90']:.1f}]  {rate}  {row['name']}", flush=True)
