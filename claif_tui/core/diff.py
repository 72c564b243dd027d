"""Where two sentences differ, word by word, as plain pieces. No markup, no widgets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby

MAX_WORDS = 2000
"""Above this the comparison is one of beginnings and ends: its cost grows with the product of the lengths."""

_TERMS = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


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
