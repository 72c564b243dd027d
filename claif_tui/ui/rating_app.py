"""The app that has nothing but rater mode: for ``rate take``, for packets, and in a browser. No project, no palette."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.app import App

from claif_tui.ui.theme import HOUSE

if TYPE_CHECKING:
    from textual.screen import Screen

    from claif_tui.core.rating.desk import RaterDesk


class RatingApp(App[None], inherit_bindings=False):
    """One rater at one desk. ``open_desk`` is called in a thread; a ``ClaifError`` of it is shown with the way out."""

    TITLE = "claif-tui"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-thin"), (50, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (15, "-short"), (24, "-tall")]

    def __init__(self, open_desk: Callable[[], RaterDesk]) -> None:
        super().__init__()
        for theme in HOUSE:
            self.register_theme(theme)
        self.theme = "claif-dark"
        self._open_desk = open_desk

    def get_default_screen(self) -> Screen[Any]:
        """The rater's screen is the only one."""
        from claif_tui.ui.screens.rater import RaterScreen

        return RaterScreen(self._open_desk)


def run_rating(open_desk: Callable[[], RaterDesk]) -> int:
    """Let one person rate in this terminal; return an exit code."""
    app = RatingApp(open_desk)
    app.run(mouse=False)
    return app.return_code or 0
