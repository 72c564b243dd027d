"""MultiCSR, CLHAIF and CLAIF-scaled from import or seeds to the funnel, through whole runs over the loopback server."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from claif_tui.core.importing.run import import_file
from claif_tui.core.importing.types import ImportOptions
from claif_tui.core.models import Pair, PairQuery
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions
from claif_tui.core.postprocess import options_of, postprocess
from claif_tui.core.recipes import Recipe, preset_recipe
from claif_tui.core.store.store import Store
from tests.core.test_pipeline import SEEDS, desk, fill, finished, run
from tests.llm_fixtures import Factory


@pytest.fixture
def nli(data_dir: Path) -> list[tuple[str, str, str]]:
    """The first 30 triplets of SNLI's dev set."""
    parts = [
        (data_dir / "senteval" / "SNLI" / f"{name}.dev").read_text("utf-8").split("\n")
        for name in ("s1", "s2", "labels")
    ]
    found: dict[str, dict[str, str]] = {}
    for premise, hypothesis, label in zip(*parts, strict=True):
        found.setdefault(premise, {}).setdefault(label, hypothesis)
    return [
        (a, by["entailment"], by["contradiction"])
        for a, by in found.items()
        if {"entailment", "contradiction"} <= set(by)
    ][:30]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as made:
        yield made


def recipe(preset: str, **changes: object) -> Recipe:
    values = {"profile": "test", "model": "tiny", **changes}
    return replace(preset_recipe(preset), **values)  # type: ignore[arg-type]


def pairs(store: Store) -> list[Pair]:
    return list(store.pairs.export_rows(PairQuery()))


async def test_one_bad_score_loses_the_triplet_and_is_counted(store: Store, llm_server: Factory) -> None:
    fill(store, SEEDS)
    server = llm_server(faults=[{"kind": "unparsable", "match": "(a) the cat"}])
    multicsr = recipe("multicsr", reasks=0)
    end = finished(await run(Generation(store, multicsr, RunOptions(), desk(store, server))))
    assert (end.progress.planned, end.progress.answered, dict(end.progress.failed)) == (4, 3, {"unparsed": 1})
    made = pairs(store)
    assert all(pair.system == "multicsr" and pair.hard_negative and pair.generate_key for pair in made)
    scored = [pair for pair in made if pair.score is not None]
    assert len(scored) == 3
    for pair in scored:
        assert pair.score_scale == "0-5" and pair.score == pytest.approx(float(pair.score_raw or "") / 5)
        assert pair.negative_score is not None
    funnel = postprocess(lambda: made, options_of(replace(multicsr, alpha=0.0, beta=5.0))).funnel
    assert (funnel.pairs, funnel.drops["unscored"], funnel.drops["system"]) == (4, 1, 0)
    assert funnel.rows + funnel.drops["gamma"] + funnel.drops["both_high"] == 3


async def test_imported_triplets_are_scored_as_each_system_asks(
    store: Store, llm_server: Factory, nli: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "nli.csv"
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([("sent0", "sent1", "hard_neg"), *nli])
    await asyncio.to_thread(import_file, store, file, ImportOptions(role="triplets"))
    server = llm_server()
    funnels = {}
    for preset in ("clhaif", "clhaif-negatives", "claif-scaled", "multicsr"):
        one = recipe(preset)
        end = finished(await run(Generation(store, one, RunOptions(), desk(store, server))))
        assert (end.state, end.progress.planned, end.progress.answered) == ("finished", 30, 30), preset
        made = pairs(store)
        assert all((pair.negative_score is None) == (preset == "clhaif") for pair in made)
        funnels[preset] = (done := postprocess(partial(list, made), options_of(one))).funnel
        if preset == "claif-scaled":
            rows = list(done.rows())
            assert {row.kind for row in rows} == {"nli", "zero"}
            assert all(row.hard_negative is None and row.score is not None for row in rows)
    # CLHAIF's answers serve CLHAIF with negatives and CLAIF-scaled; MultiCSR asks for another scale.
    assert len(server.log()) == 60 + 60
    assert [funnels[preset].rows for preset in ("clhaif", "clhaif-negatives")] == [30, 30]
    scaled = funnels["claif-scaled"]
    assert (scaled.pairs, scaled.split, scaled.kept, scaled.zero_pairs) == (30, 30, 60, 60)
    curated = funnels["multicsr"]
    taken = sum(curated.drops[rule] for rule in ("both_high", "alpha", "beta", "gamma"))
    assert taken + curated.rows == 30 and taken and curated.swapped is not None
