"""Development pairs for choosing a checkpoint. Training reads through here alone: no test split can be reached."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.errors import ConfigError, DataError
from engine.evaluate.files import columns, expect, locate, read_lines, require_english, score, tidy
from engine.evaluate.pairs import Pairs, benchmark, sick

_DEV: dict[str, tuple[str, str, int, Callable[[Path], Pairs]]] = {
    "stsb": ("STS/STSBenchmark", "sts-dev.csv", 1500, benchmark),
    "sickr": ("SICK", "SICK_trial.txt", 500, sick),
}
_TEST_NAME = re.compile(r"(^|[^a-z])test([^a-z]|$)")


def read_dev(root: Path, name: str) -> Pairs:
    """The dev pairs of "stsb" (STS Benchmark dev, 1,500) or "sickr" (SICK trial, 500), complete and in English."""
    if name not in _DEV:
        raise ConfigError(f"select: {name!r} is no dev set.", f"Known: {', '.join(_DEV)}.")
    folder, file, count, read = _DEV[name]
    path = locate(root, folder) / file
    pairs = read(path)
    expect(path, len(pairs), count, "pairs")
    require_english(path, pairs.first + pairs.second)
    return pairs


def read_pairs(path: Path) -> Pairs:
    """One's own dev pairs: a file of the STS Benchmark's layout, or three tab-separated columns: sentences, score.

    Scores are on any scale of 0 or more. A file that calls itself a test set is refused: it must not choose a model.
    """
    if _TEST_NAME.search(path.stem.lower()):
        raise DataError(
            f"{path}: a test set must not choose a checkpoint.", "Name a dev file (STS-B: sts-dev.csv)."
        )
    lines = read_lines(path)
    if not lines:
        raise DataError(f"{path} is empty.", "One pair a line: sentence, sentence, score, separated by tabs.")
    if len(lines[0].split("\t")) >= 7:
        return benchmark(path)
    rows = [columns(path, number, line, 3) for number, line in enumerate(lines, 1)]
    gold = [score(path, number, row[2], 0.0, float("inf")) for number, row in enumerate(rows, 1)]
    return Pairs(path.name, [tidy(row[0]) for row in rows], [tidy(row[1]) for row in rows], np.array(gold))
