"""The Generate screen: looks at the run that is going on, starts one, steers it. It owns no run and no rule."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from claif_tui.ui import safe
from claif_tui.ui.base import ClaifScreen
from claif_tui.ui.jobs import LIVE
from claif_tui.ui.screens import generate_text as text
from claif_tui.ui.screens.generate_deck import Deck, Groups, ordered
from claif_tui.ui.screens.generate_job import GenerateJob
from claif_tui.ui.screens.generate_landed import LandedList, landed_head
from claif_tui.ui.screens.generate_state import Landed
from claif_tui.ui.widgets.histogram import Histograms
from claif_tui.ui.widgets.row_list import RowList
from claif_tui.ui.widgets.stream_view import StreamView

FRAMES = 10
"""How often a second the deck looks at the run; events are counted in between, not drawn."""
WAITING = "Answers appear here as they stream in."
ELSEWHERE = "The run goes on in another process; what lands shows below within a second."
SLOW = 5
"""Every so many frames the parts that change slowly are drawn."""


class GenerateScreen(ClaifScreen):
    """What is happening now, is it healthy, what does it cost, can I stop it."""

    place = "generate"
    CSS_PATH = "generate.tcss"
    HELP_TEXT: ClassVar[str] = """
Generate asks the model for new sentences and then for their similarity to the seed. Answers appear as they stream \
in; a pair is on disk before it shows under Landed. A priced endpoint asks before the first request; the cap is never \
exceeded. Pausing lets what is in flight land. Nothing is asked twice: going on later, or after a crash, sends only \
what is missing. What failed is under Troubles with its reason and raw answer, and can be asked again. You can review \
what has landed while the run goes on.
"""
    BINDINGS = [
        Binding("g", "go_on", "Start/Resume", id="generate.go", tooltip="Start the run, or go on with it"),
        Binding("p", "pause", "Pause", id="generate.pause", tooltip="Let what is in flight land, start nothing new"),
        Binding("x", "stop", "Stop", id="generate.stop", tooltip="End the run; everything landed is kept"),
        Binding("e", "troubles", "Troubles", id="generate.troubles", tooltip="What failed, with its raw answer"),
        Binding("enter", "open_pair", "Open pair", id="generate.open", tooltip="Open this pair in Review"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._job: GenerateJob | None = None
        self._plan: text.Plan | None = None
        self._failed: dict[str, int] = {}
        self._drawn = (-1, -1)
        self._frame = 0
        self._limit_before = 0
        self._deck = Deck()

    # -- structure -------------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """Two lines for a narrow terminal; the deck; the columns beside it."""
        yield Static("", id="brief")
        yield Static("", id="hello")
        with Horizontal(id="deck"):
            with Vertical(id="main"):
                with Vertical(classes="panel", id="streaming"):
                    yield StreamView(id="streams", empty=WAITING)
                with Vertical(classes="panel", id="landed-panel"):
                    yield Static("", id="landed-head")
                    yield LandedList(follow=True, empty="Nothing has landed yet.", id="landed")
                with Vertical(classes="panel", id="scores"):
                    yield Histograms(id="histogram")
            with Vertical(id="side"):
                for name in ("run", "troubles", "funnel"):
                    with Vertical(classes="panel", id=f"{name}-panel"):
                        yield Static("", id=name)

    def on_mount(self) -> None:
        """Name the panels, follow the jobs, look ten times a second."""
        super().on_mount()
        titles = {
            "streaming": "Streaming",
            "landed-panel": "Landed",
            "scores": self._deck.title,
            "run-panel": "Run",
            "troubles-panel": "Troubles",
            "funnel-panel": "Drops so far",
        }
        for name, title in titles.items():
            self.query_one(f"#{name}", Vertical).border_title = safe.line(title)
        self.query_one("#deck").display = False
        self.set_interval(1 / FRAMES, self._look)

    def on_resize(self, event: events.Resize) -> None:
        """Keep the deck whole at low heights."""
        self.set_class(event.size.height < 34, "-low")
        self.set_class(event.size.height < 20, "-lower")
        self._drawn = (-1, -1)

    # -- data ------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read what could run, what runs elsewhere, what landed last; a run of this app brings its own news."""
        job = self.shell.jobs.latest("generate")
        self._job = job if isinstance(job, GenerateJob) and job.store is self.store else None
        if self.store is None:
            self._say("No project is open.\n\nPress 1 to open one, to make one, or to try the demo.")
            return
        live = self._job is not None and self._job.state in LIVE
        if live and self._plan is not None:
            return
        from claif_tui.ui.screens.generate_run import look

        seen = await self.shell.db(look)
        self._plan, self._failed = seen.plan, seen.failed
        if not seen.plan.planned and not seen.landed:
            first = "No seeds yet" if seen.plan.system == "claif" else seen.plan.problem.partition(". ")[0]
            what = "triplets" if "triplets" in first else "sentences"
            self._say(f"{first}.\n\nPress 2 to import {what}; 3 shows what would be sent; here, g starts.")
            return
        self._say("")
        if not live:
            self._show_deck(seen.deck)
            self._show_stored(seen.landed, seen.histogram)
        self._drawn = (-1, -1)
        self._look()

    def _show_deck(self, deck: Deck) -> None:
        """Set the panels up for a system."""
        self._deck = self.query_one("#landed", LandedList).deck = deck
        self._title("#scores", deck.title)
        self.query_one("#scores").set_class(bool(deck.without), "-without")
        histograms = self.query_one("#histogram", Histograms)
        histograms.top, histograms.counted, histograms.without = deck.top, deck.labelled, deck.without

    def _show_stored(self, landed: list[Landed], histogram: Groups) -> None:
        from array import array

        rows = self.query_one("#landed", LandedList)
        rows.show(array("q", [row.id for row in landed]), landed)
        self.query_one("#histogram", Histograms).counts = ordered(histogram)

    def _say(self, words: str) -> None:
        """Show one plain message instead of the deck, or the deck when there is nothing to say."""
        self.query_one("#hello", Static).display = bool(words)
        self.query_one("#hello", Static).update(safe.block(words))
        self.query_one("#deck").display = not words
        self.query_one("#brief").set_class(bool(words), "-off")
        if not words and self.focused is None:
            self.query_one("#landed", LandedList).focus()

    # -- drawing ---------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Draw what changed since the last look."""
        if not self.is_current and self.app.screen_stack[0] is not self:
            return
        job = self._job
        self._frame += 1
        if job is None or not self.query_one("#deck").display:
            self._draw_idle()
            return
        flight = job.flight
        if flight.version == self._drawn[0] and self._frame % SLOW:
            return
        with self.app.batch_update():
            self.query_one("#streams", StreamView).show(flight.streams())
            if flight.landed_version != self._drawn[1]:
                rows = self.query_one("#landed", LandedList)
                if flight.landed_version:
                    rows.show(flight.landed_ids(), flight.take_fresh())
            if self._frame % SLOW == 0 or flight.finished is not None or self._drawn[0] == -1:
                self._draw_slow(job)
        self._drawn = (flight.version, flight.landed_version)

    def _draw_slow(self, job: GenerateJob) -> None:
        self._head()
        flight, progress = job.flight, job.flight.progress
        if flight.histogram:
            counts = {group: list(bins) for group, bins in flight.histogram.items()}
            self.query_one("#histogram", Histograms).counts = ordered(counts)
        scores = f", {flight.scored:,} scores" if flight.deck.scored else ""
        shown = f"Landed · {flight.generated:,} {flight.deck.unit}{scores}"
        self._title("#landed-panel", shown if flight.landed_version else "Landed")
        if progress is None:
            self._put("#run", safe.line("starting …", "$text-muted"))
            self._put("#brief", safe.line("starting …", "$text-muted"))
            return
        flying = progress.in_flight if job.state in LIVE else 0
        self._title("#streaming", f"Streaming · {flying} in flight" if flying else "Streaming")
        state = text.state_of(job.state, flight.finished)
        box = text.run_box(state, progress, self._limit_before, 30, flight.unit)
        if job.message and job.state not in LIVE:
            box = safe.lines(box, safe.line(job.message, "$text-muted"))
        self._put("#run", box)
        self._put("#troubles", text.troubles_box(progress.troubles, progress.failed))
        dropped = text.rules_of(flight.deck, flight.classes)
        swapped = flight.swapped if flight.deck.curation is not None else None
        self._put("#funnel", text.funnel_box(dropped, flight.generated, swapped))
        line = text.run_line(state, progress, self._limit_before)
        told = {name: count for name, count in (*dropped.items(), ("swapped", swapped or 0)) if count}
        self._put("#brief", safe.lines(line, text.troubles_line(progress.troubles, progress.failed, told)))
        if self._frame % (SLOW * FRAMES) == 0:
            self._limit_before = progress.limit

    def _title(self, panel: str, words: str) -> None:
        """Name a panel, unless it is named so already."""
        widget, title = self.query_one(panel, Vertical), safe.line(words)
        if widget.border_title != title:
            widget.border_title = title

    def _draw_idle(self) -> None:
        plan = self._plan
        if plan is None:
            return
        self._head()
        streams = self.query_one("#streams", StreamView)
        streams.empty = ELSEWHERE if plan.other is not None else WAITING
        streams.refresh()
        self._put("#run", text.idle_box(plan))
        self._put("#troubles", text.troubles_box({}, self._failed))
        self._put("#funnel", safe.line("counted while a run goes on", "$text-muted"))
        self._put("#brief", safe.lines(text.idle_line(plan), text.troubles_line({}, self._failed, {})))

    def _put(self, where: str, content: Content) -> None:
        """Update a text only when it says something else."""
        widget = self.query_one(where, Static)
        if widget.content != content:
            widget.update(content)

    def _head(self) -> None:
        width = self.query_one("#landed", LandedList).size.width
        self._put("#landed-head", safe.line(landed_head(self._deck, width)))

    # -- keys ------------------------------------------------------------------------------------------

    def action_go_on(self) -> None:
        """Start, or go on after a pause."""
        job = self._job
        if job is not None and job.state in ("pausing", "paused"):
            job.resume()
        elif job is not None and job.state in LIVE:
            self.shell.say("The run is going on. p pauses it, x stops it.")
        else:
            self.ask(self._start, description="start a run")

    async def _start(self) -> None:
        """Ask before money is spent, then start; refusals come as errors that say what to do."""
        await self.loaded()
        if self.store is None or self._plan is None:
            self.shell.say("Nothing to run yet: press 1 for a project, 2 for seeds.")
            return
        other = self._plan.other
        if other is not None:
            if other.state == "paused":
                await self.shell.db(lambda store: store.runs.request(other.id, "resume"))
                self.shell.say(f"Asked run {other.id} to go on.")
            else:
                self.shell.say(
                    f"Run {other.id} goes on in process {other.pid} on {other.host}; p pauses it, x stops it."
                )
            return
        from claif_tui.ui.screens.generate_run import start

        await start(self)

    @property
    def seen_version(self) -> int:
        """The version of the flight that is drawn."""
        return self._drawn[0]

    @property
    def running(self) -> bool:
        """Whether a run of this app or of another process goes on."""
        here = self._job is not None and self._job.state in LIVE
        return here or (self._plan is not None and self._plan.other is not None)

    def adopt(self, job: GenerateJob) -> None:
        """Look at a job that has just been started."""
        self._job = job
        self._show_deck(job.flight.deck)
        self._drawn = (-1, -1)
        self._look()

    def action_pause(self) -> None:
        """Pause the run, here or in another process."""
        self._steer("pause")

    def action_stop(self) -> None:
        """Stop the run, here or in another process."""
        self._steer("stop")

    def _steer(self, what: Literal["pause", "stop"]) -> None:
        job, other = self._job, self._plan.other if self._plan else None
        if job is not None and job.state in LIVE:
            job.pause() if what == "pause" else job.stop()
            self._drawn = (-1, -1)
        elif other is not None:
            self.ask(lambda: self._ask_other(other.id, what), description=f"{what} a run elsewhere")
        else:
            self.shell.say("No run is going on. g starts one.")

    async def _ask_other(self, run_id: int, what: Literal["pause", "stop"]) -> None:
        await self.shell.db(lambda store: store.runs.request(run_id, what))
        self.shell.say(f"Asked run {run_id} to {what}; it answers within seconds.")

    def action_troubles(self) -> None:
        """Open the list of failed calls."""
        if self.store is None:
            return
        from claif_tui.ui.screens.generate_troubles import open_troubles

        self.ask(lambda: open_troubles(self), description="troubles")

    def action_open_pair(self) -> None:
        """Open the pair under the cursor in Review."""
        row_id = self.query_one("#landed", LandedList).cursor_id
        if row_id is not None:
            self.ask(lambda: self._open(row_id), description="open a pair")

    def on_row_list_selected(self, message: RowList.Selected) -> None:
        """Enter or a second click on a landed pair."""
        message.stop()
        row_id = message.row_id
        self.ask(lambda: self._open(row_id), description="open a pair")

    async def _open(self, pair_id: int) -> None:
        from claif_tui.ui.screens.review import ReviewScreen

        await self.shell.action_go("review")
        review = self.app.screen
        if isinstance(review, ReviewScreen):
            review.open_pair(pair_id)

    def copy_target(self) -> tuple[str, str] | None:
        """The landed pair under the cursor."""
        row = self.query_one("#landed", LandedList).current
        return (
            None
            if row is None
            else ("the pair", f"{row.text_a}\t{row.text_b}\t{row.score if row.score is not None else ''}")
        )
