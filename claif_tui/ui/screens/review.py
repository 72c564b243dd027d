"""Review."""

from __future__ import annotations

from claif_tui.ui.base import ClaifScreen


class ReviewScreen(ClaifScreen):
    """Review."""

    place = "review"
