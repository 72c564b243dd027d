"""The user's own choices for the app, read once after the first paint and written when changed. No widget.

What they are is declared in ``claif_tui.core.settings``; here they reach the app.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from claif_tui.core.errors import ClaifError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claif_tui.ui.app import ClaifApp


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Theme, keys, and what was wrong with the settings file if it could not be read."""

    theme: str = "claif-dark"
    keys: Mapping[str, str] = field(default_factory=dict)
    problem: ClaifError | None = None

    def apply(self, app: ClaifApp) -> None:
        """Make the app look and act so; an unknown theme is said and left out."""
        if self.theme in app.available_themes:
            app.theme = self.theme
        else:
            app.say(f"There is no theme {self.theme!r}; 9 lists them.", severity="warning")
        if self.keys:
            app.set_keymap(dict(self.keys))
        if self.problem is not None:
            app.show_error(self.problem)


def load() -> Preferences:
    """Read the preferences; a broken file is reported, and the defaults hold."""
    from claif_tui.core import settings

    try:
        known = settings.load()
    except ClaifError as error:
        return Preferences(problem=error)
    return Preferences(theme=known.text("theme"), keys=known.keys)


def remember_theme(name: str) -> None:
    """Keep the theme."""
    from claif_tui.core import settings

    settings.remember("theme", name)
