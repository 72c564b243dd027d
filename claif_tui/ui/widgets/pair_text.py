"""Two sentences with what differs between them made visible, without relying on colour. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from textual.content import Content

from claif_tui.ui import safe

NOISE = 0.2
"""Below this share of common words, marks would cover everything and say nothing."""


_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text, and whether it has no counterpart in the other text."""

    text: str
    changed: bool


def word_diff(old: str, new: str) -> tuple[list[Piece], list[Piece]]:
    """Compare word by word, ignoring case; return both texts in pieces that join to the originals."""
    from rapidfuzz.distance import Indel

    spans = [[match.span() for match in _WORD.finditer(text)] for text in (old, new)]
    words = [
        [text[start:end].casefold() for start, end in found]
        for text, found in zip((old, new), spans, strict=True)
    ]
    kept: tuple[set[int], set[int]] = (set(), set())
    for block in Indel.opcodes(words[0], words[1]).as_matching_blocks():
        kept[0].update(range(block.a, block.a + block.size))
        kept[1].update(range(block.b, block.b + block.size))
    return _pieces(old, spans[0], kept[0]), _pieces(new, spans[1], kept[1])


def _pieces(text: str, spans: list[tuple[int, int]], kept: set[int]) -> list[Piece]:
    """Cut ``text`` where kept and changed words meet; blanks between changed words belong to the change."""
    pieces: list[Piece] = []
    at = 0
    for index, (start, end) in enumerate(spans):
        changed = index not in kept
        joined = changed and index > 0 and index - 1 not in kept
        if start > at:
            pieces.append(Piece(text[at:start], joined))
        pieces.append(Piece(text[start:end], changed))
        at = end
    if at < len(text):
        pieces.append(Piece(text[at:], False))
    merged: list[Piece] = []
    for piece in pieces:
        if merged and merged[-1].changed == piece.changed:
            merged[-1] = Piece(merged[-1].text + piece.text, piece.changed)
        else:
            merged.append(piece)
    return merged


def diffed(old: str, new: str) -> tuple[Content, Content]:
    """Return both texts: words that left struck through in the first, words that came in ‹…› in the second."""
    before, after = word_diff(old, new)
    common = sum(len(piece.text) for piece in after if not piece.changed)
    if common < NOISE * max(1, len(new)):
        return safe.block(old), safe.block(new)
    return _shown(before, "", "", "strike $text-muted"), _shown(after, "‹", "›", "bold $text-success")


def _shown(pieces: list[Piece], left: str, right: str, style: str) -> Content:
    parts: list[Content] = []
    for piece in pieces:
        if not piece.changed or not piece.text.strip():
            parts.append(safe.block(piece.text))
            continue
        core = piece.text.strip()
        start = piece.text.index(core)
        parts += [
            safe.block(piece.text[:start]),
            safe.block(f"{left}{core}{right}", style),
            safe.block(piece.text[start + len(core) :]),
        ]
    return Content("").join(parts)
