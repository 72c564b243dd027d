"""The prompt lab's window over Recipe: choose cells, see the price, run, read what came out, make it the recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from claif_tui.core.errors import ClaifError
from claif_tui.core.lab.models import CRITERIA, RECIPE_PROMPT, Cell, Lab, LabResult, LabSpec
from claif_tui.core.masking import rate_text
from claif_tui.core.prompts import SCORE_PROMPTS
from claif_tui.core.recipes import Recipe
from claif_tui.core.session import NO_CAP
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.dialogs import ConfirmModal, InputModal
from claif_tui.ui.jobs import LIVE, Job
from claif_tui.ui.screens import lab_text
from claif_tui.ui.screens.lab_job import LabJob

if TYPE_CHECKING:
    from claif_tui.core.lab.running import Plan
    from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look at a set-up found; ``result`` is None before anything is answered."""

    lab: Lab
    plan: Plan
    result: LabResult | None
    spent_nano: int


def default_spec(kind: str, recipe: Recipe) -> LabSpec:
    """What the window starts with: the three scoring prompts, or each of the recipe's mask rates by itself."""
    if kind == "score":
        return LabSpec(kind="score", rows=200, seed=recipe.seed, prompts=SCORE_PROMPTS)
    rates = tuple((rate,) for rate in recipe.rates)
    return LabSpec(
        kind="generate",
        rows=50,
        seed=recipe.seed,
        prompts=(RECIPE_PROMPT,),
        rates=rates,
        criterion=CRITERIA["generate"][0],
    )


def look(store: Store, *, spec: LabSpec, recipe: Recipe) -> Seen:
    """Set the lab up and read what is stored of it. Blocks; raises ``ClaifError`` for what this project cannot do."""
    from claif_tui.core import settings
    from claif_tui.core.lab.cells import set_up
    from claif_tui.core.lab.result import result
    from claif_tui.core.lab.running import plan_of

    lab = set_up(store, settings.load(), spec, recipe=recipe)
    plan = plan_of(store, lab)
    found = result(store, lab) if plan.open < plan.planned else None
    return Seen(lab=lab, plan=plan, result=found, spent_nano=store.ledger.get(lab.id).spent_nano)


