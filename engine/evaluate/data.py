"""The evaluation sets as the tasks define them, complete or refused. Training must not import this: see ``dev``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from engine.evaluate.dev import read_dev, read_pairs
from engine.evaluate.files import GET_DATA, columns, expect, locate, read_lines, require_english, tidy
from engine.evaluate.pairs import Pairs, benchmark, fingerprint, semeval, sick, stack
from engine.tasks import TASKS, Task

__all__ = ["Split", "TransferData", "fingerprint", "read_dev", "read_pairs", "read_sts", "read_transfer"]

_ONE_FILE = {"STSBenchmark": benchmark, "SICKRelatedness": sick}
_TREC = {name: label for label, name in enumerate(("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"))}


def read_sts(root: Path, task: str) -> Pairs:
    """The scored test pairs of an STS task, part by part. DataError when a part is missing, cut or translated."""
    wanted = TASKS[task]
    folder = locate(root, wanted.folder)
    parts: dict[str, Pairs] = {}
    for name, count in wanted.parts:
        if task in _ONE_FILE:
            path, pairs = folder / name, _ONE_FILE[task](folder / name)
        else:
            path = folder / f"STS.input.{name}.txt"
            pairs = semeval(path, folder / f"STS.gs.{name}.txt")
        expect(path, len(pairs), count, "scored pairs")
        require_english(path, pairs.first + pairs.second)
        parts["test" if task in _ONE_FILE else name] = pairs
    return stack(task, parts)


@dataclass(frozen=True, slots=True)
class Split:
    """Texts with class numbers (n,), in the order of the file; ``second`` holds the partners of a pair task."""

    first: list[str]
    labels: NDArray[np.int64]
    second: list[str] | None = None

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True)
class TransferData:
    """A classification task: one split for nested folds, (train, test), or (train, dev, test)."""

    task: Task
    splits: tuple[Split, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the sentences and class numbers of all splits, in order."""
        return fingerprint(
            [str(number), *texts, str(label)]
            for number, split in enumerate(self.splits)
            for *texts, label in zip(
                *(texts for texts in (split.first, split.second) if texts is not None),
                split.labels.tolist(),
                strict=True,
            )
        )


def read_transfer(root: Path, task: str) -> TransferData:
    """A transfer task's sentences and classes. Empty sentences stay: the protocol encodes them like any other."""
    wanted = TASKS[task]
    folder = locate(root, wanted.folder)
    splits = [_read_split(wanted, folder / name, count) for name, count in wanted.parts]
    if wanted.protocol == "nested":
        # The first file is the positive class (SUBJ: objective).
        first = [text for split in splits for text in split.first]
        labels = np.repeat(np.array([1, 0], dtype=np.int64), [len(split) for split in splits])
        splits = [Split(first, labels)]
    return TransferData(wanted, tuple(splits))


def _read_split(task: Task, path: Path, count: int) -> Split:
    if task.name == "SST2":
        split = _sst(path)
    elif task.name == "TREC":
        split = _trec(path)
    elif task.name == "MRPC":
        split = _mrpc(path)
    else:
        lines = read_lines(path, "latin-1")
        split = Split([tidy(line) for line in lines], np.zeros(len(lines), dtype=np.int64))
    expect(path, len(split), count, "samples")
    require_english(path, split.first)
    return split


def _label(path: Path, number: int, text: str) -> int:
    if text not in ("0", "1"):
        raise DataError(f"{path}, line {number}: class {text!r}, 0 or 1 expected.", GET_DATA)
    return int(text)


def _sst(path: Path) -> Split:
    texts, labels = [], []
    for number, line in enumerate(read_lines(path), 1):
        cells = columns(path, number, line, 2)
        texts.append(tidy(cells[0]))
        labels.append(_label(path, number, cells[1].strip()))
    return Split(texts, np.array(labels, dtype=np.int64))


def _trec(path: Path) -> Split:
    """``COARSE:fine question``; the coarse class counts."""
    texts, labels = [], []
    for number, line in enumerate(read_lines(path, "latin-1"), 1):
        coarse, colon, rest = line.partition(":")
        if not colon or coarse not in _TREC:
            raise DataError(
                f"{path}, line {number}: class {coarse[:20]!r}, one of {', '.join(_TREC)} and a colon expected.",
                GET_DATA,
            )
        texts.append(tidy(rest.partition(" ")[2]))
        labels.append(_TREC[coarse])
    return Split(texts, np.array(labels, dtype=np.int64))


def _mrpc(path: Path) -> Split:
    """A header line (with a byte order mark); column 1 is the class, 4 and 5 the sentences; quotes are text."""
    first, second, labels = [], [], []
    lines = read_lines(path, "utf-8-sig")
    if not lines or not lines[0].startswith("Quality\t"):
        raise DataError(f"{path}, line 1: not MRPC's header (Quality, #1 ID, ...).", GET_DATA)
    for number, line in enumerate(lines[1:], 2):
        cells = columns(path, number, line, 5)
        labels.append(_label(path, number, cells[0]))
        first.append(tidy(cells[3]))
        second.append(tidy(cells[4]))
    return Split(first, np.array(labels, dtype=np.int64), second)
