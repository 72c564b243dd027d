"""MultiCSR: an entailment and a contradiction of each seed, then a score from 0 to 5 for either. No I/O, no store.

Sources: methods 10.2 (generation) and 10.3 (scores). What the scores decide, the swap of roles and the filter, is
post-processing (``claif_tui.core.post_rules``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from claif_tui.core import scores
from claif_tui.core.answers import CleanAnswer, split_reasoning
from claif_tui.core.llm.base import Reason, Sampling, Task
from claif_tui.core.llm.rules import Contrast
from claif_tui.core.masking import mask_sentence
from claif_tui.core.models import AnswerClass, Pair, Scale, Seed
from claif_tui.core.prompts import Messages, fill_in
from claif_tui.core.recipes import Recipe
from claif_tui.core.scores import ParsedScore
from claif_tui.core.systems.base import Ask, Makes, PlanItem, RawAnswer, Reader, Reading, Reads, make_ask
from claif_tui.core.systems.claif import IMPORTED
from claif_tui.core.systems.readers import read_generation

EXEMPLARS: tuple[tuple[str, str, str], ...] = (
    (
        "Two mechanics are changing a bus tyre in the rain.",
        "People are working on a vehicle outdoors.",
        "The mechanics are asleep in a dry garage.",
    ),
    (
        "The museum stays open until nine on Thursdays, and entry is free for students.",
        "A student can visit the museum on a Thursday evening without paying.",
        "The museum closes at noon every day, and everyone has to pay.",
    ),
)
"""(premise, entailment, contradiction), ours: what two-shot prompts show before the premise that is asked about."""

_FORM = re.compile(r"[0-5](?:\.[0-9])?")
_STAND_IN_RATE = 0.5
"""Share of words that the offline model replaces to make what stands for a contradiction."""


@dataclass(frozen=True, slots=True)
class MultiCsr:
    """Triplets by two opposite instructions, judged by the model; imported triplets are judged alike ("score 0")."""

    name: str = "multicsr"
    stored_as: str = "multicsr"
    makes: Makes = "triplets"
    reads: frozenset[Reads] = frozenset({"seeds", "triplets"})

    def plan(self, recipe: Recipe, seeds: Iterable[Seed]) -> Iterator[PlanItem]:
        """Yield one planned triplet a seed: its entailment and its contradiction are asked together."""
        for seed in seeds:
            yield PlanItem(seed=seed, slot=0, copy=0, asks=generation_asks(recipe, seed.text), title="triplet")

    def planned(self, recipe: Recipe, unique: int, occurrences: int) -> int:
        """One triplet for each unique seed."""
        return unique

    def read(self, recipe: Recipe, item: PlanItem, part: int) -> Reader[CleanAnswer]:
        """One sentence."""
        return read_generation(recipe, item.seed.text, item.asks[part].sampling.stop)

    def score_asks(
        self, recipe: Recipe, anchor: str, positive: str, hard_negative: str | None = None
    ) -> tuple[Ask, ...]:
        """The premise with the positive, and with the hard negative."""
        texts = (positive,) if hard_negative is None else (positive, hard_negative)
        return tuple(score_ask(recipe, anchor, text) for text in texts)

    def read_score(self, recipe: Recipe) -> Reader[ParsedScore]:
        """A score from 0 to 5 with at most one decimal, as the released script takes it."""
        return read_score_of_five

    def scale(self, recipe: Recipe) -> Scale:
        """0-5."""
        return "0-5"

    def verdict(self, recipe: Recipe, item: PlanItem, score: float) -> AnswerClass:
        """Every score is a label."""
        return "ok"

    def takes(self, pair: Pair) -> bool:
        """Triplets: its own, and imported ones."""
        return pair.hard_negative is not None and (pair.system == self.stored_as or pair.system in IMPORTED)


def generation_asks(recipe: Recipe, premise: str) -> tuple[Ask, Ask]:
    """Return what is asked for the entailment and for the contradiction of ``premise`` (methods 10.2).

    "contrastive": each instruction is decoded against the other. "two-shot": greedy at the preset's temperature 0,
    with two examples of ours in the prompt.
    """
    entailment, contradiction = _messages(recipe, premise, 0), _messages(recipe, premise, 1)
    masked = mask_sentence(premise, _STAND_IN_RATE, recipe.seed)
    return (
        _generation_ask(recipe, entailment, contradiction, Task(op="paraphrase", text=premise)),
        _generation_ask(recipe, contradiction, entailment, Task(op="fill", text=masked.text)),
    )


def score_ask(recipe: Recipe, anchor: str, other: str) -> Ask:
    """Return the question for the similarity of two sentences on 0 to 5 (methods 10.3)."""
    text = fill_in("score", recipe.multicsr_score, sentence1=anchor, sentence2=other)
    sampling = replace(_sampling(recipe), temperature=recipe.score_temperature)
    task = Task(op="score", text=anchor, other=other, scale="0-5")
    seed = recipe.seed if recipe.score_temperature else 0
    return make_ask(recipe, "score", (("user", text),), sampling, task, seed)


def read_score_of_five(raw: RawAnswer) -> Reading[ParsedScore]:
    """Read an answer's score: one digit from 0 to 5, or d.d up to 5.0 (methods 10.3); the value is on 0..1.

    The script's own check also takes 5.1 to 5.9, which lie outside the scale that the prompt states.
    """
    if raw.finish_reason is None:
        return Reading(None, "cut_off", "the answer has no finish reason")
    visible = split_reasoning(raw.text)[0]
    parsed = scores.parse_score(visible, scale="0-5")
    if parsed.value is None:
        reason: Reason = "empty" if not visible.strip() else "unparsed"
        return Reading(None, reason, parsed.why_invalid or "no readable score")
    if not _FORM.fullmatch(parsed.said):
        return Reading(
            None, "unparsed", f"“{parsed.said}” is not a number from 0 to 5 with at most one decimal"
        )
    return Reading(parsed)


def _generation_ask(recipe: Recipe, messages: Messages, opposite: Messages, task: Task) -> Ask:
    sampling = _sampling(recipe)
    if recipe.decoding == "contrastive":
        rule = Contrast(against=opposite, omega=recipe.omega, plausibility=recipe.plausibility)
        sampling = replace(sampling, rule=rule)
    # Greedy decoding draws nothing, so the seed must not change the address.
    return make_ask(recipe, "generate", messages, sampling, task, recipe.seed if recipe.fill_temperature else 0)


def _sampling(recipe: Recipe) -> Sampling:
    # A model that completes text goes on with another premise; its answer is the rest of the line.
    stop = ("\n",) if recipe.api == "completions" else ()
    return Sampling(
        temperature=recipe.fill_temperature, top_p=recipe.top_p, max_tokens=recipe.max_tokens, stop=stop
    )


def _messages(recipe: Recipe, premise: str, side: int) -> Messages:
    """Return the messages that ask for the entailment (``side`` 0) or the contradiction (1) of ``premise``."""
    template = recipe.multicsr_contradiction if side else recipe.multicsr_entailment
    shown = [fill_in("paraphrase", template, sentence=premise)]
    if recipe.decoding == "two-shot":
        examples = [(fill_in("paraphrase", template, sentence=one[0]), one[1 + side]) for one in EXEMPLARS]
        shown = [f"{question.rstrip()} {answer}" for question, answer in examples] + shown
    user = ("user", "\n\n".join(shown))
    if recipe.api == "chat" and recipe.system_line.strip():
        return ("system", recipe.system_line), user
    return (user,)
