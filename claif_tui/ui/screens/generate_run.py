"""From the project on disk to a run: what could be asked, what it would cost, and the job that asks it. No widget."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from claif_tui.core.models import Pair, PairQuery
from claif_tui.ui.dialogs import ConfirmModal
from claif_tui.ui.screens.generate_deck import Deck, Groups, deck_of, item_of, stored
from claif_tui.ui.screens.generate_job import GenerateJob
from claif_tui.ui.screens.generate_state import Landed
from claif_tui.ui.screens.generate_text import Plan, usd

if TYPE_CHECKING:
    from claif_tui.core.estimate import Plan as Estimate
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.store.store import Store
    from claif_tui.ui.endpoints import Endpoint
    from claif_tui.ui.screens.generate import GenerateScreen

SHOWN = 200
"""Pairs of earlier runs that are shown while nothing runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the screen shows while no run of this app goes on."""

    plan: Plan
    failed: dict[str, int] = field(default_factory=dict)
    landed: list[Landed] = field(default_factory=list)
    deck: Deck = field(default_factory=Deck)
    histogram: Groups = field(default_factory=dict)


def look(store: Store) -> Seen:
    """Read plan, endpoint, money, runs and what landed last; what does not stand is said, not raised."""
    from claif_tui.core.errors import ClaifError
    from claif_tui.core.planning import writes, written
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.session import require_run
    from claif_tui.core.status import status
    from claif_tui.ui.endpoints import endpoint_of
    from claif_tui.ui.recipe_files import read_recipe

    found = read_recipe(store, path=store.folder / "recipe.toml")
    recipe = found.recipe or Recipe()
    where = status(store, recipe)
    problem, endpoint = found.problem, None
    try:
        endpoint = endpoint_of(recipe, store)
        if where.open or not where.planned:
            require_run(store, recipe, endpoint.profile)
    except ClaifError as error:
        problem = problem or f"{error.message}. {error.hint}".strip()
    deck = deck_of(recipe)
    failed = sum(where.failed.values())
    plan = Plan(
        seeds=store.seeds.count("train"),
        planned=where.planned,
        answered=where.answered,
        failed=failed,
        endpoint=endpoint.name if endpoint else recipe.profile,
        estimate=_estimate_words(store, recipe, endpoint, where.open) if endpoint else "",
        other=where.active if where.active is not None and where.active.pid != os.getpid() else None,
        problem=problem,
        missing=written(store, recipe).missing if writes(recipe) and not found.problem else 0,
        system=recipe.system,
        unit=deck.unit,
    )
    newest = [_landed(pair) for pair in store.pairs.first(PairQuery(), SHOWN)]
    return Seen(plan=plan, failed=where.failed, landed=newest, deck=deck, histogram=stored(store, deck))


def _landed(pair: Pair) -> Landed:
    other = pair.hard_negative
    return Landed(
        pair.id,
        item_of(pair),
        pair.text_a[:4_000],
        pair.text_b[:4_000],
        pair.score,
        pair.answer_class,
        None if other is None else other[:4_000],
        pair.negative_score,
    )


def _estimate(store: Store, recipe: Recipe, endpoint: Endpoint) -> Estimate:
    """Estimate the whole plan from the first seeds."""
    from claif_tui.core.estimate import estimate_plan

    return estimate_plan(store, recipe, endpoint.price)


def _estimate_words(store: Store, recipe: Recipe, endpoint: Endpoint, left: int) -> str:
    """Say what the rest of the plan would cost; empty when nothing is left."""
    if not left:
        return ""
    if endpoint.free:
        return "free"
    whole = _estimate(store, recipe, endpoint)
    planned = whole.planned
    if whole.usd is None or not planned:
        return "price unknown"
    low, high = (usd * left / planned for usd in whole.usd)
    digits = 2 if high >= 0.1 else 4
    return f"about ${low:,.{digits}f}-{high:,.{digits}f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """What a start needs, read at once."""

    recipe: Recipe
    endpoint: Endpoint
    cap_nano: int | None
    left: int
    estimate: str
    asked_before: bool


def _ready(store: Store, retrying: bool) -> _Ready:
    """Read what a start needs; raises ``ClaifError`` for a recipe or endpoint that does not stand."""
    from claif_tui.core.errors import RecipeError
    from claif_tui.core.recipes import requests_id
    from claif_tui.core.session import require_run
    from claif_tui.core.status import status
    from claif_tui.ui.endpoints import endpoint_of
    from claif_tui.ui.recipe_files import read_recipe

    found = read_recipe(store, path=store.folder / "recipe.toml")
    if found.recipe is None:
        raise RecipeError(found.problem)
    recipe = found.recipe
    endpoint = endpoint_of(recipe, store)
    require_run(store, recipe, endpoint.profile)
    where = status(store, recipe)
    left = sum(where.failed.values()) if retrying else where.open
    scope = requests_id(recipe)
    return _Ready(
        recipe=recipe,
        endpoint=endpoint,
        cap_nano=endpoint.cap_nano,
        left=left,
        estimate=_estimate_words(store, recipe, endpoint, left),
        asked_before=store.calls.totals(scope).answered > 0,
    )


async def start(
    screen: GenerateScreen, *, reasons: frozenset[str] | None = None, retrying: bool = False
) -> None:
    """Start a run of what is open, or of failed calls again; asks first when it may cost money."""
    from claif_tui.core.planning import RunOptions
    from claif_tui.core.scratch import run_of
    from claif_tui.ui.endpoints import open_desk

    shell = screen.shell
    ready = await shell.db(partial(_ready, retrying=retrying))
    if not ready.left:
        shell.say(
            "No failed call is left to retry." if retrying else "Everything planned is asked. 5 reviews it."
        )
        return
    if not ready.endpoint.free and not await _agreed(screen, ready, retrying):
        return
    if not ready.endpoint.profile.here and not ready.asked_before and not await _probed(screen, ready):
        return
    if not ready.asked_before:
        # A remembered refusal changes the profile; read it again.
        ready = await shell.db(partial(_ready, retrying=retrying))
    options = RunOptions(kind="retry", retry_reasons=reasons) if retrying else RunOptions()
    store = screen.store
    if store is None:
        return
    opened = partial(open_desk, store, ready.recipe, ready.endpoint, ready.cap_nano)
    run = await shell.background(partial(run_of, store, ready.recipe, options, opened))
    deck = deck_of(ready.recipe)
    job = GenerateJob(run, store, "retry" if retrying else "generate", deck)
    job.flight.start_histogram(await shell.db(partial(stored, deck=deck)))
    shell.jobs.start(job)
    screen.adopt(job)


async def _agreed(screen: GenerateScreen, ready: _Ready, retrying: bool) -> bool:
    """Ask before money is spent, with the estimate and the cap."""
    deck = deck_of(ready.recipe)
    made = "generated and scored" if deck.scored else "generated"
    what = "failed calls are asked again" if retrying else f"planned {deck.unit} are {made}"
    capped = ready.cap_nano is not None
    cap = f"never more than {usd(ready.cap_nano or 0)}" if capped else "no cap is set: 3 sets one"
    price = ready.endpoint.price
    dated = f" (price of {price.as_of})" if price is not None else ": no price is known for this model"
    detail = f"{ready.endpoint.name}\n{ready.estimate}{dated}\n{cap}"
    question = f"{ready.left:,} {what}. This may cost money."
    modal = ConfirmModal("Start", question, yes="Start", detail=detail)
    agreed = await screen.shell.push_screen_wait(modal)
    return agreed is True


async def _probed(screen: GenerateScreen, ready: _Ready) -> bool:
    """Make the one small call that shows what the model refuses; remember refusals if the user agrees."""
    from claif_tui.core import settings
    from claif_tui.core.probing import first_probe
    from claif_tui.ui.endpoints import ready_of

    profile, store = ready.endpoint.profile, screen.store
    if store is None:
        return False
    screen.shell.say(f"One small call to {ready.endpoint.name} first …")
    report = await first_probe(store, ready_of(ready.recipe, ready.endpoint, ready.cap_nano))
    if report is None or not report.refused:
        return True
    question = report.suggestion[0].upper() + report.suggestion[1:]
    if not await screen.shell.push_screen_wait(
        ConfirmModal("The model refuses parameters", question, yes="Remember")
    ):
        return False
    await screen.shell.background(
        partial(settings.remember_refused, profile, profile.model or "", report.refused)
    )
    return True
