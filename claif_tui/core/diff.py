"""Where two sentences differ, word by word, as plain spans. No markup, no widgets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

SpanKind = Literal["equal", "removed", "added"]

MAX_WORDS = 2000
"""Above this the comparison is one of beginnings and ends: its cost grows with the product of the lengths."""

_WORDS = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text. The equal and removed ones make up the first text, the equal and added ones the second."""

    kind: SpanKind
    text: str


def diff(first: str, second: str) -> list[Span]:
    """Compare by words; a word carries the blanks before it.

    Words are the same if they differ in nothing but those blanks; where they do, the second text's blanks stand in the
    equal span, so only ``second`` is reproduced exactly.
    """
    left, right = _WORDS.findall(first), _WORDS.findall(second)
    if len(left) > MAX_WORDS or len(right) > MAX_WORDS:
        return _joined(_ends(left, right))
    from rapidfuzz.distance import Indel

    spans: list[tuple[SpanKind, str]] = []
    keys = [word.strip() for word in left], [word.strip() for word in right]
    for part in Indel.opcodes(*keys):
        before, after = left[part.src_start : part.src_end], right[part.dest_start : part.dest_end]
        if part.tag == "equal":
            spans += [("equal", word) for word in after]
        else:
            spans += [("removed", word) for word in before] + [("added", word) for word in after]
    return _joined(spans)


def _ends(left: list[str], right: list[str]) -> list[tuple[SpanKind, str]]:
    """The common beginning and end are equal, all between them was replaced."""
    shorter = min(len(left), len(right))
    head = 0
    while head < shorter and left[head].strip() == right[head].strip():
        head += 1
    tail = 0
    while tail < shorter - head and left[-1 - tail].strip() == right[-1 - tail].strip():
        tail += 1
    return [
        *(("equal", word) for word in right[:head]),
        *(("removed", word) for word in left[head : len(left) - tail]),
        *(("added", word) for word in right[head : len(right) - tail]),
        *(("equal", word) for word in right[len(right) - tail :]),
    ]


def _joined(spans: list[tuple[SpanKind, str]]) -> list[Span]:
    """Join neighbours of one kind; of two changes in a row the removed words come first."""
    ordered: list[tuple[SpanKind, str]] = []
    for equal, group in groupby(spans, key=lambda span: span[0] == "equal"):
        words = list(group)
        ordered += words if equal else sorted(words, key=lambda span: span[0] == "added")
    return [
        Span(kind, "".join(word for _, word in group)) for kind, group in groupby(ordered, key=lambda s: s[0])
    ]
