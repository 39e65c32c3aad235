#!/usr/bin/env python3
"""Writes bench/HARDWARE.md: what has run on which GPU, from the reports of tools/gpu_check.sh in bench/results/.

    python3 bench/hardware.py build/release/tools/scrawl           # writes it anew
    python3 bench/hardware.py build/release/tools/scrawl --check   # exits with 1 if it is not this

A report is bench/results/GPU-PART.json, PART as in gpu_check.sh. What there is comes from the program, which plans every
problem on simt, from the tests' sources and from gpu_check.sh; predictions are what `scrawl bench --static` left in bench/results/.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

from table import milliseconds, short

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent
PARTS = "tests", "sanitizers", "networks", "blocks", "kernels", "training", "measure_first"
NEVER = "never run on hardware"

SUITES = "tests/kernels/*_agreement_test.cpp", "tests/kernels/target_test.cpp", "tests/blocks/*_test.cpp", "tests/graph/*_test.cpp"
TOOLS = "memcheck", "racecheck", "synccheck", "initcheck"

# What waits rather than moves or multiplies: a prediction in words ends the kernels' head comment.
WAITING = ((r"lstm\..*", "resident", "lstm_resident.cu"), (r"ctc\..*", "shared", "ctc.cu"))


def called_directly(row):
    """cuDNN's own row: its time, or why there is none. None if it is another's."""
    if not (row["variant"] or "").startswith("cudnn "):
        return None
    if row["us"]:
        return f"`{row['name']}` by {row['variant']}: {row['us']['median']:.1f} us"
    return f"`{row['name']}` by {row['variant']}: " + (f"WRONG: {row['wrong']}" if row["wrong"] else f"refused: {row['refused']}")


def best_plan(row):
    """The vendor's best of each kind, and how they were found."""
    search = row.get("search")
    if not search or row["cache"] != "cold":
        return None
    if not row["peers"]:
        return f"`{row['name']}`: no plan" + (f": {search['unavailable']}" if search["unavailable"] else f" ({searched(search)})")
    best = ", ".join(f"{peer['us']['median']:.1f} us by {peer['name']}" for peer in row["peers"])
    return f"`{row['name']}`: {best} ({searched(search)})"


def searched(search):
    """ "12 of 20 plans, 1 wrong" """
    counts = [f"{search['tried']} of {search['plans']} plans"]
    counts += [f"{search[what]} {what}" for what in ("refused", "wrong", "failed") if search[what]]
    return ", ".join(counts + ["cut short"] * search["cut_short"])


# What decides the kernels' bars: the question, and the rows that answer it, or what it waits for. The kernels' rows answer where
# a function makes words of them.
QUESTIONS = (
    ("device copy rate", r"copy\["),
    ("dense rates, bf16 first", r"gemm\["),
    ("cuDNN RNN through PyTorch, by type, H 256, T 64, two directions, batch 64/256/1024", r"lstm\."),
    ("every cuDNN RNN algorithm, called directly", r"lstm\.", called_directly),
    ("CTC at T 64, K 30, L 24: PyTorch's native one and cuDNN's", r"ctc\.gradient\[T=64"),
    ("cuDNN's CTC, deterministic and not, called directly", r"ctc\.gradient\[T=64", called_directly),
    ("convolutions a1-a3, b1-b3 through PyTorch, bf16 and f16, forward and both backwards", r"conv2d\."),
    ("the same through cuDNN's plan search, with bias and ReLU or batch norm's sums fused", r"conv2d.*,(bf16|f16)\]$", best_plan),
    ("PyTorch's best training step of crnn and cnn62, batch 64/256/1024", r"train_step\["),
    ("`wgmma` with register A at N 8/16/32/64: cycles", "needs the building blocks"),
    ("`st.async` round trip in clusters of 2/4/8; distributed shared-memory bandwidth", "needs the building blocks"),
    ("a no-swizzle shared-memory descriptor shifted by 16 bytes", "needs the building blocks"),
    ("softmax, copies and products of more than 2^31 elements (64-bit offsets)", "needs a test that only a GPU has memory for"),
)

