"""The help panel: a short text and the keys, read from the live bindings, so that it cannot be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal, ClaifScreen
from claif_tui.ui.keymap import PLACES

if TYPE_CHECKING:
    from textual.binding import ActiveBinding
    from textual.screen import Screen

_NAMES = {
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "full_stop": ".",
    "comma": ",",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "escape": "esc",
    "left": "◂",
    "right": "▸",
    "up": "▴",
    "down": "▾",
}


GENERAL = frozenset({"app.focus_next", "app.focus_previous", "screen.copy_text"})
"""Actions that every screen brings along."""


def key_name(key: str) -> str:
    """How a key is written for people: ``question_mark`` is ``?``, ``A`` is ``A``."""
    return "+".join(_NAMES.get(part, part) for part in key.split("+"))


def key_rows(screen: Screen[Any]) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Return (this screen's keys, keys that work everywhere) as rows of keys, name, explanation."""
    here: dict[str, tuple[list[str], ActiveBinding]] = {}
    everywhere: dict[str, tuple[list[str], ActiveBinding]] = {}
    for key, active in screen.active_bindings.items():
        binding = active.binding
        if binding.system or not binding.description or binding.action.startswith("go("):
            continue
        general = active.node is screen.app or binding.action in GENERAL
        group = everywhere if general else here
        group.setdefault(f"{active.node.id}:{binding.action}", ([], active))[0].append(key_name(key))
    return _rows(here), _rows(everywhere)


def _rows(found: dict[str, tuple[list[str], ActiveBinding]]) -> list[tuple[str, str, str]]:
    return [(" ".join(keys), active.binding.description, active.tooltip) for keys, active in found.values()]


class HelpModal(ClaifModal[None]):
    """What this screen is for and every key that works on it now."""

    BINDINGS = [
        Binding("question_mark,f1,q", "walk_away", "Close", show=False, id="help.close"),
        Binding("j", "scroll(1)", "Down", show=False, id="help.down"),
        Binding("k", "scroll(-1)", "Up", show=False, id="help.up"),
    ]

    def __init__(self, about: Screen[Any]) -> None:
        super().__init__()
        self._about = about
        self._here, self._everywhere = key_rows(about)

    def compose(self) -> ComposeResult:
        """Text first, then the keys of the screen, then those of the app."""
        with VerticalScroll(classes="dialog reading help", can_focus=True) as box:
            title = next((p.title for p in PLACES if p.name == getattr(self._about, "place", "")), "Help")
            box.border_title = safe.line(f"? {title}")
            yield Static(self._content())
        yield Footer(show_command_palette=False)

    def _content(self) -> Content:
        rows: list[safe.Part] = []
        if isinstance(self._about, ClaifScreen) and self._about.HELP_TEXT:
            for paragraph in self._about.HELP_TEXT.strip().split("\n\n"):
                rows += [safe.line(" ".join(paragraph.split())), ""]
        rows += [("Keys here", "bold $primary"), *_table(self._here), ""]
        rows += [("Keys everywhere", "bold $primary"), *_table(self._everywhere)]
        rows.append(_row("1-9", "Screens", " ".join(f"{place.key} {place.title}" for place in PLACES)))
        return safe.lines(*rows)

    def action_scroll(self, rows: int) -> None:
        """Scroll by rows."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)


def _table(rows: list[tuple[str, str, str]]) -> list[Content]:
    return [_row(*row) for row in rows] or [safe.line("  none", "$text-muted")]


def _row(keys: str, name: str, meaning: str) -> Content:
    more = "" if meaning in ("", name) else f"  {meaning}"
    return safe.join((f"  {keys:<12}", "bold"), f"{name:<18}", (more, "$text-muted"))
