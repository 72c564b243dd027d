"""Under which name somebody rates: the planned raters with how far each is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Footer, OptionList
from textual.widgets.option_list import Option

from claif_tui.core.rating.progress import progress
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal

if TYPE_CHECKING:
    from claif_tui.core.rating.models import StudyData


class NamesModal(ClaifModal[str]):
    """Gives the name, or nothing."""

    nothing = ""

    def __init__(self, data: StudyData) -> None:
        super().__init__()
        self._each = progress(data)

    def compose(self) -> ComposeResult:
        """One line a rater."""
        with Vertical(classes="dialog") as box:
            box.border_title = "Who rates?"
            box.border_subtitle = "enter begins"
            options = [
                Option(safe.join((f"{each.rater:<20}", "bold"), f"{each.done:>5} of {each.total}"))
                for each in self._each
            ]
            yield OptionList(*options, markup=False, compact=True)
        yield Footer(show_command_palette=False)

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._each[event.option_index].rater)