INTRODUCTION = """# What has run on which GPU

Generated: `python3 bench/hardware.py build/release/tools/scrawl`. Every row says on which GPU it ran, or that it
{never}. A figure comes from a report in `bench/results/`; what stands under "predicted, not measured" is neither.

```
tools/bundle.sh build/gpu_check.tar.gz                   # where there is a CUDA toolkit: sm_90a programs, libraries, scripts
tar -xzf gpu_check.tar.gz && scrawl_gpu_check/tools/gpu_check.sh --seconds 540 --out results   # where there is a GPU
cp results/kernels.json bench/results/h200-kernels.json  # and each other part; then generate
```
"""

PREDICTED = """What stands under "predicted" nobody has measured. `scrawl bench --static` ran a few blocks of each launch on simt and counted their
products, bytes and waits; registers, shared memory and the instructions of the busiest loop are the compiler's, for sm_90a; rates are
an H200's of 790 TFLOP/s bf16 (60% of it by `mma.sync`; tf32 half of it, f32 one multiply-add a lane and clock), 4.3 TB/s and an assumed
1.755 GHz. A launch takes the longest of its bytes, its arithmetic and its instructions at four a clock and multiprocessor; what products
read twice comes from a cache, other bytes from memory, and latency, launches and bank conflicts count for nothing. MB are bytes that
lanes moved, cached or not.
"""


def reports(folder):
    """(part, path, report) of GPUs, oldest first, so that the newest has the last word."""
    found = []
    for path in sorted(folder.glob("*.json")):
        part = path.stem.rpartition("-")[2]
        if part not in PARTS:
            continue
        report = json.loads(path.read_text())
        device = report["header"].get("device") or (report["rows"] or [{}])[0].get("device")
        if report["header"]["gpu"] and device == "cuda":
            found.append((part, path, report))
    return sorted(found, key=lambda item: item[2]["header"]["date"])


def where(header):
    return f"{header['gpu'].split(',')[0]}, driver {header['driver'] or 'unknown'}, {header['date'][:10]}, {short(header['commit'])}"


def newest(found, part):
    """{(row's name, variant, type, cache): {GPU: (header, row)}}"""
    rows = {}
    for one, _, report in found:
        for row in report["rows"] if one == part else ():
            key = row["name"], row.get("variant"), row.get("type"), row.get("cache")
            rows.setdefault(key, {})[report["header"]["gpu"].split(",")[0]] = report["header"], row
    return rows


def table(columns, rows):
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


# ---- are the kernels right?

def suites():
    """Test suites that have an instance on each device."""
    names = []
    for pattern in SUITES:
        for path in sorted(ROOT.glob(pattern)):
            names += re.findall(r"INSTANTIATE_TEST_SUITE_P\(on,\s*(\w+)", path.read_text())
    return sorted(set(names) - {"PlantedFault"})


def part_of(suite):
    return "networks" if "networks" in suite else "blocks" if suite.endswith("Block") else "tests"


def correctness(found):
    asked = [(part_of(suite), suite) for suite in suites()] + [("sanitizers", tool) for tool in TOOLS]
    for part, name in sorted(asked, key=lambda item: (PARTS.index(item[0]), item[1])):
        results = newest(found, part).get((name, None, None, None))
        if not results:
            yield part, f"`{name}`", NEVER, "", ""
        for header, row in (results or {}).values():
            yield part, f"`{name}`", where(header), row["state"].upper() if row["state"] == "failed" else row["state"], row["detail"]


# ---- kernels

