"""How long a large import takes, and how much memory: made-up sentences, one in a line, and scored pairs as JSONL.

``python -m benchmarks.import_seeds`` writes 1.2 million lines of each into a temporary folder and imports them, each in
a process of its own. The time is that of the whole command's work: looking at the file, importing, indexing.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bulk import sentences
from claif_tui.core.importing.run import import_file
from claif_tui.core.importing.types import ImportOptions, Role
from claif_tui.core.store.store import Store

ROOT = Path(__file__).resolve().parent.parent
LINES = 1_200_000


def write_seeds(path: Path, count: int) -> None:
    """Write ``count`` sentences, a twentieth of which come twice."""
    texts = sentences(60_000)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            file.write(f"{texts[number % len(texts)]} {number % (count * 19 // 20)}\n")


def write_pairs(path: Path, count: int) -> None:
    """Write ``count`` scored pairs in the official layout."""
    texts = sentences(60_000)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            first, second = texts[number // 9 % len(texts)], texts[number * 7919 % len(texts)]
            row = {"text_a": first, "text_b": f"{second} {number}", "label": number % 101 / 100}
            file.write(json.dumps(row) + "\n")


def measure(path: Path, role: Role) -> None:
    """Import one file into a new project and print time, pace and peak memory."""
    with tempfile.TemporaryDirectory() as folder, Store.create(Path(folder) / "project") as store:
        start = time.perf_counter()
        report = import_file(store, path, ImportOptions(role=role))
        took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tally = report.tally
    print(
        f"{role:<6} {tally.rows:,} lines ({path.stat().st_size / 2**20:.0f} MiB): {took:.1f} s, "
        f"{tally.rows / took:,.0f} a second, {tally.unique:,} unique, peak {peak:.0f} MiB",
        flush=True,
    )


def main() -> None:
    """Write the files, then measure each import in its own process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--one", nargs=2, metavar=("FILE", "ROLE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(Path(options.one[0]), options.one[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        seeds, pairs = Path(folder) / "seeds.txt", Path(folder) / "pairs.jsonl"
        write_seeds(seeds, options.lines)
        write_pairs(pairs, options.lines)
        for path, role in ((seeds, "seeds"), (pairs, "pairs")):
            subprocess.run(
                [sys.executable, "-m", "benchmarks.import_seeds", "--one", str(path), role],
                cwd=ROOT,
                check=True,
            )


if __name__ == "__main__":
    main()
