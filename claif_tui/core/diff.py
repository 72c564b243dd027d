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
    """A stretch of one of two texts, and whether the other text lacks it; ``gone``: it stood there and lacks here."""

    text: str
    changed: bool
    gone: bool = False


def sides(first: str, second: str) -> tuple[list[Piece], list[Piece]]:
    """Return both texts in pieces that join to them exactly: for showing them under each other.

    Case and the blanks before punctuation make no difference: "Flute." is "flute ." here, since models write
    running text where tokenised seeds do not.
    """
    spans, kept = _aligned(first, second)
    return _pieces(first, spans[0], kept[0]), _pieces(second, spans[1], kept[1])


def inserted(first: str, second: str) -> list[Piece]:
    """Return ``second`` in pieces, with the words of ``first`` that nothing stands for at the place where they stood.

    For showing one of several texts that are each compared with ``first``: the other pieces join to ``second``.
    """
    spans, kept = _aligned(first, second)
    gone = _runs(first, spans[0], kept[0])
    for place in _runs(second, spans[1], kept[1]):
        gone.pop(place, None)
    starts = [span[0] for index, span in enumerate(spans[1]) if index in kept[1]]
    cuts = {starts[place] if place < len(starts) else len(second): text for place, text in gone.items()}
    out: list[Piece] = []
    at = 0
    for piece in _pieces(second, spans[1], kept[1]):
        end, start = at + len(piece.text), at
        # A kept word never lies inside a changed piece, so only kept pieces are cut.
        for cut in sorted(place for place in cuts if at <= place < end and not piece.changed):
            if cut > start:
                out.append(Piece(second[start:cut], changed=False))
            out.append(Piece(cuts.pop(cut), changed=True, gone=True))
            start = cut
        out.append(Piece(second[start:end], piece.changed))
        at = end
    out += [Piece(text, changed=True, gone=True) for text in cuts.values()]
    return out


def _runs(text: str, spans: list[tuple[int, int]], kept: set[int]) -> dict[int, str]:
    """The stretches of changed words, each by the number of kept words before it."""
    found: dict[int, tuple[int, int]] = {}
    before = 0
    for index, (start, end) in enumerate(spans):
        if index in kept:
            before += 1
        else:
            found[before] = (found[before][0] if before in found else start, end)
    return {place: text[start:end] for place, (start, end) in found.items()}


def _aligned(first: str, second: str) -> tuple[list[list[tuple[int, int]]], tuple[set[int], set[int]]]:
    """The places of both texts' words, and the numbers of those that the other text has too."""
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
    return spans, kept


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
