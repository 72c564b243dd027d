"""The sentences and pairs of all evaluation sets in a folder, test splits too. Training must not import this."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from engine.duplicates import Bags, normal, words
from engine.errors import DataError
from engine.evaluate.data import read_sts, read_transfer
from engine.evaluate.dev import read_dev
from engine.tasks import STS, TASKS, TRANSFER

State = Literal["complete", "missing", "broken"]
_DEV = {"STSBenchmark": "stsb", "SICKRelatedness": "sickr"}


@dataclass(slots=True)
class EvaluationSet:
    """One split of one task. ``first`` and ``second`` are numbers of sentences, -1 for one without letters or digits.

    ``second`` is empty where the samples are single sentences; ``problem`` says why a set could not be read.
    """

    task: str
    split: Literal["test", "dev", "train"]
    state: State = "complete"
    problem: str = ""
    first: array[int] = field(default_factory=lambda: array("i"))
    second: array[int] = field(default_factory=lambda: array("i"))

    @property
    def kind(self) -> Literal["sts", "transfer", "rerank"]:
        """Whether its samples have scores or classes."""
        return TASKS[self.task].kind

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield its pairs, those with a sentence without letters or digits left out."""
        return ((a, b) for a, b in zip(self.first, self.second, strict=False) if a >= 0 and b >= 0)


class Evaluations:
    """All sentences of all sets, each once: ``texts`` by number, ``members`` as bits over ``sets``."""

    def __init__(self, root: Path) -> None:
        """Read whatever ``root`` holds; raises ``DataError`` if no set can be read."""
        self.sets: list[EvaluationSet] = []
        self.texts: list[str] = []
        self.members: list[int] = []
        self._numbers: dict[str, int] = {}
        self._bags: list[list[str]] = []
        for task in STS:
            self._add(task, ("test",), partial(_sts, root, task))
        for task, name in _DEV.items():
            self._add(task, ("dev",), partial(_dev, root, name))
        for task in TRANSFER:
            self._add(task, _splits(task), partial(_transfer, root, task))
        if not self.texts:
            raise DataError(
                f"{root} holds no evaluation set that can be read: {self.sets[0].problem}",
                "Name a folder in SentEval's layout; claif-tui data check says what one holds.",
            )
        self._index = Bags(self._bags)
        self._bags = []
        self.partners: defaultdict[int, set[int]] = defaultdict(set)
        for one in self.sets:
            for a, b in one.pairs():
                self.partners[a].add(b)
                self.partners[b].add(a)

    def same(self, key: str) -> int:
        """Return the number of the sentence with this normal form, -1 if there is none."""
        return self._numbers.get(key, -1)

    def similar(self, bag: Sequence[str], same: int) -> list[tuple[int, float]]:
        """Return number and similarity of each sentence that is nearly this one, ``same`` aside."""
        return [(number, share) for number, share in self._index.similar(bag) if number != same]

    def _add(
        self,
        task: str,
        splits: tuple[Literal["test", "dev", "train"], ...],
        read: Callable[[], list[list[list[str]]]],
    ) -> None:
        try:
            found = read()
        except DataError as error:
            state: State = "missing" if error.message.endswith("is missing.") else "broken"
            self.sets += [EvaluationSet(task, split, state, error.message) for split in splits]
            return
        for split, columns in zip(splits, found, strict=True):
            bit = 1 << len(self.sets)
            numbers = [array("i", (self._number(text, bit) for text in column)) for column in columns]
            self.sets.append(EvaluationSet(task, split, "complete", "", *numbers))

    def _number(self, text: str, bit: int) -> int:
        bag = words(text)
        key = normal(bag)
        if not key:
            return -1
        number = self._numbers.setdefault(key, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
            self.members.append(0)
            self._bags.append(bag)
        self.members[number] |= bit
        return number


def _sts(root: Path, task: str) -> list[list[list[str]]]:
    pairs = read_sts(root, task)
    return [[pairs.first, pairs.second]]


def _dev(root: Path, name: str) -> list[list[list[str]]]:
    pairs = read_dev(root, name)
    return [[pairs.first, pairs.second]]


def _transfer(root: Path, task: str) -> list[list[list[str]]]:
    splits = read_transfer(root, task).splits
    return [[one.first] if one.second is None else [one.first, one.second] for one in splits]


def _splits(task: str) -> tuple[Literal["test", "dev", "train"], ...]:
    """The splits of a transfer task in the order of its files; what goes through folds is tested on as a whole."""
    protocol = TASKS[task].protocol
    return (
        ("test",)
        if protocol == "nested"
        else ("train", "test")
        if protocol == "folds"
        else ("train", "dev", "test")
    )
