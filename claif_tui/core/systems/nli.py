"""Systems that score imported NLI triplets with CLAIF's question: CLHAIF and CLAIF-scaled. No I/O, no store.

Sources: methods 6 (CLHAIF) and 5 with 3.2 (CLAIF-scaled). How scored triplets become rows is post-processing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from claif_tui.core.models import Pair, Seed
from claif_tui.core.recipes import Recipe
from claif_tui.core.systems.base import Ask, Makes, PlanItem, Reads
from claif_tui.core.systems.claif import IMPORTED, Claif, score_ask


@dataclass(frozen=True, slots=True)
class ClaifScaled(Claif):
    """CLAIF's pairs of the seeds, and two scored pairs of each imported triplet."""

    name: str = "claif-scaled"
    stored_as: str = "claif"
    makes: Makes = "pairs"
    reads: frozenset[Reads] = frozenset({"seeds", "triplets"})

    def score_asks(
        self, recipe: Recipe, anchor: str, positive: str, hard_negative: str | None = None
    ) -> tuple[Ask, ...]:
        """CLAIF's question: of a pair or a positive; with ``score.negatives`` of the hard negative too."""
        asks = (score_ask(recipe, anchor, positive),)
        if hard_negative is None or not recipe.score_negatives:
            return asks
        return (*asks, score_ask(recipe, anchor, hard_negative))


@dataclass(frozen=True, slots=True)
class Clhaif(ClaifScaled):
    """Imported triplets, scored as CLAIF-scaled scores them and kept as triplets; no text is generated."""

    name: str = "clhaif"
    stored_as: str = "clhaif"
    makes: Makes = "triplets"
    reads: frozenset[Reads] = frozenset({"triplets"})

    def plan(self, recipe: Recipe, seeds: Iterable[Seed]) -> Iterator[PlanItem]:
        """Yield nothing: no text is generated."""
        return iter(())

    def planned(self, recipe: Recipe, unique: int, occurrences: int) -> int:
        """None."""
        return 0

    def takes(self, pair: Pair) -> bool:
        """Imported triplets."""
        return pair.hard_negative is not None and pair.system in IMPORTED
