"""Every system by its name. One entry each; what a system does is in its own module."""

from __future__ import annotations

from collections.abc import Mapping

from claif_tui.core.recipes import Recipe
from claif_tui.core.systems.base import System
from claif_tui.core.systems.claif import Claif

SYSTEMS: Mapping[str, System] = {system.name: system for system in (Claif(),)}


def system_of(recipe: Recipe) -> System:
    """Return the system that a recipe names."""
    return SYSTEMS[recipe.system]
