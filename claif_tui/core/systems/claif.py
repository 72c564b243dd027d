"""CLAIF: which texts are asked for each seed, and how an answer becomes a pair and a score. No I/O, no store.

Sources: methods 1 (masks, prompts, cleaning) and 2 (similarity labels).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from claif_tui.core import prompts
from claif_tui.core.answers import CleanAnswer
from claif_tui.core.llm.base import Sampling, Task
from claif_tui.core.masking import Masked, mask_sentence, rate_permille, rate_text
from claif_tui.core.models import AnswerClass, Pair, Scale, Seed
from claif_tui.core.recipes import Recipe
from claif_tui.core.scores import ParsedScore
from claif_tui.core.systems.base import Ask, Makes, PlanItem, Reader, Reads, make_ask
from claif_tui.core.systems.readers import read_generation, read_score

IMPORTED = frozenset({"imported", "human", "nli"})
"""The ``system`` of pairs that came from a file."""
SCORE_TOKENS = 256
"""Longest answer to a scoring prompt, where the recipe's own limit is not for one."""


@dataclass(frozen=True, slots=True)
class Claif:
    """Masked seeds are filled, and each pair is scored by the model."""

    name: str = "claif"
    stored_as: str = "claif"
    makes: Makes = "pairs"
    reads: frozenset[Reads] = frozenset({"seeds"})

    def plan(self, recipe: Recipe, seeds: Iterable[Seed]) -> Iterator[PlanItem]:
        """Yield the planned pairs: seeds as they come, rates as the recipe lists them, then copies."""
        for seed in seeds:
            for rate in recipe.rates:
                masked = mask_sentence(seed.text, rate, recipe.seed, merge=recipe.merge)
                ask = generation_ask(recipe, seed.text, masked)
                for copy in range(seed.count if recipe.keep_duplicates else 1):
                    yield PlanItem(
                        seed=seed,
                        slot=rate_permille(rate),
                        copy=copy,
                        asks=(ask,),
                        title=rate_text(rate),
                        rate=rate,
                        masked=masked,
                    )

    def planned(self, recipe: Recipe, unique: int, occurrences: int) -> int:
        """One pair for each rate of each seed, or of each of its occurrences."""
        return len(recipe.rates) * (occurrences if recipe.keep_duplicates else unique)

    def read(self, recipe: Recipe, item: PlanItem, part: int) -> Reader[CleanAnswer]:
        """One sentence, up to the stop string."""
        return read_generation(recipe, item.seed.text, item.asks[part].sampling.stop)

    def score_asks(
        self, recipe: Recipe, anchor: str, positive: str, hard_negative: str | None = None
    ) -> tuple[Ask, ...]:
        """The positive's question alone, of imported triplets too."""
        return (score_ask(recipe, anchor, positive),)

    def read_score(self, recipe: Recipe) -> Reader[ParsedScore]:
        """A score on 0..1, with the reason where the prompt asks for one."""
        return read_score(recipe)

    def scale(self, recipe: Recipe) -> Scale:
        """0-1."""
        return "0-1"

    def verdict(self, recipe: Recipe, item: PlanItem, score: float) -> AnswerClass:
        """Every score is a label."""
        return "ok"

    def takes(self, pair: Pair) -> bool:
        """Its own pairs, and whatever was imported."""
        return pair.system == self.stored_as or pair.system in IMPORTED


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
    return make_ask(recipe, "generate", messages, sampling, task, recipe.seed)


def score_ask(recipe: Recipe, text_a: str, text_b: str) -> Ask:
    """Return the similarity request for one pair, in the recipe's choice of scoring prompt (methods 2.1)."""
    messages, stop = prompts.render_score(recipe, text_a, text_b)
    # Dino's limit of length is for one sentence; a score with its reason takes more.
    limit = max(recipe.max_tokens, SCORE_TOKENS) if recipe.system == "dino" else recipe.max_tokens
    sampling = Sampling(temperature=recipe.score_temperature, top_p=recipe.top_p, max_tokens=limit, stop=stop)
    # At temperature 0 the seed changes nothing, so it must not change the address either.
    seed = recipe.seed if recipe.score_temperature else 0
    last = prompts.score_mode(recipe) == "last"
    task = Task(op="score", text=text_a, other=text_b, reason_first=last)
    return make_ask(recipe, "score", messages, sampling, task, seed)


def explain_ask(recipe: Recipe, text_a: str, text_b: str) -> Ask:
    """Return the request for a score with its reason, whatever the recipe's own scoring prompt.

    Where that is the recipe's own prompt it is the same request as ``score_ask``, so its stored answer serves.
    """
    return replace(score_ask(replace(recipe, score_prompt="score-and-reason"), text_a, text_b), stage="explain")
