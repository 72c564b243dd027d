"""What a card says of a pair's texts and scores: under each other, or a triplet in three columns. Pure: no widget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from textual.content import Content

from claif_tui.core.models import Pair
from claif_tui.ui import safe
from claif_tui.ui.widgets.pair_text import compared, diffed

LABEL = 11
"""Cells of the label column."""
TEXT_LIMIT = 4_000
"""Characters of one sentence that the card lays out; the rest is counted."""
_GAP = 2
"""Cells between two columns."""

SideName = Literal["text", "negative"]
"""What can be edited: the second sentence (the positive of a triplet), or the hard negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One text beside the anchor: how it shows, what it was if a person changed it, and its score.

    ``stale``: the score was given to another text than the one that shows.
    """

    name: SideName
    label: str
    shown: Content
    was: Content | None
    score: float | None
    stale: bool


def field(
    label: str, value: Content, width: int, style: str = "$text-muted", *, label_width: int = LABEL
) -> Content:
    """Return a label and its value, the value wrapped beside the label."""
    rows = value.wrap(max(10, width - label_width)) or [Content("")]
    first = safe.join((f"{label:<{label_width}}", style), rows[0].rstrip())
    return safe.lines(first, *(safe.join(" " * label_width, row.rstrip()) for row in rows[1:]))


def sides_of(pair: Pair, typed: Mapping[SideName, str]) -> tuple[Content, tuple[Side, ...]]:
    """Return the anchor and one or two sides; ``typed`` stands in for a text that is being edited."""
    anchor, text_b = pair.text_a[:TEXT_LIMIT], typed.get("text", pair.text_b)
    was = pair.generated if pair.text_edited or text_b != pair.text_b else None
    if pair.hard_negative is None:
        old, new = diffed(anchor, text_b[:TEXT_LIMIT])
        label = "edited" if pair.text_edited else "generated"
        stale = pair.stale or (text_b != pair.text_b and pair.score is not None)
        return old, (Side(name="text", label=label, shown=new, was=_muted(was), score=pair.score, stale=stale),)
    negative = typed.get("negative", pair.hard_negative)
    negative_was = pair.generated_negative if pair.negative_edited or negative != pair.hard_negative else None
    return safe.block(pair.text_a, limit=TEXT_LIMIT), (
        Side(
            name="text",
            label="positive ✎" if pair.text_edited else "positive",
            shown=compared(anchor, text_b[:TEXT_LIMIT]),
            was=_muted(was),
            score=pair.score,
            stale=pair.text_stale or (text_b != pair.text_b and pair.score is not None),
        ),
        Side(
            name="negative",
            label="negative ✎" if pair.negative_edited else "negative",
            shown=compared(anchor, negative[:TEXT_LIMIT]),
            was=_muted(negative_was),
            score=pair.negative_score,
            stale=pair.negative_stale or (negative != pair.hard_negative and pair.negative_score is not None),
        ),
    )


def _muted(text: str | None) -> Content | None:
    return None if text is None else safe.block(text, "$text-muted", limit=TEXT_LIMIT)


def side_rows(side: Side, label: str, width: int) -> list[Content]:
    """Return one side under a label, and under that what it was."""
    rows = [field(label, side.shown, width)]
    return rows if side.was is None else [*rows, field("was", side.was, width)]


def columns(anchor: Content, sides: Sequence[Side], width: int) -> list[Content]:
    """Return the texts beside each other: labels, texts, and under each side what it was and its score."""
    cells = max(10, (width - _GAP * len(sides)) // (len(sides) + 1))
    heads = [Content("anchor"), *(safe.line(side.label.replace("negative", "hard negative")) for side in sides)]
    blocks = [[anchor], *(_column(side) for side in sides)]
    wrapped = [[row.rstrip() for text in block for row in text.rstrip().wrap(cells)] for block in blocks]
    height = max(map(len, wrapped))
    lines = [_beside([head.stylize("$text-muted") for head in heads], cells)]
    lines += [
        _beside([rows[index] if index < len(rows) else Content("") for rows in wrapped], cells)
        for index in range(height)
    ]
    if any(side.score is not None for side in sides):
        lines += [Content(""), _beside([Content(""), *(scored(side, cells) for side in sides)], cells)]
    return lines


def _column(side: Side) -> list[Content]:
    return [side.shown] if side.was is None else [side.shown, safe.join(("was ", "$text-muted"), side.was)]


def _beside(parts: Sequence[Content], cells: int) -> Content:
    fitted = [part.truncate(cells, ellipsis=True) for part in parts]
    padded = [part.pad_right(cells - part.cell_length) for part in fitted[:-1]]
    return Content(" " * _GAP).join([*padded, fitted[-1]])


def score_bar(score: float | None, cells: int = 10) -> str:
    """Return a score as a bar."""
    full = 0 if score is None else round(max(0.0, min(1.0, score)) * cells)
    return "█" * full + "░" * (cells - full)


def scored(side: Side, width: int = 25) -> Content:
    """Return a side's score and its bar, or that there is none; a stale one is struck through and said to be."""
    mark = safe.line("  ! stale" if side.stale else "", "$text-warning")
    if side.score is None:
        return safe.join(("not scored", "$text-muted"), mark)
    number = (f"{side.score:.2f}", "$text-muted strike" if side.stale else "bold")
    cells = max(3, min(10, width - 6 - mark.cell_length))
    bar = (score_bar(side.score, cells), "$text-muted" if side.stale else "$text-primary")
    return safe.join(number, "  ", bar, mark)


def measured(pair: Pair) -> Content:
    """Return the encoder's cosine, its distance to the score, and a gold label; what is missing is left out."""
    parts: list[safe.Part] = []
    if pair.encoder is not None:
        parts.append(f"   encoder {pair.encoder:.2f}")
        if pair.score is not None:
            parts.append((f"  Δ {pair.score - pair.encoder:+.2f}", "$text-muted"))
    if pair.gold is not None:
        parts.append(f"   gold {pair.gold:.2f}")
    return safe.join(*parts)


def score_rows(pair: Pair, sides: Sequence[Side], width: int, *, beside: bool) -> list[Content]:
    """Return the scores under their label; ``beside``: both stand in their columns, so only the rest is left."""
    rest = measured(pair)
    if len(sides) == 1 or all(side.score is None for side in sides):
        return [field("score", safe.join(scored(sides[0]), rest), width)]
    if beside:
        return [field("positive", rest[3:], width)] if rest.plain else []
    first = safe.join(("positive  ", "$text-muted"), scored(sides[0]), rest)
    second = safe.join(("negative  ", "$text-muted"), scored(sides[1]))
    return [field("score", first, width), field("", second, width)]
