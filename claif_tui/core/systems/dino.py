"""Dino: one instruction a label, whose answers need no score, with self-debiasing where a model gives its logits.

Source: methods 8. No I/O, no store. The check of the labels by a score is an extension of ours, not Dino.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from claif_tui.core.answers import CleanAnswer
from claif_tui.core.llm.base import Sampling, Task
from claif_tui.core.llm.rules import Debias
from claif_tui.core.masking import mask_sentence
from claif_tui.core.models import AnswerClass, Pair, Scale, Seed
from claif_tui.core.prompts import Messages, fill_in
from claif_tui.core.recipes import Recipe
from claif_tui.core.scores import ParsedScore
from claif_tui.core.systems.base import Ask, Makes, PlanItem, RawAnswer, Reader, Reading, Reads, make_ask
from claif_tui.core.systems.claif import score_ask
from claif_tui.core.systems.readers import read_generation, read_score

LABELS = (1.0, 0.5, 0.0)
"""Highest first: the counter-labels of each are those before it (methods 8.1)."""
BANDS = {1.0: (0.75, 1.0), 0.5: (0.25, 0.75), 0.0: (0.0, 0.25)}
"""Where a score must lie for the label to stand, both ends included (methods 8.3)."""
_QUOTE = '"'


@dataclass(frozen=True, slots=True)
class Dino:
    """For each seed and label, a few sentences that an instruction of that label gave."""

    name: str = "dino"
    stored_as: str = "dino"
    makes: Makes = "pairs"
    reads: frozenset[Reads] = frozenset({"seeds"})

    def plan(self, recipe: Recipe, seeds: Iterable[Seed]) -> Iterator[PlanItem]:
        """Yield the planned pairs: seeds as they come, label 1 to 0, then samples."""
        for seed in seeds:
            for label in LABELS:
                ask = generation_ask(recipe, seed.text, label)
                for copy in range(recipe.dino_samples):
                    yield PlanItem(
                        seed=seed,
                        slot=round(label * 1000),
                        copy=copy,
                        asks=(ask,),
                        title=f"label {label:g}",
                        label=label,
                    )

    def planned(self, recipe: Recipe, unique: int, occurrences: int) -> int:
        """So many samples of each label, for each different seed."""
        return len(LABELS) * recipe.dino_samples * unique

    def read(self, recipe: Recipe, item: PlanItem, part: int) -> Reader[CleanAnswer]:
        """One sentence: as it stands before the closing quote, or cleaned where the prompt opened none."""
        stop = item.asks[part].sampling.stop
        clean = read_generation(recipe, item.seed.text, stop)

        def read(raw: RawAnswer) -> Reading[CleanAnswer]:
            if stop:
                # A server that stops there leaves the quotation mark out; one that does not stop sends more.
                head, quote, _ = raw.text.partition(_QUOTE)
                if not quote and raw.finish_reason == "length":
                    return Reading(None, "cut_off", "no closing quotation mark within the limit of length")
                raw = replace(raw, text=head, finish_reason="stop" if quote else raw.finish_reason)
                if raw.finish_reason == "stop" and ("\n" in head or "\r" in head):
                    return Reading(None, "wrong_form", "a line break before the closing quotation mark")
            reading = clean(raw)
            if reading.value is not None and reading.value.answer_class == "has_mask":
                # Nothing was masked, so these letters are a word like any other.
                return Reading(replace(reading.value, answer_class="ok"))
            return reading

        return read

    def score_asks(
        self, recipe: Recipe, anchor: str, positive: str, hard_negative: str | None = None
    ) -> tuple[Ask, ...]:
        """Nothing: the label is the instruction's. With the check, CLAIF's question."""
        if recipe.dino_variant != "api+check":
            return ()
        return (score_ask(recipe, anchor, positive),)

    def read_score(self, recipe: Recipe) -> Reader[ParsedScore]:
        """A score on 0..1, as CLAIF's."""
        return read_score(recipe)

    def scale(self, recipe: Recipe) -> Scale:
        """0-1."""
        return "0-1"

    def verdict(self, recipe: Recipe, item: PlanItem, score: float) -> AnswerClass:
        """Whether the score lies in the label's band."""
        if item.label is None:
            return "ok"
        low, high = BANDS[item.label]
        return "ok" if low <= score <= high else "off_label"

    def takes(self, pair: Pair) -> bool:
        """Its own pairs alone."""
        return pair.system == self.stored_as


def generation_ask(recipe: Recipe, sentence: str, label: float) -> Ask:
    """Return the request for one sentence of ``label``; samples of it differ by their occurrence alone."""
    messages, stop = rendered(recipe, sentence, label)
    sampling = Sampling(
        temperature=recipe.fill_temperature, top_p=recipe.top_p, max_tokens=recipe.max_tokens, stop=stop
    )
    if recipe.dino_variant == "local":
        against = tuple(rendered(recipe, sentence, other)[0] for other in LABELS if other > label)
        sampling = replace(
            sampling,
            top_k=recipe.dino_top_k,
            # Without an open quote in the prompt nothing but the end of text can end the answer.
            min_tokens=recipe.max_tokens if stop else None,
            rule=Debias(against=against, decay=recipe.dino_decay, floor=recipe.dino_floor) if against else None,
        )
    return make_ask(recipe, "generate", messages, sampling, _task(recipe, sentence, label), recipe.seed)


def rendered(recipe: Recipe, sentence: str, label: float) -> tuple[Messages, tuple[str, ...]]:
    """Return (messages, stop) of a label's instruction.

    A local model and a completions API go on after the instruction's open quote, up to the next one. A chat model
    answers in a turn of its own, so the open quote is left out, nothing stops it and the answer is cleaned.
    """
    template = {1.0: recipe.dino_same, 0.5: recipe.dino_similar, 0.0: recipe.dino_different}[label]
    if recipe.dino_variant == "local" or recipe.api == "completions":
        text = fill_in("paraphrase", template, sentence=sentence)
        return (("user", text),), (_QUOTE,) if template.endswith(_QUOTE) else ()
    text = fill_in("paraphrase", template.removesuffix(_QUOTE).rstrip(), sentence=sentence)
    if recipe.system_line.strip():
        return (("system", recipe.system_line), ("user", text)), ()
    return (("user", text),), ()


def _task(recipe: Recipe, sentence: str, label: float) -> Task:
    """What a provider that reads no prompt does in its place: a paraphrase, half of the words, or all of them anew."""
    if label == 1.0:
        return Task(op="paraphrase", text=sentence)
    return Task(op="fill", text=mask_sentence(sentence, 1.0 - label, recipe.seed, merge=0.0).text)
