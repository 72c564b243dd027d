"""The Train screen: looks at the runs of the project, starts and steers them. It owns no run and no rule."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from claif_tui.core.runs import RunRow
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifScreen
from claif_tui.ui.screens import train_text as text
from claif_tui.ui.screens.train_state import View, Watch, look
from claif_tui.ui.widgets.loss_chart import Curve, LossChart, Window

FRAMES = 4
"""How often a second the screen looks at the followed runs, and draws what is new."""
LETTERS = "ABCDE"
"""Runs that are overlaid, at most."""
CHARTS = ("loss", "dev", "rate")
ZOOM = 2.0
PAN = 0.25
SMOOTH = 25
"""Steps that a smoothed loss is the mean of."""
NARROWEST = 4.0
"""Steps that are in sight at the least."""


class Resized(Message):
    """Something that is drawn to fit its place has another size now, or its first one."""


class Fitted(Static):
    """A text that the screen cuts to the size that this widget has."""

    def on_resize(self) -> None:
        """Say so."""
        self.post_message(Resized())


class RunList(OptionList, inherit_bindings=False):
    """The runs, the newest first. ``enter`` belongs to the screen."""

    BINDINGS = [
        Binding("j,down", "cursor_down", "Down", show=False, id="train.down"),
        Binding("k,up", "cursor_up", "Up", show=False, id="train.up"),
        Binding("ctrl+d,pagedown", "page_down", "Page down", show=False, id="train.pagedown"),
        Binding("ctrl+u,pageup", "page_up", "Page up", show=False, id="train.pageup"),
        Binding("home", "first", "First", show=False, id="train.first"),
        Binding("end", "last", "Last", show=False, id="train.last"),
    ]

    def on_resize(self) -> None:
        """Say so."""
        self.post_message(Resized())


class TrainScreen(ClaifScreen):
    """The curve is the hero; text beside it says the same."""

    place = "train"
    CSS_PATH = "train.tcss"
    HELP_TEXT: ClassVar[str] = """
