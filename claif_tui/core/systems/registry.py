"""Every system by its name. One entry each; what a system does is in its own module."""

from __future__ import annotations

from collections.abc import Mapping

from claif_tui.core.recipes import Recipe
from claif_tui.core.systems.base import System
from claif_tui.core.systems.claif import Claif
from claif_tui.core.systems.dino import Dino
from claif_tui.core.systems.multicsr import MultiCsr
from claif_tui.core.systems.nli import ClaifScaled, Clhaif
from claif_tui.core.systems.syncse import SynCSE

_ALL: tuple[System, ...] = (
    Claif(),
    Dino(),
    SynCSE(),
    SynCSE(name="syncse-scratch"),
    MultiCsr(),
    Clhaif(),
    ClaifScaled(),
)
SYSTEMS: Mapping[str, System] = {system.name: system for system in _ALL}


def system_of(recipe: Recipe) -> System:
    """Return the system that a recipe names."""
    return SYSTEMS[recipe.system]
