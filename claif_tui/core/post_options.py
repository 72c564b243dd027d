"""What post-processing is told: its rules by name, and its options as a recipe's system wants them. No pairs here.

Sources: methods 3 and 3.2 (CLAIF), 8.5 (Dino), 10.3 (MultiCSR), 6.1 (CLHAIF) and 5 (CLAIF-scaled).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from claif_tui.core.models import Status
from claif_tui.core.systems.registry import system_of

if TYPE_CHECKING:
    from claif_tui.core.recipes import Recipe

Rule = Literal[
    "status",
    "system",
    "empty",
    "refusal",
    "identical",
    "mask",
    "stale",
    "unscored",
    "off_label",
    "both_high",
    "alpha",
    "beta",
    "gamma",
    "duplicate",
    "cap",
]
RULES: dict[Rule, str] = {
    "status": "not of the wanted status",
    "system": "another system's, or of another kind",
    "empty": "an empty sentence",
    "refusal": "the answer is a refusal",
    "identical": "two of its sentences are the same",
    "mask": "<mask> is left in a sentence",
    "stale": "the score was given to another text",
    "unscored": "no score",
    "off_label": "the score does not fit the label",
    "both_high": "both sides score above 4 of 5",
    "alpha": "the positive scores below alpha",
    "beta": "the hard negative scores above beta",
    "gamma": "the two scores lie too close",
    "duplicate": "the pair is there already",
    "cap": "enough rows with this sentence and score",
}
"""Every rule in the order in which they are applied, with the reason in words."""

_CURATION: frozenset[Rule] = frozenset({"both_high", "alpha", "beta", "gamma"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Curation:
    """MultiCSR's look at both scores of a triplet (methods 10.3); all on the scale 0 to 5.

    ``swap`` lets the hard negative and the positive change places where the former scores higher. Then a triplet
    stays if its positive has at least ``alpha``, its hard negative at most ``beta``, and the first lies ``gamma``
    above the second, or above it at all where gamma is 0.
    """

    swap: bool
    alpha: float
    beta: float
    gamma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PostOptions:
    """What is to be done. ``statuses`` None takes pairs of any status; ``seed`` draws the zero pairs.

    ``system`` is the one whose pairs are taken; None: all. ``smoothed_sources`` are the ids of imports whose labels
    were smoothed already: their rows pass as they are. Of a triplet, ``triplet_scores`` 0, 1 (the positive's) or 2
    are needed; ``split_triplets`` makes two pairs of each.
    """

    statuses: frozenset[Status] | None = None
    system: str | None = None
    deduplicate: bool = True
    conflicts: Literal["mean", "first"] = "mean"
    drop_identical: bool = True
    drop_mask: bool = True
    drop_refusals: bool = True
    drop_off_label: bool = False
    smoothing: float = 0.2
    cap: int = 2
    zero_pairs: int = 2
    zero_pool: Literal["generated", "originals"] = "generated"
    seed: int = 42
    smoothed_sources: frozenset[int] = frozenset()
    triplet_scores: Literal[0, 1, 2] = 0
    split_triplets: bool = False
    curation: Curation | None = None

    def applies(self, rule: Rule) -> bool:
        """Whether the rule belongs to this funnel, whether or not it drops anything."""
        if rule in _CURATION:
            return self.curation is not None
        return rule != "off_label" or self.drop_off_label


def options_of(
    recipe: Recipe,
    statuses: Iterable[Status] | None = None,
    smoothed_sources: Iterable[int] = (),
) -> PostOptions:
    """Return the options that a recipe (or ``recipes.preset_recipe(name)``) states.

    Of a system that makes triplets nothing is smoothed, capped or paired at random, and of equal triplets with
    different scores the first keeps its own: the filter judges both scores of one triplet.
    """
    system, triplets = recipe.system, system_of(recipe).makes == "triplets"
    scores: Literal[0, 1, 2] = 0
    if system == "multicsr" or (system == "clhaif" and recipe.score_negatives):
        scores = 2
    elif system == "clhaif":
        scores = 1
    curation = None
    if system == "multicsr":
        curation = Curation(swap=recipe.swap, alpha=recipe.alpha, beta=recipe.beta, gamma=recipe.gamma)
    return PostOptions(
        statuses=None if statuses is None else frozenset(statuses),
        system=system,
        deduplicate=recipe.deduplicate,
        conflicts="first" if triplets else recipe.conflicts,
        drop_identical=recipe.drop_identical,
        # Dino's post-processing is CLAIF's without the look for masks (methods 8.5).
        drop_mask=recipe.drop_mask and system != "dino",
        drop_refusals=recipe.drop_refusals,
        # The check may have looked at pairs that the recipe without it shares: there they stay.
        drop_off_label=system == "dino" and recipe.dino_variant == "api+check",
        smoothing=0.0 if triplets else recipe.smoothing,
        cap=0 if triplets else recipe.cap,
        zero_pairs=0 if triplets else recipe.zero_pairs,
        zero_pool=recipe.zero_pool,
        seed=recipe.seed,
        smoothed_sources=frozenset(smoothed_sources),
        triplet_scores=scores,
        split_triplets=system == "claif-scaled",
        curation=curation,
    )


def raw_options(statuses: Iterable[Status] | None = None) -> PostOptions:
    """Return options that leave every scored pair as it is: no drops by content, no smoothing, no zero pairs.

    Stale, unscored and empty rows stay out even so: a written label always belongs to its text.
    """
    return PostOptions(
        statuses=None if statuses is None else frozenset(statuses),
        deduplicate=False,
        drop_identical=False,
        drop_mask=False,
        drop_refusals=False,
        smoothing=0.0,
        cap=0,
        zero_pairs=0,
    )
