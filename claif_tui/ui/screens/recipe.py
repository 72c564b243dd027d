"""Recipe."""

from __future__ import annotations

from claif_tui.ui.base import ClaifScreen


class RecipeScreen(ClaifScreen):
    """Recipe."""

    place = "recipe"
