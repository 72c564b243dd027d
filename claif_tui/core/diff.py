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
_TERMS = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


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


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one of two texts, and whether the other text lacks it."""

    text: str
    changed: bool


def sides(first: str, second: str) -> tuple[list[Piece], list[Piece]]:
    """Return both texts in pieces that join to them exactly: for showing them under each other.

    Case and the blanks before punctuation make no difference: "Flute." is "flute ." here, since models write
    running text where tokenised seeds do not.
    """
    spans = [[match.span() for match in _TERMS.finditer(text)] for text in (first, second)]
    texts = zip((first, second), spans, strict=True)
    left, right = ([text[start:end].casefold() for start, end in found] for text, found in texts)
    kept: tuple[set[int], set[int]] = (set(), set())
    if len(left) > MAX_WORDS or len(right) > MAX_WORDS:
        shorter = min(len(left), len(right))
        head = next((i for i in range(shorter) if left[i] != right[i]), shorter)
        tail = next((i for i in range(shorter - head) if left[-1 - i] != right[-1 - i]), shorter - head)
        for own, words in zip(kept, (left, right), strict=True):
            own |= {*range(head), *range(len(words) - tail, len(words))}
    else:
        from rapidfuzz.distance import Indel

        for part in Indel.opcodes(left, right):
            if part.tag == "equal":
                kept[0].update(range(part.src_start, part.src_end))
                kept[1].update(range(part.dest_start, part.dest_end))
    return _pieces(first, spans[0], kept[0]), _pieces(second, spans[1], kept[1])


def _pieces(text: str, spans: list[tuple[int, int]], kept: set[int]) -> list[Piece]:
    """Cut ``text`` where kept and changed words meet; blanks between changed words belong to the change."""
    cuts: list[tuple[str, bool]] = []
    at = 0
    for index, (start, end) in enumerate(spans):
        changed = index not in kept
        if start > at:
            cuts.append((text[at:start], changed and index > 0 and index - 1 not in kept))
        cuts.append((text[start:end], changed))
        at = end
    if at < len(text):
        cuts.append((text[at:], False))
    return [
        Piece("".join(part for part, _ in group), changed)
        for changed, group in groupby(cuts, key=lambda cut: cut[1])
    ]
