"""The Review screen: one pair, one key. It routes keys to the store in order and shows what is on disk."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from claif_tui.core.models import Action, Pair, PairQuery
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifScreen
from claif_tui.ui.screens import review_decide
from claif_tui.ui.screens.review_bindings import REVIEW_BINDINGS
from claif_tui.ui.screens.review_keys import KeyQueue
from claif_tui.ui.screens.review_source import (
    Glance,
    QueueSource,
    glance,
    nothing_words,
    pair_words,
    query_words,
    session_words,
)
from claif_tui.ui.widgets.pair_card import EditArea, PairCard, status_line
from claif_tui.ui.widgets.pair_list import PairList
from claif_tui.ui.widgets.pair_sides import SideName
from claif_tui.ui.widgets.panel import Panel
from claif_tui.ui.widgets.row_list import RowList

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.timer import Timer

    from claif_tui.core.review import ReviewQueue
    from claif_tui.core.store.store import Store
    from claif_tui.ui.jobs import Job

START = PairQuery(filter="status = pending")
"""What Review shows in a project where nobody has reviewed yet."""
REMEMBER_SECONDS = 0.5
"""How long the cursor rests on a pair before that place is kept."""


class ReviewScreen(ClaifScreen):
    """Accept, reject, edit, rescore; each decision is on disk before the next pair shows."""

    place = "review"
    CSS_PATH = "review.tcss"
    HELP_TEXT: ClassVar[str] = """
