"""The app that has nothing but rater mode: for ``rate take``, for packets, and in a browser. No project, no palette."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from claif_tui.ui.screens.rater import Left, RaterScreen
from claif_tui.ui.signals import SignalApp
from claif_tui.ui.theme import HOUSE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claif_tui.core.rating.desk import RaterDesk


class RatingApp(SignalApp, inherit_bindings=False):
    """One rater at one desk.

    ``open_desk`` is called in a thread; a ``ClaifError`` of it is shown with the way out. ``theme`` and ``keys``
    are the user's own. How it ended is in ``left``.
    """

    TITLE = "claif-tui"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-thin"), (50, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (15, "-short"), (24, "-tall")]

    def __init__(
        self, open_desk: Callable[[], RaterDesk], *, theme: str = "", keys: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        for house in HOUSE:
            self.register_theme(house)
        self.theme = theme if theme in self.available_themes else HOUSE[0].name
        if keys:
            self.set_keymap(dict(keys))
        self.left = Left()
        self._open_desk = open_desk

    def on_mount(self) -> None:
        """Show the one screen; when it ends, so does the app."""
        self.heed_signals()
        self.push_screen(RaterScreen(self._open_desk), self._leave)

    def _leave(self, left: Left | None) -> None:
        self.left = left or self.left
        self.exit()

    def show_error(self, error: BaseException) -> None:
        """End over a fault of ours; whoever ran the app tells of it."""
        self.left = Left(fault=error)
        self.exit(return_code=1)


def run_rating(open_desk: Callable[[], RaterDesk], *, personal: bool = True) -> int:
    """Let one person rate in this terminal and return an exit code; a fault is raised once the terminal is given back.

    ``personal`` takes theme and keys from this user's settings.
    """
    from claif_tui.ui import preferences

    known = preferences.load() if personal else preferences.Preferences()
    app = RatingApp(open_desk, theme=known.theme, keys=known.keys)
    app.run(mouse=False)
    if app.left.fault is not None:
        raise app.left.fault
    return app.return_code or 0
