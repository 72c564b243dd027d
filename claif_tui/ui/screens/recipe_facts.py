"""What the recipe screen reads of a project: seeds, triplets, what a run lacks, the estimate. In threads; no widget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from claif_tui.core.recipes import Recipe
from claif_tui.ui.recipe_preview import Subject, Triplet

if TYPE_CHECKING:
    from claif_tui.core.errors import ClaifError
    from claif_tui.core.estimate import Plan
    from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a run would take (None: nothing to run on), and what keeps it from running, in sentences."""

    plan: Plan | None = None
    trouble: str = ""
    """What is wrong with the endpoint that is asked."""
    refusal: str = ""
    """Why the recipe cannot be asked as it stands: decoding the endpoint has not, with what runs there; material."""
    lack: str = ""
    """What the project does not hold for this system, and what to import."""


def subject_of(store: Store, *, recipe: Recipe, at: int) -> Subject:
    """Count the seeds and imported triplets that the recipe's system reads, and fetch the ones at place ``at``."""
    from claif_tui.core.errors import ClaifError
    from claif_tui.core.planning import which_seeds

    try:
        which = which_seeds(recipe)
    except ClaifError:  # the material does not give what is drawn from it: the preview says so
        which = False
    seeds = store.seeds.planned("train", written=which)[0]
    return in_view(store, subject=Subject(seeds=seeds, triplets=store.triplets.count(), which=which), at=at)


def in_view(store: Store, *, subject: Subject, at: int) -> Subject:
    """Return the subject at another place."""
    seed = store.seeds.at(at % subject.seeds, "train", written=subject.which) if subject.seeds else None
    triplet = None
    if subject.triplets:
        ids = store.triplets.first(at % subject.triplets + 1)
        pair = store.pairs.get(ids[-1]) if ids else None
        if pair is not None and pair.hard_negative is not None:
            triplet = Triplet(anchor=pair.text_a, positive=pair.text_b, hard_negative=pair.hard_negative)
    return replace(subject, seed=seed, triplet=triplet, at=at)


def outlook(store: Store, *, recipe: Recipe) -> Outlook:
    """Return the estimate, and everything that would keep a run of the recipe from starting."""
    from claif_tui.core.errors import ClaifError
    from claif_tui.core.estimate import estimate_plan
    from claif_tui.core.planning import require_work
    from claif_tui.core.session import require_decoding
    from claif_tui.ui.endpoints import endpoint_of

    found, price = Outlook(), None
    try:
        endpoint = endpoint_of(recipe, store)
        price = endpoint.price
        try:
            require_decoding(recipe, endpoint.profile)
        except ClaifError as error:
            found = replace(found, refusal=_words(error))
    except ClaifError as error:
        found = replace(found, trouble=error.message)
    try:
        require_work(store, recipe)
    except ClaifError as error:
        return replace(found, lack=_words(error))
    try:
        return replace(found, plan=estimate_plan(store, recipe, price))
    except ClaifError as error:
        return replace(found, refusal=_words(error))


def _words(error: ClaifError) -> str:
    return " ".join(f"{text.rstrip('.')}." for text in (error.message, error.hint) if text)