Train fits a sentence encoder to a frozen snapshot of the pairs. t starts at once with the settings of the project's \
system on the newest snapshot; it offers to freeze one where there is none, or where decisions were made since. \
enter opens the form with every setting explained, and says steps and time before the start. A run is a process of \
its own: it goes on when this app is closed, and the app shows it again when it is opened. x lets it save and end; \
R goes on with it from where it saved. The list holds all runs, those of the command line too; o keeps the curve of \
a run on the charts while the cursor moves on. c shows which of its training sentences stand in evaluation sets. \
L makes the loss logarithmic, s smooths it, + and - zoom, the arrows \
move, r shows all of it, v picks the chart.
"""
    BINDINGS = [
        Binding("t", "launch", "Launch", id="train.launch", tooltip="Train the default on the newest snapshot"),
        Binding("x", "stop", "Stop", id="train.stop", tooltip="Let the run save and end"),
        Binding("R", "resume", "Re-attach", id="train.resume", tooltip="Follow the run again, or go on with it"),
        Binding("enter", "form", "Config", id="train.form", tooltip="Every setting explained; steps and time first"),
        Binding("f", "freeze", "Freeze", id="train.freeze", tooltip="Freeze a snapshot of the reviewed pairs"),
        Binding("o", "overlay", "Overlay", id="train.overlay", tooltip="Keep this run's curves on the charts"),
        Binding("L", "log_scale", "Log y", id="train.log_scale", tooltip="Logarithmic scale of the loss"),
        Binding("s", "smooth", "Smooth", show=False, id="train.smooth", tooltip="Draw means of the loss"),
        Binding("v", "view", "Charts", show=False, id="train.view", tooltip="Show loss, dev or learning rate"),
        Binding("c", "overlap", "Overlap", show=False, id="train.overlap", tooltip="Training sentences in test sets"),
        Binding("l", "log", "Log", show=False, id="train.log", tooltip="The whole log of the run"),
        Binding("plus,equals_sign", "zoom(True)", "Zoom in", show=False, key_display="+", id="train.zoom_in"),
        Binding("minus", "zoom(False)", "Zoom out", show=False, key_display="-", id="train.zoom_out"),
        Binding("left", "pan(-1)", "Earlier", show=False, id="train.earlier"),
        Binding("right", "pan(1)", "Later", show=False, id="train.later"),
        Binding("r", "whole", "Whole run", show=False, id="train.whole"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[RunRow] = []
        self._views: dict[str, View] = {}
        self._watches: dict[str, Watch] = {}
        self._pinned: list[str] = []
        self._log_scale = False
        self._smooth = 1
        self._window: Window | None = None
        self._chart = ""
        self._looking = asyncio.Lock()
        self._frame = 0
        self._project: object = None
        self._wanted = ""

    # -- structure -------------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """Two lines for a narrow terminal; runs and figures beside charts and log."""
        yield Static("", id="hello")
        yield Static("", id="brief")
        with Horizontal(id="deck"):
            with Vertical(id="side"):
                with Vertical(classes="panel", id="runs-panel"):
                    yield RunList(id="runs", markup=False, compact=True)
                with VerticalScroll(classes="panel", id="now-panel", can_focus=False):
                    yield Fitted("", id="now")
            with Vertical(id="main"):
                with Vertical(id="charts"):
                    with Vertical(classes="panel chart", id="loss-panel"):
                        yield LossChart(best="low", empty="The loss shows here as it comes.", id="loss")
                    with Horizontal(id="small-charts"):
                        with Vertical(classes="panel chart", id="dev-panel"):
                            yield LossChart(best="high", digits=".2f", empty="No dev score yet.", id="dev")
                        with Vertical(classes="panel chart", id="rate-panel"):
                            yield LossChart(best="", digits=".3g", empty="No learning rate yet.", id="rate")
                with Vertical(classes="panel", id="log-panel"):
                    yield Fitted("", id="log")

    def on_mount(self) -> None:
        """Name the panels; look four times a second."""
        super().on_mount()
        titles = {
            "runs": "Runs",
            "now": "Now",
            "loss": "loss",
            "dev": "dev, Spearman x100",
            "rate": "learning rate",
            "log": "Log",
        }
        for name, words in titles.items():
            self.query_one(f"#{name}-panel").border_title = safe.line(words)
        self.query_one("#deck").display = False
        self.set_interval(1 / FRAMES, self._tick)

    def on_resize(self, event: events.Resize) -> None:
        """Show one chart where there is no room for three."""
        self.set_class(event.size.height < 34, "-low")

    @on(Resized)
    def _lay_out(self, event: Resized) -> None:
        """Draw what depends on the room there is."""
        event.stop()
        self._show_rows()
        self._draw()

    def rest(self) -> Widget | None:
        """The list of runs."""
        return self.query_one("#runs", RunList)

    # -- data ------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read the list of runs; following goes by a timer of its own."""
        store = self.store
        if store is not self._project:
            self._project = store
            self._rows, self._views, self._watches, self._pinned = [], {}, {}, []
            self._window, self._wanted = None, ""
        if store is None:
            self._say("No project is open.\n\nPress 1 to open one, to make one, or to try the demo.")
            return
        await self._look(listing=True)
        if not self._rows:
            from claif_tui.ui.screens.train_launch import what_now

            self._say(await self.shell.db(what_now))

    def _tick(self) -> None:
        """Look for news unless a look is under way or another screen is shown."""
        if self._looking.locked() or self.store is None or self.app.screen_stack[0] is not self:
            return
        self._frame += 1
        listing = self._frame % FRAMES == 0
        self.run_worker(
            self._look(listing=listing), group="follow", exit_on_error=False, description="follow runs"
        )

    async def _look(self, *, listing: bool) -> None:
        """Read what is new and draw it; one look at a time."""
        async with self._looking:
            store = self.store
            if store is None:
                return
            found = await self.shell.background(
                partial(look, store.folder, dict(self._watches), listing=listing)
            )
            if store is not self.store:
                return
            self._views |= found.views
            changed = found.rows is not None and found.rows != self._rows
            if found.rows is not None and changed:
                gone = not found.rows
                self._rows = found.rows
                self._show_rows()
                if gone:
                    self.reload()
            if changed or found.views:
                self._draw()

    @property
    def current(self) -> RunRow | None:
        """The run under the cursor."""
        at = self.query_one("#runs", RunList).highlighted
        return self._rows[at] if at is not None and at < len(self._rows) else None

    def view_of(self, name: str) -> View | None:
        """What is known of a run by name."""
        return self._views.get(name)

    def attach(self, name: str) -> None:
        """Put the cursor on a run and follow it from its first event; one that is not listed yet comes soon."""
        self._wanted = name
        self._watches.pop(name, None)
        self._views.pop(name, None)
        self._window = None
        self.reload()

    def _show_rows(self) -> None:
        """Show the list; the cursor stays on its run."""
        listed = self.query_one("#runs", RunList)
        names = [row.name for row in self._rows]
        before = [option.id for option in listed.options]
        here = listed.highlighted_option.id if listed.highlighted_option is not None else None
        width = max(20, listed.scrollable_content_region.width)
        labels = [text.run_label(row, width, self.letter(row.name)) for row in self._rows]
        # The name may be anything; its bytes in hex are an id.
        ids = [os.fsencode(name).hex() for name in names]
        if ids == before:
            for index, label in enumerate(labels):
                if listed.get_option_at_index(index).prompt != label:
                    listed.replace_option_prompt_at_index(index, label)
        else:
            with self.prevent(OptionList.OptionHighlighted):
                listed.clear_options()
                listed.add_options([Option(label, id=key) for label, key in zip(labels, ids, strict=True)])
        wanted = os.fsencode(self._wanted).hex() if self._wanted in names else here
        self._wanted = "" if self._wanted in names else self._wanted
        if ids:
            with self.prevent(OptionList.OptionHighlighted):
                listed.highlighted = ids.index(wanted) if wanted in ids else 0
            self._say("")
        self._follow()

    def _follow(self) -> None:
        """Watch the run under the cursor and those that are overlaid, and no others."""
        row = self.current
        paths = {one.name: one.path for one in self._rows}
        self._pinned = [name for name in self._pinned if name in paths]
        names = {*self._pinned, *([row.name] if row else [])}
        self._watches = {name: self._watches.get(name) or Watch(paths[name]) for name in names}

    @on(OptionList.OptionHighlighted)
    def _moved(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._window = None
        self._follow()
        self._draw()

    # -- drawing ---------------------------------------------------------------------------------------

    def _say(self, words: str) -> None:
        """Show one plain message instead of the deck, or the deck when there is nothing to say."""
        self.query_one("#hello", Static).display = bool(words)
        self.query_one("#hello", Static).update(safe.block(words))
        self.query_one("#brief").set_class(bool(words), "-off")
        self.query_one("#deck").display = not words
        if not words and self.focused is None:
            self.query_one("#runs", RunList).focus()

    def letter(self, name: str) -> str:
        """The letter of an overlaid run; none while there is nothing to tell apart."""
        return LETTERS[self._pinned.index(name)] if name in self._pinned else ""

    def _draw(self) -> None:
        row = self.current
        if row is None:
            return
        view = self._views.get(row.name)
        with self.app.batch_update():
            width = max(20, self.query_one("#now").size.width)
            self._put("#now", text.now_box(row, view, width))
            self._put("#brief", text.now_lines(row, view, self.size.width - 2))
            self._put("#log", self._log(view))
            self._title("#now-panel", safe.line(row.name))
            self._title("#loss-panel", text.title(row, view))
            self.query_one("#loss-panel").border_subtitle = safe.line(self._marks())
            self._draw_charts(row)

    def _draw_charts(self, row: RunRow) -> None:
        names = [*self._pinned, *([row.name] if row.name not in self._pinned else [])]
        for chart in CHARTS:
            widget = self.query_one(f"#{chart}", LossChart)
            curves = []
            for name in names:
                view = self._views.get(name)
                if view is not None:
                    xs, ys = {"loss": view.losses, "dev": view.scores, "rate": view.rates}[chart]
                    curves.append(Curve(name, xs, ys, self.letter(name)))
            loss = chart == "loss"
            widget.show(
                curves,
                window=self._window,
                log=self._log_scale and loss,
                smooth=self._smooth if loss else 1,
            )

    def _marks(self) -> str:
        """How the loss is drawn, where it is not as it comes."""
        smooth = f"mean of {self._smooth} steps" if self._smooth > 1 else ""
        return " · ".join(filter(None, ("log y" if self._log_scale else "", smooth, self._zoomed())))

    def _log(self, view: View | None) -> Content:
        count = max(1, self.query_one("#log-panel").content_size.height)
        return text.log_rows(view.log if view else (), view.said if view else "", count)

    def _put(self, where: str, content: Content) -> None:
        """Update a text only when it says something else."""
        widget = self.query_one(where, Static)
        if widget.content != content:
            widget.update(content)

    def _title(self, panel: str, words: Content) -> None:
        widget = self.query_one(panel)
        if widget.border_title != words:
            widget.border_title = words

    # -- keys: what is in sight ------------------------------------------------------------------------

    def action_overlay(self) -> None:
        """Keep the run under the cursor on the charts, or take it away again."""
        row = self.current
        if row is None:
            self.shell.say(text.NO_RUNS)
            return
        if row.name in self._pinned:
            self._pinned.remove(row.name)
        elif len(self._pinned) == len(LETTERS):
            self.shell.say(f"{len(LETTERS)} runs are overlaid already; o on one of them takes it away.")
        else:
            self._pinned.append(row.name)
        self._show_rows()
        self._draw()

    def action_log_scale(self) -> None:
        """Switch the scale of the loss."""
        self._log_scale = not self._log_scale
        self._draw()

    def action_smooth(self) -> None:
        """Draw the loss as means, or as it came."""
        self._smooth = 1 if self._smooth > 1 else SMOOTH
        self._draw()

    def action_view(self) -> None:
        """Go through the charts."""
        shown = ("", *CHARTS) if not self._cramped else CHARTS
        at = shown.index(self._chart) if self._chart in shown else 0
        self._chart = shown[(at + 1) % len(shown)]
        for chart in CHARTS:
            self.set_class(self._chart == chart, f"-only-{chart}")
        self.call_after_refresh(self._draw)

    @property
    def _cramped(self) -> bool:
        return self.has_class("-low") or self.has_class("-narrow")

    def _extent(self) -> Window | None:
        row = self.current
        ends = [
            (float(view.losses[0][0]), float(view.losses[0][-1]))
            for name, view in self._views.items()
            if len(view.losses[0]) and (name in self._pinned or (row is not None and name == row.name))
        ]
        return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None

    def _zoomed(self) -> str:
        return "" if self._window is None else f"steps {self._window[0]:,.0f} to {self._window[1]:,.0f}"

    def action_zoom(self, closer: bool) -> None:
        """Show half as many steps, or twice as many, around the middle of what is in sight."""
        window = self._window or self._extent()
        if window is not None:
            self._zoom(closer, sum(window) / 2)

    def _zoom(self, closer: bool, at: float) -> None:
        extent = self._extent()
        if extent is None:
            return
        low, high = self._window or extent
        factor = 1 / ZOOM if closer else ZOOM
        if closer and high - low <= NARROWEST:
            return
        self._see(at - (at - low) * factor, at + (high - at) * factor)

    def action_pan(self, direction: int) -> None:
        """Move what is in sight by a quarter of it."""
        if self._window is not None:
            low, high = self._window
            by = direction * PAN * (high - low)
            self._see(low + by, high + by)

    def action_whole(self) -> None:
        """Show all steps."""
        self._window = None
        self._draw()

    def _see(self, low: float, high: float) -> None:
        """Show these steps, as far as there are any."""
        extent = self._extent()
        if extent is None:
            return
        width = high - low
        if width >= extent[1] - extent[0]:
            self._window = None
        else:
            low = min(max(low, extent[0]), extent[1] - width)
            self._window = (low, low + width)
        self._draw()

    def action_log(self) -> None:
        """Open the whole log."""
        row = self.current
        view = self._views.get(row.name) if row else None
        if row is None or view is None:
            self.shell.say(text.NO_RUNS)
            return
        from claif_tui.ui.dialogs import TextModal

        shown = text.log_rows(view.log, view.said, len(view.log) + view.said.count("\n") + 1)
        plain = text.log_text(view.log, view.said)
        self.app.push_screen(TextModal(f"Log of {row.name}", shown, plain=plain, what="the log", wide=True))

    def copy_target(self) -> tuple[str, str] | None:
        """Where the run under the cursor is."""
        row = self.current
        return None if row is None else ("the path of the run", str(row.path))

    # -- keys: runs ------------------------------------------------------------------------------------

    def action_launch(self) -> None:
        """Start the default."""
        from claif_tui.ui.screens.train_launch import launch_default

        self.ask(lambda: launch_default(self), description="start training")

    def action_stop(self) -> None:
        """Let the run under the cursor save and end."""
        from claif_tui.ui.screens.train_launch import stop

        self.ask(lambda: stop(self), description="stop a run")

    def action_resume(self) -> None:
        """Follow the run under the cursor anew, or go on with one that ended early."""
        from claif_tui.ui.screens.train_launch import resume

        self.ask(lambda: resume(self), description="go on with a run")

    def action_form(self) -> None:
        """Open the form."""
        from claif_tui.ui.screens.train_launch import configure

        self.ask(lambda: configure(self), description="configure a run")

    def action_overlap(self) -> None:
        """Show what the data of the run under the cursor have in common with the evaluation sets."""
        from claif_tui.ui.screens.train_overlap import show

        self.ask(lambda: show(self), description="show the overlap")

    def action_freeze(self) -> None:
        """Freeze a snapshot."""
        self.ask(self._freeze, description="freeze a snapshot")

    async def _freeze(self) -> None:
        from claif_tui.ui.screens.train_launch import freeze

        await freeze(self)
