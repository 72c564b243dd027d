"""Studies for the tests of human evaluation, on real project files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from claif_tui.core.rating.freezing import draft, freeze
from claif_tui.core.rating.models import Study
from claif_tui.core.rating.presets import protocol_of
from claif_tui.core.recipes import Recipe
from claif_tui.core.store.store import Store
from tests.core import pair_support

SENTENCE = "the {} dog number {} runs along river {} in winter ."


def project(folder: Path, count: int, order: int = 1) -> Store:
    """A project with ``count`` scored pairs of full sentences, stored forwards or (``order`` -1) backwards."""
    store = Store.create(folder, author="ann")
    numbers = range(1, count + 1)[::order]
    pair_support.add(store, [_pair(number) for number in numbers])
    return store


def _pair(number: int) -> Any:
    return pair_support.scored(
        number,
        number % 11 / 10,
        rate=number % 3 / 10,
        model="some-model",
        text_a=SENTENCE.format("brown", number, number * 7),
        generated=SENTENCE.format("black", number, number * 5),
    )


def study(store: Store, preset: str = "paper", name: str = "s", **changes: Any) -> Study:
    """Freeze a study of a preset with changes to its protocol."""
    raters = changes.pop("raters", ())
    protocol = replace(protocol_of(preset, name, raters), **changes)
    return freeze(store, draft(store, protocol, Recipe()))
