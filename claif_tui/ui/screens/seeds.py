"""Seeds."""

from __future__ import annotations

from claif_tui.ui.base import ClaifScreen


class SeedsScreen(ClaifScreen):
    """Seeds."""

    place = "seeds"
