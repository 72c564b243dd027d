"""PromptBERT's templates: the text around a sentence, and where its mask token lies. No models, no arithmetic.

Jiang et al. (2022): a sentence's vector is the last-layer state at the mask token of a template that holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import ConfigError, ModelError

PROMPTS = ("manual", "unsup", "sup")
"""``manual`` needs no training; ``unsup`` and ``sup`` are the two ways to train."""

_BERT_COLON = ('This sentence : "', '" means{mask}.')
_BERT_OF = ('This sentence of "', '" means{mask}.')
_ROBERTA_THIS = ("This sentence : '", " ' means{mask}.")
_ROBERTA_THE = ("The sentence : '", " ' means{mask}.")

BERT: dict[str, tuple[tuple[str, str], ...]] = {
    "manual": (_BERT_COLON,),
    "unsup": (_BERT_OF, _BERT_COLON),
    "sup": (_BERT_OF,),
}
ROBERTA: dict[str, tuple[tuple[str, str], ...]] = {
    "manual": (_ROBERTA_THIS,),
    "unsup": (_ROBERTA_THIS, _ROBERTA_THE),
    "sup": (_ROBERTA_THIS,),
}
"""Text before and after the slot, the anchor's template first. A RoBERTa slot begins with a blank of its own."""

_ROBERTA_MODELS = ("roberta", "xlm-roberta", "camembert")
FULL_STOPS = (".", "?", '"', "'")
"""At test a full stop follows every sentence that ends in none of these."""


def check(kind: str) -> str:
    """Return the name, or raise ConfigError where it is no way to use templates."""
    if kind not in PROMPTS:
        raise ConfigError(f"prompt: {kind!r} is unknown.", f"One of: {', '.join(PROMPTS)}.")
    return kind


def is_roberta(model: Any) -> bool:
    """Whether a model takes RoBERTa's templates."""
    return getattr(model.config, "model_type", "") in _ROBERTA_MODELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Token ids before and after the slot, special tokens included; the mask is `mask_from_end` tokens from the end."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    mask_from_end: int

    def __len__(self) -> int:
        return len(self.before) + len(self.after)

    def around(self, sentence: Sequence[int]) -> list[int]:
        """The template with a tokenised sentence (no special tokens) in its slot."""
        return [*self.before, *sentence, *self.after]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The templates of one way (`kind`) to use them, for one tokenizer. `blank` is put before a sentence."""

    kind: str
    templates: tuple[Template, ...]
    blank: str

    def template(self, view: int) -> Template:
        """The template of a view: 0 is the anchor's; where there is one template, every view has it."""
        return self.templates[min(view, len(self.templates) - 1)]

    def denoised(self, *, training: bool) -> bool:
        """Whether the empty template's state is subtracted: in training, and for ``sup`` at test too."""
        return self.kind == "sup" or (self.kind == "unsup" and training)


def _template(tokenizer: Any, before: str, after: str) -> Template:
    opened = tokenizer(before)["input_ids"]
    closed = tokenizer(after.format(mask=tokenizer.mask_token))["input_ids"]
    places = [place for place, token in enumerate(closed) if token == tokenizer.mask_token_id]
    ends = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    if len(places) != 1 or (opened[0], opened[-1]) != ends or (closed[0], closed[-1]) != ends:
        raise ModelError(
            "The tokenizer does not put one token before and one after a sentence, as templates need.",
            "Use a BERT or RoBERTa model for the prompt pooling.",
        )
    return Template(before=tuple(opened[:-1]), after=tuple(closed[1:]), mask_from_end=len(closed) - places[0])


def build(kind: str, model: Any, tokenizer: Any) -> Prompt:
    """The templates of `kind` in the tokens of a model; ModelError where its tokenizer has no mask token."""
    check(kind)
    if tokenizer.mask_token is None:
        raise ModelError(
            "The tokenizer has no mask token, which templates need.", "Use a masked language model."
        )
    roberta = is_roberta(model)
    texts = (ROBERTA if roberta else BERT)[kind]
    return Prompt(
        kind=kind,
        templates=tuple(_template(tokenizer, before, after) for before, after in texts),
        blank=" " if roberta else "",
    )


def with_full_stop(text: str) -> str:
    """A sentence as it is tested: a full stop at its end unless it has one, or ends in `?`, `"` or `'`."""
    return text + "." if text and not text.endswith(FULL_STOPS) else text
