"""Settings."""

from __future__ import annotations

from claif_tui.ui.base import ClaifScreen


class SettingsScreen(ClaifScreen):
    """Settings."""

    place = "settings"
