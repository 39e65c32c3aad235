#!/usr/bin/env python3
"""Writes the tables of bench/README.md anew from bench/results/*.json: run it after adding a report.

    python3 bench/table.py            # rewrites what stands between the two marks
    python3 bench/table.py --check    # exits with 1 if the tables are not those of the reports
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
BEGIN, END = "<!-- tables: bench/table.py -->", "<!-- end of tables -->"


def milliseconds(summary):
    digits = 1 if summary["median"] >= 10_000 else 3
    median, low, high = (summary[key] / 1000 for key in ("median", "p10", "p90"))
    return f"{median:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def short(commit):
    number, dash, dirty = commit.partition("-")
    return number[:7] + dash + dirty


def line(row):
    beside = "", "", ""
    if row["peer"]:
        ratio = row["ratio"]
        beside = row["peer"], milliseconds(row["peer_us"]), f"{ratio['median']:.2f} ({ratio['p10']:.2f}-{ratio['p90']:.2f})"
    return "| " + " | ".join([f"`{row['name']}`", milliseconds(row["us"]), *beside]) + " |"


def table(path):
    report = json.loads(path.read_text())
    header = report["header"]
    if header["gpu"]:
        return ""  # bench/hardware.py has those
    lines = [f"**{header['cpu']}**, {header['date'][:10]}, commit {short(header['commit'])}: `results/{path.name}`", "",
             "| work | ms (10%-90%) | beside | its ms | times as fast |", "|---|---|---|---|---|"]
    return "\n".join(lines + [line(row) for row in report["rows"]])


def main():
    readme = FOLDER / "README.md"
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    tables = "\n\n".join(filter(None, map(table, sorted((FOLDER / "results").glob("*.json")))))
    fresh = f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"
    if "--check" in sys.argv[1:]:
        sys.exit(fresh != text)
    readme.write_text(fresh)


if __name__ == "__main__":
    main()
