"""Whether a project holds what a recipe's system works on, in words that say what to import. Counts in, words out."""

from __future__ import annotations

from claif_tui.core.recipes import Recipe
from claif_tui.core.systems.base import System
from claif_tui.core.systems.registry import SYSTEMS, system_of

TRIPLETS_FILTER = "triplet = yes and (system = imported or system = human or system = nli)"
"""The triplets that came from a file, in the words of the filter of pairs."""
_COLUMNS = "a file with an anchor, a positive and a hard negative in each row, such as NLI in SimCSE's format"


def needs_triplets(system: System) -> bool:
    """Whether the system makes nothing of its own kind without imported triplets."""
    return system.reads == {"triplets"} or ("triplets" in system.reads and system.makes == "pairs")


def misfit(recipe: Recipe, seeds: int, triplets: int) -> tuple[str, str] | None:
    """Return (what is missing, what to do) where ``seeds`` and imported ``triplets`` are not what the system reads.

    None where it can work, and where a project is empty of both and the system generates (then it needs seeds like
    any other, which is said where seeds are counted).
    """
    system = system_of(recipe)
    name = recipe.system
    if needs_triplets(system) and not triplets:
        if "seeds" not in system.reads:
            return f"{name} scores imported triplets, and this project has none", f"Import {_COLUMNS}."
        return (
            f"{name} adds scored triplets to CLAIF's pairs, and this project has none",
            f"Import {_COLUMNS}; without them it would be CLAIF alone.",
        )
    if system.reads == {"seeds"} and not seeds and triplets:
        readers = ", ".join(other for other, made in SYSTEMS.items() if "triplets" in made.reads)
        others = f", or choose a system that reads triplets: {readers}" if readers else ""
        return (
            f"{name} generates from sentences, and this project holds imported triplets alone ({triplets:,})",
            f"Import sentences as seeds{others}.",
        )
    return None
