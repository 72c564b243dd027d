"""Dino and MultiCSR on a real decoder: from a recipe, through the run and the child process, to stored rows.

What the stored answers are compared with: the same child, asked with the same number for every token but another rule.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import pytest_asyncio

from claif_tui.core.addressing import call_seed
from claif_tui.core.desk import Desk
from claif_tui.core.events import Finished
from claif_tui.core.llm.base import Answer, Price, Sampling
from claif_tui.core.llm.local import LocalClient
from claif_tui.core.llm.pace import Pace
from claif_tui.core.llm.rules import Contrast, Debias, Rule
from claif_tui.core.models import Pair, PairQuery
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions
from claif_tui.core.postprocess import options_of, postprocess
from claif_tui.core.recipes import Recipe, preset_recipe
from claif_tui.core.store.items import OccurrenceCounter
from claif_tui.core.store.store import Store
from claif_tui.core.systems import base
from tests.core.test_pipeline import fill
from tests.engine import language_models
from tests.engine.language_models import SAME, SENTENCES, TOPIC

pytestmark = [pytest.mark.xdist_group("local-lm"), pytest.mark.asyncio(loop_scope="module")]
FREE = Price(input_usd_per_m=0.0, output_usd_per_m=0.0, as_of="2026-01-01")
SEEDS = SENTENCES[:3]
OTHER = 'How similar: {sentence}\nAnswer: "'


class Shared(LocalClient):
    """The one child of this module: a run that closes its desk leaves it running."""

    async def close(self) -> None:
        """Nothing, until ``end``."""

    async def end(self) -> None:
        await super().close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    folder = language_models.causal(tmp_path_factory.mktemp("models") / "gpt2", steps=60)
    running = Shared(str(folder))
    yield running
    await running.end()


def on_local(preset: str, **changes: object) -> Recipe:
    own = {"profile": "local", "model": "gpt2", "api": "completions", "max_tokens": 16}
    return replace(preset_recipe(preset), **own, **changes)  # type: ignore[arg-type]


DINO = on_local(
    "dino-local",
    dino_same=f'{SAME}: {{sentence}}\nAnswer: "',
    dino_similar=f'{TOPIC}: {{sentence}}\nAnswer: "',
    dino_different='Say: {sentence}\nAnswer: "',
)
MULTICSR = on_local(
    "multicsr-local",
    multicsr_entailment=f'{SAME}: {{sentence}}\nAnswer: "',
    multicsr_contradiction=f'{TOPIC}: {{sentence}}\nAnswer: "',
    multicsr_score="How similar: {sentence1} | {sentence2} is",
    omega=0.9,
    plausibility=0.0,
)


@dataclass(frozen=True)
class Done:
    """A finished run: how it ended, what each question was answered (by key), and the rows."""

    end: Finished
    asked: dict[str, base.Ask]
    answers: dict[str, tuple[str | None, str | None]]
    pairs: list[Pair]


async def run(folder: Path, recipe: Recipe, client: Shared) -> Done:
    with Store.create(folder) as store:
        fill(store, SEEDS)
        desk = Desk(store, client, price=FREE, pace=Pace(64))
        events = [event async for event in Generation(store, recipe, RunOptions(), desk).events()]
        end = events[-1]
        assert isinstance(end, Finished)
        asked = dict(questions(store, recipe))
        answers = {}
        for key in asked:
            call = store.calls.get(key)
            assert call is not None
            answers[key] = (call.raw, call.finish_reason)
        return Done(end, asked, answers, list(store.pairs.export_rows(PairQuery())))


def questions(store: Store, recipe: Recipe) -> Iterator[tuple[str, base.Ask]]:
    """Every generation of the plan with the key that it stands under."""
    from claif_tui.core.addressing import call_key
    from claif_tui.core.planning import rank

    for item, ranks in rank(recipe, list(store.seeds.iter()), OccurrenceCounter()):
        for ask, place in zip(item.asks, ranks, strict=True):
            yield call_key(ask.identity, place, 0), ask


async def again(
    client: Shared, recipe: Recipe, done: Done, change: Callable[[Sampling], Sampling]
) -> dict[str, tuple[str | None, str | None]]:
    """Ask every question of a run once more, each under its own key, with another way of choosing tokens."""

    async def one(key: str, ask: base.Ask) -> tuple[str, tuple[str | None, str | None]]:
        request = base.request(recipe, replace(ask, sampling=change(ask.sampling)), key, call_seed(key))
        *_, last = [event async for event in client.stream(request)]
        assert isinstance(last, Answer)
        return key, (last.text, last.finish_reason)

    return dict(await asyncio.gather(*(one(key, ask) for key, ask in done.asked.items())))


def with_rule(rule: Rule | None) -> Callable[[Sampling], Sampling]:
    """Put ``rule`` in the place of the rule that there is."""
    return lambda sampling: replace(sampling, rule=rule if sampling.rule is not None else None)


async def test_dino_local_debiases_by_every_counter_instruction_and_is_plain_sampling_at_0(
    tmp_path: Path, client: Shared
) -> None:
    done = await run(tmp_path / "dino", DINO, client)
    progress = done.end.progress
    assert (done.end.state, progress.planned) == ("finished", len(SEEDS) * 3 * 2)
    assert progress.answered + sum(progress.failed.values()) == progress.planned
    assert {pair.system for pair in done.pairs} == {"dino"}
    assert {pair.score for pair in done.pairs} == {1.0, 0.5, 0.0}, "labels, as numbers"
    assert all('"' not in pair.generated and "\n" not in pair.generated for pair in done.pairs)
    texts = Counter(finish for _, finish in done.answers.values())
    assert texts["length"] == progress.failed.get("cut_off", 0), "without a closing quote it is no sentence"
    assert await again(client, DINO, done, lambda sampling: sampling) == done.answers

    plain = await again(client, DINO, done, with_rule(None))
    by_label = {key: ask.sampling.rule is not None for key, ask in done.asked.items()}
    assert {plain[key] == done.answers[key] for key, ruled in by_label.items() if not ruled} == {True}
    assert any(plain[key] != done.answers[key] for key, ruled in by_label.items() if ruled)

    def others(sampling: Sampling) -> Sampling:
        """The same number of counter-prompts, but other ones."""
        if not isinstance(sampling.rule, Debias):
            return sampling
        against = tuple((("user", OTHER.format(sentence=SEEDS[0])),) for _ in sampling.rule.against)
        return replace(sampling, rule=replace(sampling.rule, against=against))

    def first_alone(sampling: Sampling) -> Sampling:
        """Of the two counter-prompts of label 0, the second left out."""
        if not isinstance(sampling.rule, Debias):
            return sampling
        return replace(sampling, rule=replace(sampling.rule, against=sampling.rule.against[:1]))

    elsewhere = await again(client, DINO, done, others)
    assert elsewhere != done.answers, "which counter-prompts there are makes no difference"
    assert elsewhere != plain
    assert await again(client, DINO, done, first_alone) != done.answers, "the second counter-prompt is ignored"

    idle = replace(DINO, dino_decay=0.0)
    off = await run(tmp_path / "idle", idle, client)
    assert any(isinstance(ask.sampling.rule, Debias) for ask in off.asked.values())
    assert off.answers == await again(client, idle, off, with_rule(None)), "lambda 0 is plain sampling"

    rows = postprocess(lambda: done.pairs, options_of(DINO))
    assert rows.funnel.kept == len({(p.text_a, p.text_b) for p in done.pairs if p.text_a != p.text_b})
    assert {row.score for row in rows.rows() if row.kind == "llm"} <= {0.9, 0.5, 0.1, 0.7, 0.3}


async def test_multicsr_local_decodes_against_the_opposite_and_is_plain_at_0(
    tmp_path: Path, client: Shared
) -> None:
    done = await run(tmp_path / "csr", MULTICSR, client)
    assert done.end.state == "finished"
    assert len(done.asked) == 2 * len(SEEDS)
    assert await again(client, MULTICSR, done, lambda sampling: sampling) == done.answers
    triplets = {pair.text_a: (pair.generated, pair.hard_negative) for pair in done.pairs}
    assert triplets and {type(side) for pair in triplets.values() for side in pair} == {str}
    plain = await again(client, MULTICSR, done, with_rule(None))
    assert plain != done.answers

    def others(sampling: Sampling) -> Sampling:
        assert isinstance(sampling.rule, Contrast)
        return replace(
            sampling, rule=replace(sampling.rule, against=(("user", OTHER.format(sentence=SEEDS[0])),))
        )

    elsewhere = await again(client, MULTICSR, done, others)
    assert elsewhere != done.answers, "which opposite there is makes no difference"
    idle = replace(MULTICSR, omega=0.0)
    off = await run(tmp_path / "idle", idle, client)
    assert off.answers == await again(client, idle, off, with_rule(None)), "omega 0 is plain greedy decoding"
