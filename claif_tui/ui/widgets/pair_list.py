"""The list of pairs: score, status and text in one line each, marks for bulk actions; no data access."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from claif_tui.core.models import Pair
from claif_tui.ui.base import WorkerErrors
from claif_tui.ui.widgets.row_list import RowList
from claif_tui.ui.widgets.row_source import Cell, fit

STATUS_LOOK: dict[str, tuple[str, str]] = {
    "pending": ("●", "$text-muted"),
    "accepted": ("✓", "$text-success"),
    "rejected": ("✗", "$text-error"),
    "edited": ("✎", "$text-primary"),
    "stale": ("!", "$text-warning"),
}
"""Glyph and colour of each status word; the word always stands beside them where there is room."""

WIDE = 72
"""From this many cells on, a line shows the seed and the generated text side by side."""


def status_words(pair: Pair) -> list[str]:
    """Return the words that say how a pair stands, the status first."""
    words: list[str] = [pair.status]
    if pair.edited:
        words.append("edited")
    if pair.stale:
        words.append("stale")
    return words


def score_text(score: float | None) -> str:
    """Return a score as four cells, two decimals; a missing one as a dash."""
    return "   –" if score is None else f"{score:4.2f}"


class PairList(WorkerErrors, RowList[Pair]):
    """Pairs, one line each. ``marked`` holds the ids that bulk actions work on."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"pair-list--{name}" for name in (*STATUS_LOOK, "mark", "seed", "rate")
    }
    DEFAULT_CSS = """
    PairList {
        & > .pair-list--pending { color: $text-muted; }
        & > .pair-list--accepted { color: $text-success; }
        & > .pair-list--rejected { color: $text-error; }
        & > .pair-list--edited { color: $text-primary; }
        & > .pair-list--stale { color: $text-warning; }
        & > .pair-list--mark { color: $text-accent; text-style: bold; }
        & > .pair-list--seed { color: $text-muted; }
        & > .pair-list--rate { color: $text-muted; }
    }
    """

    def __init__(
        self,
        *,
        follow: bool = False,
        empty: str = "",
        id: str | None = None,  # noqa: A002 - the name every widget uses
        classes: str | None = None,
    ) -> None:
        super().__init__(follow=follow, empty=empty, id=id, classes=classes)
        self.marked: set[int] = set()

    def toggle_mark(self, row_id: int) -> None:
        """Mark a row for bulk actions, or unmark it."""
        self.marked ^= {row_id}
        self.refresh()

    def clear_marks(self) -> None:
        """Unmark everything."""
        self.marked.clear()
        self.refresh()

    def draw(self, row: Pair, width: int, *, at_cursor: bool) -> Sequence[Cell]:
        """Cursor, mark, score, status, rate; then the texts, side by side where there is room."""
        glyph = STATUS_LOOK[row.status][0]
        note = "stale" if row.stale else "edited" if row.edited else ""
        rate = "   " if row.rate is None else f"{row.rate:3.1f}"
        cells: list[Cell] = [
            ("▸" if at_cursor else " ", ""),
            ("◆ " if row.id in self.marked else "  ", "pair-list--mark"),
            (score_text(row.score), ""),
            (f" {glyph}", f"pair-list--{row.status}"),
            (STATUS_LOOK[note][0] if note else " ", f"pair-list--{note}" if note else ""),
            (f" {rate} ", "pair-list--rate"),
            (" ", ""),
        ]
        left = width - 16
        if width < WIDE:
            return [*cells, (row.text_b, "")]
        half = (left - 2) // 2
        return [*cells, (fit(_one_line(row.text_a), half), "pair-list--seed"), ("  ", ""), (row.text_b, "")]


def _one_line(text: str) -> str:
    """Make a text safe to be measured and cut before the list itself makes it harmless."""
    from claif_tui.core.text import display_text

    return display_text(text[:4_000], one_line=True)
