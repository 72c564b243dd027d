"""How the flight deck shows each system: what an item is called, which scores there are, on which scale. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from claif_tui.core.masking import rate_text
from claif_tui.core.post_options import Curation, options_of
from claif_tui.core.recipes import Recipe
from claif_tui.core.systems.registry import system_of

if TYPE_CHECKING:
    from claif_tui.core.models import Pair
    from claif_tui.core.store.store import Store

SIDES = ("positive", "hard neg.")
BINS = 10
BY_RATE = "Scores 0 → 1 by mask rate"
_LABELS = ("label 1", "label 0.5", "label 0")
Groups = dict[str, list[int]]
"""By group (a mask rate, a label, a side of a triplet): how many scores fall into each tenth of the scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deck:
    """One system on the deck; the defaults are CLAIF's."""

    unit: str = "pairs"
    triplets: bool = False
    scored: bool = True
    """Whether a model is asked for scores."""
    top: float = 1.0
    """The end of the scale on which scores are shown."""
    title: str = BY_RATE
    """Over the histograms."""
    without: str = ""
    """Why there are no histograms."""
    labelled: bool = False
    """Whether pairs are counted by their label, as no score is asked."""
    curation: Curation | None = None
    checks: bool = False
    """Whether a score must fit a label that is there."""

    @property
    def item_width(self) -> int:
        """Cells of the column that names an item."""
        return 9 if self.labelled or self.checks else 4


def deck_of(recipe: Recipe) -> Deck:
    """Return how the recipe's system is shown."""
    system = system_of(recipe)
    triplets = system.makes == "triplets"
    unit: Literal["triplets", "pairs"] = "triplets" if triplets else "pairs"
    if recipe.system == "dino":
        checks = recipe.dino_variant == "api+check"
        return Deck(unit=unit, scored=checks, title="Pairs by label", labelled=True, checks=checks)
    if not system.score_asks(recipe, "a", "b", "c" if triplets else None):
        without = "Triplets have no scores: they are trained on as they are."
        return Deck(unit=unit, triplets=triplets, scored=False, title="Scores", without=without)
    top = 5.0 if system.scale(recipe) == "0-5" else 1.0
    curation = options_of(recipe).curation
    if triplets:
        both = len(system.score_asks(recipe, "a", "b", "c")) == 2
        of = "of positive and hard negative" if both else "of the positive"
        return Deck(unit=unit, triplets=True, top=top, title=f"Scores 0 → {top:g} {of}", curation=curation)
    title = f"{BY_RATE}, and of triplets" if "triplets" in system.reads else BY_RATE
    return Deck(unit=unit, title=title)


def group_of(title: str, rate: float | None, *, triplet: bool) -> str:
    """Return the group that the score of an item counts in."""
    return rate_text(rate) if rate is not None else SIDES[0] if triplet else title


def item_of(pair: Pair) -> str:
    """Return what a stored pair is called: its mask rate, or its label where an instruction fixed one."""
    if pair.rate is not None:
        return rate_text(pair.rate)
    return f"label {pair.score:g}" if pair.system == "dino" and pair.score is not None else ""


def ordered(groups: Groups) -> Groups:
    """Return the groups that hold anything: rates from low to high, then labels from 1 to 0, then sides."""
    known = [*_LABELS, *SIDES]

    def place(name: str) -> tuple[int, float, str]:
        if name in known:
            return 1, known.index(name), name
        return (0, float(name), "") if name[:1].isdigit() else (2, 0.0, name)

    return {name: groups[name] for name in sorted(groups, key=place) if any(groups[name])}


def stored(store: Store, deck: Deck) -> Groups:
    """Count the scores that are in the project already, by the groups of the deck; blocks."""
    if deck.without:
        return {}
    if deck.labelled:
        bins = store.pairs.score_bins("system = dino", bins=BINS)
        places = (BINS - 1, BINS // 2, 0)
        return {
            label: [bins[place] if place == at else 0 for at in range(BINS)]
            for label, place in zip(_LABELS, places, strict=True)
        }
    groups: Groups = {}
    if not deck.triplets:
        groups = {
            rate_text(rate): bins for rate, bins in store.pairs.histogram(BINS).items() if rate is not None
        }
    if deck.triplets or deck.title != BY_RATE:
        groups[SIDES[0]] = store.pairs.score_bins("triplet = yes", bins=BINS)
        groups[SIDES[1]] = store.pairs.score_bins("triplet = yes", bins=BINS, negative=True)
    return groups
