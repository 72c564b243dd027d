"""CLAIF: which texts are asked for each seed, and how an answer becomes a pair and a score. No I/O, no store.

Sources: methods 1 (masks, prompts, cleaning) and 2 (similarity labels).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from claif_tui.core import prompts
from claif_tui.core.addressing import request_identity
from claif_tui.core.llm.base import Request, Sampling, Task
from claif_tui.core.masking import Masked, mask_sentence
from claif_tui.core.models import Seed, Stage
from claif_tui.core.recipes import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is to be asked, before it has an address: everything of a request but its key."""

    stage: Stage
    messages: tuple[tuple[str, str], ...]
    sampling: Sampling
    task: Task
    identity: bytes
    """What equal requests share (32 bytes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanItem:
    """One planned pair: a seed at a mask rate. ``copy`` counts the kept occurrences of a repeated sentence."""

    seed: Seed
    masked: Masked
    copy: int
    ask: Ask

    @property
    def rate(self) -> float:
        """The mask rate, 0..1."""
        return self.masked.rate


def plan(recipe: Recipe, seeds: Iterable[Seed]) -> Iterator[PlanItem]:
    """Yield the planned pairs in plan order: seeds as they come, rates as the recipe lists them, then copies."""
    for seed in seeds:
        for rate in recipe.rates:
            masked = mask_sentence(seed.text, rate, recipe.seed, merge=recipe.merge)
            ask = generation_ask(recipe, seed.text, masked)
            for copy in range(seed.count if recipe.keep_duplicates else 1):
                yield PlanItem(seed=seed, masked=masked, copy=copy, ask=ask)


def planned_pairs(recipe: Recipe, unique: int, occurrences: int) -> int:
    """Return how many pairs are planned for ``unique`` seeds that stood ``occurrences`` times in the sources."""
    return len(recipe.rates) * (occurrences if recipe.keep_duplicates else unique)


def generation_ask(recipe: Recipe, original: str, masked: Masked) -> Ask:
    """Return the fill request, or at rate 0.0 (no mask at all) the paraphrase request, for one masked sentence."""
    if masked.k:
        messages, stop = prompts.render_fill(recipe, masked.text)
        task = Task(op="fill", text=masked.text)
    else:
        messages, stop = prompts.render_paraphrase(recipe, original)
        task = Task(op="paraphrase", text=original)
    sampling = Sampling(
        temperature=recipe.fill_temperature, top_p=recipe.top_p, max_tokens=recipe.max_tokens, stop=stop
    )
    return _ask(recipe, "generate", messages, sampling, task, recipe.seed)


def score_ask(recipe: Recipe, text_a: str, text_b: str) -> Ask:
    """Return the similarity request for one pair, in the recipe's choice of scoring prompt."""
    messages, stop = prompts.render_score(recipe, text_a, text_b)
    sampling = Sampling(
        temperature=recipe.score_temperature, top_p=recipe.top_p, max_tokens=recipe.max_tokens, stop=stop
    )
    # At temperature 0 the seed changes nothing, so it must not change the address either.
    seed = recipe.seed if recipe.score_temperature else 0
    last = prompts.score_mode(recipe) == "last"
    task = Task(op="score", text=text_a, other=text_b, reason_first=last)
    return _ask(recipe, "score", messages, sampling, task, seed)


def explain_ask(recipe: Recipe, text_a: str, text_b: str) -> Ask:
    """Return the request for a score with its reason, whatever the recipe's own scoring prompt.

    Where that is the recipe's own prompt it is the same request as ``score_ask``, so its stored answer serves.
    """
    return replace(score_ask(replace(recipe, score_prompt="score-and-reason"), text_a, text_b), stage="explain")


def request(recipe: Recipe, ask: Ask, key: str, seed: int) -> Request:
    """Return the request for ``ask`` under its content address ``key``."""
    return Request(
        key=key,
        stage=ask.stage,
        model=recipe.model,
        api=recipe.api,
        messages=ask.messages,
        sampling=ask.sampling,
        task=ask.task,
        seed=seed,
    )


def _ask(
    recipe: Recipe,
    stage: Stage,
    messages: tuple[tuple[str, str], ...],
    sampling: Sampling,
    task: Task,
    seed: int,
) -> Ask:
    identity = request_identity(recipe.profile, recipe.model, recipe.api, messages, sampling, seed)
    return Ask(stage=stage, messages=messages, sampling=sampling, task=task, identity=identity)
