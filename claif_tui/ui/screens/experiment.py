"""The live grid of an experiment over Evaluate: systems down, backbones and seeds across, filled in from its files.

The experiment is a process of its own: closing this, or the app, stops nothing, and what another shell runs shows too.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from claif_tui.core.errors import ClaifError, InputError
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.dialogs import Choice, ChooseModal, ConfirmModal, InputModal
from claif_tui.ui.screens import experiment_text as words
from claif_tui.ui.screens.experiment_text import Chosen, Seen

if TYPE_CHECKING:
    from claif_tui.core.experiment.models import Grid
    from claif_tui.core.experiment.planning import Plan

LOOK_SECONDS = 1.0
_EDGE = 8
"""Cells that the box, its padding and the list's edge take."""


def found(folder: Path) -> list[Path]:
    """The experiment files of a project's folder, the newest first. Blocks."""
    files = []
    for path in folder.glob("*.toml"):
        try:
            if "[[system]]" in path.read_text("utf-8", "replace"):
                files.append((path.stat().st_mtime, path))
        except OSError:
            continue
    return [path for _, path in sorted(files, reverse=True)]


def read(path: Path) -> Grid:
    """Read a file and put its grid together. Blocks; raises ``ClaifError``."""
    from claif_tui.core import settings
    from claif_tui.core.experiment.file import load
    from claif_tui.core.experiment.grid import build

    return build(load(path), settings.load())


def look(grid: Grid) -> Seen:
    """Read where the experiment stands. Blocks for milliseconds."""
    from claif_tui.core.experiment.outcome import outcome
    from claif_tui.core.experiment.standing import standing

    now = standing(grid)
    return Seen(standing=now, outcome=outcome(now))


