"""SNLI as SentEval keeps it (s1.X, s2.X, labels.X, aligned by line) as triplets or labelled pairs, by places."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.datafiles.nli import LABELS
from engine.datafiles.records import SPLITS, Record
from engine.datafiles.source import ByteFile, text_of
from engine.datafiles.splits import refusal
from engine.datafiles.table import Table
from engine.errors import DataError

_PARTS = ("s1", "s2", "labels")
_NAME = re.compile(r"(?:s1|s2|labels)\.(train|dev|test)")
_LABELS = {"entailment": 0, "contradiction": 1, "neutral": 2, "-": 3}
_UNUSED = {2: "neutral", 3: "no gold label"}
_ALONE = ("entailment without a contradiction", "contradiction without an entailment")

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Column:
    file: ByteFile
    starts: Places
    lengths: NDArray[np.uint32]

    def text(self, place: int) -> str:
        raw = self.file.span(int(self.starts[place]), int(self.lengths[place]))
        return text_of(raw, self.file.name, place + 1).strip()


@dataclass(frozen=True, slots=True)
class _Triplets:
    premises: _Column
    hypotheses: _Column
    entailments: Places
    contradictions: Places

    def check(self) -> None:
        self.premises.file.check()
        self.hypotheses.file.check()

    def record(self, place: int) -> Record:
        entailment = int(self.entailments[place])
        return Record(
            self.premises.text(entailment),
            self.hypotheses.text(entailment),
            self.hypotheses.text(int(self.contradictions[place])),
        )


@dataclass(frozen=True, slots=True)
class _Pairs:
    premises: _Column
    hypotheses: _Column
    lines: Places

    def check(self) -> None:
        self.premises.file.check()
        self.hypotheses.file.check()

    def record(self, place: int) -> Record:
        line = int(self.lines[place])
        return Record(self.premises.text(line), self.hypotheses.text(line))


def find_snli(path: Path, *, allow_test: bool) -> tuple[Path, str] | None:
    """Return (folder, split) if ``path`` is a folder of SNLI files or one of them, else None.

    A folder means its train files, else the only ones there are; test files count when they are allowed or named.
    """
    named = _NAME.fullmatch(path.name)
    if named and all((path.parent / f"{part}.{named[1]}").is_file() for part in _PARTS):
        return path.parent, named[1]
    if not path.is_dir():
        return None
    there = [split for split in SPLITS if all((path / f"{part}.{split}").is_file() for part in _PARTS)]
    usable = [split for split in there if split != "test" or allow_test]
    if there and not usable:
        raise refusal(str(path), "it holds nothing but s1.test, s2.test and labels.test")
    if not usable:
        return None
    if len(usable) > 1 and "train" not in usable:
        raise DataError(f"{path}: holds {' and '.join(usable)} files", f"Name one: {path / 's1.dev'}")
    return path, usable[0]


def scan_snli(folder: Path, split: str, *, labelled: bool = False) -> tuple[Table, str]:
    """Return triplets of premise, entailment, contradiction, and a digest of the three files.

    With ``labelled`` each line is a pair and its scores are class numbers; those without a gold label are dropped.

    Hypotheses of one premise, wherever they stand, are paired in the order of the files: its first entailment
    with its first contradiction, its second with its second. One that is left over is dropped and counted, and
    each hypothesis is used once at most: two triplets with a sentence in common would be false negatives of
    each other. Lines of the files = 2 x triplets + dropped.
    """
    files = [ByteFile.open(folder / f"{part}.{split}") for part in _PARTS]
    keys, labels, dropped = array("Q"), bytearray(), Counter[str]()
    spans: list[tuple[array[int], array[int]]] = [(array("q"), array("I")), (array("q"), array("I"))]
    for rows in zip_longest(*(file.lines() for file in files)):
        number = len(labels) + 1
        if None in rows:
            short = files[rows.index(None)].name
            raise DataError(f"{short}: ends before line {number}, which the others have", "Take a fresh copy.")
        (_, start1, raw1), (_, start2, raw2), (_, _, raw_label) = rows
        label = text_of(raw_label, files[2].name, number).strip()
        code = _LABELS.get(label)
        if code is None:
            raise DataError(f"{files[2].name}: line {number}: {label[:40]!r}, expected {', '.join(_LABELS)}")
        premise = text_of(raw1, files[0].name, number).strip()
        if not premise or not text_of(raw2, files[1].name, number).strip():
            code, name = 4, "empty sentence"
            dropped[name] += 1
        for (starts, lengths), start, raw in zip(spans, (start1, start2), (raw1, raw2), strict=True):
            starts.append(start)
            lengths.append(len(raw))
        keys.append(int.from_bytes(hashlib.blake2b(premise.encode(), digest_size=8).digest(), "big"))
        labels.append(code)
    codes = np.frombuffer(labels, dtype=np.uint8)
    columns = [
        _Column(file, np.frombuffer(starts, dtype=np.int64), np.frombuffer(lengths, dtype=np.uint32))
        for file, (starts, lengths) in zip(files, spans, strict=False)
    ]
    digest = hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()
    if labelled:
        return _labelled(columns, codes, split, dropped), digest
    entailments, contradictions = _paired(np.frombuffer(keys, dtype=np.uint64), codes)
    dropped.update({name: int((codes == code).sum()) for code, name in _UNUSED.items()})
    for code, name in enumerate(_ALONE):
        dropped[name] = int((codes == code).sum()) - len(entailments)
    count = len(entailments)
    nothing = np.full(count, np.nan)
    table = Table(
        _Triplets(columns[0], columns[1], entailments, contradictions),
        sentences=3,
        lines=(entailments + 1).astype(np.uint32),
        splits=np.full(count, SPLITS.index(split), dtype=np.uint8),
        scores=nothing,
        negative_scores=nothing,
        identified=False,
        dropped=+dropped,
    )
    return table, digest


def _labelled(columns: list[_Column], codes: NDArray[np.uint8], split: str, dropped: Counter[str]) -> Table:
    """Every line with a gold label, in the order of the files."""
    dropped[_UNUSED[3]] = int((codes == 3).sum())
    kept = np.flatnonzero(codes < 3)
    numbers = np.array([LABELS.index(name) for name, code in _LABELS.items() if code < 3], dtype=np.float64)
    return Table(
        _Pairs(columns[0], columns[1], kept),
        sentences=2,
        lines=(kept + 1).astype(np.uint32),
        splits=np.full(len(kept), SPLITS.index(split), dtype=np.uint8),
        scores=numbers[codes[kept]],
        negative_scores=np.full(len(kept), np.nan),
        identified=False,
        dropped=+dropped,
        labelled=True,
    )


def _paired(keys: NDArray[np.uint64], codes: NDArray[np.uint8]) -> tuple[Places, Places]:
    """Return the lines of the k-th entailment and k-th contradiction of each premise, by line of the entailment."""
    _, premise = np.unique(keys, return_inverse=True)
    found = []
    for code in (0, 1):
        lines = np.flatnonzero(codes == code)
        order = lines[np.argsort(premise[lines], kind="stable")]
        group = premise[order]
        first = np.searchsorted(group, group)
        found.append((group * np.int64(len(codes) + 1) + (np.arange(len(order)) - first), order))
    _, left, right = np.intersect1d(found[0][0], found[1][0], assume_unique=True, return_indices=True)
    entailments, contradictions = found[0][1][left], found[1][1][right]
    order = np.argsort(entailments)
    return entailments[order], contradictions[order]
