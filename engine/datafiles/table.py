"""Rows that stay on disk: an index of places and arrays of numbers, built by one pass over a file."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.datafiles.labels import Floats
from engine.datafiles.layouts import Layout, failed
from engine.datafiles.nli import label_code
from engine.datafiles.records import SPLITS, Malformed, Record, number, says_nothing, word_split
from engine.datafiles.source import ByteFile, text_of
from engine.errors import DataError

_NONE = float("nan")
_TEST = SPLITS.index("test")
_WORDS = ("", "one sentence", "two sentences", "three sentences")


class Store(Protocol):
    """Where rows are read from by place."""

    def check(self) -> None:
        """Raise ``DataError`` if what lies below was written over."""
        ...

    def record(self, place: int) -> Record:
        """Return the row at a place."""
        ...


@dataclass(frozen=True, slots=True)
class FileStore:
    """Rows of one file: offsets and lengths in bytes, 12 bytes a row."""

    file: ByteFile
    layout: Layout
    starts: NDArray[np.int64]
    lengths: NDArray[np.uint32]

    def check(self) -> None:
        """Raise ``DataError`` if the file was written over."""
        self.file.check()

    def record(self, place: int) -> Record:
        """Return the row at a place."""
        raw = self.file.span(int(self.starts[place]), int(self.lengths[place]))
        return self.layout.decode(text_of(raw, self.file.name, 0))


@dataclass(slots=True)
class Table:
    """All usable rows of a source, by place. ``scores`` and ``negative_scores`` are as written, nan where none.

    With ``labelled`` scores are the class numbers of ``engine.datafiles.nli``.
    """

    store: Store
    sentences: int
    lines: NDArray[np.uint32]
    splits: NDArray[np.uint8]
    scores: Floats
    negative_scores: Floats
    identified: bool
    """Whether rows carry ``kind`` and ``pair_id``."""
    dropped: Counter[str] = field(default_factory=Counter)
    blanks: int = 0
    labelled: bool = False


def scan(file: ByteFile, layout: Layout, *, split: str, allow_test: bool, labelled: bool = False) -> Table:
    """Read a file once and index its rows; ``split`` is that of rows that name none.

    With ``labelled`` what the layout has for a score is an NLI label.
    Raises ``DataError`` for rows that cannot be read, and for files that mix pairs and triplets.
    """
    return _Scan(file, layout, split, allow_test, labelled).table()


class _Scan:
    def __init__(self, file: ByteFile, layout: Layout, split: str, allow_test: bool, labelled: bool) -> None:
        self._file, self._layout, self._labelled = file, layout, labelled
        self._split, self._allow_test = SPLITS.index(split), allow_test
        self._sentences = 0
        self._identified = False
        self._blanks = 0
        self._dropped: Counter[str] = Counter()
        self._starts, self._lengths, self._lines = array("q"), array("I"), array("I")
        self._scores, self._negatives = array("d"), array("d")
        self._splits = bytearray()

    def table(self) -> Table:
        for line, start, length, record in self._layout.rows(self._file):
            if record is None:
                self._dropped["blank line"] += 1
                continue
            self._check_shape(line, record)
            self._add(line, start, length, record)
        store = FileStore(
            self._file,
            self._layout,
            np.frombuffer(self._starts, dtype=np.int64),
            np.frombuffer(self._lengths, dtype=np.uint32),
        )
        return Table(
            store,
            self._sentences,
            np.frombuffer(self._lines, dtype=np.uint32),
            np.frombuffer(self._splits, dtype=np.uint8),
            np.frombuffer(self._scores, dtype=np.float64),
            np.frombuffer(self._negatives, dtype=np.float64),
            self._identified,
            self._dropped,
            self._blanks,
            self._labelled,
        )

    def _check_shape(self, line: int, record: Record) -> None:
        found = record.sentences
        if not self._sentences:
            self._sentences = found
        elif found != self._sentences:
            raise DataError(
                f"{self._file.name}: line {line}: {_WORDS[found]}, in the rows before it {_WORDS[self._sentences]}",
                "One objective trains on one kind of row. Make one file of each: "
                "claif-tui snapshot create --filter 'kind = llm', or 'kind = nli'.",
            )

    def _add(self, line: int, start: int, length: int, record: Record) -> None:
        split = self._split
        if record.split is not None:
            split = SPLITS.index(word_split(record.split) or SPLITS[split])
        texts = record[: record.sentences]
        score = self._label(line, record.score) if self._labelled else self._number(record.score)
        negative = self._number(record.negative_score)
        if split == _TEST and not self._allow_test:
            self._dropped["of a test split"] += 1
        elif not all(texts):
            self._dropped["empty sentence"] += 1
        elif score is None or negative is None:
            self._dropped["no gold label" if self._labelled else "score that is no number"] += 1
        else:
            self._blanks += texts.count(" ")
            self._identified = self._identified or record.pair_id is not None
            self._starts.append(start)
            self._lengths.append(length)
            self._lines.append(line)
            self._splits.append(split)
            self._scores.append(score)
            self._negatives.append(negative)

    def _label(self, line: int, cell: object) -> float | None:
        try:
            return label_code(cell)
        except Malformed as error:
            raise failed(self._file, line, error) from None

    @staticmethod
    def _number(cell: object) -> float | None:
        """Return a score, nan for a cell that says nothing, None for one that is no number."""
        if cell is None:
            return _NONE
        value = number(cell)
        return _NONE if value is None and says_nothing(cell) else value


def records(store: Store, places: Sequence[int] | NDArray[np.int64]) -> list[Record]:
    """Return the rows at these places, in their order; raises ``DataError`` if the source was written over."""
    store.check()
    try:
        return [store.record(int(place)) for place in places]
    except Malformed as error:  # it was well-formed when it was indexed
        raise DataError(f"a row changed while it was in use ({error.why})", "Start again.") from None
