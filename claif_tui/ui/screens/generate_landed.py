"""The live list of what has landed: scores, rate or label, the sentences; the newest on top. No data access."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType

from claif_tui.core.text import display_text
from claif_tui.ui.base import WorkerErrors
from claif_tui.ui.screens.generate_deck import Deck
from claif_tui.ui.screens.generate_state import Landed
from claif_tui.ui.widgets.pair_list import score_text
from claif_tui.ui.widgets.row_list import RowList
from claif_tui.ui.widgets.row_source import Cell, fit


@dataclass(frozen=True, slots=True)
class Columns:
    """Cells of each column at a width: score, item (0: none), and as many texts as an item has."""

    score: int
    item: int
    text: int

    @classmethod
    def at(cls, deck: Deck, width: int) -> Columns:
        """What fits."""
        score = 0 if not deck.scored else 9 if deck.triplets else 5
        item = 0 if deck.triplets else deck.item_width
        texts = 3 if deck.triplets else 2
        gaps = 2 * (bool(score) + bool(item) + texts - 1)
        return cls(score, item, max(8, (width - 2 - score - item - gaps) // texts))


def landed_head(deck: Deck, width: int) -> str:
    """Return the head of the columns at this width."""
    columns = Columns.at(deck, width)
    item = "rate" if deck.item_width == 4 else "label"
    names = [(f"{'scores' if deck.triplets else 'score':>{columns.score}}", columns.score)]
    names += [(f"{item:>{columns.item}}", columns.item), (f"{'seed':<{columns.text}}", columns.text)]
    names.append((f"{'positive' if deck.triplets else 'generated':<{columns.text}}", columns.text))
    shown = [name for name, cells in names if cells] + (["hard negative"] if deck.triplets else [])
    return "  " + "  ".join(shown)


class LandedList(WorkerErrors, RowList[Landed], inherit_bindings=False):
    """Landed pairs of a run. ``g`` stays the run's key here, so the list has no vim ends."""

    BINDINGS: ClassVar[list[BindingType]] = [*RowList.NAVIGATION]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "landed-list--seed",
        "landed-list--note",
        "landed-list--negative",
    }
    DEFAULT_CSS = """
    LandedList {
        height: 1fr;
        & > .landed-list--seed { color: $text-muted; }
        & > .landed-list--note { color: $text-warning; }
        & > .landed-list--negative { color: $text-primary; }
    }
    """

    deck = Deck()
    """Which columns there are."""

    def draw(self, row: Landed, width: int, *, at_cursor: bool) -> Sequence[Cell]:
        """Score and item right-aligned, then the texts; a class other than ok is named."""
        deck = self.deck
        columns = Columns.at(deck, width)
        cells: list[Cell] = [("▸ " if at_cursor else "  ", "")]
        if columns.score:
            cells.append((f"{_scores(row, deck):>{columns.score}}  ", ""))
        if columns.item:
            cells.append((f"{row.item or '–':>{columns.item}}  ", ""))
        cells += [(_cut(row.text_a, columns.text), "landed-list--seed"), ("  ", "")]
        note = "" if row.answer_class == "ok" else f"! {row.answer_class.replace('_', ' ')}  "
        if note:
            cells.append((note, "landed-list--note"))
        if row.hard_negative is None:
            return [*cells, (row.text_b, "")]
        return [
            *cells,
            (_cut(row.text_b, max(0, columns.text - len(note))), ""),
            ("  ", ""),
            (row.hard_negative, "landed-list--negative"),
        ]


def _scores(row: Landed, deck: Deck) -> str:
    """The score; of a triplet both sides', on the scale that was asked for."""
    if not deck.triplets:
        return score_text(row.score)
    digits = 1 if deck.top > 1 else 2
    both = (row.score, row.negative) if row.negative is not None else (row.score,)
    return " ".join("–" if score is None else f"{score * deck.top:.{digits}f}" for score in both)


def _cut(text: str, width: int) -> str:
    return fit(display_text(text, one_line=True), width)
