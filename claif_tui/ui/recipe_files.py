"""recipe.toml and the ledger's cap, read and written for the recipe screen; called in threads, knows no widget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from claif_tui.core.recipes import Recipe, recipe_id, requests_id, to_json

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeOnDisk:
    """Which state of the file was seen: (modified, size), None without a file. ``foreign``: not ours, not loaded."""

    stamp: tuple[int, int] | None = None
    foreign: bool = False

    @classmethod
    def of(cls, path: Path) -> RecipeOnDisk:
        """Look at the file."""
        try:
            info = path.stat()
        except OSError:
            return cls()
        return cls(stamp=(info.st_mtime_ns, info.st_size))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What was found: a recipe, or what is wrong with the file."""

    disk: RecipeOnDisk
    recipe: Recipe | None
    budget: float | None = None
    problem: str = ""


def read_recipe(store: Store, *, path: Path) -> FileState:
    """Read the recipe of a project; without a file it is the default one."""
    from claif_tui.core import recipe_file
    from claif_tui.core.errors import ClaifError

    disk = RecipeOnDisk.of(path)
    try:
        recipe = recipe_file.load(path) if disk.stamp is not None else Recipe()
    except ClaifError as error:
        problem = f"{error.message} {error.hint}".strip()
        return FileState(
            disk=disk,
            recipe=None,
            problem=f"{problem} Mend the file; or r after mending, ctrl+s refuses until then.",
        )
    return FileState(disk=disk, recipe=recipe, budget=_cap(store, recipe))


def write_recipe(store: Store, *, path: Path, recipe: Recipe, budget: float | None) -> FileState:
    """Write the file (comments stay), keep the version, set the cap."""
    from claif_tui.core import recipe_file
    from claif_tui.core.models import NANO

    recipe_file.save(path, recipe)
    store.recipes.save(recipe_id(recipe), to_json(recipe))
    store.ledger.set_cap(requests_id(recipe), None if budget is None else round(budget * NANO))
    return FileState(disk=RecipeOnDisk.of(path), recipe=recipe, budget=budget)


def _cap(store: Store, recipe: Recipe) -> float | None:
    from claif_tui.core.models import NANO

    cap = store.ledger.get(requests_id(recipe)).cap_nano
    return None if cap is None else cap / NANO
