"""SynCSE: what is asked for the positive and the hard negative of a sentence, and how the answers are read. No I/O.

Source: methods 10.1. ``syncse`` works on imported sentences, ``syncse-scratch`` on sentences that the model wrote
(``claif_tui.core.scratch``); naive prompts are the ablation. Triplets need no scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from claif_tui.core.answers import CleanAnswer
from claif_tui.core.llm.base import Sampling, Task
from claif_tui.core.masking import MASK
from claif_tui.core.models import AnswerClass, Pair, Scale, Seed
from claif_tui.core.prompts import Messages, fill_in
from claif_tui.core.recipes import Recipe
from claif_tui.core.scores import ParsedScore
from claif_tui.core.systems.base import Ask, Makes, PlanItem, Reader, Reads, make_ask
from claif_tui.core.systems.drawing import drawn
from claif_tui.core.systems.material import SIDES, Instruction, Material, Side, material_of
from claif_tui.core.systems.readers import read_generation, read_score
from claif_tui.core.text import squash, text_hash

TWO_MASKS_FROM = 8
"""Words from which on the stand-in's hard negative gets two masked words, not one."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_CONTENT_LETTERS = 4
_FUNCTION_WORDS = re.compile(
    "about|after|again|also|been|before|both|could|does|down|each|every|from|have|here|into|just|must|only|other|over|"
    "same|shall|should|some|such|than|that|their|them|then|there|these|they|this|those|very|were|what|when|where|which|"
    "while|will|with|without|would|your"
)


@dataclass(frozen=True, slots=True)
class SynCSE:
    """A positive and a hard negative for each sentence, from pools of instructions and exemplars."""

    name: str = "syncse"
    makes: Makes = "triplets"
    reads: frozenset[Reads] = frozenset({"seeds"})

    @property
    def stored_as(self) -> str:
        """Its own name: what was made from nothing stays apart from what was made of given sentences."""
        return self.name

    def plan(self, recipe: Recipe, seeds: Iterable[Seed]) -> Iterator[PlanItem]:
        """Yield one item a seed, with two asks; raises ``RecipeError`` where the material lacks what is drawn."""
        material = material_of(recipe)
        for seed in seeds:
            asks = tuple(side_ask(recipe, material, seed.text, side) for side in SIDES)
            yield PlanItem(seed=seed, slot=0, copy=0, asks=asks, title="triplet")

    def planned(self, recipe: Recipe, unique: int, occurrences: int) -> int:
        """One triplet a distinct sentence."""
        return unique

    def read(self, recipe: Recipe, item: PlanItem, part: int) -> Reader[CleanAnswer]:
        """One sentence."""
        return read_generation(recipe, item.seed.text, item.asks[part].sampling.stop)

    def score_asks(
        self, recipe: Recipe, anchor: str, positive: str, hard_negative: str | None = None
    ) -> tuple[Ask, ...]:
        """Nothing: the label of a triplet is its order."""
        return ()

    def read_score(self, recipe: Recipe) -> Reader[ParsedScore]:
        """A score on 0..1; nothing of this system asks for one."""
        return read_score(recipe)

    def scale(self, recipe: Recipe) -> Scale:
        """0-1; nothing of this system asks for a score."""
        return "0-1"

    def verdict(self, recipe: Recipe, item: PlanItem, score: float) -> AnswerClass:
        """No label hangs on a score."""
        return "ok"

    def takes(self, pair: Pair) -> bool:
        """Its own triplets alone: imported ones carry human labels."""
        return pair.system == self.stored_as


def side_ask(recipe: Recipe, material: Material, sentence: str, side: Side) -> Ask:
    """Return the question for one side of a triplet.

    Instruction and exemplars follow from the recipe's seed, the sentence and the side alone, so neither the order of
    work nor the other side has a say in them.
    """
    about = f"syncse 1|{recipe.seed}|{text_hash(sentence)}|{side}"
    if recipe.syncse_prompts == "naive":
        messages, stop = _naive(recipe, sentence, side)
    else:
        instruction = drawn(material.pool(side), 1, f"{about}|instruction")[0]
        exemplars = drawn(instruction.exemplars, recipe.syncse_exemplars, f"{about}|exemplars")
        messages, stop = _few_shot(recipe, material.acknowledgement, instruction, exemplars, sentence)
    sampling = Sampling(
        temperature=recipe.fill_temperature, top_p=recipe.top_p, max_tokens=recipe.max_tokens, stop=stop
    )
    if side == "positive":
        task = Task(op="paraphrase", text=sentence)
    else:
        task = Task(op="fill", text=_with_masks(sentence, f"{about}|stand-in"))
    # At temperature 0 the seed changes nothing, so it must not change the address either.
    return make_ask(recipe, "generate", messages, sampling, task, recipe.seed if recipe.fill_temperature else 0)


def _few_shot(
    recipe: Recipe,
    acknowledgement: str,
    instruction: Instruction,
    exemplars: tuple[tuple[str, str], ...],
    sentence: str,
) -> tuple[Messages, tuple[str, ...]]:
    """Chat: a dialogue in which the model has answered the exemplars. Completions: the same as labelled lines."""
    if recipe.api == "chat":
        turns = [("user", instruction.text), ("assistant", acknowledgement)]
        for given, wanted in exemplars:
            turns += [("user", given), ("assistant", wanted)]
        return (*_system(recipe), *turns, ("user", sentence)), ()
    lines = [instruction.text, ""]
    for given, wanted in exemplars:
        lines += [f"Sentence: {given}", f"Reply: {wanted}", ""]
    # A line and not open quotes: many sentences hold quotes, and the answer would end at the first of them.
    return (("user", "\n".join([*lines, f"Sentence: {squash(sentence)}", "Reply:"])),), ("\n",)


def _naive(recipe: Recipe, sentence: str, side: Side) -> tuple[Messages, tuple[str, ...]]:
    """One fixed prompt a side, no exemplars."""
    template = recipe.naive_positive if side == "positive" else recipe.naive_negative
    text = fill_in("paraphrase", template, sentence=sentence)
    if recipe.api == "chat":
        return (*_system(recipe), ("user", text)), ()
    if template.endswith('"'):
        return (("user", text),), ('"',)
    return (("user", f"{text}\nReply:"),), ("\n",)


def _system(recipe: Recipe) -> Messages:
    return (("system", recipe.system_line),) if recipe.system_line.strip() else ()


def _with_masks(sentence: str, about: str) -> str:
    """Mask a word or two, content words where there are any: the offline model's way to another meaning."""
    words = list(_WORD.finditer(sentence))
    content = [
        word
        for word in words
        if len(word.group()) >= _CONTENT_LETTERS and not _FUNCTION_WORDS.fullmatch(word.group().lower())
    ]
    if not words:
        return MASK
    count = 2 if len(words) >= TWO_MASKS_FROM else 1
    masked = sentence
    for word in sorted(drawn(content or words, count, about), key=lambda word: -word.start()):
        masked = masked[: word.start()] + MASK + masked[word.end() :]
    return masked