def listing(program):
    """What there is: [{operation, layer, type, variant, name}]."""
    command = [program, "bench", "--list", "--json", "-", "--device", "simt"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def predictions(folder):
    """{(operation, layer, variant, type): row} of what `scrawl bench --static` left."""
    rows = {}
    for path in sorted(folder.glob("*-static.json")):
        report = json.loads(path.read_text())
        for row in report["rows"]:
            rows[row["operation"], row["layer"], row["variant"], row["type"]] = {**report["header"], **row}
    return rows


def launch(one):
    """"4 x `kernel`: 528 blocks of 128, 168 registers, 40 KiB: 3 a multiprocessor; 1,200 instructions a warp, ..."""
    times = f"{one['times']} x " if "times" in one else ""
    if one["registers"]:
        code = f", {one['registers']} registers, {one['shared_bytes'] / 1024:.0f} KiB: {one['resident_blocks']} a multiprocessor, {one['waves']:.1f} waves"
    else:
        code = f", {one['shared_bytes'] / 1024:.0f} KiB"
    issued = [f"{one['instructions_a_warp']:,.0f} instructions a warp"] if one["instructions_a_warp"] else []
    issued += [f"{one['products_a_warp']:,.0f} mma"] if one["products_a_warp"] else []
    serial = [f"{count:,} {what}" for what, count in one["serial"].items() if count]
    moved = f"{one['global_bytes'] / 1e6:,.1f} MB"
    return f"{times}`{one['kernel'].partition('<')[0]}` {one['blocks']:,} blocks of {one['threads']}{code}; " + ", ".join(issued + serial + [moved])


def words(operation, variant):
    for operations, variants, source in WAITING:
        if re.fullmatch(operations, operation) and re.fullmatch(variants, variant):
            head = []
            for line in (ROOT / "kernels/cuda" / source).read_text().splitlines():
                if not line.startswith("///"):
                    break
                head.append(line[3:].strip())
            text = " ".join(head)
            return text[re.search(r"Predict", text).start():]
    return ""


def prediction(row, operation, variant):
    """Cells: the problem, at least so many microseconds, of the limit, from what."""
    if not row:
        return "", "", ""
    percent = 100 * row["limit_us"] / row["us"]
    causes = max(row["launches"], key=lambda one: one["us"] * one.get("times", 1))
    told = "; ".join(map(launch, row["launches"]))
    more = words(operation, variant) if row["type"] == "bf16" else ""
    extent = re.search(r"\b(N|rows|elements|parameters|M)=\d+", row["name"])
    return (f"{row['us']:.1f} at `{extent[0] if extent else row['name']}`",
            f"{row['limit_us']:.1f} ({percent:.0f}%), {causes['by']}", told + (f". {more}" if more else ""))


def rate(row, key):
    return f"{row[key]:.1f}" if row[key] is not None else ""


def measured(rows, name, variant, kind):
    """Cells of a problem, one row a GPU: where, right?, cold and hot microseconds, ratio, percent."""
    cold, hot = rows.get((name, variant, kind, "cold"), {}), rows.get((name, variant, kind, "hot"), {})
    for gpu in sorted({**cold, **hot}):
        header, row = cold.get(gpu) or hot[gpu]
        right = {True: "passed", False: f"FAILED: {row['wrong']}", None: "not checked"}[row["passed"]]
        figures = []
        for cache, each in (("cold", cold), ("hot", hot)):
            us = each[gpu][1]["us"] if gpu in each else None
            if us:
                figures.append(f"{us['median']:.2f} ({us['p10']:.2f}-{us['p90']:.2f}) {cache}")
        peers = row.get("peers") or [{"name": row["peer"], "ratio": row["ratio"]}] * bool(row["peer"])
        beside = ", ".join(f"{peer['ratio']['median']:.2f} x {peer['name']}" for peer in peers)
        if row.get("search") and row["search"]["plans"]:
            beside += f" ({searched(row['search'])})"
        percent = f"{row['percent_of_limit']:.0f}%" if row["percent_of_limit"] is not None else ""
        rates = ", ".join(filter(None, (row.get("tflop_per_s") and f"{row['tflop_per_s']:.1f} TFLOP/s",
                                        row.get("gb_per_s") and f"{row['gb_per_s']:.0f} GB/s")))
        yield where(header), right, "; ".join(figures), rates, beside, percent


def kernels(found, listed, predicted):
    rows = newest(found, "kernels")
    kinds = {}  # (operation, layer, variant, type): problems
    for item in listed:
        kinds.setdefault((item["operation"], item["layer"], item["variant"], item["type"]), []).append(item)
    for (operation, layer, variant, kind), problems in kinds.items():
        told = prediction(predicted.get((operation, layer, variant, kind)), operation, variant)
        left = False
        for problem in problems:
            results = list(measured(rows, problem["name"], variant, kind))
            for cells in results:
                yield (f"`{problem['name']}`", variant, kind, *cells, *told)
                told = "", "", ""
            left = left or not results
        if left:
            yield f"{operation} {layer}".strip(), variant, kind, NEVER, "", "", "", "", "", *told


# ---- networks in training, and what is to be measured first

def steps():
    """Names of the training steps that gpu_check.sh asks for."""
    text = (ROOT / "tools/gpu_check.sh").read_text()
    match = re.search(r"--network ([\w ]+) --type ([\w ]+) --batch ([\d ]+) --seconds", text)
    networks, types, batches = (group.split() for group in match.groups())
    return [(f"train_step[network={network},batch={batch},{kind}]", kind) for network in networks for batch in batches for kind in types]


def training(found):
    rows = newest(found, "training")
    for name, kind in steps():
        results = rows.get((name, "scrawl", kind, "hot"))
        if not results:
            yield f"`{name}`", NEVER, "", "", "", ""
        for header, row in (results or {}).values():
            beside = (row["peer"], milliseconds(row["peer_us"]), f"{row['ratio']['median']:.2f}") if row["peer"] else ("", "", "")
            yield (f"`{name}`", where(header), milliseconds(row["us"]), *beside)


def questions(found):
    for question, answer, *words in QUESTIONS:
        if answer.startswith("needs"):
            yield question, NEVER, answer
            continue
        part, say = ("kernels", words[0]) if words else ("measure_first", lambda row: f"`{row['name']}` {row['us']['median']:.1f} us")
        results = {}
        for (name, *_), by_gpu in newest(found, part).items():
            for gpu, (header, row) in by_gpu.items() if re.match(answer, name) else ():
                if line := say(row):
                    # Of a problem that several variants of ours do, the first tells of the vendor.
                    results.setdefault(gpu, (header, {}))[1].setdefault((name, words and words[0] is best_plan or line), line)
        if not results:
            yield question, NEVER, f"`gpu_check.sh --only {part}`"
        for header, lines in results.values():
            yield question, where(header), "<br>".join(" ".join(line.split()).replace("|", "/") for line in lines.values())


def ceilings(found):
    for part, path, report in found:
        for name, ceiling in report["header"].get("ceilings", {}).items() if part == "kernels" else ():
            unit = "TB/s, read and written" if name == "copy" else "TFLOP/s"
            yield f"{where(report['header'])}: {name} {ceiling['per_second'] / 1e12:.2f} {unit}, by {ceiling['by']} (`results/{path.name}`)"


def document(folder, listed):
    found = reports(folder)
    limits = "\n".join(f"- {line}" for line in ceilings(found)) or f"- ceilings: {NEVER}"
    sections = (
        INTRODUCTION.format(never=NEVER.replace("run", "ran")),
        "## Are the kernels right?\n",
        table(("part", "suite or tool", "GPU, driver, date, commit", "state", "detail"), correctness(found)),
        "\n## How fast are they?\n\nLimit: the larger of FLOPs over the type's measured rate and least bytes over the copy rate. "
        "Ratio: the best vendor plan's\ntime over ours, in the same rounds; ratio, rates and percent are of cold caches.\n\n" + limits + "\n\n" + PREDICTED,
        table(("problem", "variant", "type", "GPU, driver, date, commit", "outputs", "us (10%-90%)", "rate", "vendor's time / ours", "of the limit",
               "predicted us", "limit there", "predicted from"), kernels(found, listed, predictions(folder))),
        "\n## Networks in training\n",
        table(("step", "GPU, driver, date, commit", "ms (10%-90%)", "beside", "its ms", "times as fast"), training(found)),
        "\n## Measure first\n",
        table(("question", "GPU, driver, date, commit", "answer"), questions(found)),
    )
    return "\n".join(sections) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="scrawl, built with simt")
    parser.add_argument("--results", type=pathlib.Path, default=FOLDER / "results")
    parser.add_argument("--file", type=pathlib.Path, default=FOLDER / "HARDWARE.md")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    fresh = document(options.results, listing(options.program))
    if options.check:
        sys.exit(fresh != options.file.read_text() and f"{options.file} is not what {pathlib.Path(__file__).name} writes: run it")
    options.file.write_text(fresh)


if __name__ == "__main__":
    main()
