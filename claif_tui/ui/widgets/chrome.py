"""The lines above every screen: project, endpoint, money, jobs, the last decision; and the tabs."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from claif_tui.core.text import cell_width
from claif_tui.ui import safe
from claif_tui.ui.keymap import PLACES


@dataclass(frozen=True, slots=True, kw_only=True)
class TopState:
    """What the top line says. Empty parts are left out; ``saved`` is a local time such as 14:02:11."""

    project: str = ""
    endpoint: str = ""
    money: str = ""
    jobs: str = ""
    saved: str = ""


class TopLine(Widget):
    """``claif-tui ▸ stsb     gpt-4o-mini @ api · $0.31 / $5.00 · ▶ 61 % · saved 14:02:11``."""

    state: reactive[TopState] = reactive(TopState())

    def on_mount(self) -> None:
        """Show what the app knows."""
        self.watch(self.app, "top", self._show)

    def _show(self, state: TopState) -> None:
        self.state = state

    def render(self) -> Content:
        """Project on the left, the rest on the right; the least important part goes first when it is tight."""
        left = safe.join(
            ("claif-tui", "bold $primary"),
            *((" ▸ ", (self.state.project, "bold")) if self.state.project else ()),
        )
        room = self.size.width - cell_width(left.plain) - 3
        parts = [
            (self.state.jobs, "$text-primary"),
            (self.state.money, ""),
            (self.state.saved, "$text-muted"),
            (self.state.endpoint, "$text-muted"),
        ]
        kept: set[int] = set()
        used = 0
        for index, (text, _) in enumerate(parts):
            need = cell_width(text) + 3
            if text and used + need <= room + 3:
                kept.add(index)
                used += need
        order = [index for index in (3, 1, 0, 2) if index in kept]
        right = safe.join(*(safe.line(*parts[index]) for index in order), separator=" · ")
        gap = max(1, self.size.width - cell_width(left.plain) - cell_width(right.plain))
        return safe.join(left, " " * gap, right)


class TabLine(Widget):
    """The nine screens with their digits; the shown one stands out without colour too."""

    def __init__(self, active: str) -> None:
        super().__init__()
        self._active = active
        self._spans: list[tuple[int, int, str]] = []

    def render(self) -> Content:
        """All names where there is room, short names below 100 columns, digits alone below 70."""
        width = self.size.width
        gap = "  " if width >= 100 else " "
        parts: list[safe.Part] = []
        self._spans = []
        at = 0
        for place in PLACES:
            here = place.name == self._active
            title = place.title if width >= 100 or width < 70 else place.short
            label = f"{place.key} {title}" if here or width >= 70 else place.key
            shown = f"[{label}]" if here else label
            self._spans.append((at, at + len(shown), place.name))
            parts += [(shown, "bold $primary") if here else (shown, "$text-muted"), gap]
            at += len(shown) + len(gap)
        return safe.join(*parts)

    def on_click(self, event: events.Click) -> None:
        """A click on a name goes there."""
        for start, end, name in self._spans:
            if start <= event.x - self.gutter.left < end:
                self.app.call_later(self.app.run_action, f"go('{name}')")
