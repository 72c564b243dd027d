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

from claif_tui.core.leaderboard_formats import SHORT
from claif_tui.core.reference import TASKS, Kind
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifScreen
from claif_tui.ui.jobs import LIVE, Job
from claif_tui.ui.screens.evaluate_rows import ScoreTable
from claif_tui.ui.screens.evaluate_table import (
    AVERAGE,
    DIFFERENCE,
    MODEL,
    NEWEST,
    Line,
    Table,
    View,
    read,
    signature,
)
from claif_tui.ui.screens.evaluate_text import details, plain_row, row_text
from claif_tui.ui.screens.experiment_text import Chosen
from claif_tui.ui.widgets.row_list import RowList
from engine.tasks import select

if TYPE_CHECKING:
    from pathlib import Path

    from claif_tui.ui.screens.evaluate_job import EvaluateJob
    from claif_tui.ui.screens.evaluate_wish import Asked

LOOK_SECONDS = 2.0
"""How often results that another process keeps are looked for: they are files, not rows of the database."""
TITLES = {
    "sts": "STS · Spearman ×100",
    "transfer": "Transfer · accuracy ×100",
    "rerank": "Reranking · MAP ×100",
}


class EvaluateScreen(ClaifScreen):
    """The table; below it the row under the cursor."""

    place = "evaluate"
    CSS_PATH = "evaluate.tcss"
    HELP_TEXT = (
        "Your results stand among the papers' rows; ◆ ours marks them, and ◆ demo those whose data were made with the "
        "offline model: these stand last and are compared with nothing. ref marks rows of systems that this program "
        "does not run; they stand here for reference. All figures are ×100: STS is one Spearman "
        "correlation over all pairs of a task, transfer the accuracy of the official protocol.\n\n"
        "Δ is given only between rows of the same backbone, supervision and scorer: against the best such row, or "
        "against the one that c chose. Else the line below says why not (n/c). superv. is what a model was trained "
        "with: none, ai, human or both; scorer is bi (cosine of two vectors) or cross (both sentences at once).\n\n"
        "±95% is what the choice of test pairs alone leaves open; other seeds of a training run vary too. The ± in "
        "the papers' tables is something else (a difference between two rows) and is not shown.\n\n"
        "space marks a row (●); d on another one shows the marked row less that one, task by task: the difference, its "
        "95 % interval and p, from what both predicted for the same samples. Only like rows have one; against a row of "
        "the papers no test is possible, as what it predicted is not known.\n\n"
        "v evaluates a model in a process of its own; you may go elsewhere meanwhile, and x stops it. What was scored "
        "by then is kept, and the next evaluation of that model adds to it. The vectors of an API's model are fetched "
        "first, after a question if that may cost money; what is fetched is stored for good and not asked again.\n\n"
        "e opens an experiment: a file that names systems, backbones and seeds, whose grid fills in live."
    )
    BINDINGS = [
        Binding(
            "v", "evaluate", "Evaluate", id="evaluate.run", tooltip="Score a model in a process of its own"
        ),
        Binding("x", "stop", "Stop", id="evaluate.stop", tooltip="Stop the evaluation; what is scored stays"),
        Binding("s", "sort", "Sort", id="evaluate.sort", tooltip="By average, Δ, name, age or a task"),
        Binding(
            "b", "backbone", "Backbone", id="evaluate.backbone", tooltip="Only rows of one backbone, or all"
        ),
        Binding(
            "T", "transfer", "Transfer", id="evaluate.transfer", tooltip="STS, transfer tasks or reranking"
        ),
        Binding(
            "c", "against", "Versus", id="evaluate.against", tooltip="Compare ours with the row of the cursor"
        ),
        Binding(
            "d",
            "difference",
            "Diff",
            show=False,  # it needs a mark first, which is not shown either
            id="evaluate.difference",
            tooltip="The marked row less the row of the cursor, with p values",
        ),
        Binding(
            "space", "mark", "Mark", show=False, id="evaluate.mark", tooltip="Mark a row for the difference"
        ),
        Binding(
            "e",
            "grid",
            "Grid",
            id="evaluate.grid",
            tooltip="An experiment: systems x backbones x seeds, run and followed live",
        ),
        Binding("o", "export", "Export", id="evaluate.export", tooltip="Write these rows as md, csv or tex"),
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
        self._to_newest = False
        self._data = ""
        self._experiment = Chosen()

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
        self.shell.jobs.listen(self._job_changed)
        for job in self.shell.jobs.live("evaluate"):
            self._job_changed(job)
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
        goal = table.newest if first or self._to_newest else ""
        self._to_newest = False
        found = next((line.id for line in table.lines if goal and line.entry.row.id == goal), None)
        if found is not None:
            rows.jump(found)
        self._show_row(rows.current)
        self._show_titles()

    def _show_titles(self) -> None:
        table, rows = self._table, self.query_one(ScoreTable)
        if table is None:
            return
        parts = [TITLES[self._view.kind], f"{len(table.lines)} rows"]
        parts += [f"backbone {self._view.backbone}"] if self._view.backbone else []
        parts += [f"by {_sort_name(self._view.sort)}"] if self._view.sort != AVERAGE else []
        parts += [f"Δ to {self._view.against}"] if self._view.against else []
        marked = None if rows.marked is None else rows.row(rows.marked)
        parts += [f"● {marked.entry.row.system}"] if marked is not None else []
        panel = self.query_one("#table-panel")
        panel.border_title = safe.line(" · ".join(parts))
        panel.border_subtitle = safe.line(_beyond(*rows.hidden))
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
        panel.border_title = safe.line(
            f"◆ {row.standing} · {row.system}" if row.ours else f"{row.system} · {row.id}"
        )
        text.update(row_text(line, self._table))

    # -- which rows, in which order ----------------------------------------------------------------------

    def _look_at(self, view: View) -> None:
        self._view = view
        self.reload()

    def action_transfer(self) -> None:
        """Show the next kind of tasks; reranking where a result has it."""
        kinds: tuple[Kind, ...] = ("sts", "transfer") if self._table is None else self._table.kinds
        at = kinds.index(self._view.kind) if self._view.kind in kinds else -1
        kind = kinds[(at + 1) % len(kinds)]
        by_task = self._view.sort in TASKS[self._view.kind]
        self._look_at(replace(self._view, kind=kind, sort=AVERAGE if by_task else self._view.sort))

    def action_backbone(self) -> None:
        """Show the rows of the next backbone, or all."""
        if self._table is not None:
            offered = (None, *self._table.backbones)
            at = offered.index(self._view.backbone) if self._view.backbone in offered else 0
            self._look_at(replace(self._view, backbone=offered[(at + 1) % len(offered)]))

    def action_against(self) -> None:
        """Compare ours with the row under the cursor, or with the best like row again."""
        line = self.query_one(ScoreTable).current
        if line is None:
            return
        row = line.entry.row
        if row.ours and not self._view.against:
            self.shell.say("c on a row of the papers compares your results with it.")
            return
        chosen = "" if row.ours or row.id == self._view.against else row.id
        self._look_at(replace(self._view, against=chosen))

    def action_mark(self) -> None:
        """Mark the row of the cursor."""
        self.query_one(ScoreTable).mark()
        self._show_titles()

    def action_difference(self) -> None:
        """Show the difference of the marked row and that of the cursor."""
        self.ask(self._difference, description="compare two results")

    async def _difference(self) -> None:
        from claif_tui.ui.dialogs import TextModal
        from claif_tui.ui.screens.evaluate_difference import compare, text

        await self.loaded()
        rows = self.query_one(ScoreTable)
        second = rows.current
        first = None if rows.marked is None else rows.row(rows.marked)
        if first is None or second is None or first.id == second.id:
            self.shell.say("space marks a row; d on another one shows the difference of the two.")
            return
        found = await self.shell.background(partial(compare, self.folder, self._view.kind, first, second))
        content, plain = text(found)
        name = f"{first.entry.row.system} less {second.entry.row.system}"
        await self.app.push_screen_wait(TextModal(name, content, plain=plain, what="the comparison", wide=True))

    def action_sort(self) -> None:
        """Choose the order of the rows."""
        self.ask(self._sort, description="sort")

    async def _sort(self) -> None:
        from claif_tui.ui.dialogs import Choice, ChooseModal

        choices = [
            Choice(key="a", value=AVERAGE, label="average"),
            Choice(key="d", value=DIFFERENCE, label="Δ", meaning="rows that have one, the best on top"),
            Choice(key="n", value=NEWEST, label="newest", meaning="our rows first, the last made on top"),
            Choice(key="m", value=MODEL, label="model", meaning="by name"),
        ]
        for number, task in enumerate(TASKS[self._view.kind], 1):
            choices.append(Choice(key=str(number), value=task, label=SHORT.get(task, task)))
        answer = await self.app.push_screen_wait(ChooseModal("Sort", "Order the rows by", choices))
        if answer:
            self._look_at(replace(self._view, sort=answer))

    # -- evaluating --------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Stopping is offered while an evaluation is at work."""
        if action == "stop":
            return self._job() is not None
        return super().check_action(action, parameters)

    def action_evaluate(self) -> None:
        """Choose a model and data, and score it."""
        self.ask(self._evaluate, description="evaluate a model")

    async def _evaluate(self) -> None:
        from claif_tui.core.evaluating import require
        from claif_tui.core.overlap import known_folder
        from claif_tui.ui.screens.evaluate_job import EvaluateJob
        from claif_tui.ui.screens.evaluate_wish import EvaluateModal, endpoints, offers

        await self.loaded()
        folder = self.folder
        if folder is None:
            self.shell.say("No project is open: press 1 to open or make one.", severity="warning")
            return
        if self._job() is not None:
            self.shell.say("An evaluation is running: wait for it, or x stops it.", severity="warning")
            return
        offered = await self.shell.background(partial(offers, folder))
        asked_at = await self.shell.background(endpoints)
        data = self._data or (self._table.data if self._table is not None else "")
        if not data:
            data = str(await self.shell.background(partial(known_folder, folder)) or "")
        asked: Asked | None = await self.app.push_screen_wait(EvaluateModal(offered, data, asked_at))
        if asked is None:
            return
        self._data = str(asked.wish.data)
        await self.shell.background(partial(require, asked.model, select(asked.wish.tasks)))
        if asked.more and not await self._agreed(asked):
            return
        self.shell.jobs.start(EvaluateJob(folder, asked.model, asked.wish, asked.title, asked.more))

    async def _agreed(self, asked: Asked) -> bool:
        from claif_tui.ui.screens.evaluate_api import ask_first

        return await ask_first(self, asked)

    def action_stop(self) -> None:
        """Stop the evaluation."""
        job = self._job()
        if job is None:
            self.shell.say("No evaluation is running.")
        else:
            job.stop()

    def _job(self) -> EvaluateJob | None:
        live = self.shell.jobs.live("evaluate")
        return cast("EvaluateJob", live[0]) if live else None

    def _job_changed(self, job: Job) -> None:
        if job.kind != "evaluate" or not self.is_attached:
            return
        running = job.state in LIVE
        line = self.query_one("#progress", Static)
        if running != line.has_class("-on"):
            line.set_class(running, "-on")
            self.refresh_bindings()
        if running:
            line.update(_progress(cast("EvaluateJob", job)))
            return
        self._to_newest = job.state == "done" and bool(job.message)
        if self._to_newest:
            self.shell.say(job.message)
        self.reload()

    def action_grid(self) -> None:
        """Show an experiment's grid."""
        from claif_tui.ui.screens.experiment import ExperimentModal

        self.app.push_screen(ExperimentModal(self.folder, self._experiment))

    # -- taking along ------------------------------------------------------------------------------------

    def action_export(self) -> None:
        """Write the rows that are shown."""
        self.ask(self._export, description="export the results")

    async def _export(self) -> None:
        from claif_tui.ui.dialogs import Choice, ChooseModal, ConfirmModal
        from claif_tui.ui.screens.evaluate_export import FORMS, target, write

        await self.loaded()
        folder, table, view = self.folder, self._table, self._view
        if folder is None or table is None:
            self.shell.say("No project is open: press 1 to open or make one.", severity="warning")
            return
        choices = [Choice(key=form[0], value=form, label=words) for form, (words, _) in FORMS.items()]
        question = (
            f"{TITLES[view.kind]}: these {len(table.lines)} rows, in this order, into the project's exports."
        )
        form = await self.app.push_screen_wait(ChooseModal("Export", question, choices))
        if not form:
            return
        path = target(folder, table.board, view.backbone, form)
        exists = await self.shell.background(path.exists)
        question = f"{path.name} exists already. Replace it?"
        if exists and not await self.app.push_screen_wait(ConfirmModal("Export", question, yes="Replace")):
            return
        await self.shell.background(partial(write, table.board, path, form))
        self.shell.say(f"{len(table.lines)} rows written to {path}.")

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


def _beyond(left: int, right: int) -> str:
    """Say how many columns are out of sight on either side."""
    if left and right:
        return f"◂ {left} · {right} ▸ columns"
    return f"◂ {left} columns" if left else f"{right} columns ▸" if right else ""


def _sort_name(key: str) -> str:
    return "Δ" if key == DIFFERENCE else SHORT.get(key, key)


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


def _progress(job: EvaluateJob) -> safe.Content:
    done, total = job.progress.done, job.progress.total
    part = f" · part {done + 1} of {total}" if total else ""
    minutes, seconds = divmod(int(job.seconds), 60)
    stands = f" · {job.stage}{part} · {minutes:02d}:{seconds:02d}"
    if job.progress.unit == "sentences":
        stands = f" · {done:,} of {total or 0:,} · {job.stage}"
    return safe.join(
        ("■ stopping " if job.state == "stopping" else "▶ ", "bold $primary"),
        (job.title, "bold"),
        stands,
        ("   x stops", "$text-primary"),
    )
