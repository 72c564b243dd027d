"""Systems that score imported NLI triplets with CLAIF's question: CLHAIF and CLAIF-scaled. No I/O, no store.

Sources: methods 6 (CLHAIF) and 5 with 3.2 (CLAIF-scaled). How scored triplets become rows is post-processing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from claif_tui.core.answers import CleanAnswer
from claif_tui.core.models import AnswerClass, Pair, Scale, Seed
from claif_tui.core.recipes import Recipe
from claif_tui.core.scores import ParsedScore
from claif_tui.core.systems.base import Ask, Makes, PlanItem, Reader, Reads
from claif_tui.core.systems.claif import IMPORTED, Claif, score_ask

_CLAIF = Claif()


@dataclass(frozen=True, slots=True)
class Clhaif:
    """Imported triplets whose positive the model scores, and their hard negative if the recipe says so (ours)."""

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

    def read(self, recipe: Recipe, item: PlanItem, part: int) -> Reader[CleanAnswer]:
        """As CLAIF's answers; there is nothing to read."""
        return _CLAIF.read(recipe, item, part)

    def score_asks(
        self, recipe: Recipe, anchor: str, positive: str, hard_negative: str | None = None
    ) -> tuple[Ask, ...]:
        """CLAIF's question for the positive; with ``score.negatives`` for the hard negative too."""
        return _both_sides(recipe, anchor, positive, hard_negative)

    def read_score(self, recipe: Recipe) -> Reader[ParsedScore]:
        """A score on 0..1."""
        return _CLAIF.read_score(recipe)

    def scale(self, recipe: Recipe) -> Scale:
        """0-1."""
        return _CLAIF.scale(recipe)

    def verdict(self, recipe: Recipe, item: PlanItem, score: float) -> AnswerClass:
        """Every score is a label."""
        return "ok"

    def takes(self, pair: Pair) -> bool:
        """Imported triplets."""
        return pair.hard_negative is not None and pair.system in IMPORTED


@dataclass(frozen=True, slots=True)
class ClaifScaled:
    """CLAIF's pairs of the seeds, and two scored pairs of each imported triplet."""

    name: str = "claif-scaled"
    stored_as: str = "claif"
    makes: Makes = "pairs"
    reads: frozenset[Reads] = frozenset({"seeds", "triplets"})

    def plan(self, recipe: Recipe, seeds: Iterable[Seed]) -> Iterator[PlanItem]:
        """Yield what CLAIF plans."""
        return _CLAIF.plan(recipe, seeds)

    def planned(self, recipe: Recipe, unique: int, occurrences: int) -> int:
        """As many as CLAIF plans."""
        return _CLAIF.planned(recipe, unique, occurrences)

    def read(self, recipe: Recipe, item: PlanItem, part: int) -> Reader[CleanAnswer]:
        """As CLAIF."""
        return _CLAIF.read(recipe, item, part)

    def score_asks(
        self, recipe: Recipe, anchor: str, positive: str, hard_negative: str | None = None
    ) -> tuple[Ask, ...]:
        """CLAIF's question: of a pair, and of a triplet for either side."""
        return _both_sides(recipe, anchor, positive, hard_negative)

    def read_score(self, recipe: Recipe) -> Reader[ParsedScore]:
        """A score on 0..1."""
        return _CLAIF.read_score(recipe)

    def scale(self, recipe: Recipe) -> Scale:
        """0-1."""
        return _CLAIF.scale(recipe)

    def verdict(self, recipe: Recipe, item: PlanItem, score: float) -> AnswerClass:
        """Every score is a label."""
        return "ok"

    def takes(self, pair: Pair) -> bool:
        """What CLAIF takes: its pairs, and whatever was imported."""
        return _CLAIF.takes(pair)


def _both_sides(recipe: Recipe, anchor: str, positive: str, hard_negative: str | None) -> tuple[Ask, ...]:
    asks = (score_ask(recipe, anchor, positive),)
    if hard_negative is None or not recipe.score_negatives:
        return asks
    return (*asks, score_ask(recipe, anchor, hard_negative))
