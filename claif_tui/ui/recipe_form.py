"""Which knobs the recipe's form shows, in which order and under which label, for every system. One table; no widgets.

A knob stands here once; what a system or a variant of it does not use is left out when the form is laid out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from claif_tui.core.recipe_fields import FieldSpec
from claif_tui.core.recipe_schema import applies
from claif_tui.core.recipes import Recipe, find_field
from claif_tui.ui.recipe_draft import BUDGET

Width = Literal["half", "row", "long"]


@dataclass(frozen=True, slots=True)
class Knob:
    """One field of the form: a half line, a line, or a text of several lines with its label above."""

    key: str
    label: str
    width: Width = "half"


Row = tuple[Knob, ...]

HEAD: tuple[Row, ...] = ((Knob("system", "system", "row"),), (Knob("preset", "preset", "row"),))
"""Always there: what is under it follows from these two."""
SETTINGS: tuple[Knob, ...] = (
    Knob("dino.variant", "variant"),
    Knob("dino.samples", "samples"),
    Knob("syncse.prompts", "prompts"),
    Knob("syncse.exemplars", "exemplars"),
    Knob("scratch.sentences", "sentences"),
    Knob("scratch.per_request", "per request"),
    Knob("scratch.topics", "topics"),
    Knob("multicsr.decoding", "decoding", "row"),
    Knob("multicsr.omega", "omega ω"),
    Knob("multicsr.plausibility", "plausibility"),
    Knob("dino.decay", "decay λ"),
    Knob("dino.floor", "floor"),
    Knob("dino.top_k", "top-k"),
    Knob("masks.rates", "mask rates", "row"),
    Knob("masks.merge", "merge runs"),
    Knob("seed", "seed"),
    Knob("post.zero_pairs", "zero pairs"),
    Knob("model.api", "api"),
    Knob("model.profile", "profile"),
    Knob("model.name", "model"),
    Knob("model.temperature", "temperature"),
    Knob("model.top_p", "top-p"),
    Knob("model.score_temperature", "score temp."),
    Knob("model.max_tokens", "max tokens"),
    Knob("score.prompt", "score prompt"),
    Knob("score.reasks", "re-asks"),
    Knob("score.negatives", "score neg."),
    Knob(BUDGET, "budget $"),
    Knob("seeds.keep_duplicates", "keep repeats"),
)
PROMPTS: tuple[Knob, ...] = (
    Knob("prompts.scratch.sentences", "Prompt: sentences by genre and topic", "long"),
    Knob("prompts.fill", "Prompt: fill", "long"),
    Knob("prompts.paraphrase", "Prompt: paraphrase (rate 0.0)", "long"),
    Knob("prompts.dino.same", "Prompt: label 1, the same meaning", "long"),
    Knob("prompts.dino.similar", "Prompt: label 0.5, somewhat similar", "long"),
    Knob("prompts.dino.different", "Prompt: label 0, another topic", "long"),
    Knob("prompts.syncse.positive", "Prompt: positive (naive)", "long"),
    Knob("prompts.syncse.negative", "Prompt: hard negative (naive)", "long"),
    Knob("prompts.multicsr.entailment", "Prompt: entailment, the positive", "long"),
    Knob("prompts.multicsr.contradiction", "Prompt: contradiction, the hard negative", "long"),
    Knob("prompts.score", "Prompt: score", "long"),
    Knob("prompts.multicsr.score", "Prompt: score from 0 to 5", "long"),
    Knob("prompts.system", "Prompt: system line (chat)", "long"),
    Knob("syncse.material", "Material: instructions, exemplars, genres, topics (TOML)", "long"),
)
POST: tuple[Knob, ...] = (
    Knob("post.alpha", "alpha (0-5)"),
    Knob("post.beta", "beta (0-5)"),
    Knob("post.gamma", "gamma (0-5)"),
    Knob("post.swap", "swap roles"),
    Knob("post.smoothing", "smoothing ε"),
    Knob("post.cap", "cap"),
    Knob("post.deduplicate", "deduplicate"),
    Knob("post.conflicts", "conflicts"),
    Knob("post.drop_identical", "drop same"),
    Knob("post.drop_mask", "drop <mask>"),
    Knob("post.drop_refusals", "drop refusals"),
    Knob("post.zero_pool", "zero pool"),
    Knob("answers.refusals", "Refusal patterns", "long"),
)

_CHECKS = ("score.prompt", "score.reasks", "model.score_temperature", "prompts.score")


def _local(recipe: Recipe) -> bool:
    return recipe.dino_variant == "local"


def _scored(recipe: Recipe) -> bool:
    return recipe.system != "dino" or recipe.dino_variant == "api+check"


def _pools(recipe: Recipe) -> bool:
    return recipe.syncse_prompts == "pools"


def _naive(recipe: Recipe) -> bool:
    return recipe.syncse_prompts == "naive"


def _drawn(recipe: Recipe) -> bool:
    return recipe.syncse_prompts == "pools" or recipe.system == "syncse-scratch"


def _contrastive(recipe: Recipe) -> bool:
    return recipe.decoding == "contrastive"


_WHEN: Mapping[str, Callable[[Recipe], bool]] = {
    **dict.fromkeys(("dino.decay", "dino.floor", "dino.top_k"), _local),
    **dict.fromkeys(_CHECKS, _scored),
    "syncse.exemplars": _pools,
    "syncse.material": _drawn,
    **dict.fromkeys(("prompts.syncse.positive", "prompts.syncse.negative"), _naive),
    **dict.fromkeys(("multicsr.omega", "multicsr.plausibility"), _contrastive),
}
"""Knobs that only some variants of a system use."""
VARIANTS = ("dino.variant", "syncse.prompts", "multicsr.decoding")
"""Knobs that set the variant."""


@dataclass(frozen=True, slots=True)
class Form:
    """What the form shows under its head: settings, prompts, and what happens after the answers."""

    settings: tuple[Row, ...]
    prompts: tuple[Row, ...]
    post: tuple[Row, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Every knob that is shown, in order."""
        return tuple(knob.key for row in (*HEAD, *self.settings, *self.prompts, *self.post) for knob in row)


def form_of(recipe: Recipe) -> Form:
    """Return the knobs that mean something to the recipe's system and the variant it is set to, laid out in rows."""
    return Form(*(_rows(knobs, recipe) for knobs in (SETTINGS, PROMPTS, POST)))


def spec_of(key: str) -> FieldSpec | None:
    """Return the recipe field behind a knob; of a prompt that follows the API form, one of them. None: the budget."""
    if key == BUDGET:
        return None
    return find_field("prompts.chat.paper" if key == "prompts.score" else key)


def _rows(knobs: tuple[Knob, ...], recipe: Recipe) -> tuple[Row, ...]:
    rows: list[Row] = []
    for knob in knobs:
        if not _used(knob.key, recipe):
            continue
        last = rows[-1] if rows else ()
        if knob.width == "half" and len(last) == 1 and last[0].width == "half":
            rows[-1] = (*last, knob)
        else:
            rows.append((knob,))
    return tuple(rows)


def _used(key: str, recipe: Recipe) -> bool:
    spec = spec_of(key)
    if spec is None:
        return True
    return applies(spec, recipe.system) and _WHEN.get(key, _always)(recipe)


def _always(_: Recipe) -> bool:
    return True
