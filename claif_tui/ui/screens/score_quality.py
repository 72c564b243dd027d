"""The window on the quality of the scores: reads its figures in the background, and opens Review on what they show."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from claif_tui.core.models import PairQuery
from claif_tui.core.quality import Quality, narrowed, quality
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal, ClaifScreen
from claif_tui.ui.keymap import LIST_BINDINGS
from claif_tui.ui.screens import quality_text
from claif_tui.ui.screens.review_encoder import encode

if TYPE_CHECKING:
    from textual import events

    from claif_tui.ui.jobs import Job
    from claif_tui.ui.screens.review import ReviewScreen


class FigureList(OptionList):
    """The lines of the view; those with pairs behind them can be chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *LIST_BINDINGS,
        Binding(
            "enter", "select", "Open in Review", id="quality.open", tooltip="Review the pairs of this line"
        ),
    ]


class QualityModal(ClaifModal[PairQuery | None]):
    """Ends with the pairs to review, or None."""

    nothing = None
    CSS_PATH = "score_quality.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "disagreement", "By disagreement", id="quality.disagreement",
                tooltip="Review these pairs, where score and encoder are furthest apart first"),
        Binding("e", "encode", "Encode", id="quality.encode", tooltip="Work out the encoder cosines that are missing"),
        Binding("r", "again", "Recompute", id="quality.again", tooltip="Read the project again"),
        Binding("y", "copy", "Copy", id="quality.copy", tooltip="Copy what is shown"),
        Binding("q", "walk_away", "Close", show=False, id="quality.close"),
    ]  # fmt: skip

    def __init__(self, query: PairQuery, ids: Sequence[int] | None) -> None:
        super().__init__()
        self._query, self._ids = query, ids
        self.found: Quality | None = None
        self._conditions: list[str] = []
        self._heights: list[int] = []

    def compose(self) -> ComposeResult:
        """One list for everything, so that it scrolls as one."""
        with Vertical(classes="dialog quality") as box:
            box.border_title = safe.line(f"Score quality · {quality_text.selection(self._query)}")
            yield Static("Reading the scores …", id="quality-wait", markup=False)
            yield FigureList(markup=False, compact=True)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Read, and follow the job that works out cosines."""
        self._unlisten = self.shell.jobs.listen(self._job_changed)
        self.query_one(FigureList).focus()
        self.action_again()

    def on_unmount(self) -> None:
        """Follow it no longer."""
        self._unlisten()

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new width."""
        self.call_after_refresh(self._show)

    def _job_changed(self, job: Job) -> None:
        if job.kind != "encoder":
            return
        percent = job.progress.percent
        live = job.state == "running" and percent is not None
        self._note(f"encoder cosines {percent} %" if live else "")
        if job.state == "done":
            self.action_again()

    def action_again(self) -> None:
        """Read everything again."""
        self._note("reading …")
        self.run_worker(
            self._read(), group="quality", exclusive=True, exit_on_error=False, description="score quality"
        )

    async def _read(self) -> None:
        self.found = await self.shell.db(partial(quality, query=self._query, ids=self._ids))
        self._note("")
        self._show()

    def _note(self, words: str) -> None:
        self.query_one(".dialog").border_subtitle = safe.line(words)

    def _show(self) -> None:
        """Draw the figures; the cursor stays on its line."""
        if self.found is None or not self.is_mounted:
            return
        figures = self.query_one(FigureList)
        self.query_one("#quality-wait").display = False
        before = figures.highlighted
        rows = quality_text.rows(self.found, max(40, self.query_one(".dialog").content_size.width - 1))
        self._conditions = [row.condition for row in rows]
        self._heights = [row.content.plain.count("\n") + 1 for row in rows]
        figures.clear_options()
        figures.add_options([Option(row.content, disabled=not row.condition) for row in rows])
        if any(self._conditions):
            kept = before is not None and before < len(rows) and self._conditions[before]
            figures.highlighted = before if kept else self._open[0]

    @property
    def _open(self) -> list[int]:
        """The lines that can be chosen."""
        return [place for place, condition in enumerate(self._conditions) if condition]

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """At the ends, show also what stands above the first and below the last line that can be chosen."""
        event.stop()
        figures, index = event.option_list, event.option_index
        if index == self._open[0] and sum(self._heights[: index + 1]) <= figures.size.height:
            figures.scroll_home(animate=False)
        elif index == self._open[-1] and sum(self._heights[index:]) <= figures.size.height:
            figures.scroll_end(animate=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Review the pairs behind a line."""
        event.stop()
        self.dismiss(narrowed(self._query, self._conditions[event.option_index]))

    def action_disagreement(self) -> None:
        """Review these pairs in order of disagreement."""
        self.dismiss(narrowed(self._query, "", sort="disagreement"))

    def action_encode(self) -> None:
        """Work out the missing cosines."""
        self.run_worker(
            encode(self.shell, "the figures follow when it is done"),
            group="encode",
            exit_on_error=False,
            description="work out cosines",
        )

    def action_copy(self) -> None:
        """Copy the view as text."""
        if self.found is not None:
            lines = [row.content.plain for row in quality_text.rows(self.found, 110)]
            self.shell.copy("\n".join(lines), "the score quality")


async def quality_of_list(review: ReviewScreen) -> None:
    """Show the quality of the scores in Review's list."""
    if review.store is None:
        review.shell.say("Open a project first: press 1.")
        return
    ids = review.queue.ids if review.queue is not None and review.sampled else None
    await show_quality(review, review.query_shown, ids)


async def show_quality(screen: ClaifScreen, query: PairQuery, ids: Sequence[int] | None = None) -> None:
    """Show the quality of the scores that ``query`` finds, then review what was chosen there."""
    from claif_tui.ui.screens.review import ReviewScreen

    shell = screen.shell
    chosen = await shell.push_screen_wait(QualityModal(query, ids))
    if chosen is None:
        return
    if chosen.sort == "disagreement":
        await encode(shell, "the list is sorted anew when it is done")
    await shell.action_go("review")
    review = shell.screen
    if isinstance(review, ReviewScreen):
        review.show_query(chosen)
