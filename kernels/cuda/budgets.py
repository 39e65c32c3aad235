#!/usr/bin/env python3
"""What each CUDA kernel may use, checked where it is compiled.

budgets.py BUDGETS.json COMPILER ARGUMENTS...   runs nvcc (or ccache nvcc) with ptxas's report, and fails if a kernel
spills, uses a stack, or more registers than recorded, on any architecture. Of a template, the instance that uses most
counts. SCRAWL_RECORD_BUDGETS=1 in the environment records instead. Another toolkit than the recorded one allocates
registers otherwise: there, more of them are a warning.
"""
import fcntl
import json
import os
import re
import subprocess
import sys

ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
MEMORY = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")
NAME = re.compile(r"(\w+)(<.*>)?\(")
REPORT = re.compile(r"^ptxas info|^\s+\d+ bytes stack frame")


def usage_of(report):
    """[(mangled kernel, architecture, registers, bytes on the stack and spilled)]"""
    found, kernel, memory = [], None, 0
    for line in report.splitlines():
        if match := ENTRY.search(line):
            kernel, memory = match.groups(), 0
        elif match := MEMORY.search(line):
            memory = sum(map(int, match.groups()))
        elif (match := REGISTERS.search(line)) and kernel:
            found.append((*kernel, int(match.group(1)), memory))
            kernel = None
    return found


def name_of(mangled):
    text = subprocess.run(["c++filt", mangled], capture_output=True, text=True, check=True).stdout
    text = text.replace("(anonymous namespace)::", "")
    return NAME.search(text).group(1)


def toolkit(command):
    nvcc = next(word for word in command if os.path.basename(word).startswith("nvcc"))
    text = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"release (\d+\.\d+)", text)
    return match.group(1) if match else "unknown"


def source_of(command):
    """Its name alone: "gemm.cu"."""
    return next(os.path.basename(word) for word in command if word.endswith(".cu"))


def most(source, usage):
    """{source/kernel: {architecture: registers}}, and what is on stacks."""
    registers, problems = {}, []
    for mangled, architecture, count, memory in usage:
        name = f"{source}/{name_of(mangled)}"
        by_architecture = registers.setdefault(name, {})
        by_architecture[architecture] = max(count, by_architecture.get(architecture, 0))
        if memory:
            problems.append(f"{name} ({architecture}, {mangled}): {memory} bytes of stack and spills, expected none")
    return registers, problems


def record(path, source, registers, version):
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        budgets = json.loads(file.read() or "{}")
        budgets["toolkit"] = version
        others = {name: count for name, count in budgets.get("registers", {}).items() if not name.startswith(f"{source}/")}
        kernels = dict(sorted((others | registers).items()))
        lines = ",\n".join(f'    "{name}": {json.dumps(count)}' for name, count in kernels.items())
        file.seek(0)
        file.truncate()
        file.write(f'{{\n  "toolkit": "{budgets["toolkit"]}",\n  "registers": {{\n{lines}\n  }}\n}}\n')


def excess(path, source, registers, version):
    with open(path, encoding="utf-8") as file:
        budgets = json.load(file)
    for name in budgets["registers"]:
        if name.startswith(f"{source}/") and name not in registers:
            yield True, f"{name}: expected a report of this kernel, got none"
    for name, by_architecture in registers.items():
        for architecture, count in by_architecture.items():
            budget = budgets["registers"].get(name, {}).get(architecture)
            if budget is None:
                yield True, f"{name} ({architecture}): no budget; it uses {count} registers"
            elif count > budget:
                yield budgets["toolkit"] == version, f"{name} ({architecture}): {count} registers, expected at most {budget}"


def main():
    path, *command = sys.argv[1:]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    rest = [line for line in result.stderr.splitlines() if not REPORT.search(line)]
    if rest:
        print("\n".join(rest), file=sys.stderr)
    if result.returncode != 0:
        return result.returncode
    source = source_of(command)
    registers, problems = most(source, usage_of(result.stderr))
    if os.environ.get("SCRAWL_RECORD_BUDGETS") == "1":
        record(path, source, registers, toolkit(command))
    else:
        for fails, problem in excess(path, source, registers, toolkit(command)):
            if fails:
                problems.append(f"{problem}; SCRAWL_RECORD_BUDGETS=1 records what a change is worth")
            else:
                print(f"budgets: warning: {problem} (another toolkit)", file=sys.stderr)
    for problem in problems:
        print(f"budgets: {problem}", file=sys.stderr)
    if problems and "-o" in command:  # or the next build would take it for done
        output = command[command.index("-o") + 1]
        if os.path.exists(output):
            os.remove(output)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
