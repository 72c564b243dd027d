"""Exporting a project: its pairs through the one funnel into a file, all read in one view of the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from claif_tui.core.errors import RecipeError
from claif_tui.core.export import ExportFormat, ExportResult, manifest_of, write_export
from claif_tui.core.importing.survey import smoothed_sources
from claif_tui.core.models import Pair, PairQuery, Status
from claif_tui.core.postprocess import (
    Dropped,
    Funnel,
    PostOptions,
    Processed,
    options_of,
    postprocess,
    raw_options,
)
from claif_tui.core.recipes import PRESET_NAMES, Recipe, preset_recipe
from claif_tui.core.store.store import Store

STAND_IN = "offline"
"""The endpoint profile of the offline model."""
RAW = "raw"
"""As a preset: no drops by content, no smoothing, no zero pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportWish:
    """What to export. ``preset`` None follows the project's recipe. ``filter`` narrows in the filter language."""

    statuses: tuple[Status, ...] = ("accepted",)
    preset: str | None = None
    filter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an export would hold: the funnel, and the first rows that each rule takes out."""

    funnel: Funnel
    dropped: dict[str, list[Dropped]]


def preview(store: Store, recipe: Recipe, wish: ExportWish, samples: int = 100) -> Preview:
    """Return the funnel without writing anything, with up to ``samples`` dropped rows a rule. Blocks."""
    with store.read():
        processed, _ = process(store, recipe, wish)
        dropped: dict[str, list[Dropped]] = {}
        for entry in processed.dropped():
            kept = dropped.setdefault(entry.rule, [])
            if len(kept) < samples:
                kept.append(entry)
    return Preview(funnel=processed.funnel, dropped=dropped)


def export(
    store: Store, recipe: Recipe, wish: ExportWish, out: Path, form: ExportFormat
) -> tuple[ExportResult, Funnel]:
    """Write the export with its manifest and its list of dropped rows. Blocks; raises ``ClaifError``."""
    with store.read():
        processed, options = process(store, recipe, wish)
        manifest = manifest_of(
            processed.funnel,
            options,
            recipe=None if wish.preset == RAW else recipe_of(recipe, wish),
            preset=wish.preset,
            made_with=processed.recipes,
            stand_in=stands_in(store, wish, processed),
        )
        result = write_export(processed.rows(), out, form, manifest, processed.dropped())
    return result, processed.funnel


def process(store: Store, recipe: Recipe, wish: ExportWish) -> tuple[Processed, PostOptions]:
    """Return what the one funnel makes of the project, and with which options; within ``store.read()``."""
    smoothed = smoothed_sources(store.sources.list())
    if wish.preset == RAW:
        options = raw_options(wish.statuses)
    else:
        options = options_of(recipe_of(recipe, wish), wish.statuses, smoothed)
    query = PairQuery(filter=wish.filter)

    def source() -> Iterator[Pair]:
        return store.pairs.export_rows(query)

    return postprocess(source, options), options


def stands_in(store: Store, wish: ExportWish, processed: Processed) -> bool:
    """Whether a kept pair has a text or a score by the offline model, which stands in for a language model.

    Within ``store.read()``. Answers tell, not recipes: an imported pair may have been scored, and one recipe's pair by
    another. A project that never asked that model is not looked through.
    """
    if not store.runs.asked(STAND_IN):
        return False
    answers = store.calls.of_profile(STAND_IN)
    dropped = {one.pair.id for one in processed.dropped()}
    return any(
        pair.id not in dropped
        and not answers.isdisjoint((pair.generate_key, pair.negative_key, pair.score_key))
        for pair in store.pairs.export_rows(PairQuery(filter=wish.filter))
    )


def recipe_of(recipe: Recipe, wish: ExportWish) -> Recipe:
    """Return whose post-processing applies. The seed, which draws the zero pairs, stays the project's."""
    if wish.preset is None:
        return recipe
    if wish.preset not in PRESET_NAMES:
        known = ", ".join([*PRESET_NAMES, RAW])
        raise RecipeError(f"there is no preset {wish.preset!r}", f"Known: {known}.")
    return replace(preset_recipe(wish.preset), seed=recipe.seed)
