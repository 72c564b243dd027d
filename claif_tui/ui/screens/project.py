"""Project: where it stands, what to do next, what ran lately; open, make or try one."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from claif_tui.ui import safe
from claif_tui.ui.base import ClaifScreen

if TYPE_CHECKING:
    from pathlib import Path

    from claif_tui.core.models import Run
    from claif_tui.ui.overview import Overview, Step

MARKS = {
    "done": ("✓", "$text-success"),
    "running": ("▶", "bold $primary"),
    "next": ("▸", "bold $primary"),
    "later": ("·", "$text-muted"),
}
RUN_MARKS = {"running": "▶", "paused": "‖", "stopped": "■", "finished": "✓", "failed": "✗"}
BAR = 24
"""Cells of a bar."""


class ProjectScreen(ClaifScreen):
    """The first screen."""

    place = "project"
    CSS_PATH = "project.tcss"
    HELP_TEXT = (
        "A project is a folder: claif.db (seeds, answers, pairs, decisions), recipe.toml, exports. This screen says "
        "where it stands and which step is useful now; enter goes there.\n\n"
        "Everything is saved as it happens: there is no save key outside Recipe, and closing the terminal loses "
        "nothing. The command line works on the same project at the same time."
    )
    BINDINGS = [
        Binding(
            "enter", "next", "Next step", id="project.next", tooltip="Go where the next useful step is done"
        ),
        Binding("o", "open", "Open", id="project.open", tooltip="Open another project"),
        Binding("n", "new", "New", id="project.new", tooltip="Make a project in a folder"),
        Binding("d", "demo", "Demo", id="project.demo", tooltip="Open a demo with 60 seed sentences"),
        Binding(
            "v",
            "quality",
            "Score quality",
            show=False,
            id="project.quality",
            tooltip="The AI's scores against encoder, gold labels and decisions",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._view: Overview | None = None

    def body(self) -> ComposeResult:
        """A welcome, or the project: facts and steps on top, runs below."""
        with VerticalScroll(id="welcome", classes="panel", can_focus=False) as panel:
            panel.border_title = "Welcome"
            yield Static("", id="welcome-text", markup=False)
        with Vertical(id="open"):
            with Horizontal(id="upper"):
                with Vertical(classes="panel", id="facts"):
                    yield Static("", id="facts-text", markup=False)
                with Vertical(classes="panel", id="steps") as panel:
                    panel.border_title = "The way"
                    yield Static("", id="steps-text", markup=False)
            with VerticalScroll(classes="panel", id="runs", can_focus=False) as panel:
                panel.border_title = "Runs"
                yield Static("", id="runs-text", markup=False)

    def on_mount(self) -> None:
        """Say that it is being opened, until it is."""
        super().on_mount()
        self.watch(self.app, "opening", self._welcome)

    async def load(self) -> None:
        """Read the project's state."""
        from claif_tui.ui.overview import overview

        if self.store is not None:
            self._view = await self.shell.db(overview)
            self._show(self._view)

    # -- showing -----------------------------------------------------------------------------------------

    def _welcome(self) -> None:
        self.set_class(self.store is not None, "-open")
        if self.store is not None:
            return
        if self.shell.opening:
            self._say_welcome([safe.line(f"Opening {self.shell.opening} …")])
            return
        self.run_worker(
            self._offer(), group="offer", exclusive=True, exit_on_error=False, description="recent projects"
        )

    async def _offer(self) -> None:
        from claif_tui.ui.projects import recent

        found = await self.shell.background(recent)
        if self.store is None:
            self._say_welcome(_welcome_rows(found))

    def _say_welcome(self, rows: list[safe.Part]) -> None:
        self.query_one("#welcome-text", Static).update(safe.lines(*rows))

    def _show(self, view: Overview) -> None:
        from claif_tui.ui.overview import steps

        self.add_class("-open")
        self.refresh_bindings()
        self.query_one("#facts").border_title = safe.line(f"Project {view.folder.name}")
        self.query_one("#facts-text", Static).update(safe.lines(*_facts(view)))
        self.query_one("#steps-text", Static).update(safe.lines(*_steps(steps(view))))
        self.query_one("#runs-text", Static).update(safe.lines(*_runs(view.runs)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There are a next step and scores only in a project."""
        return (
            self._view is not None
            if action in ("next", "quality")
            else super().check_action(action, parameters)
        )

    # -- actions -----------------------------------------------------------------------------------------

    async def action_next(self) -> None:
        """Go where the next useful step is done."""
        from claif_tui.ui.overview import export_command, next_step

        if self._view is None:
            return
        step = next_step(self._view)
        if step is not None and step.go:
            await self.shell.action_go(step.go)
        elif step is not None:
            self.shell.copy(export_command(self._view), "the export command")
        else:
            self.shell.say("Nothing is waiting. More seeds (2), another recipe (3), an export, or a model (7).")

    def action_open(self) -> None:
        """Open another project."""
        self.ask(partial(self._choose, new=False), description="open a project")

    def action_new(self) -> None:
        """Make a project."""
        self.ask(partial(self._choose, new=True), description="make a project")

    def action_demo(self) -> None:
        """Open the demo project, making it first if need be."""
        self.ask(self._demo, description="open the demo")

    def action_quality(self) -> None:
        """Show how good the scores of all pairs are."""
        from claif_tui.core.models import PairQuery
        from claif_tui.ui.screens.score_quality import show_quality

        self.ask(partial(show_quality, self, PairQuery()), description="score quality")

    async def _choose(self, *, new: bool) -> None:
        from claif_tui.ui.projects import recent
        from claif_tui.ui.screens.choose_project import ChooseProjectModal

        found = await self.shell.background(recent)
        folder: Path | None = await self.app.push_screen_wait(ChooseProjectModal(new=new, recent=found))
        if folder is not None and await self._may_leave():
            await self.shell.open_project(folder, create=new)

    async def _demo(self) -> None:
        from claif_tui.ui.projects import demo_folder

        if await self._may_leave():
            await self.shell.open_project(demo_folder(), create=True, demo=True)

    async def _may_leave(self) -> bool:
        if self.shell.jobs.live():
            self.shell.say("A job works on this project: pause or stop it first (4).", severity="warning")
            return False
        return True

    def copy_target(self) -> tuple[str, str] | None:
        """The command that exports this project."""
        from claif_tui.ui.overview import export_command

        return None if self._view is None else ("the export command", export_command(self._view))


def _welcome_rows(found: list[Path]) -> list[safe.Part]:
    rows: list[safe.Part] = [
        ("From seed sentences to a reviewed, exported training set for sentence embeddings.", "bold"),
        "",
        "Import sentences, mask them, let a language model fill and score them, review every pair, export.",
        "",
        safe.join(
            ("d  ", "bold $primary"),
            "a demo with 60 sentences and the packaged offline model: no key, no network",
        ),
        safe.join(("n  ", "bold $primary"), "a new project in a folder of yours"),
        safe.join(("o  ", "bold $primary"), "open a project"),
        safe.join(("?  ", "bold $primary"), "help, on every screen"),
    ]
    if found:
        rows += ["", ("Lately open (o lists them)", "$text-muted"), *(safe.line(f"  {path}") for path in found)]
    return rows


def _facts(view: Overview) -> list[safe.Part]:
    from claif_tui.ui.endpoints import endpoint_name

    pairs, status = view.status.pairs, view.status
    recipe = view.recipe
    endpoint = endpoint_name(recipe.profile, recipe.model)
    rows: list[safe.Part] = [
        _fact("folder", str(view.folder)),
        _fact("author", view.author),
        _fact("endpoint", endpoint),
        _fact("spent", _money(view)),
        "",
        _count("●", "pending", pairs.pending, pairs.total, ""),
        _count("✓", "accepted", pairs.accepted, pairs.total, "$text-success"),
        _count("✗", "rejected", pairs.rejected, pairs.total, "$text-error"),
    ]
    if status.failed:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(status.failed.items()))
        rows += ["", safe.join(("! failed  ", "$text-warning"), reasons, ("  (4, then e)", "$text-muted"))]
    if view.recipe_problem:
        rows += ["", safe.line(f"✗ {view.recipe_problem}", "$text-error")]
    rows += [safe.line(f"! {notice}", "$text-warning") for notice in view.notices]
    return rows


def _fact(name: str, value: str) -> safe.Content:
    return safe.join((f"{name:<10}", "$text-muted"), value)


def _money(view: Overview) -> str:
    from claif_tui.ui.status import money_text

    return money_text(
        view.status.spent_nano, view.status.cap_nano, free=view.recipe.profile in ("offline", "local")
    )


def _count(glyph: str, word: str, count: int, total: int, style: str) -> safe.Content:
    filled = round(BAR * count / total) if total else 0
    bar = "█" * filled + "░" * (BAR - filled)
    return safe.join((f"{glyph} {word:<8}", style), f"{count:>10,}  ", (bar, style or "$text-muted"))


def _steps(rows: list[Step]) -> list[safe.Part]:
    out: list[safe.Part] = []
    for number, step in enumerate(rows, 1):
        glyph, style = MARKS[step.state]
        title = (f"{step.title:<10}", "bold" if step.state == "next" else "")
        out.append(
            safe.join((f"{glyph} ", style), (f"{number} ", "$text-muted"), title, (step.detail, "$text-muted"))
        )
        if step.hint:
            out.append(safe.join("    ", (step.hint, "bold $primary")))
    if all(step.state not in ("next", "running") for step in rows):
        out += ["", ("Nothing is waiting. 7 trains a model on it, 8 evaluates one.", "$text-success")]
    return out


def _runs(runs: list[Run]) -> list[safe.Part]:
    if not runs:
        return [("None yet: press 4, then g to generate.", "$text-muted")]
    from claif_tui.ui.endpoints import endpoint_name

    return [
        safe.join(
            f"{RUN_MARKS.get(run.state, '·')} {run.state:<9}",
            (f"{run.kind:<9}", "bold"),
            (f"{_when(run.started)}  ", "$text-muted"),
            f"{endpoint_name(run.profile, run.model)}  ",
            (run.message, "$text-muted"),
        )
        for run in runs
    ]


def _when(at: str) -> str:
    try:
        return f"{datetime.fromisoformat(at).astimezone():%d %b %H:%M}"
    except ValueError:
        return at[:16]
