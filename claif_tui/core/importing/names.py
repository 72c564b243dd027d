"""What column names of public data sets mean; a table, no files."""

from __future__ import annotations

import re
from typing import Literal

Part = Literal[
    "text",
    "a",
    "b",
    "negative",
    "score",
    "raw_score",
    "negative_score",
    "gold",
    "reason",
    "kind",
    "split",
    "rate",
    "model",
]

PARTS: dict[Part, tuple[str, ...]] = {
    "text": ("text", "sentence", "sentences", "seed", "seeds", "original", "utterance", "content"),
    "a": (
        "text_a", "sentence1", "sentence_1", "sentence_a", "sent0", "anchor", "premise", "question1", "text1",
        "s1", "#1_string",
    ),
    "b": (
        "text_b", "sentence2", "sentence_2", "sentence_b", "sent1", "positive", "entailment", "hypothesis",
        "question2", "text2", "s2", "generated", "#2_string",
    ),
    "negative": ("hard_neg", "hard_negative", "nli_hard", "negative", "contradiction", "sent2"),
    "score": ("label", "score", "similarity", "similarity_score", "positive_score", "labels"),
    "raw_score": ("raw_score", "score_raw"),
    "negative_score": ("negative_score",),
    "gold": ("gold", "gold_score", "human_score", "relatedness_score"),
    "reason": ("reason", "explanation"),
    "kind": ("kind",),
    "split": ("split", "partition", "fold", "subset"),
    "rate": ("rate", "mask_rate"),
    "model": ("model",),
}  # fmt: skip

_MEANING: dict[str, Part] = {name: part for part, names in PARTS.items() for name in names}
_BETWEEN = re.compile(r"[\s\-.]+")
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.\-]{0,40}")


def plain_name(column: str) -> str:
    """Return a column name as the table spells it: lower case, blanks and dashes as underscores."""
    return _BETWEEN.sub("_", column.strip().lstrip("\ufeff").casefold())


def meaning(column: str) -> Part | None:
    """Return what a column of that name usually holds, or None."""
    return _MEANING.get(plain_name(column))


def looks_like_names(cells: tuple[str, ...], regular: bool) -> bool:
    """Whether a first row names columns: a known name is among them, or all are distinct single words.

    ``regular`` says that the other rows have as many cells: prose with commas has not.
    """
    if any(meaning(cell) for cell in cells):
        return True
    return (
        regular
        and len(cells) > 1
        and len({cell.strip() for cell in cells}) == len(cells)
        and all(_IDENTIFIER.fullmatch(cell.strip()) for cell in cells)
    )


def unit_number(text: str, high: float = 1.0) -> bool:
    """Whether ``text`` is a number in 0..high."""
    try:
        return 0.0 <= float(text) <= high
    except ValueError:
        return False
