"""The keys of the whole app in one place: the nine screens, and the bindings that several screens share.

Every binding has an id, so that a user can move it; screens add their own bindings beside their actions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.binding import Binding

if TYPE_CHECKING:
    from textual.screen import Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One of the nine screens: the digit that opens it, its names, and a loader that imports it when asked."""

    key: str
    name: str
    title: str
    short: str
    load: Callable[[], Screen[Any]]


def _project() -> Screen[Any]:
    from claif_tui.ui.screens.project import ProjectScreen

    return ProjectScreen()


def _seeds() -> Screen[Any]:
    from claif_tui.ui.screens.seeds import SeedsScreen

    return SeedsScreen()


def _recipe() -> Screen[Any]:
    from claif_tui.ui.screens.recipe import RecipeScreen

    return RecipeScreen()


def _generate() -> Screen[Any]:
    from claif_tui.ui.screens.generate import GenerateScreen

    return GenerateScreen()


def _review() -> Screen[Any]:
    from claif_tui.ui.screens.review import ReviewScreen

    return ReviewScreen()


def _rate() -> Screen[Any]:
    from claif_tui.ui.screens.rate import RateScreen

    return RateScreen()


def _evaluate() -> Screen[Any]:
    from claif_tui.ui.screens.evaluate import EvaluateScreen

    return EvaluateScreen()


def _train() -> Screen[Any]:
    from claif_tui.ui.screens.train import TrainScreen

    return TrainScreen()


def _settings() -> Screen[Any]:
    from claif_tui.ui.screens.settings import SettingsScreen

    return SettingsScreen()


PLACES: tuple[Place, ...] = (
    Place(key="1", name="project", title="Project", short="Project", load=_project),
    Place(key="2", name="seeds", title="Seeds", short="Seeds", load=_seeds),
    Place(key="3", name="recipe", title="Recipe", short="Recipe", load=_recipe),
    Place(key="4", name="generate", title="Generate", short="Generate", load=_generate),
    Place(key="5", name="review", title="Review", short="Review", load=_review),
    Place(key="6", name="rate", title="Rate", short="Rate", load=_rate),
    Place(key="7", name="train", title="Train", short="Train", load=_train),
    Place(key="8", name="evaluate", title="Evaluate", short="Eval", load=_evaluate),
    Place(key="9", name="settings", title="Settings", short="Set", load=_settings),
)

APP_BINDINGS: list[Binding] = [
    *(
        Binding(
            place.key,
            f"go('{place.name}')",
            place.title,
            show=False,
            id=f"go.{place.name}",
            tooltip=f"Go to {place.title}",
        )
        for place in PLACES
    ),
    Binding(
        "question_mark",
        "help",
        "Help",
        key_display="?",
        id="app.help",
        tooltip="What this screen does, every key",
    ),
    Binding("f1", "help", "Help", show=False, id="app.help.f1", tooltip="Help, also while typing"),
    Binding(
        "ctrl+p",
        "command_palette",
        "Palette",
        show=False,
        priority=True,
        id="app.palette",
        tooltip="Every action by name, also while typing",
    ),
    Binding(
        "colon",
        "command_palette",
        "Palette",
        show=False,
        key_display=":",
        id="app.palette.colon",
        tooltip="Every action by name",
    ),
    Binding("y", "copy", "Copy", show=False, id="app.copy", tooltip="Copy what the cursor is on"),
    Binding("q", "quit", "Quit", show=False, id="app.quit", tooltip="Leave; asks when a job is running"),
    Binding("ctrl+q", "quit", "Quit", show=False, id="app.quit.ctrl", tooltip="Leave, also while typing"),
]

LIST_BINDINGS: list[Binding] = [
    Binding("j,down", "cursor_down", "Down", show=False, id="list.down"),
    Binding("k,up", "cursor_up", "Up", show=False, id="list.up"),
    Binding("ctrl+d,pagedown", "page_down", "Page down", show=False, id="list.pagedown"),
    Binding("ctrl+u,pageup", "page_up", "Page up", show=False, id="list.pageup"),
    Binding("home", "first", "First", show=False, id="list.first"),
    Binding("end", "last", "Last", show=False, id="list.last"),
]
"""For every list: j/k, home/end, ctrl+d/ctrl+u. Widgets supply the actions."""
