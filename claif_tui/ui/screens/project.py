"""Project."""

from __future__ import annotations

from claif_tui.ui.base import ClaifScreen


class ProjectScreen(ClaifScreen):
    """Project."""

    place = "project"
