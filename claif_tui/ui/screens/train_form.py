"""The form of a training run: every setting with its explanation, what is wrong where it stands, the plan before it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from claif_tui.core.errors import ClaifError
from claif_tui.core.overlap import Overlap, known_folder
from claif_tui.core.overlap_removal import Rule
from claif_tui.core.runs import list_runs, told
from claif_tui.core.training import Plan, configured, planned, unfit
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.dialogs import ConfirmModal
from claif_tui.ui.screens.generate_text import clock
from claif_tui.ui.screens.train_overlap import OverlapModal, ask_folder, compare, status
from claif_tui.ui.screens.train_settle import Settled
from claif_tui.ui.widgets.fields import Field
from engine.config import ABOUT, FIELDS, TrainConfig, Value, from_mapping, parse, preset, to_mapping
from engine.errors import ConfigError
from engine.events import ends_of
from engine.rundir import EVENTS

DEFAULT = TrainConfig()
PAUSE_SECONDS = 0.8
"""How long typing has to rest before the data is read for the plan."""
SOON_SECONDS = 0.05
"""How long after the plan the evaluation sets are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a run of the same model was here: rows a second, and which run it was."""

    rows_per_second: float
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the form gives: the settings, and which rows are left out of the data before (None: none)."""

    config: TrainConfig
    without: Rule | None = None


class Fields(VerticalScroll, inherit_bindings=False, can_focus=False):
    """The fields; up and down go from one to the next, and scroll with it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next field", show=False, id="form.down"),
        Binding("up", "app.focus_previous", "Previous field", show=False, id="form.up"),
    ]


class ConfigModal(ClaifModal[Wanted | None]):
    """Gives the settings to train with, or None."""

    nothing = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "launch", "Launch", id="form.launch", tooltip="Train with these settings"),
        Binding(
            "ctrl+o",
            "overlap",
            "Overlap",
            id="form.overlap",
            tooltip="Training sentences that stand in evaluation sets",
        ),
    ]

    def __init__(self, project: Path, start: TrainConfig) -> None:
        super().__init__()
        self._project, self._start = project, start
        self._planning = Settled(self, self._planned, pause=PAUSE_SECONDS, name="plan a run")
        # Apart from the plan, which does not wait for it.
        self._comparing = Settled(self, self._compared, pause=SOON_SECONDS, name="compare with evaluation sets")
        self._found: Overlap | None = None
        self._found_of: tuple[object, ...] = ()
        self._folder: Path | None = None
        self._refused: ClaifError | None = None
        self._without: Rule | None = None

    def compose(self) -> ComposeResult:
        """The fields; below them what the focused one means, and what would be done."""
        with Vertical(classes="dialog form") as box:
            box.border_title = safe.line("Train")
            with Fields(id="form-fields"):
                for name, field in FIELDS.items():
                    if field.kind == "bool":
                        yield Field(name, name, options=("false", "true"))
                    elif field.kind == "choice":
                        yield Field(name, name, options=field.choices)
                    else:
                        yield Field(name, name)
            yield Static("", id="form-about")
            yield Static("", id="form-plan")
            yield Static("", id="form-overlap")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Fill the fields."""
        self._fill(self._start)
        self.query(Field).first().focus_editor()
        self._plan()

    def _fill(self, config: TrainConfig) -> None:
        values = to_mapping(config)
        for field in self.query(Field):
            field.show(safe.editable(text_of(values[field.key])))
        self._narrow()

    def _narrow(self) -> None:
        """Hide what the objective or the launcher does not use; such a field is left at its default."""
        objective, launcher = self._field("objective").text, self._field("launcher").text
        for field in self.query(Field):
            known = FIELDS[field.key]
            used = not known.objectives or objective in known.objectives
            field.display = used and (not known.launchers or launcher in known.launchers)

    def _field(self, name: str) -> Field:
        return next(field for field in self.query(Field) if field.key == name)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Explain the field that has the focus."""
        field = next((node for node in event.widget.ancestors_with_self if isinstance(node, Field)), None)
        if field is not None:
            self.query_one("#form-about", Static).update(about(field.key, field.text))

    @on(Field.Edited)
    def _edited(self, event: Field.Edited) -> None:
        event.stop()
        if event.key == "system":
            kept = {name: self._field(name).text for name in ("data", "dev")}
            self._fill(preset(event.text, **{name: value for name, value in kept.items() if value}))
            for field in self.query(Field):
                field.problem("")
        elif event.key in ("objective", "launcher"):
            self._narrow()
        self.query_one("#form-about", Static).update(about(event.key, event.text))
        self._plan()

    def values(self) -> dict[str, Value]:
        """Return the settings as they are typed; marks those that do not read, and raises ``ConfigError`` then."""
        found: dict[str, Value] = {}
        wrong: ConfigError | None = None
        for field in self.query(Field):
            if not field.display:
                continue
            try:
                found[field.key] = parse(field.key, field.text)
                field.problem("")
            except ConfigError as error:
                field.problem(f"{error.message}. {error.hint}".rstrip())
                wrong = wrong or error
        if wrong is not None:
            raise wrong
        return found

    def config(self) -> TrainConfig:
        """Return the checked settings; ``ClaifError`` names what is wrong."""
        with told():
            values = self.values()
            # What the objective does not use wants its default, whatever the preset says.
            values = {**{name: getattr(DEFAULT, name) for name in FIELDS}, **values}
            from_mapping(values)
        return configured(None, values, project=self._project, base=self._project)

    def _plan(self) -> None:
        """Say what is wrong at once, and what a run would do once typing rests."""
        self._refused = None
        try:
            self.config()
        except ClaifError as error:
            self._show(_wrong(error))
        else:
            self._show(safe.line("reading the data …", "$text-muted"))
            self._planning.ask()

    async def _planned(self) -> None:
        try:
            config = self.config()
            unfit_for = await self.shell.background(partial(unfit, self._project, config))
            plan = await self.shell.background(partial(planned, config))
            pace = await self.shell.background(partial(pace_of, self._project, config.model))
        except ClaifError as error:
            self._refused = error
            self._show(_wrong(error))
        else:
            words = plan_words(config, plan, pace)
            if unfit_for is not None:
                words = safe.lines((f"! {unfit_for[0]}. {unfit_for[1]}", "$text-warning"), words)
            self._show(words)
            self._comparing.ask()

    async def _compared(self) -> None:
        """Look which training sentences stand in evaluation sets, where it is known where these are."""
        try:
            config = self.config()
            self._folder = await self.shell.background(partial(known_folder, self._project, config))
            of = (config.data, config.allow_test, self._folder)
            if self._folder is not None and of != self._found_of:
                self._found, self._found_of = None, ()
                self._show_overlap()
                self._found = await compare(self.shell, self._project, config, self._folder)
                self._found_of = of
        except ClaifError as error:
            self._put_overlap(
                safe.line(f"! not compared with evaluation sets: {error.message}", "$text-warning")
            )
        else:
            self._show_overlap()

    def _show_overlap(self) -> None:
        self._put_overlap(status(self._found, known=self._folder is not None, without=self._without))

    def _put_overlap(self, content: Content) -> None:
        self.query_one("#form-overlap", Static).update(content)

    def action_overlap(self) -> None:
        """Show the overlap with evaluation sets, or ask where these are."""
        self.run_worker(self._overlap(), group="ask", exit_on_error=False, description="show the overlap")

    async def _overlap(self) -> None:
        if self._folder is None:
            if await ask_folder(self.shell) is not None:
                self._comparing.ask()
        elif self._found is None:
            self.shell.say("Still comparing with the evaluation sets, or it failed: see below the plan.")
        else:
            modal = OverlapModal(self._found, "Overlap with evaluation sets", choose=True)
            answer = await self.shell.push_screen_wait(modal)
            if answer:
                self._without = None if answer == "all" else answer
                self._show_overlap()

    def _show(self, content: Content) -> None:
        self.query_one("#form-plan", Static).update(content)

    def action_launch(self) -> None:
        """Take the settings, unless something is wrong with them."""
        try:
            config = self.config()
            if self._refused is not None:  # what the plan refuses, the run would refuse
                raise self._refused
        except ClaifError as error:
            self._show(_wrong(error))
            marked = next((field for field in self.query(Field) if field.has_class("-problem")), None)
            if marked is not None:
                marked.focus_editor()
        else:
            self.run_worker(self._launch(config), group="ask", exit_on_error=False, description="launch a run")

    async def _launch(self, config: TrainConfig) -> None:
        """Close with the settings; where the snapshot is not for the system, only after a question."""
        found = await self.shell.background(partial(unfit, self._project, config))
        if found is not None:
            said = ConfirmModal("Train anyway?", f"{found[0]}.", yes="Train anyway", no="Back", detail=found[1])
            if not await self.shell.push_screen_wait(said):
                return
        self.dismiss(Wanted(config=config, without=self._without))


def _wrong(error: ClaifError) -> Content:
    return safe.block(f"✗ {error.message.rstrip('.')}. {error.hint}".rstrip(), "$text-error")


def text_of(value: object) -> str:
    """Return a setting as one types it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def about(name: str, text: str) -> Content:
    """Return what a setting means and what it may be."""
    field = FIELDS[name]
    first = f"{field.help}."
    if name == "system" and text in ABOUT:
        return safe.lines(first, (f"{ABOUT[text]}.", "$text-muted"))
    expected = "left and right go through the values" if field.kind in ("bool", "choice") else field.expected
    return safe.lines(first, (f"{expected}.", "$text-muted"))


