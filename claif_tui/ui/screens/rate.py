"""Rate, for who runs a study: the studies and how far they are, a new one, and the door into rater mode."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from claif_tui.ui import safe
from claif_tui.ui.base import ClaifScreen
from claif_tui.ui.dialogs import ConfirmModal

if TYPE_CHECKING:
    from claif_tui.core.rating.models import StudyData
    from claif_tui.core.rating.session import RaterSession
    from claif_tui.core.store.store import Store


class RateScreen(ClaifScreen):
    """Screen 6."""

    place = "rate"
    CSS_PATH = "rate.tcss"
    HELP_TEXT = (
        "A study has people judge a sample of the pairs. It is frozen under a hash before its first rating: sample, "
        "questions, raters, rules. What departs from it later is listed.\n\n"
        "r begins rater mode: full screen, one item at a time, and nothing else in reach until esc. Raters in a "
        "terminal of their own: claif-tui rate take --rater NAME. Explanations of the scores: claif-tui rate explain."
    )
    BINDINGS = [
        Binding("r", "rate", "Rate", id="rate.rate", tooltip="Choose a name and rate its items"),
        Binding("n", "new", "New study", id="rate.new", tooltip="Draw a sample and freeze a study"),
        Binding("g", "report", "Report", id="rate.report", tooltip="How far the study is, and what it says"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._studies: list[StudyData] = []

    def body(self) -> ComposeResult:
        """The studies on the left, the one of the cursor on the right; or how to begin."""
        with Horizontal(id="rate-all"):
            with Vertical(classes="panel", id="studies") as panel:
                panel.border_title = "Studies"
                yield OptionList(id="study-list", markup=False, compact=True)
            with VerticalScroll(classes="panel", id="study", can_focus=False) as panel:
                panel.border_title = "Study"
                yield Static("", id="study-text", markup=False)
        with Vertical(classes="panel", id="no-study") as panel:
            panel.border_title = "Rate"
            yield Static("", id="no-study-text", markup=False)

    async def load(self) -> None:
        """Read every study."""
        from claif_tui.ui.screens import rate_text

        store = self.store
        self._studies = [] if store is None else await self.shell.db(_studies)
        self.set_class(bool(self._studies), "-some")
        self.query_one("#no-study-text", Static).update(rate_text.empty(store is not None))
        rows = self.query_one("#study-list", OptionList)
        at = rows.highlighted or 0
        rows.set_options([Option(rate_text.row(data)) for data in self._studies])
        if self._studies:
            rows.highlighted = min(at, len(self._studies) - 1)
            if self.focused is None:
                rows.focus()
        self._show()
        self.refresh_bindings()

    def rest(self) -> Widget | None:
        """The list."""
        return self.query_one("#study-list", OptionList)

    @property
    def current(self) -> StudyData | None:
        """The study of the cursor."""
        at = self.query_one("#study-list", OptionList).highlighted
        return self._studies[at] if at is not None and at < len(self._studies) else None

    def _show(self) -> None:
        from claif_tui.ui.screens import rate_text

        if self.current is not None:
            self.query_one("#study").border_title = safe.line(f"Study {self.current.study.name}")
            self.query_one("#study-text", Static).update(rate_text.study(self.current))

    @on(OptionList.OptionHighlighted)
    def _moved(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._show()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_rate()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Rating needs a study, a study needs a project."""
        if action in ("rate", "report"):
            return bool(self._studies)
        if action == "new":
            return self.store is not None
        return super().check_action(action, parameters)

    def copy_target(self) -> tuple[str, str] | None:
        """The hash of the study."""
        return None if self.current is None else ("the hash", self.current.study.hash)

    def action_new(self) -> None:
        """Make a study."""
        self.ask(self._new, description="make a study")

    async def _new(self) -> None:
        from claif_tui.ui.screens.rate_new import new_study

        if self.store is not None and await new_study(self.shell, self.store):
            self.shell.changed()

    def action_report(self) -> None:
        """Show the report."""
        from claif_tui.ui.screens.rate_report import report_modal

        if self.current is not None:
            self.app.push_screen(report_modal(self.current))

    def action_rate(self) -> None:
        """Rate under a name."""
        self.ask(self._rate, description="rate")

    async def _rate(self) -> None:
        from claif_tui.ui.screens.rate_names import NamesModal
        from claif_tui.ui.screens.rater import RaterScreen

        data, store = self.current, self.store
        if data is None or store is None:
            return
        rater = await self.app.push_screen_wait(NamesModal(data))
        if not rater:
            return
        session = await self._desk(store, data.study.name, rater)
        if session is None:
            return
        left = await self.shell.quietly(RaterScreen(lambda: session))
        self.shell.changed()
        self.reload()
        if left is not None and left.fault is not None:
            self.shell.show_error(left.fault)
        elif left is not None and left.quit:
            await self.shell.action_quit()

    async def _desk(self, store: Store, study: str, rater: str) -> RaterSession | None:
        """Open the desk; a name that somebody else used so far is asked about."""
        from claif_tui.core.errors import SeatError
        from claif_tui.core.rating.session import RaterSession

        opening = partial(RaterSession, store, study, rater)
        try:
            return await self.shell.background(opening)
        except SeatError as error:
            question = f"{error.message}. Are you the same person? It is noted as a deviation from the plan."
            asked = ConfirmModal("Another seat", question, yes="The same person", no="Not me")
            if not await self.app.push_screen_wait(asked):
                return None
            return await self.shell.background(partial(opening, same_person=True))


def _studies(store: Store) -> list[StudyData]:
    return [store.studies.data(name) for name in store.studies.names()]
