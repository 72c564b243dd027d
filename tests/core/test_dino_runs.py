"""Dino through whole runs over the loopback OpenAI server: what is kept, what is counted, and what the check says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from claif_tui.core.models import Pair, PairQuery
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions
from claif_tui.core.postprocess import options_of, postprocess
from claif_tui.core.recipes import Recipe, preset_recipe
from claif_tui.core.store.store import Store
from tests.core.test_pipeline import SEEDS, desk, fill, finished, run
from tests.llm_fixtures import Factory

DIFFERENT = 'completely different topics.\nSentence 1: "'
SIMILAR = 'somewhat similar.\nSentence 1: "'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as made:
        fill(made, SEEDS)
        yield made


def recipe(preset: str, api: str) -> Recipe:
    return replace(preset_recipe(preset), profile="test", model="tiny", api=api)  # type: ignore[arg-type]


def pairs(store: Store) -> list[Pair]:
    return list(store.pairs.export_rows(PairQuery()))


async def test_every_stop_string_answer_is_kept_and_every_other_is_counted_with_its_reason(
    store: Store, llm_server: Factory
) -> None:
    server = llm_server(
        faults=[
            {"kind": "length", "match": f"{DIFFERENT}three men"},
            {"kind": "refusal", "match": f"{DIFFERENT}a woman"},
            {"kind": "content_filter", "match": f"{DIFFERENT}the cat"},
            {"kind": "empty", "match": f"{SIMILAR}a woman"},
            {"kind": "preamble", "match": f"{SIMILAR}the cat"},
        ]
    )
    plain = recipe("dino-api", "completions")
    end = finished(await run(Generation(store, plain, RunOptions(), desk(store, server))))
    assert end.state == "finished"
    assert end.progress.planned == 24
    assert +Counter(end.progress.failed) == {"cut_off": 2, "refused": 4, "empty": 2, "wrong_form": 2}
    made = pairs(store)
    assert len(made) == end.progress.answered == 14, (
        "no answer holds a quotation mark, and all of them are kept"
    )
    assert Counter(pair.score for pair in made) == {1.0: 8, 0.5: 4, 0.0: 2}
    assert all(type(pair.score) is float and pair.system == "dino" for pair in made)
    params = [line["params"] for line in server.log()]
    assert len(params) == 24, "one call a sample, and no scores"
    assert {(tuple(p["stop"]), p["top_p"], p["max_tokens"]) for p in params} == {(('"',), 0.9, 40)}
    assert not {"top_k", "min_tokens", "logit_bias"} & {name for p in params for name in p}
    # Both samples of a question got the same answer here: one of each two goes as a duplicate.
    done = postprocess(lambda: made, options_of(plain))
    assert (done.funnel.pairs, done.funnel.drops["duplicate"], done.funnel.kept) == (14, 7, 7)
    rows = list(done.rows())
    assert Counter(row.score for row in rows if row.kind == "llm") == {0.9: 4, 0.5: 2, 0.1: 1}
    assert done.funnel.zero_pairs == 8
    assert {row.score for row in rows if row.kind == "zero"} == {0.0}


async def test_the_check_scores_each_pair_and_takes_out_what_does_not_fit_its_label(
    store: Store, llm_server: Factory
) -> None:
    server = llm_server(faults=[{"kind": "preamble", "match": "somewhat similar"}])
    plain, check = recipe("dino-api", "chat"), recipe("dino-api+check", "chat")
    end = finished(await run(Generation(store, plain, RunOptions(), desk(store, server))))
    assert (end.progress.answered, len(server.log())) == (24, 24)
    assert not any("stop" in line["params"] for line in server.log())
    before = {pair.id: pair.score for pair in pairs(store)}
    end = finished(await run(Generation(store, check, RunOptions(), desk(store, server))))
    assert end.progress.answered == 24
    asked = [line["prompt"] for line in server.log()[24:]]
    assert asked and all("similarity score" in prompt for prompt in asked), "no sentence is asked for again"
    after = pairs(store)
    assert {pair.id: pair.score for pair in after} == before, "the label stays what the instruction said"
    classes = Counter((pair.score, pair.answer_class) for pair in after)
    assert sum(n for (_, found), n in classes.items() if found == "off_label") > 0
    assert sum(n for (_, found), n in classes.items() if found == "ok") > 0
    off = [pair for pair in after if pair.answer_class == "off_label"]
    assert all(pair.score_raw is not None and pair.reason for pair in off)
    funnel = postprocess(lambda: after, options_of(check)).funnel
    assert funnel.drops["off_label"] == len(off)
    # Another plain recipe makes the same pairs: what the check found of them stays known.
    longer = replace(plain, dino_samples=3)
    await run(Generation(store, longer, RunOptions(), desk(store, server)))
    funnel = postprocess(lambda: pairs(store), options_of(check)).funnel
    assert funnel.drops["off_label"] == len(off)
