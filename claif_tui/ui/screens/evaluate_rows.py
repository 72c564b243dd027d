"""The table of results: one line a model, its name always in sight; columns turn sideways. No data access."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from claif_tui.core.text import display_text
from claif_tui.ui import safe
from claif_tui.ui.base import WorkerErrors
from claif_tui.ui.screens.evaluate_table import MARK, Column, Line, cell, layout
from claif_tui.ui.widgets.row_list import RowList
from claif_tui.ui.widgets.row_source import Cell, fit

SIGNS = {"ours": "◆ ours ", "demo": "◆ demo ", "paper": " " * MARK, "reference": "   ref "}
"""What stands before a name: seven cells by what the row is."""
_FACTS = frozenset({"backbone", "supervision", "scorer"})


_STYLES = {
    "ours": "score-table--ours",
    "demo": "score-table--ours",
    "paper": "",
    "reference": "score-table--fact",
}


class ScoreTable(WorkerErrors, RowList[Line]):
    """Rows of the papers and ours. Where its head stands, and what it says, the screen decides by `head`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "turn(1)", "Columns to the right", show=False, id="evaluate.right"),
        Binding("left,h", "turn(-1)", "Columns to the left", show=False, id="evaluate.left"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"score-table--ours", "score-table--fact"}
    DEFAULT_CSS = """
    ScoreTable {
        scrollbar-gutter: stable;
        & > .score-table--ours { color: $text-accent; text-style: bold; }
        & > .score-table--fact { color: $text-muted; }
    }
    """

    @dataclass
    class Turned(Message):
        """Other columns are in sight, or their widths changed: the head is to be drawn anew."""

        table: ScoreTable

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - the name every widget uses
        super().__init__(empty="No row has that backbone.", id=id)
        self._tasks: Sequence[str] = ()
        self._first = 0
        self._centred: int | None = None
        self.marked: int | None = None
        """The number of the row that was marked to be compared."""
        self._layout = layout((), 80)

    def fill(self, tasks: Sequence[str], lines: Sequence[Line]) -> None:
        """Show these lines; the cursor keeps to its row."""
        self._tasks = tasks
        self._fit()
        self.show(array("q", [line.id for line in lines]), lines)

    def mark(self) -> None:
        """Mark the row of the cursor, or take its mark away."""
        self.marked = None if self.marked == self.cursor_id else self.cursor_id
        self.refresh()

    def jump(self, row_id: int) -> None:
        """Put the cursor on a row with its neighbours in sight; until it moves on, the row stays in the middle."""
        self._centred = row_id
        self.move_to_id(row_id)

    def _bring_in_sight(self) -> None:
        if self.cursor_id != self._centred:
            self._centred = None
            super()._bring_in_sight()
            return
        top = min(max(0, self.cursor - self.lines_in_view // 2), max(0, self.count - self.lines_in_view))
        if top != self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, force=True)  # the bar may not be there yet

    def on_resize(self) -> None:
        """Choose the columns for the new width."""
        super().on_resize()
        self._fit()

    def _fit(self) -> None:
        self._layout = layout(self._tasks, self.scrollable_content_region.width)
        self._first = min(self._first, self._layout.last)
        self.refresh()
        self.post_message(self.Turned(self))

    def action_turn(self, by: int) -> None:
        """Bring columns further to the right or left in sight."""
        first = max(0, min(self._first + by, self._layout.last))
        if first != self._first:
            self._first = first
            self.refresh()
            self.post_message(self.Turned(self))

    @property
    def hidden(self) -> tuple[int, int]:
        """How many columns are out of sight on the left and on the right."""
        shown = len(self._layout.shown(self._first))
        return self._first, len(self._layout.columns) - self._first - shown

    def head(self, sorted_by: str) -> safe.Content:
        """Return the names of the columns in sight; the one that orders the rows stands out."""
        parts: list[safe.Part] = [" " * MARK, (fit("model", self._layout.name + 1), "$text-muted")]
        for column in self._layout.shown(self._first):
            look = "bold $primary underline" if column.key == sorted_by else "$text-muted"
            padded = _placed(column.head, column)
            start = len(padded) - len(padded.lstrip())
            parts += [
                padded[:start],
                (padded[start:].rstrip(), look),
                " " * (len(padded) - len(padded.rstrip())),
            ]
        return safe.join(*parts)

    def draw(self, row: Line, width: int, *, at_cursor: bool) -> Sequence[Cell]:
        """Cells of one line."""
        ours, standing = row.entry.row.ours, row.entry.row.standing
        name = display_text(row.entry.row.system[:400], one_line=True)
        cells: list[Cell] = [
            (_sign(row, marked=row.id == self.marked), _STYLES[standing]),
            (fit(name, self._layout.name), "score-table--ours" if ours else ""),
            (" ", ""),
        ]
        for column in self._layout.shown(self._first):
            text = display_text(cell(row, column)[:100], one_line=True)
            cells.append(
                (_placed(text, column), "score-table--fact" if column.key in _FACTS and not at_cursor else "")
            )
        return cells


def _sign(line: Line, *, marked: bool) -> str:
    sign = SIGNS[line.entry.row.standing]
    return f"●{sign[1:]}" if marked else sign


def _placed(text: str, column: Column) -> str:
    """Return ``text`` in the cells of its column: figures to the right, words to the left with the gap behind."""
    from rich.cells import cell_len

    if not column.right:
        return fit(text, column.width - 1) + " "
    return " " * max(0, column.width - cell_len(text)) + fit(text, min(cell_len(text), column.width - 1))
