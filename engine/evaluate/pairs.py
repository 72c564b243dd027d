"""Scored sentence pairs and the formats that hold them. Which file is which split of what task is said elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from engine.evaluate.files import GET_DATA, columns, read_lines, score, tidy

SICK_HEADER = ["pair_ID", "sentence_A", "sentence_B", "relatedness_score"]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sentence pairs with gold scores (n,), in the order of the files; ``parts`` gives each sub-dataset's rows."""

    name: str
    first: list[str]
    second: list[str]
    gold: NDArray[np.float64]
    parts: dict[str, slice] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what is evaluated: sub-dataset, sentences and score of each pair.

        Line ends, pairs without a score and how a number is written leave it as it is; a changed apostrophe does not.
        """
        names = [""] * len(self)
        for name, rows in self.parts.items():
            names[rows] = [name] * (rows.stop - rows.start)
        return fingerprint(
            [name, a, b, repr(float(gold))]
            for name, a, b, gold in zip(names, self.first, self.second, self.gold, strict=True)
        )


def fingerprint(rows: Iterable[Sequence[str]]) -> str:
    """SHA-256 over rows of cells that hold neither tabs nor line ends."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update("\t".join(row).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def stack(name: str, parts: dict[str, Pairs]) -> Pairs:
    """One set of all parts, one after the other."""
    slices, at = {}, 0
    for part, pairs in parts.items():
        slices[part] = slice(at, at := at + len(pairs))
    return Pairs(
        name,
        [text for pairs in parts.values() for text in pairs.first],
        [text for pairs in parts.values() for text in pairs.second],
        np.concatenate([pairs.gold for pairs in parts.values()]),
        slices,
    )


def semeval(inputs: Path, golds: Path) -> Pairs:
    """One sub-dataset of STS12-16: sentences in ``inputs``, scores 0-5 in ``golds``, line by line.

    A pair whose score line is empty was never annotated and is left out. DataError when the line counts differ.
    """
    texts, scores = read_lines(inputs), read_lines(golds)
    if len(texts) != len(scores):
        raise DataError(
            f"{inputs} has {len(texts):,} lines, {golds.name} {len(scores):,}: they must go together line by line.",
            GET_DATA,
        )
    first, second, gold = [], [], []
    for number, (text, value) in enumerate(zip(texts, scores, strict=True), 1):
        if not value.strip():
            continue
        cells = columns(inputs, number, text, 2)
        first.append(tidy(cells[0]))
        second.append(tidy(cells[1]))
        gold.append(score(golds, number, value))
    return Pairs(inputs.name, first, second, np.array(gold, dtype=np.float64))


def benchmark(path: Path) -> Pairs:
    """A file of the STS Benchmark: no header, no quoting; column 5 is the score (0-5), 6 and 7 the sentences."""
    first, second, gold = [], [], []
    for number, line in enumerate(read_lines(path), 1):
        cells = columns(path, number, line, 7)
        gold.append(score(path, number, cells[4]))
        first.append(tidy(cells[5]))
        second.append(tidy(cells[6]))
    return Pairs(path.name, first, second, np.array(gold, dtype=np.float64))


def sick(path: Path) -> Pairs:
    """A file of SICK: a header line, columns 2 and 3 are the sentences, 4 the relatedness (1-5)."""
    lines = read_lines(path)
    if not lines or lines[0].split("\t")[:4] != SICK_HEADER:
        raise DataError(f"{path}, line 1: not SICK's header ({', '.join(SICK_HEADER)}, ...).", GET_DATA)
    first, second, gold = [], [], []
    for number, line in enumerate(lines[1:], 2):
        cells = columns(path, number, line, 4)
        first.append(tidy(cells[1]))
        second.append(tidy(cells[2]))
        gold.append(score(path, number, cells[3], 1.0))
    return Pairs(path.name, first, second, np.array(gold, dtype=np.float64))
