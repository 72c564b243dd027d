"""Earlier versions of the recipe, each with what sets it apart from the one in the form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Footer, OptionList
from textual.widgets.option_list import Option

from claif_tui.core.errors import RecipeError
from claif_tui.core.recipes import Recipe, changes, from_json
from claif_tui.ui import lab, safe
from claif_tui.ui.base import ClaifModal

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True)
class Version:
    """One kept version; ``recipe`` is None when another version of the program wrote it."""

    id: str
    created: str
    recipe: Recipe | None


def list_versions(store: Store) -> list[Version]:
    """All versions, newest first."""
    found = []
    for version, created, text in reversed(store.recipes.list()):
        try:
            recipe: Recipe | None = from_json(text)
        except RecipeError:
            recipe = None
        found.append(Version(version, created, recipe))
    return found


class VersionsModal(ClaifModal[Recipe | None]):
    """Pick one to put it into the form."""

    BINDINGS = [
        Binding("j", "app.simulate_key('down')", "Down", show=False, id="versions.down"),
        Binding("k", "app.simulate_key('up')", "Up", show=False, id="versions.up"),
    ]

    def __init__(self, versions: list[Version], current: Recipe) -> None:
        super().__init__()
        self._versions, self._current = versions, current

    def compose(self) -> ComposeResult:
        """One entry per version: when, which preset, and what is different."""
        with Vertical(classes="dialog reading") as box:
            box.border_title = f"Versions · {len(self._versions)}"
            box.border_subtitle = "enter puts one into the form"
            yield OptionList(
                *(Option(self._label(version)) for version in self._versions), markup=False, compact=True
            )
        yield Footer(show_command_palette=False)

    def _label(self, version: Version) -> safe.Content:
        head = safe.join((version.id[:4], "bold $primary"), f"  {version.created[:16].replace('T', ' ')}")
        if version.recipe is None:
            return safe.join(head, ("  written by another version of claif-tui", "$text-muted"))
        different = changes(self._current, version.recipe)
        if not different:
            return safe.join(head, f"  {version.recipe.preset}", ("  ✓ in the form", "$text-success"))
        named = ", ".join(f"{name} {lab.short(value, 24)}" for name, value in list(different.items())[:3])
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        return safe.join(head, f"  {version.recipe.preset}", (f"  {named}{more}", "$text-muted"))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._versions[event.option_index].recipe)
