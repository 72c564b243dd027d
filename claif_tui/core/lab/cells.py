"""From what a lab asks for and a project to something that can run: cells with their recipes, rows, one account.

Nothing is asked and nothing written here, but for what ``adopt`` makes the project's recipe.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Sequence
from dataclasses import replace

from claif_tui.core.errors import UsageError
from claif_tui.core.lab.file import MAX_CELLS, LabError
from claif_tui.core.lab.models import RECIPE_PROMPT, Cell, CustomPrompt, GoldRow, Lab, LabSpec, Station
from claif_tui.core.masking import rate_text
from claif_tui.core.models import PairQuery, Seed
from claif_tui.core.planning import scores_asked
from claif_tui.core.prompts import SCORE_PROMPTS
from claif_tui.core.recipe_schema import BY_NAME, applies
from claif_tui.core.recipes import Recipe, recipe_id, requests_id, set_field, to_json
from claif_tui.core.session import NO_CAP, Ready, Wanted, load_recipe, prepare, save_recipe
from claif_tui.core.settings import Settings
from claif_tui.core.store.store import Store
from claif_tui.core.systems.registry import system_of

GOLD = "gold != none and status != rejected and edited = no"
"""Pairs with a human label that still belongs to their texts."""


def set_up(
    store: Store, settings: Settings, spec: LabSpec, wanted: Wanted | None = None, recipe: Recipe | None = None
) -> Lab:
    """Return the lab on this project. ``wanted`` says how to reach the models, and overrides models and budget.

    ``recipe`` is what cells start from (None: the project's). Raises ``LabError`` for what this project cannot
    do, and what ``session.prepare`` raises for endpoints and budgets.
    """
    wanted = wanted or Wanted()
    base = recipe if recipe is not None else load_recipe(store.folder)
    _fits(spec, base)
    gold, seeds, available = _rows(store, spec)
    budget = _budget(settings, spec, wanted)
    models = (wanted.endpoint.model,) if wanted.endpoint.model else spec.models or (None,)
    stations = tuple(
        _station(_ready(store, settings, wanted, model, budget, base), spec, len(models) > 1)
        for model in models
    )
    cells = [cell for station in stations for cell in station.cells]
    _check(cells)
    return Lab(
        id=_id(spec, cells, gold, seeds),
        spec=spec,
        stations=stations,
        gold=gold,
        seeds=seeds,
        available=available,
        cap_nano=stations[0].ready.cap_nano,
    )


def adopt(store: Store, cell: Cell) -> Recipe:
    """Make a cell the project's recipe: only what sets the cell apart changes. The version is kept; returns it."""
    recipe = adopted(load_recipe(store.folder), cell)
    save_recipe(store.folder, recipe)
    store.recipes.save(recipe_id(recipe), to_json(recipe))
    return recipe


def adopted(recipe: Recipe, cell: Cell) -> Recipe:
    """Return ``recipe`` with what makes the cell what it is."""
    for name, value in cell.changes.items():
        recipe = set_field(recipe, name, value)
    return recipe


def find(lab: Lab, name: str) -> Cell:
    """Return the cell with that name; raises ``LabError`` that lists them."""
    for cell in lab.cells:
        if cell.name == name:
            return cell
    names = ", ".join(cell.name for cell in lab.cells)
    raise LabError(f"there is no cell {name!r}", f"Cells of this lab: {names}")


def _fits(spec: LabSpec, recipe: Recipe) -> None:
    """Refuse what the recipe's system has no part of."""
    system = system_of(recipe)
    if spec.kind == "score":
        if not scores_asked(recipe, triplet=False) or not applies(BY_NAME["score.prompt"], recipe.system):
            raise LabError(
                f"a scoring lab compares scoring prompts, and {recipe.preset} has no choice of them",
                "Start from a recipe that does: claif-tui recipe set preset=claif",
            )
        return
    if system.makes != "pairs" or "seeds" not in system.reads:
        raise LabError(
            f"a generation lab compares generated pairs, and {system.name} makes none",
            "Start from a recipe that does: claif-tui recipe set preset=claif, or preset=dino-api",
        )
    if not _masks(recipe) and (spec.rates or any(prompt.text is None for prompt in spec.custom)):
        raise LabError(
            f"{system.name} masks nothing: mask rates, fill and paraphrase prompts mean nothing to it",
            "Take rates and custom prompts out of the lab, or start from claif.",
        )


def _masks(recipe: Recipe) -> bool:
    return applies(BY_NAME["masks.rates"], recipe.system)


def _ready(
    store: Store, settings: Settings, wanted: Wanted, model: str | None, budget: float, base: Recipe
) -> Ready:
    try:
        return prepare(store, settings, _wished(wanted, model, budget), base)
    except UsageError as error:
        if model is None or model == wanted.endpoint.model:
            raise
        raise LabError(f"models: {model!r}: {error.message}", error.hint) from error


def _wished(wanted: Wanted, model: str | None, budget: float) -> Wanted:
    wish = wanted.endpoint
    if model is not None:
        name, _, profile = model.partition(" @ ")
        wish = replace(wish, model=name.strip(), profile=profile.strip() or wish.profile)
    return replace(wanted, endpoint=wish, budget=budget)


def _budget(settings: Settings, spec: LabSpec, wanted: Wanted) -> float:
    for budget in (wanted.budget, spec.budget, settings.dollars("budget")):
        if budget is not None:
            return budget
    return NO_CAP


def _station(ready: Ready, spec: LabSpec, several: bool) -> Station:
    recipe = ready.recipe
    temperature = "model.score_temperature" if spec.kind == "score" else "model.temperature"
    own = recipe.score_temperature if spec.kind == "score" else recipe.fill_temperature
    custom = {prompt.name: prompt for prompt in spec.custom}
    cells = []
    for prompt in spec.prompts:
        for rates in spec.rates or (recipe.rates,):
            for degree in spec.temperatures or (own,):
                changes: dict[str, object] = {
                    "model.profile": recipe.profile,
                    "model.name": recipe.model,
                    "model.api": recipe.api,
                    temperature: degree,
                    **_prompt_fields(prompt, custom.get(prompt), recipe),
                }
                parts = [prompt] if len(spec.prompts) > 1 or spec.kind == "score" else []
                if spec.kind == "generate" and _masks(recipe):
                    changes["masks.rates"] = rates
                    if len(spec.rates) > 1 or not parts:
                        parts.append("+".join(rate_text(rate) for rate in rates))
                elif spec.kind == "generate" and not parts:
                    parts.append(recipe.preset)
                if several:
                    parts.append(recipe.model)
                if len(spec.temperatures) > 1:
                    parts.append(f"t{degree:g}")
                made = recipe
                for name, value in changes.items():
                    made = set_field(made, name, value)
                cells.append(
                    Cell(name="/".join(parts), recipe=set_field(made, "seed", spec.seed), changes=changes)
                )
    return Station(ready=ready, cells=tuple(cells))


def _prompt_fields(name: str, custom: CustomPrompt | None, recipe: Recipe) -> dict[str, object]:
    """Return the recipe fields that a prompt is."""
    if name in SCORE_PROMPTS:
        return {"score.prompt": name}
    if name == RECIPE_PROMPT or custom is None:
        return {}
    if custom.text is not None:
        # The recipe's prompt that is read in the same way lends its place.
        place = "reason-then-score" if custom.number == "last" else "paper"
        return {"score.prompt": place, f"prompts.{recipe.api}.{place}": custom.text.strip()}
    fields = {
        f"prompts.{recipe.api}.fill": custom.fill,
        f"prompts.{recipe.api}.paraphrase": custom.paraphrase,
        "prompts.system": custom.system,
    }
    return {field: text for field, text in fields.items() if text is not None}


def _check(cells: Sequence[Cell]) -> None:
    if len(cells) > MAX_CELLS:
        raise LabError(
            f"this lab has {len(cells)} cells, {MAX_CELLS} is the most",
            "Every two cells are compared, so more cells need more rows to tell them apart. Split it.",
        )
    seen: dict[str, str] = {}
    for cell in cells:
        if (same := seen.setdefault(requests_id(cell.recipe), cell.name)) != cell.name:
            raise LabError(f"the cells {same} and {cell.name} ask the same", "Take one of them out.")
    names = [cell.name for cell in cells]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise LabError(f"two cells are called {double}", "One model at two endpoints: make a lab for each.")


def _rows(store: Store, spec: LabSpec) -> tuple[tuple[GoldRow, ...], tuple[Seed, ...], int]:
    """Draw the rows; returns (gold rows, seeds, how many there are in all)."""
    if spec.kind == "score":
        wanted = f"({spec.filter}) and {GOLD}" if spec.filter.strip() else GOLD
        available = store.pairs.count(PairQuery(filter=wanted))
        ids = store.pairs.ids(PairQuery(filter=wanted, sample=(spec.seed, spec.rows)))
        rows = [
            GoldRow(pair_id=pair.id, text_a=pair.text_a, text_b=pair.text_b, gold=pair.gold)
            for pair in store.pairs.many(sorted(ids))
            if pair.gold is not None
        ]
        if len(rows) < 2:
            some = f" that this filter takes ({spec.filter})" if spec.filter.strip() else ""
            raise LabError(
                f"the project has {len(rows)} pairs with a human label{some}; a lab needs two or more",
                "Import some, e.g. STS-B dev: claif-tui import --as gold sts-dev.csv",
            )
        return tuple(rows), (), available
    seeds = heapq.nsmallest(
        spec.rows, store.seeds.iter(written=False), key=lambda seed: _draw(spec.seed, seed.text)
    )
    if len(seeds) < 2:
        raise LabError(
            f"the project has {len(seeds)} training sentences; a lab needs two or more",
            "Import some: claif-tui import FILE",
        )
    return (), tuple(sorted(seeds, key=lambda seed: seed.id)), store.seeds.count("train")


def _draw(seed: int, text: str) -> bytes:
    """A sentence's place in the draw: a function of seed and text, so that new sentences change little."""
    return hashlib.sha256(f"claif lab 1|{seed}|".encode() + text.encode("utf-8", "surrogatepass")).digest()


def _id(spec: LabSpec, cells: Sequence[Cell], gold: Sequence[GoldRow], seeds: Sequence[Seed]) -> str:
    parts = [
        spec.kind,
        sorted(requests_id(cell.recipe) for cell in cells),
        [row.pair_id for row in gold],
        [seed.id for seed in seeds],
    ]
    return "lab-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
