"""Which action is on which key, and putting one on another. Names are the bindings' ids, as in the settings file."""

from __future__ import annotations

import importlib
from functools import partial

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.help import key_name
from claif_tui.ui.keymap import APP_BINDINGS

SCREENS = ("project", "seeds", "recipe", "generate", "review", "settings")
NEVER = {"ctrl+c", "ctrl+h", "ctrl+i", "ctrl+m", "escape", "enter", "tab"}
"""Keys that terminals send for something else, or that must keep their meaning."""


def movable() -> dict[str, Binding]:
    """Every binding with an id, by id: the app's and those of each screen."""
    found = {binding.id: binding for binding in APP_BINDINGS if binding.id}
    for name in SCREENS:
        module = importlib.import_module(f"claif_tui.ui.screens.{name}")
        screen = getattr(module, f"{name.capitalize()}Screen")
        for binding in screen.BINDINGS:
            if isinstance(binding, Binding) and binding.id:
                found[binding.id] = binding
    return found


class KeysModal(ClaifModal[None]):
    """Choose an action, press its new key; backspace gives it its own key back."""

    BINDINGS = [Binding("backspace", "reset", "Own key again", id="keys.reset")]

    def __init__(self) -> None:
        super().__init__()
        self._bindings_by_id: dict[str, Binding] = {}
        self._keys: dict[str, str] = {}
        self._waiting: str | None = None

    def compose(self) -> ComposeResult:
        """The list, and what to do."""
        with Vertical(classes="dialog reading tall") as box:
            box.border_title = "Keys"
            yield Static("", id="keys-hint", classes="hint", markup=False)
            yield OptionList(markup=False, compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Read what is there."""
        self.run_worker(self._read(), group="keys", exit_on_error=False, description="read the keys")

    async def _read(self) -> None:
        from claif_tui.core import settings

        self._bindings_by_id = movable()
        self._keys = dict((await self.shell.background(settings.load)).keys)
        self._show()

    def _show(self) -> None:
        listed = self.query_one(OptionList)
        at = listed.highlighted or 0
        listed.clear_options()
        listed.add_options(
            [Option(self._label(name, binding)) for name, binding in self._bindings_by_id.items()]
        )
        listed.highlighted = at
        self._hint("enter, then the new key. backspace: its own key again.")

    def _label(self, name: str, binding: Binding) -> safe.Content:
        moved = self._keys.get(name)
        keys = " ".join(key_name(key) for key in (moved or binding.key).split(","))
        return safe.join(
            (f"{keys:<14} ", "bold $primary" if moved else "bold"),
            f"{binding.tooltip or binding.description}  ",
            (name, "$text-muted"),
        )

    def _hint(self, text: str) -> None:
        self.query_one("#keys-hint", Static).update(safe.line(text))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self._waiting = list(self._bindings_by_id)[event.option_index]
        self._hint(f"Press the new key of {self._waiting}; esc leaves it.")

    def on_key(self, event: events.Key) -> None:
        """Take the new key of the chosen action."""
        if self._waiting is None:
            return
        name, self._waiting = self._waiting, None
        event.stop()
        event.prevent_default()
        if event.key == "escape":
            self._show()
        elif event.key in NEVER or event.key.isdigit():
            self._hint(f"{key_name(event.key)} cannot be moved to: terminals and screens need it.")
        else:
            self._keep(name, event.key)

    def action_reset(self) -> None:
        """Give the action under the cursor its own key back."""
        at = self.query_one(OptionList).highlighted
        if at is not None and self._bindings_by_id:
            self._keep(list(self._bindings_by_id)[at], None)

    def _keep(self, name: str, key: str | None) -> None:
        self.run_worker(self._save(name, key), group="save", exit_on_error=False, description="keep a key")

    async def _save(self, name: str, key: str | None) -> None:
        from claif_tui.core import settings

        await self.shell.background(partial(settings.bind_key, name, key))
        self._keys = dict((await self.shell.background(settings.load)).keys)
        self.app.set_keymap(self._keys)
        self._show()
        group = name.partition(".")[0]
        clash = [
            other
            for other, binding in self._bindings_by_id.items()
            if other != name
            and other.partition(".")[0] in (group, "app", "go")
            and key in (self._keys.get(other) or binding.key).split(",")
        ]
        if clash:
            self._hint(f"! {', '.join(clash)} is on that key too: the screen's own action wins.")