class ExperimentModal(ClaifModal[None]):
    """The grid; below it the system under the cursor."""

    BINDINGS = [
        Binding(
            "g",
            "start",
            "Start",
            id="experiment.start",
            tooltip="Run what is missing in a process of its own; asks first if it costs",
        ),
        Binding("x", "stop", "Stop", id="experiment.stop", tooltip="End once what is in hand is saved"),
        Binding("o", "open", "File", id="experiment.open", tooltip="Open an experiment's file"),
        Binding("n", "new", "New", id="experiment.new", tooltip="Write a ready file into the project's folder"),
        Binding("y", "copy", "Copy", id="experiment.copy", tooltip="Copy the tables as Markdown"),
        Binding("j", "app.simulate_key('down')", "Down", show=False, id="experiment.down"),
        Binding("k", "app.simulate_key('up')", "Up", show=False, id="experiment.up"),
        Binding(
            "right",
            "turn(1)",
            "Next columns",
            show=False,
            id="experiment.right",
            tooltip="Columns to the right",
        ),
        Binding("left", "turn(-1)", "Columns before", show=False, id="experiment.left", tooltip="And back"),
        Binding("ctrl+d,pagedown", "scroll(4)", "Scroll", show=False, id="experiment.pagedown", priority=True),
        Binding(
            "ctrl+u,pageup", "scroll(-4)", "Scroll back", show=False, id="experiment.pageup", priority=True
        ),
    ]

    def __init__(self, folder: Path | None, chosen: Chosen) -> None:
        """``folder`` is that of the open project, where files are looked for and written."""
        super().__init__()
        self._folder, self._chosen = folder, chosen
        self._grid: Grid | None = None
        self._seen: Seen | None = None
        self._stamp: tuple[int, int] = (0, 0)
        self._problem: ClaifError | None = None
        self._asked = False
        self._looking = self._again = False
        self._first = 0

    # -- structure

    def compose(self) -> ComposeResult:
        """State, grid, and the row under the cursor."""
        with Vertical(classes="dialog reading tall -wide-box lab") as box:
            box.border_title = "Experiment"
            yield Static("", id="grid-state", markup=False)
            yield Static("", id="grid-head", markup=False)
            yield OptionList(id="grid-rows", markup=False, compact=True)
            with VerticalScroll(id="grid-more", can_focus=False):
                yield Static("", id="grid-text", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Look at once, and then again and again."""
        self.query_one("#grid-rows").focus()
        self._look()
        self.set_interval(LOOK_SECONDS, self._look)

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new width."""
        self._show()

    # -- looking

    def _look(self) -> None:
        if self._looking:
            self._again = True  # a look that takes longer than a second is not cut short
        elif self.is_current:
            self._looking = True
            self.run_worker(
                self._look_on(), group="look", exit_on_error=False, description="look at the experiment"
            )

    async def _look_on(self) -> None:
        try:
            while True:
                self._again = False
                await self._look_now()
                if not self._again:
                    return
        finally:
            self._looking = False

    async def _look_now(self) -> None:
        background = self.shell.background
        if self._chosen.path is None and self._folder is not None:
            files = await background(partial(found, self._folder))
            self._chosen.path = files[0] if files else None
        path = self._chosen.path
        if path is None:
            self._show()
            return
        try:
            stamp = await background(partial(_stamp, path))
            if self._grid is None or stamp != self._stamp:
                self._grid, self._stamp = await background(partial(read, path)), stamp
            self._seen, self._problem = await background(partial(look, self._grid)), None
        except ClaifError as error:
            self._grid, self._seen, self._problem = None, None, error
        if self._seen is not None and not self._seen.standing.running:
            self._asked = False
        self._show()

    # -- showing

    def _show(self) -> None:
        if not self.is_attached:
            return
        path, seen = self._chosen.path, self._seen
        box = self.query_one(".dialog")
        box.border_title = safe.line("Experiment" if path is None else f"Experiment · {path.name}")
        self.query_one("#grid-head").display = seen is not None
        self.query_one("#grid-rows").display = seen is not None
        state, text = self.query_one("#grid-state", Static), self.query_one("#grid-text", Static)
        if self._problem is not None:
            state.update(safe.line("This file cannot be run as it is:", "$text-error"))
            text.update(safe.lines(safe.block(self._problem.message), safe.block(self._problem.hint)))
        elif seen is None:
            state.update("" if path is not None else safe.line("Nothing is set up.", "$text-muted"))
            text.update("…" if path is not None else safe.line(words.EMPTY, "$text-primary"))
        else:
            state.update(words.state(seen, self._asked))
            self._show_rows(seen)

    def _show_rows(self, seen: Seen) -> None:
        rows = self.query_one("#grid-rows", OptionList)
        width = max(40, self.size.width * 96 // 100 - _EDGE)
        _, fit = words.room(width, seen.names)
        self._first = max(0, min(self._first, len(seen.columns) - fit))
        hidden = len(seen.columns) - self._first - fit
        beyond = [f"◂ {self._first}"] if self._first else []
        beyond += [f"{hidden} ▸"] if hidden > 0 else []
        self.query_one(".dialog").border_subtitle = safe.line(f"{' · '.join(beyond)} columns" if beyond else "")
        self.query_one("#grid-head", Static).update(words.head(seen, width, self._first))
        drawn = [words.row(seen, name, width, self._first) for name in seen.names]
        if rows.option_count == len(drawn):
            for place, line in enumerate(drawn):
                rows.replace_option_prompt_at_index(place, line)
        else:
            rows.clear_options()
            rows.add_options([Option(line) for line in drawn])
            rows.highlighted = 0
        self._show_details()

    def _show_details(self) -> None:
        at = self.query_one("#grid-rows", OptionList).highlighted
        if self._seen is not None and at is not None and at < len(self._seen.names):
            self.query_one("#grid-text", Static).update(words.details(self._seen, self._seen.names[at]))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the row under the cursor."""
        event.stop()
        self._show_details()

    def action_turn(self, by: int) -> None:
        """Show other columns."""
        self._first += by
        self._show()

    def action_scroll(self, rows: int) -> None:
        """Scroll what stands below the grid."""
        self.query_one("#grid-more", VerticalScroll).scroll_relative(y=rows, animate=False)

    # -- running

    def action_start(self) -> None:
        """Run what is missing."""
        self.run_worker(self._start(), group="ask", exit_on_error=False, description="start the experiment")

    async def _start(self) -> None:
        from claif_tui.core.experiment.stopping import start

        grid, seen = self._grid, self._seen
        if grid is None or seen is None:
            if self._problem is not None:
                self.shell.show_error(self._problem)
            else:
                self.shell.say("No file is open: n writes a ready one, o opens one of yours.")
            return
        if seen.standing.running:
            self.shell.say("It is running; x stops it.")
            return
        if all(one.state == "done" for one in seen.standing.cells):
            self.shell.say("Everything is done.")
            return
        self.shell.say("Looking what is missing …")
        try:
            plan = await self.shell.background(partial(_plan, grid))
            if plan.costs and not await self._agreed(grid, plan):
                return
            await self.shell.background(partial(start, grid.spec.path, grid.spec.folder))
        except ClaifError as error:
            self.shell.show_error(error)
        self._look()

    async def _agreed(self, grid: Grid, plan: Plan) -> bool:
        from claif_tui.core.experiment.formats import dollars

        usd = plan.usd
        cost = "what it costs is not known" if usd is None else f"{dollars(usd[0])} to {dollars(usd[1])}"
        budget = grid.spec.budget_usd or 0.0
        detail = (
            f"{cost}; never more than {dollars(budget)} in all, of which {dollars(plan.spent_usd)} is spent"
        )
        calls = sum(one.calls for one in plan.data)
        question = f"{len(plan.missing):,} cells are missing, up to {calls:,} calls. This may cost money."
        return await self.app.push_screen_wait(
            ConfirmModal("Start the experiment", question, yes="Start", detail=detail)
        )

    def action_stop(self) -> None:
        """Ask the process to end."""
        self.run_worker(self._stop(), group="ask", exit_on_error=False, description="stop the experiment")

    async def _stop(self) -> None:
        from claif_tui.core.experiment.stopping import stop

        if self._grid is None or self._seen is None or not self._seen.standing.running:
            self.shell.say("It is not running.")
            return
        try:
            await self.shell.background(partial(stop, self._grid.spec.folder))
        except ClaifError as error:
            self.shell.show_error(error)
            return
        self._asked = True
        self._look()

    # -- files

    def action_open(self) -> None:
        """Open a file."""
        self.run_worker(self._open(), group="ask", exit_on_error=False, description="open an experiment")

    async def _open(self) -> None:
        from claif_tui.ui.projects import as_folder

        files = [] if self._folder is None else await self.shell.background(partial(found, self._folder))
        hint = "An experiment's file (TOML)."
        if files:
            hint += f" In the project: {', '.join(path.name for path in files[:6])}"
        before = "" if self._chosen.path is None else str(self._chosen.path)
        text = await self.app.push_screen_wait(InputModal("Experiment", value=before, hint=hint))
        if not text.strip() or "\x00" in text:
            return
        path = as_folder(text)
        beside = None if self._folder is None else self._folder / text.strip()
        self._use(beside if beside is not None and beside.is_file() and not path.is_file() else path)

    def action_new(self) -> None:
        """Write a ready file."""
        self.run_worker(self._new(), group="ask", exit_on_error=False, description="write an experiment's file")

    async def _new(self) -> None:
        from claif_tui.core.experiment.file import READY, ready
        from claif_tui.core.overlap import known_folder

        if self._folder is None:
            self.shell.say("No project is open: press esc, then 1 to open or make one.", severity="warning")
            return
        choices = [Choice(key=str(number), value=name, label=name) for number, name in enumerate(READY, 1)]
        question = "A ready file, written into the project's folder. Edit it, then g runs it."
        name = await self.app.push_screen_wait(ChooseModal("New experiment", question, choices))
        if not name:
            return
        path = self._folder / f"{name}.toml"
        if not await self.shell.background(path.exists):
            data = await self.shell.background(partial(known_folder, self._folder))
            try:
                await self.shell.background(partial(path.write_text, ready(name, data), "utf-8"))
            except OSError as error:
                self.shell.show_error(InputError(f"{path} cannot be written: {error.strerror}"))
                return
            self.shell.say(f"Written to {path}. Its first lines say what to set.")
        self._use(path)

    def _use(self, path: Path) -> None:
        self._chosen.path = path
        self._grid = self._seen = self._problem = None
        self._first = 0
        self.query_one("#grid-rows", OptionList).clear_options()
        self._look()

    def action_copy(self) -> None:
        """Copy the tables."""
        from claif_tui.core.experiment.formats import markdown

        if self._seen is None:
            self.shell.say("Nothing to copy yet.")
        else:
            self.shell.copy(markdown(self._seen.outcome), "the tables (Markdown)")


def _plan(grid: Grid) -> Plan:
    from claif_tui.core import settings
    from claif_tui.core.experiment.planning import plan

    return plan(grid, settings.load(), dry=True)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:
        return 0, 0
    return about.st_mtime_ns, about.st_size
