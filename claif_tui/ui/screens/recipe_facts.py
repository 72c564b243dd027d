"""What the recipe screen reads of a project: seeds, triplets, the endpoint, the estimate. In threads; no widget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from claif_tui.core.models import PairQuery, Seed
from claif_tui.core.recipes import Recipe
from claif_tui.core.systems.fitting import TRIPLETS_FILTER
from claif_tui.ui.recipe_preview import Subject, Triplet

if TYPE_CHECKING:
    from claif_tui.core.estimate import Plan
    from claif_tui.core.llm.rules import Rule
    from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the project holds: ``subject`` in view, a ``sample`` of seeds for the estimate, and how many occurrences."""

    subject: Subject = field(default_factory=Subject)
    sample: Sequence[Seed] = ()
    occurrences: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a run would take (None: nothing to run on), and what is wrong with the endpoint that is asked."""

    plan: Plan | None = None
    trouble: str = ""
    refusal: str = ""
    """Why the endpoint cannot follow a decoding rule, and what runs there."""


def facts(store: Store, *, at: int) -> Facts:
    """Count seeds and imported triplets, and fetch the ones at place ``at`` and the sample."""
    from claif_tui.core.estimate import SAMPLE

    unique = store.seeds.count("train")
    occurrences = sum(s.sentences for s in store.sources.list() if s.role == "seeds" and s.split == "train")
    triplets = store.pairs.count(PairQuery(filter=TRIPLETS_FILTER))
    return Facts(
        subject=in_view(store, Subject(seeds=unique, triplets=triplets), at),
        sample=list(store.seeds.iter(limit=SAMPLE)),
        occurrences=max(unique, occurrences),
    )


def in_view(store: Store, subject: Subject, at: int) -> Subject:
    """Return the subject at another place."""
    seed = store.seeds.at(at % subject.seeds, "train") if subject.seeds else None
    return replace(subject, seed=seed, triplet=_triplet(store, at, subject.triplets), at=at)


def _triplet(store: Store, at: int, count: int) -> Triplet | None:
    if not count:
        return None
    ids = store.pairs.ids(PairQuery(filter=TRIPLETS_FILTER, sort="oldest"))
    pair = store.pairs.get(ids[at % len(ids)]) if ids else None
    if pair is None or pair.hard_negative is None:
        return None
    return Triplet(anchor=pair.text_a, positive=pair.text_b, hard_negative=pair.hard_negative)


def outlook(store: Store, *, recipe: Recipe, rules: Sequence[Rule], seen: Facts) -> Outlook:
    """Return the estimate, and what is wrong with the endpoint that the recipe names."""
    from claif_tui.core.errors import ClaifError
    from claif_tui.core.estimate import estimate
    from claif_tui.core.llm.profiles import require_logits
    from claif_tui.ui.endpoints import endpoint_of

    price, trouble, refusal = None, "", ""
    try:
        endpoint = endpoint_of(recipe, store)
        price = endpoint.price
    except ClaifError as error:
        trouble = error.message
    else:
        try:
            for rule in rules:
                require_logits(endpoint.profile, rule)
        except ClaifError as error:
            refusal = f"{error.message}. {error.hint}"
    plan = None
    if seen.subject.seeds:
        plan = estimate(recipe, seen.sample, seen.subject.seeds, seen.occurrences, price)
    return Outlook(plan=plan, trouble=trouble, refusal=refusal)