def plan_words(config: TrainConfig, plan: Plan, pace: Pace | None) -> Content:
    """Return rows, steps, dev sets and the estimated time of a run that is not started yet."""
    named = {"own": "rows held out", "stsb": "STS-B dev", "sickr": "SICK-R dev"}
    dev = ", ".join(f"{named.get(name, name)} ({pairs:,} pairs)" for name, pairs in plan.dev.items())
    rows: list[safe.Part] = [
        safe.join(
            (f"{plan.total_steps:,} steps", "bold"),
            f" = {config.epochs:,} × {plan.steps_per_epoch:,} · {plan.rows:,} rows · selected on {dev}",
        )
    ]
    if pace is None:
        rows.append(("time: unknown before the first steps, as no run here used this model yet", "$text-muted"))
    else:
        seconds = plan.rows * config.epochs / pace.rows_per_second
        rows.append(
            f"time: about {clock(seconds)} at the {pace.rows_per_second:,.0f} rows/s of {pace.run}, dev scores aside"
        )
    rows += [(f"! {words}", "$text-warning") for words in plan.warnings]
    if plan.dropped:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in plan.dropped.items())
        rows.append((f"! rows left out: {reasons}", "$text-warning"))
    return safe.lines(*rows)


def pace_of(project: Path, model: str) -> Pace | None:
    """Return how fast the newest run of a model was, from the end of its events; None if there is none. Blocks."""
    for row in list_runs(project):
        if row.model != model:
            continue
        with told():
            ends = ends_of(row.path / EVENTS)
        rates = [
            float(event["rows_per_second"])
            for event in ends
            if event.get("kind") == "step" and isinstance(event.get("rows_per_second"), int | float)
        ]
        if rates and median(rates) > 0:
            return Pace(rows_per_second=median(rates), run=row.name)
    return None
