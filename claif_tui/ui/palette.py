"""Every action by name in the command palette: read from the live bindings, so that none is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.types import IgnoreReturnCallbackType

from claif_tui.ui import safe
from claif_tui.ui.help import key_name
from claif_tui.ui.keymap import PLACES

if TYPE_CHECKING:
    from claif_tui.ui.app import ClaifApp


@dataclass(frozen=True, slots=True)
class Command:
    """One entry: ``review: accept pair``, what it explains, what it runs."""

    name: str
    help: str
    run: IgnoreReturnCallbackType


class ActionCommands(Provider):
    """The actions of the screen, then those of the app, then screens and themes."""

    def _commands(self) -> Iterator[Command]:
        app = cast("ClaifApp", self.app)
        place = getattr(self.screen, "place", "") or "app"
        seen: set[str] = set()
        for key, active in self.screen.active_bindings.items():
            binding = active.binding
            name = (binding.tooltip or binding.description).lower()
            if (
                not name
                or binding.system
                or binding.action.startswith("go(")
                or "command_palette" in binding.action
            ):
                continue
            name = f"{'app' if active.node is app else place}: {binding.description.lower()}"
            if name in seen or not active.enabled:
                continue
            seen.add(name)
            explain = f"{key_name(key)}   {active.tooltip or binding.description}"
            yield Command(name, explain, partial(app.run_action, binding.action, active.node))
        for target in PLACES:
            yield Command(
                f"go: {target.title.lower()}",
                f"{target.key}   Go to {target.title}",
                partial(app.action_go, target.name),
            )
        for theme in app.available_themes:
            yield Command(f"theme: {theme}", "Use this theme from now on", partial(app.use_theme, theme))

    async def discover(self) -> Hits:
        """Everything, before anything is typed (themes only when asked for)."""
        for command in self._commands():
            if not command.name.startswith("theme:"):
                yield DiscoveryHit(
                    safe.line(command.name), command.run, text=command.name, help=safe.plain(command.help)
                )

    async def search(self, query: str) -> Hits:
        """What matches, best first."""
        matcher = self.matcher(query)
        for command in self._commands():
            score = matcher.match(command.name)
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(command.name),
                    command.run,
                    text=command.name,
                    help=safe.plain(command.help),
                )