Review shows one pair at a time: the seed, the generated sentence with what is new in it, the score and its reason. \
a and r decide and go on; every decision is on disk before the next pair shows, is kept with your name, and u takes \
back your last one, even after a restart. An edit makes the score stale: such a pair is left out of exports until s \
asks again or = sets a score by hand. f narrows the list, / searches, o sorts, n draws a random sample for a keep \
rate with its interval, v shows how good the scores are. space marks; A and R decide all marked pairs, or all in the \
list, after asking. x exports. A triplet shows anchor, positive and hard negative; e edits the positive, E the hard \
negative.
"""
    BINDINGS = REVIEW_BINDINGS

    def __init__(self) -> None:
        super().__init__()
        self.keys = KeyQueue(self)
        self.queue: ReviewQueue | None = None
        self.precision = 0.03
        """The margin of the keep rate at which the stop rule of a sample says stop."""
        self.agreed: set[str] = set()
        """Priced endpoints that may rescore single pairs without being asked about again."""
        self.seen: Glance | None = None
        self._remember_at: Timer | None = None
        self._of: Store | None = None
        self._wanted: int | PairQuery | None = None

    # -- structure -------------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """The list and the card, and one line on the session."""
        with Horizontal(id="review"):
            with Panel(classes="panel", id="list-panel"):
                rows = PairList(id="pairs", empty="No pair here.")
                rows.can_focus = False
                yield rows
            with Panel(classes="panel", id="card-panel"):
                yield PairCard(id="card")
        yield Static("", id="session")

    def on_mount(self) -> None:
        """Follow the app's data, and the job that fills in cosines for the sort by disagreement."""
        super().on_mount()
        self.shell.jobs.listen(self._job_changed)

    def _job_changed(self, job: Job) -> None:
        if job.kind == "encoder" and job.state == "done" and self.query_shown.sort == "disagreement":
            self.rows.reload()

    @property
    def rows(self) -> PairList:
        """The list."""
        return self.query_one("#pairs", PairList)

    @property
    def card(self) -> PairCard:
        """The card."""
        return self.query_one("#card", PairCard)

    @property
    def current(self) -> Pair | None:
        """The pair that is shown."""
        return self.rows.current

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No key of this screen is live while a text is typed."""
        return action == "leave_field" or not (self.typing or self.editing)

    @property
    def editing(self) -> bool:
        """Whether a pair's text is open for typing, with the focus or (hidden in a tiny terminal) without."""
        return self.is_mounted and self.card.editing

    def on_key(self, event: events.Key) -> None:
        """Keep what is typed for a field that is about to open."""
        self.keys.catch(event)

    # -- data ------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Show where I was, or the pending pairs; later: what changed."""
        store = self.store
        if store is None:
            self.card.show(None, "No project is open.\n\nPress 1 to open one, to make one, or to try the demo.")
            return
        if self._of is not store:
            self._of = store
            await self._resume(store)
        before = self.seen
        await self.count()
        if before is not None and self.seen is not None and before.newest != self.seen.newest:
            self.rows.reload()
        await self._refresh_visible()

    async def _resume(self, store: Store) -> None:
        """Open the list where I was, or the pending pairs in a project that I have not reviewed yet."""
        from claif_tui.core.review import ReviewQueue

        def find() -> ReviewQueue:
            return ReviewQueue.resume(store) or ReviewQueue.open(store, START)

        if self._wanted is None:
            queue = await self.shell.background(find)
            if self._wanted is None:  # nobody asked for something else meanwhile
                self._show_queue(queue)
                return
        wanted, self._wanted = self._wanted, None
        if isinstance(wanted, PairQuery):
            await self.open_query(wanted)
        else:
            await self.open_query(PairQuery(), cursor_id=wanted)

    async def open_query(self, query: PairQuery, *, cursor_id: int | None = None) -> None:
        """Show the pairs of another query: where I was in it, or with the cursor on a pair."""
        from claif_tui.core.review import ReviewQueue

        queue = await self.shell.db(lambda store: ReviewQueue.open(store, query))
        if cursor_id is not None:
            queue.pair_id = cursor_id
        self._show_queue(queue)
        await self.count()

    def _show_queue(self, queue: ReviewQueue) -> None:
        if self.store is None:
            return
        self.queue = queue
        self.rows.clear_marks()
        source = QueueSource(self.store, queue, queue.pair_id)
        self.rows.load(source, cursor_id=queue.pair_id, fallback=queue.position)
        self.frame()

    async def count(self) -> None:
        """Read the figures of the frame again."""
        queue, precision = self.queue, self.precision
        self.seen = await self.shell.db(lambda store: glance(store, queue, precision))
        self.frame()
        if not self.rows.count:
            self.show_card()  # an empty list says why, and why depends on the figures

    async def _refresh_visible(self) -> None:
        """Read what is in sight again: another process may have decided on it."""
        ids = self.rows.visible_ids()
        if ids and self.store is not None:
            self.rows.update_rows(await self.shell.db(lambda store: store.pairs.many(ids)))
            self.show_card()

    @property
    def query_shown(self) -> PairQuery:
        """What the list shows."""
        return START if self.queue is None else self.queue.query

    @property
    def sampled(self) -> bool:
        """Whether the list is a random sample."""
        return self.query_shown.sample is not None

    def describe_query(self) -> str:
        """Return in words what the list shows."""
        return f"In the list: {query_words(self.query_shown)}."

    def working(self, words: str) -> None:
        """Say on the session line that something takes a moment; empty words end it."""
        self._session(safe.line(words, "$text-warning"))
        if not words:
            self.frame()

    def scored(self, pair_id: int) -> None:
        """A pair has a new score on disk: show it."""
        self.ask(partial(self._read_again, pair_id), description="show a new score")

    async def _read_again(self, pair_id: int) -> None:
        if self.store is not None:
            self.rows.update_rows(await self.shell.db(lambda store: store.pairs.many([pair_id])))
            self.show_card()

    def open_pair(self, pair_id: int) -> None:
        """Show one pair (from another screen): in the list if it is there, else among the newest."""
        if self.queue is None:
            self._wanted = pair_id
        elif not self.rows.move_to_id(pair_id):
            self.ask(lambda: self.open_query(PairQuery(), cursor_id=pair_id), description="open a pair")

    def show_query(self, query: PairQuery) -> None:
        """Show other pairs (from another window or screen)."""
        if self.queue is None:
            self._wanted = query
        else:
            self.ask(lambda: self.open_query(query), description="another list")

    # -- showing ---------------------------------------------------------------------------------------

    def frame(self) -> None:
        """Write the titles and the line on the session."""
        rows, panel = self.rows, self.query_one("#list-panel", Panel)
        marked = f" · ◆ {len(rows.marked):,} marked" if rows.marked else ""
        panel.retitle(safe.line(f"{rows.count:,} · {query_words(self.query_shown)}{marked}"))
        seen = self.seen
        if seen is not None:
            counts = seen.counts
            panel.subtitle(safe.line(f"● {counts.pending:,}  ✓ {counts.accepted:,}  ✗ {counts.rejected:,}"))
        place = f"{rows.cursor + 1:,} of {rows.count:,}" if rows.count else ""
        self._session(safe.join(session_words(seen), (f"   {place}", "$text-muted")))

    def _session(self, words: Content) -> None:
        """Write the line on the session: one line always, so no layout."""
        line = self.query_one("#session", Static)
        if line.content != words:
            line.update(words, layout=False)

    def show_card(self) -> None:
        """Show the pair under the cursor, unless its text is being edited."""
        card, panel = self.card, self.query_one("#card-panel", Panel)
        if card.editing:
            return
        pair = self.current
        if pair is not None:
            panel.retitle(
                safe.join(
                    f"{'Pair' if pair.hard_negative is None else 'Triplet'} {pair.id:,}  ", status_line(pair)
                )
            )
            self.set_class(pair.hard_negative is not None, "-triplet")
            if card.pair != pair:
                card.show(pair)
            return
        panel.retitle(safe.line("Pair"))
        listed = self.rows.count or self.rows.loading_ids
        card.show(None, "" if listed else nothing_words(self.seen, everything=self.query_shown == START))

    def on_row_list_highlighted(self, message: RowList.Highlighted) -> None:
        """Another pair is under the cursor, or its row has arrived."""
        message.stop()
        self.show_card()
        self.frame()
        if self._remember_at is not None:
            self._remember_at.stop()
        self._remember_at = self.set_timer(REMEMBER_SECONDS, self._remember)

    def _remember(self) -> None:
        """Keep where I am, once I have been there for a moment."""
        queue, pair_id = self.queue, self.rows.cursor_id
        if queue is not None and pair_id is not None and self._of is self.store and queue.pair_id != pair_id:
            self.run_worker(
                self.shell.background(partial(queue.remember, pair_id)),
                group="remember",
                exit_on_error=False,
                description="remember the place",
            )

    def on_row_list_loaded(self, message: RowList.Loaded) -> None:
        """The list has its ids."""
        message.stop()
        self.show_card()
        self.frame()

    def on_row_list_failed(self, message: RowList.Failed) -> None:
        """The list could not be read."""
        message.stop()
        self.shell.show_error(message.error)

    def on_row_list_selected(self, message: RowList.Selected) -> None:
        """A second click in the narrow layout shows the card."""
        message.stop()
        self.remove_class("-listed")

    def copy_target(self) -> tuple[str, str] | None:
        """The pair as tab-separated texts, then scores."""
        pair = self.current
        return None if pair is None else (f"pair {pair.id:,}", pair_words(pair))

    # -- moving ----------------------------------------------------------------------------------------

    def _move(self, step: Callable[[], object]) -> None:
        """Move the cursor in its turn."""

        def move() -> None:
            step()
            self.show_at_once()

        self.keys.then(move)

    def show_at_once(self) -> None:
        """Show the pair under the cursor in the frame that moves the cursor; the list's message comes one later."""
        if self.current is not None:
            self.show_card()
            self.frame()

    def action_move(self, by: int) -> None:
        """Go to another pair."""
        self._move(lambda: self.rows.action_move(by))

    def action_half_page(self, by: int) -> None:
        """Go half a page."""
        self._move(lambda: self.rows.action_half_page(by))

    def action_first(self) -> None:
        """Go to the first pair."""
        self._move(self.rows.action_first)

    def action_last(self) -> None:
        """Go to the last pair."""
        self._move(self.rows.action_last)

    def action_scroll_card(self, by: int) -> None:
        """Scroll a pair that is longer than the card."""
        self.card.scroll_relative(y=by, animate=False)

    def action_toggle_list(self) -> None:
        """Show or hide the list; below 100 columns it takes the place of the card."""
        if self.has_class("-narrow"):
            self.toggle_class("-listed")
        else:
            self.toggle_class("-alone")

    def action_mark(self) -> None:
        """Mark the pair and go on."""

        def mark() -> None:
            if self.rows.cursor_id is not None:
                self.rows.toggle_mark(self.rows.cursor_id)
                self.rows.action_move(1)
                self.frame()
                self.show_at_once()

        self.keys.then(mark)

    def action_clear(self) -> None:
        """Undo one narrowing: marks, then the sample, then the search."""

        def clear() -> None:
            if self.rows.marked:
                self.rows.clear_marks()
                self.frame()
            elif self.sampled:
                self._narrow(replace(self.query_shown, sample=None))
            elif self.query_shown.search:
                self._narrow(replace(self.query_shown, search=""))

        self.keys.then(clear)

    def _narrow(self, query: PairQuery) -> None:
        here = self.rows.cursor_id
        self.ask(lambda: self.open_query(query, cursor_id=here), description="another list")

    # -- deciding --------------------------------------------------------------------------------------

    def action_decide(self, action: Action) -> None:
        """Accept or reject the pair and go on."""
        self.keys.put(partial(review_decide.decide, self, action))

    def action_undo(self) -> None:
        """Take back my last decision."""
        self.keys.put(partial(review_decide.take_back, self, "undo"))

    def action_redo(self) -> None:
        """Do again what was undone."""
        self.keys.put(partial(review_decide.take_back, self, "redo"))

    def action_bulk(self, action: Action) -> None:
        """Decide all marked pairs, or all in the list; asks first."""
        self.keys.put(partial(review_decide.bulk, self, action))

    def action_edit(self, side: SideName = "text") -> None:
        """Open the generated sentence or the hard negative for typing."""

        def edit() -> None:
            pair = self.current
            if pair is not None and side == "negative" and pair.hard_negative is None:
                self.shell.say("This pair has no hard negative: e edits the generated sentence.")
            elif pair is not None:
                self.remove_class("-listed")
                self.card.edit(side)

        self.keys.open(edit)

    def on_edit_area_saved(self, message: EditArea.Saved) -> None:
        """Put the edit on disk, then close the editor."""
        message.stop()
        pair = self.card.pair
        if pair is not None and message.changed:
            self.keys.put(partial(review_decide.save_edit, self, pair, self.card.side, message.text))
        else:
            self.card.end_edit()
            self.show_card()

    def on_edit_area_cancelled(self, message: EditArea.Cancelled) -> None:
        """Leave the text as it was."""
        message.stop()
        self.card.end_edit()
        self.show_card()

    def action_set_score(self) -> None:
        """Set the score by hand."""
        self.keys.open(lambda: self.ask(partial(review_decide.set_score, self), description="set the score"))

    def action_rescore(self) -> None:
        """Ask the model for the score of the text as it is now."""
        from claif_tui.ui.screens.review_rescore import rescore

        self.keys.put(partial(rescore, self))

    # -- narrowing, looking closer ---------------------------------------------------------------------

    def action_filter(self) -> None:
        """Open the filter."""
        self._dialog("ask_filter")

    def action_search(self) -> None:
        """Open the search."""
        self._dialog("ask_search")

    def action_sort(self) -> None:
        """Choose the order."""
        self._dialog("ask_sort")

    def action_sample(self) -> None:
        """Draw a random sample."""
        self._dialog("ask_sample")

    def _dialog(self, name: str) -> None:
        from claif_tui.ui.screens import review_narrow

        if self.store is None:
            self.shell.say("Open a project first: press 1.")
            return
        step = partial(getattr(review_narrow, name), self)
        self.keys.open(lambda: self.ask(step, description=name))

    def action_lineage(self) -> None:
        """Show everything the pair came from."""
        from claif_tui.ui.screens.review_lineage import show_lineage

        pair = self.current
        if pair is not None:
            self.ask(partial(show_lineage, self, pair.id), description="lineage")

    def action_quality(self) -> None:
        """Show how good the scores in the list are."""
        from claif_tui.ui.screens.score_quality import quality_of_list

        self.keys.open(lambda: self.ask(partial(quality_of_list, self), description="score quality"))

    def action_export(self) -> None:
        """Open the export dialog."""
        from claif_tui.ui.screens.review_export import open_export

        if self.store is not None:
            self.ask(partial(open_export, self), description="export")
