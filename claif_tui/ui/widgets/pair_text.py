"""Two sentences with what differs between them made visible, without relying on colour. Pure."""

from __future__ import annotations

from textual.content import Content

from claif_tui.core.diff import Piece, inserted, sides
from claif_tui.ui import safe

NOISE = 0.25
"""Below this share of common characters, marks would cover everything and say nothing."""


def diffed(old: str, new: str) -> tuple[Content, Content]:
    """Return both texts: words that left struck through in the first, words that came in ‹…› in the second."""
    before, after = sides(old, new)
    common = sum(len(piece.text.replace(" ", "")) for piece in after if not piece.changed)
    if common < NOISE * len(new.replace(" ", "")):
        return safe.block(old), safe.block(new)
    return _shown(before, "", "", "strike $text-muted"), _shown(after, "‹", "›", "bold $text-success")


def compared(anchor: str, text: str) -> Content:
    """Return ``text`` as it differs from its anchor: new words ‹…›, words left out struck through in their place."""
    pieces = inserted(anchor, text)
    common = sum(len(piece.text.replace(" ", "")) for piece in pieces if not piece.changed)
    if common < NOISE * len(text.replace(" ", "")):
        return safe.block(text)
    return _shown(pieces, "‹", "›", "bold $text-success")


def _shown(pieces: list[Piece], left: str, right: str, style: str) -> Content:
    parts: list[Content] = []
    for piece in pieces:
        if piece.gone:
            before = " " if parts and not parts[-1].plain.endswith(" ") else ""
            parts += [
                Content(before),
                safe.block(piece.text, "strike $text-muted"),
                Content("" if before else " "),
            ]
            continue
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
