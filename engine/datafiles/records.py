"""What a row of any file becomes, and which names columns have in public data sets. Plain values, no files."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

NAMES: dict[str, tuple[str, ...]] = {
    "sentence1": (
        "sentence1", "sentence_1", "sentence_a", "text_a", "sent0", "anchor", "premise", "question1", "text1", "s1",
        "text", "sentence",
    ),
    "sentence2": (
        "sentence2", "sentence_2", "sentence_b", "text_b", "sent1", "positive", "entailment", "hypothesis",
        "question2", "text2", "s2",
    ),
    "hard_negative": ("hard_negative", "hard_neg", "nli_hard", "negative", "contradiction", "sent2"),
    "score": (
        "score", "label", "positive_score", "similarity", "similarity_score", "gold", "gold_score",
        "relatedness_score", "labels",
    ),
    "negative_score": ("negative_score",),
    "kind": ("kind",),
    "split": ("split", "partition", "subset"),
    "pair_id": ("pair_id",),
}  # fmt: skip
"""Column names by what they hold; the first name that a file has counts."""

PARTS = tuple(NAMES)
SPLITS = ("train", "dev", "test")

_BETWEEN = re.compile(r"[\s\-.]+")
_KNOWN = frozenset(name for names in NAMES.values() for name in names)
_WORDS = {
    "train": "train", "training": "train", "trn": "train",
    "dev": "dev", "devel": "dev", "valid": "dev", "validation": "dev", "val": "dev", "trial": "dev",
    "test": "test", "tst": "test", "testing": "test",
}  # fmt: skip
_NOTHING = {"", "null", "none", "nan", "na", "n/a"}

Places = tuple[int | None, ...]
"""Where each of ``PARTS`` stands among a row's cells."""


class Record(NamedTuple):
    """One row as its file has it. Texts are stripped; scores are as written, on the file's own scale."""

    sentence1: str
    sentence2: str | None = None
    hard_negative: str | None = None
    score: object = None
    negative_score: object = None
    kind: str | None = None
    split: str | None = None
    pair_id: str | None = None

    @property
    def sentences(self) -> int:
        """How many sentences the row has, 1 to 3."""
        return 1 + (self.sentence2 is not None) + (self.hard_negative is not None)


class Malformed(Exception):
    """A row is not what its layout says: why, and in which column. Whoever knows file and line adds them."""

    def __init__(self, why: str, column: str = "", hint: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.column = column
        self.hint = hint


def plain(name: str) -> str:
    """Return a column name as ``NAMES`` spells it."""
    return _BETWEEN.sub("_", name.strip().lstrip("\ufeff").casefold())


def is_known(name: str) -> bool:
    """Whether a column of that name means something here."""
    return plain(name) in _KNOWN


def find_places(names: Sequence[str], scores: Sequence[str] = NAMES["score"]) -> Places:
    """Return where each part stands among columns of these names; raises ``Malformed`` if no sentence is there.

    ``scores`` are the names of the column that the score is read from.
    """
    known = NAMES | {"score": tuple(scores)}
    found = {plain(name): place for place, name in reversed(list(enumerate(names)))}
    places = tuple(next((found[name] for name in known[part] if name in found), None) for part in PARTS)
    first, second, negative, score = places[:4]
    hint = "Known names: sentence1, sentence2, score; text_a, text_b, label; sent0, sent1, hard_neg; text."
    if first is None:
        raise Malformed(f"no column holds the sentences among {', '.join(map(str, names)) or 'none'}", "", hint)
    if second is None and (negative is not None or score is not None):
        raise Malformed(f"no column holds the second sentence among {', '.join(names)}", "", hint)
    return places


def word_split(cell: object) -> str | None:
    """Return the split that a word such as "validation" names, or None."""
    return _WORDS.get(cell.strip().casefold()) if isinstance(cell, str) else None


def says_nothing(cell: object) -> bool:
    """Whether a score cell is empty: null, blank, or a float that is not a number."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return cell is None or (isinstance(cell, str) and cell.strip().casefold() in _NOTHING)


def number(cell: object) -> float | None:
    """Return a finite number, also one written as text (official label files do that), or None."""
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if isinstance(cell, bool) or not isinstance(cell, int | str):
        return None
    if isinstance(cell, str) and "_" in cell:  # Python reads "1_0" as ten
        return None
    try:
        value = float(cell)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
