"""Evaluate: the project's results among the papers' rows, and when two of them may be compared."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from claif_tui.ui import safe
from claif_tui.ui.base import ClaifScreen
from claif_tui.ui.screens.evaluate_rows import ScoreTable
from claif_tui.ui.screens.evaluate_table import AVERAGE, Line, Table, View, read, signature
from claif_tui.ui.screens.evaluate_text import details, plain_row, row_text
from claif_tui.ui.widgets.row_list import RowList

if TYPE_CHECKING:
    from pathlib import Path

LOOK_SECONDS = 2.0
"""How often results that another process keeps are looked for: they are files, not rows of the database."""
TITLES = {"sts": "STS · Spearman ×100", "transfer": "Transfer · accuracy ×100"}


class EvaluateScreen(ClaifScreen):
    """The table; below it the row under the cursor."""

    place = "evaluate"
    CSS_PATH = "evaluate.tcss"
    HELP_TEXT = (
        "Your results stand among the papers' rows; ◆ ours marks them. All figures are ×100: STS is one Spearman "
        "correlation over all pairs of a task, transfer the accuracy of the official protocol.\n\n"
        "Δ is given only between rows of the same backbone, supervision and scorer: against the best such row, or "
        "against the one that c chose. Else the line below says why not (n/c). superv. is what a model was trained "
        "with: none, ai, human or both; scorer is bi (cosine of two vectors) or cross (both sentences at once).\n\n"
        "±95% is what the choice of test pairs alone leaves open; other seeds of a training run vary too. The ± in "
        "the papers' tables is something else (a difference between two rows) and is not shown.\n\n"
        "v evaluates a model in a process of its own; you may go elsewhere meanwhile, and x stops it. What was scored "
        "by then is kept, and the next evaluation of that model adds to it."
    )
    BINDINGS = [
        Binding(
            "T",
            "transfer",
            "Transfer",
            key_display="T",
            id="evaluate.transfer",
            tooltip="STS or transfer tasks",
        ),
        Binding(
            "enter", "details", "Details", show=False, id="evaluate.details", tooltip="Every figure of the row"
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._view = View()
        self._table: Table | None = None
        self._ids: dict[str, int] = {}
        self._files: tuple[tuple[str, int, int], ...] = ()
        self._goal = ""

    def body(self) -> ComposeResult:
        """The table with its head; below it the row."""
        with Vertical(classes="panel", id="table-panel"):
            yield Static("", id="progress", markup=False)
            yield Static("", id="notice", markup=False)
            yield Static("", id="head", markup=False)
            yield ScoreTable(id="table")
        with VerticalScroll(classes="panel", id="row-panel", can_focus=False):
            yield Static("", id="row-text", markup=False)

    def rest(self) -> Widget | None:
        """The table has the focus when nothing else has."""
        return self.query_one(ScoreTable)

    def on_mount(self) -> None:
        """Look for results of other processes now and then."""
        super().on_mount()
        self.query_one(ScoreTable).focus()
        self.set_interval(LOOK_SECONDS, self._look)

    # -- data --------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path | None:
        """The folder of the open project."""
        return None if self.store is None else self.store.folder

    def on_screen_resume(self) -> None:
        """Read again: results are files, whose change no data version tells."""
        self.reload()

    def _look(self) -> None:
        if self.is_current and self.store is not None:
            self.run_worker(
                self._compare_files(), group="look", exit_on_error=False, description="look for results"
            )

    async def _compare_files(self) -> None:
        folder = self.folder
        if folder is not None and await self.shell.background(partial(signature, folder)) != self._files:
            self.reload()

    async def load(self) -> None:
        """Read the results and put them among the papers' rows."""
        folder = self.folder
        if folder is not None:
            self._files = await self.shell.background(partial(signature, folder))
        table = await self.shell.background(partial(read, folder, self._view, self._ids))
        self._show(table)

    def _show(self, table: Table) -> None:
        self._table = table
        if self._view.backbone not in table.backbones:
            self._view = replace(self._view, backbone=None)
        notice = _notice(table, self.store is not None)
        shown = self.query_one("#notice", Static)
        shown.set_class(bool(notice.plain), "-on")
        shown.update(notice)
        rows = self.query_one(ScoreTable)
        first = not rows.count
        rows.fill(table.board.tasks, table.lines)
        goal = self._goal or (table.newest if first else "")
        found = next((line.id for line in table.lines if goal and line.entry.row.id == goal), None)
        if found is not None:
            self._goal = ""
            rows.move_to_id(found)
            self.call_after_refresh(rows.move_to_id, found)  # now there is room to scroll
        self._show_row(rows.current)
        self._show_titles()

    def _show_titles(self) -> None:
        table, rows = self._table, self.query_one(ScoreTable)
        if table is None:
            return
        parts = [TITLES[self._view.kind], f"{len(table.lines)} rows"]
        parts += [f"backbone {self._view.backbone}"] if self._view.backbone else []
        parts += [f"Δ to {self._view.against}"] if self._view.against else []
        panel = self.query_one("#table-panel")
        panel.border_title = safe.line(" · ".join(parts))
        left, right = rows.hidden
        more = " ".join([*([f"◂ {left}"] if left else []), "columns", *([f"{right} ▸"] if right else [])])
        panel.border_subtitle = safe.line(more if left or right else "")
        self.query_one("#head", Static).update(rows.head(self._view.sort))

    @on(ScoreTable.Turned)
    def _turned(self) -> None:
        self._show_titles()

    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        self._show_row(cast("Line | None", event.row))

    def _show_row(self, line: Line | None) -> None:
        panel = self.query_one("#row-panel")
        text = self.query_one("#row-text", Static)
        if line is None or self._table is None:
            panel.border_title = ""
            text.update(safe.line(""))
            return
        row = line.entry.row
        panel.border_title = safe.line(f"◆ ours · {row.system}" if row.ours else f"{row.system} · {row.id}")
        text.update(row_text(line, self._table))

    # -- keys --------------------------------------------------------------------------------------------

    def action_transfer(self) -> None:
        """Show the other kind of tasks."""
        kind = "transfer" if self._view.kind == "sts" else "sts"
        sort = self._view.sort
        known = self._table is not None and sort in self._table.board.tasks
        self._view = replace(self._view, kind="transfer" if kind == "transfer" else "sts")
        if known:
            self._view = replace(self._view, sort=AVERAGE)
        self.reload()

    @on(RowList.Selected)
    def _selected(self) -> None:
        self.action_details()

    def action_details(self) -> None:
        """Show every figure of the row."""
        from claif_tui.ui.dialogs import TextModal

        line = self.query_one(ScoreTable).current
        if line is not None and self._table is not None:
            content, plain = details(line, self._table)
            self.app.push_screen(
                TextModal(line.entry.row.system, content, plain=plain, what="the row", wide=True)
            )

    def copy_target(self) -> tuple[str, str] | None:
        """The row under the cursor."""
        line = self.query_one(ScoreTable).current
        return None if line is None or self._table is None else ("the row", plain_row(line, self._table))


def _notice(table: Table, project: bool) -> safe.Content:
    rows: list[safe.Part] = [safe.line(f"! {problem}", "$text-warning") for problem in table.problems]
    if not project:
        rows.append(("The papers' rows. No project is open: press 1 to open or make one.", "$text-primary"))
    elif not table.own:
        rows.append(("The papers' rows; none of yours yet: press v to evaluate a model.", "$text-primary"))
    elif not any(line.entry.row.ours for line in table.lines):
        rows.append(
            ("None of your results stands here: T shows the other tasks, b other backbones.", "$text-primary")
        )
    return safe.lines(*rows)
