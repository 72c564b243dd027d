"""The live list of landed pairs: score, rate, seed, generated; the newest on top. No data access."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from claif_tui.core.text import display_text
from claif_tui.ui.base import WorkerErrors
from claif_tui.ui.screens.generate_state import Landed
from claif_tui.ui.widgets.pair_list import score_text
from claif_tui.ui.widgets.row_list import RowList
from claif_tui.ui.widgets.row_source import Cell, fit

_FIXED = 15
"""Cells of cursor, score and rate."""


def landed_head(width: int) -> str:
    """Return the head of the columns at this width."""
    half = max(8, (width - _FIXED - 2) // 2)
    return f" score  rate   {'seed':<{half}}  generated"


class LandedList(WorkerErrors, RowList[Landed], inherit_bindings=False):
    """Landed pairs of a run. ``g`` stays the run's key here, so the list has no vim ends."""

    BINDINGS: ClassVar[list[BindingType]] = [*RowList.NAVIGATION]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"landed-list--seed", "landed-list--note"}
    DEFAULT_CSS = """
    LandedList {
        height: 1fr;
        & > .landed-list--seed { color: $text-muted; }
        & > .landed-list--note { color: $text-warning; }
    }
    """

    def draw(self, row: Landed, width: int, *, at_cursor: bool) -> Sequence[Cell]:
        """Score and rate right-aligned, then both texts; a class other than ok is named."""
        half = max(8, (width - _FIXED - 2) // 2)
        seed = fit(display_text(row.text_a, one_line=True), half)
        cells: list[Cell] = [
            ("▸ " if at_cursor else "  ", ""),
            (f"{score_text(row.score)}  {'   –' if row.rate is None else f'{row.rate:4.1f}'}   ", ""),
            (seed, "landed-list--seed"),
            ("  ", ""),
        ]
        if row.answer_class != "ok":
            cells.append((f"! {row.answer_class.replace('_', ' ')}  ", "landed-list--note"))
        return [*cells, (row.text_b, "")]