class LabModal(ClaifModal[Cell | None]):
    """Gives the cell that is to become the recipe. Closing it stops nothing: the lab is a job of the app."""

    BINDINGS = [
        Binding("g", "start", "Start", id="lab.start", tooltip="Ask what is open; asks you first if it costs"),
        Binding("x", "stop", "Stop", id="lab.stop", tooltip="End once what is in flight has landed"),
        Binding("w", "winner", "Winner", id="lab.winner", tooltip="Make the leading cell the recipe"),
        Binding(
            "a",
            "adopt",
            "Adopt",
            show=False,
            id="lab.adopt",
            tooltip="Make the cell under the cursor the recipe",
        ),
        Binding("space", "switch_cell", "On/off", show=False, id="lab.toggle", tooltip="Take a cell in or out"),
        Binding("m", "kind", "Kind", id="lab.kind", tooltip="Scoring prompts, or mask rates"),
        Binding("n", "rows", "Rows", id="lab.rows", tooltip="How many rows every cell gets"),
        Binding("b", "budget", "Budget", id="lab.budget", tooltip="What this lab may spend"),
        Binding("o", "open", "File", id="lab.file", tooltip="Take the cells from a lab file"),
        Binding("y", "copy", "Copy", show=False, id="lab.copy", tooltip="Copy the result"),
        Binding("j", "app.simulate_key('down')", "Down", show=False, id="lab.down"),
        Binding("k", "app.simulate_key('up')", "Up", show=False, id="lab.up"),
        Binding(
            "ctrl+d,pagedown", "scroll(8)", "Scroll the result", show=False, id="lab.pagedown", priority=True
        ),
        Binding("ctrl+u,pageup", "scroll(-8)", "Scroll it back", show=False, id="lab.pageup", priority=True),
    ]

    def __init__(self, store: Store, recipe: Recipe) -> None:
        super().__init__()
        self._store, self._recipe = store, recipe
        self._spec = default_spec("score", recipe)
        self._file = ""
        self._off: set[int] = set()
        self._seen: Seen | None = None
        self._problem: ClaifError | None = None
        self._job: LabJob | None = None

    # -- structure ---------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """The set-up, its cells, where it stands, and what came out."""
        with Vertical(classes="dialog reading tall -wide-box lab") as box:
            box.border_title = "Prompt lab"
            box.border_subtitle = "space takes a cell in or out · a makes it the recipe"
            yield Static("", id="lab-setup", markup=False)
            yield OptionList(id="lab-cells", markup=False, compact=True)
            yield Static("", id="lab-state", markup=False)
            with VerticalScroll(id="lab-result", can_focus=False):
                yield Static("", id="lab-text", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the lab that runs or ran last, or the three scoring prompts."""
        self._unlisten = self.shell.jobs.listen(self._heard)
        last = self.shell.jobs.latest("lab")
        ours = isinstance(last, LabJob) and last.store is self._store
        if isinstance(last, LabJob) and ours and (last.state in LIVE or last.recipe == self._recipe):
            self._job, self._spec, self._file = last, last.lab.spec, last.file
            self._recipe = last.recipe
        self._show_cells()
        self.query_one("#lab-cells").focus()
        self._look()

    def on_unmount(self) -> None:
        """Stop listening."""
        self._unlisten()

    # -- what is set up ----------------------------------------------------------------------------------

    @property
    def spec(self) -> LabSpec:
        """The lab without the cells that are off."""
        if self._file:
            return self._spec
        if self._spec.kind == "score":
            on = tuple(prompt for place, prompt in enumerate(self._spec.prompts) if place not in self._off)
            return replace(self._spec, prompts=on)
        return replace(
            self._spec,
            rates=tuple(rate for place, rate in enumerate(self._spec.rates) if place not in self._off),
        )

    def _names(self) -> list[str]:
        if self._file and self._seen is not None:
            return [cell.name for cell in self._seen.lab.cells]
        if self._spec.kind == "score":
            return list(self._spec.prompts)
        return ["+".join(map(rate_text, rates)) for rates in self._spec.rates]

    def _show_cells(self) -> None:
        cells = self.query_one("#lab-cells", OptionList)
        at = cells.highlighted
        cells.clear_options()
        for place, name in enumerate(self._names()):
            mark = "○" if place in self._off else "●"
            cells.add_option(Option(safe.line(f"{mark} {name}", "$text-muted" if place in self._off else "")))
        cells.highlighted = min(at or 0, cells.option_count - 1) if cells.option_count else None
        title = lab_text.KINDS[self._spec.kind]
        self.query_one(".dialog").border_title = safe.line(f"Prompt lab · {title}")

    def _look(self) -> None:
        self.run_worker(
            self._look_now(),
            group="lab-look",
            exclusive=True,
            exit_on_error=False,
            description="look at the lab",
        )

    async def _look_now(self) -> None:
        try:
            self._seen = await self.shell.background(
                partial(look, self._store, spec=self.spec, recipe=self._recipe)
            )
            self._problem = None
        except ClaifError as error:
            self._seen, self._problem = None, error
        if self._file:
            self._show_cells()
        self._show()

    # -- showing -----------------------------------------------------------------------------------------

    @property
    def _there(self) -> bool:
        """Whether there is anything to draw on: a window that closes loses its widgets before it is detached."""
        return self.is_attached and bool(self.query("#lab-text"))

    def _show(self) -> None:
        if not self._there:
            return
        lab = None if self._seen is None else self._seen.lab
        self.query_one("#lab-setup", Static).update(lab_text.setup(self.spec, lab, self._file))
        self._show_state()
        text: safe.Content
        if self._problem is not None:
            text = safe.lines(
                safe.line(f"✗ {self._problem.message}", "$text-error"), safe.line(self._problem.hint), "",
                safe.line(lab_text.what_helps(self._spec.kind, self._recipe), "$text-muted"),
            )  # fmt: skip
        elif self._seen is None:
            text = safe.line("…")
        elif self._seen.result is None:
            text = safe.line("Nothing is answered yet: g starts; space takes cells in and out.", "$text-muted")
        else:
            text = lab_text.outcome(self._seen.result)
        self.query_one("#lab-text", Static).update(text)

    def _show_state(self) -> None:
        if not self._there:
            return
        state, job = self.query_one("#lab-state", Static), self._job
        if job is not None and job.state in LIVE:
            state.update(lab_text.running(job.latest, job.state == "stopping"))
        elif self._seen is not None:
            line = lab_text.estimate(self._seen.plan, self._seen.spent_nano)
            said = job.message if job is not None and job.state == "failed" else ""
            state.update(safe.lines(line, safe.line(f"! {said}", "$text-warning")) if said else line)
        else:
            state.update("")

    def _heard(self, job: Job) -> None:
        if job is not self._job or not self.is_attached:
            return
        self._show_state()
        if job.state not in LIVE:
            self._look()

    # -- actions -----------------------------------------------------------------------------------------

    @property
    def _live(self) -> bool:
        return self._job is not None and self._job.state in LIVE

    def action_start(self) -> None:
        """Ask what is open."""
        self.run_worker(self._start(), group="ask", exit_on_error=False, description="start the lab")

    async def _start(self) -> None:
        seen = self._seen
        if self._live:
            self.shell.say("This lab is running; x stops it.")
        elif seen is None:
            self.shell.say(self._problem.message if self._problem else "One moment.", severity="warning")
        elif not seen.plan.open:
            self.shell.say("Everything that this lab asks is answered.")
        elif not any(station.ready.costs for station in seen.lab.stations) or await self._agreed(seen):
            self._job = LabJob(self._store, seen.lab, self._recipe, self._file)
            self.shell.jobs.start(self._job)
            self._show_state()

    async def _agreed(self, seen: Seen) -> bool:
        cap = seen.lab.cap_nano
        money = "no cap is set: b sets one" if cap is None else f"never more than ${cap / 1e9:,.2f}"
        question = f"{seen.plan.open:,} questions, up to {seen.plan.calls:,} calls. This may cost money."
        detail = f"{lab_text.estimate(seen.plan, seen.spent_nano).plain}\n{money}"
        return await self.app.push_screen_wait(
            ConfirmModal("Start the lab", question, yes="Start", detail=detail)
        )

    def action_stop(self) -> None:
        """End once what is in flight has landed."""
        if self._job is not None and self._live:
            self._job.stop()

    def action_winner(self) -> None:
        """Make the leading cell the recipe."""
        result = None if self._seen is None else self._seen.result
        if result is None or result.leader is None:
            self.shell.say("No cell leads yet: g starts the lab.")
            return
        self._adopt(result.leader)

    def action_adopt(self) -> None:
        """Make the cell under the cursor the recipe."""
        at = self.query_one("#lab-cells", OptionList).highlighted
        if at is not None:
            self._adopt(self._names()[at])

    def _adopt(self, name: str) -> None:
        self.run_worker(self._adopting(name), group="ask", exit_on_error=False, description="adopt a cell")

    async def _adopting(self, name: str) -> None:
        seen = self._seen
        cell = next((cell for cell in seen.lab.cells if cell.name == name), None) if seen is not None else None
        if seen is None or cell is None:
            self.shell.say("This cell is off: space takes it in.", severity="warning")
            return
        result = seen.result
        if result is None or not result.supported or result.leader != name:
            verdict = "Nothing is answered yet." if result is None else result.verdict
            modal = ConfirmModal(
                f"Make {name} the recipe?",
                "This lab does not show that it is the best.",
                yes="Make it the recipe",
                detail=verdict,
            )
            if not await self.app.push_screen_wait(modal):
                return
        self.dismiss(cell)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_switch_cell()

    def action_switch_cell(self) -> None:
        """Take the cell under the cursor in or out."""
        at = self.query_one("#lab-cells", OptionList).highlighted
        if at is None or self._held():
            return
        if self._file:
            self.shell.say("The cells are those of the file; edit it, then o reads it again.")
            return
        if at not in self._off and len(self._off) + 1 == len(self._names()):
            self.shell.say("One cell stays in.")
            return
        self._off ^= {at}
        self._show_cells()
        self._look()

    def action_kind(self) -> None:
        """Scoring prompts, or mask rates."""
        if not self._held():
            self._use(default_spec("generate" if self._spec.kind == "score" else "score", self._recipe))

    def _use(self, spec: LabSpec, file: str = "") -> None:
        self._spec, self._file, self._off, self._seen, self._problem = spec, file, set(), None, None
        self._show_cells()
        self._show()
        self._look()

    def _held(self) -> bool:
        if self._live:
            self.shell.say("A running lab stays as it is; x stops it.")
        return self._live

    def action_rows(self) -> None:
        """Say how many rows every cell gets."""
        if not self._held():
            self.run_worker(self._ask_rows(), group="ask", exit_on_error=False, description="rows of the lab")

    async def _ask_rows(self) -> None:
        text = await self.app.push_screen_wait(_RowsModal("Rows", value=str(self._spec.rows)))
        if text:
            self._spec = replace(self._spec, rows=int(text))
            self._look()

    def action_budget(self) -> None:
        """Say what this lab may spend."""
        if not self._held():
            self.run_worker(
                self._ask_budget(), group="ask", exit_on_error=False, description="budget of the lab"
            )

    async def _ask_budget(self) -> None:
        hint = "Dollars that this lab may spend, or none."
        text = await self.app.push_screen_wait(
            _BudgetModal("Budget of this lab", placeholder="1.00", hint=hint)
        )
        if text:
            self._spec = replace(self._spec, budget=NO_CAP if text.strip() == "none" else float(text))
            self._look()

    def action_open(self) -> None:
        """Take the cells from a lab file."""
        if not self._held():
            self.run_worker(self._ask_file(), group="ask", exit_on_error=False, description="read a lab file")

    async def _ask_file(self) -> None:
        from claif_tui.core.lab.file import load
        from claif_tui.ui.projects import as_folder

        hint = "A lab file (TOML). claif-tui lab --example score prints one to start from."
        text = await self.app.push_screen_wait(InputModal("Lab file", placeholder="lab.toml", hint=hint))
        if not text.strip() or "\x00" in text:
            return
        path = as_folder(text)
        try:
            spec = await self.shell.background(partial(load, path if path.is_absolute() else Path(path)))
        except ClaifError as error:
            self.shell.show_error(error)
            return
        self._use(spec, path.name)

    def action_scroll(self, rows: int) -> None:
        """Scroll the result."""
        self.query_one("#lab-result", VerticalScroll).scroll_relative(y=rows, animate=False)

    def action_copy(self) -> None:
        """Copy the result."""
        from claif_tui.core.lab.report import markdown

        if self._seen is None or self._seen.result is None:
            self.shell.say("Nothing to copy yet.")
        else:
            self.shell.copy(markdown(self._seen.result), "the result (Markdown)")


class _RowsModal(InputModal):
    """A number of rows."""

    def check(self, value: str) -> str:
        """Say what is wrong with ``value``."""
        from claif_tui.core.lab.file import MAX_ROWS

        good = value.strip().isdecimal() and len(value) < 9 and 2 <= int(value) <= MAX_ROWS
        return "" if good else f"a whole number from 2 to {MAX_ROWS:,}"


class _BudgetModal(InputModal):
    """Dollars, or none."""

    def check(self, value: str) -> str:
        """Say what is wrong with ``value``."""
        if value.strip() == "none":
            return ""
        try:
            return "" if 0 <= float(value) < 1e9 else "dollars from 0 up, or none"
        except ValueError:
            return "dollars, as in 1 or 0.50, or none"
