"""Generate."""

from __future__ import annotations

from claif_tui.ui.base import ClaifScreen


class GenerateScreen(ClaifScreen):
    """Generate."""

    place = "generate"
