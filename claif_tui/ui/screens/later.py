"""Rate until it is built: what will be here, and what to do today instead."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from claif_tui.ui import safe
from claif_tui.ui.base import ClaifScreen

_TEXTS: dict[str, tuple[str, str, str]] = {
    "rate": (
        "Rate · comes next",
        "Blind human evaluation of generated pairs: raters judge fluency and score consistency one item at a "
        "time, and the report gives intervals and agreement.",
        "Until then: press 5 to review pairs yourself. In Review, a random sample with a fixed seed gives the "
        "keep rate with its interval. `claif-tui export` writes any subset for raters elsewhere.",
    ),
}


class LaterScreen(ClaifScreen):
    """Says plainly what comes next and what to do now."""

    def __init__(self, name: str) -> None:
        self.place = name
        super().__init__()
        self._title, self._what, self._now = _TEXTS[name]

    def body(self) -> ComposeResult:
        """Two paragraphs."""
        with Vertical(classes="panel", id="later") as panel:
            panel.border_title = safe.line(self._title)
            yield Static(safe.block(self._what))
            yield Static("")
            yield Static(safe.block(self._now), classes="next")
