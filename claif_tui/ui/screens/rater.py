"""Rater mode: one item at a time, keyboard only, nothing else in sight. All it knows comes from a ``RaterDesk``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.screen import Screen

if TYPE_CHECKING:
    from claif_tui.core.rating.desk import RaterDesk


class RaterScreen(Screen[None], inherit_bindings=False):
    """The screen of one rater."""

    def __init__(self, open_desk: Callable[[], RaterDesk]) -> None:
        super().__init__()
        self._open_desk = open_desk
