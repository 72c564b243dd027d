"""The faults of PromptBERT's official code that training can reproduce (compat ``prompt-bert``). Off unless asked for.

Templates get position ids from 0 for RoBERTa too, whose positions start at 2; the dev score of training without labels
subtracts the template's state, which the test does not; and in training RoBERTa's first word is cut into tokens without
its leading blank. Saved models are used as ever. (The fourth fault concerns the evaluation of hub checkpoints alone.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine import pooling as pools
from engine.encoder import Encoder
from engine.prompting import Prompt, Template

NAME = "prompt-bert"


class _Denoised(Prompt):
    """Templates whose state is subtracted whenever vectors are computed."""

    def denoised(self, *, training: bool) -> bool:
        """Always."""
        return True


class _Faulty(Encoder):
    """An encoder that trains as the official code does."""

    def tokenise(
        self, texts: Sequence[str], *, max_length: int | None = None, view: int = 0, for_test: bool = False
    ) -> list[list[int]]:
        """Without the blank before a sentence, but at test."""
        if for_test or self.prompt is None:
            return super().tokenise(texts, max_length=max_length, view=view, for_test=for_test)
        limit = self.max_seq_length if max_length is None else min(max_length, self.max_seq_length)
        found = self.tokenizer(list(texts), add_special_tokens=False, truncation=True, max_length=limit)
        return [self.prompt.template(view).around(ids) for ids in found["input_ids"]]

    def _template_states(self, template: Template, lengths: Tensor) -> Tensor:
        """With position ids from 0, whatever the model's own start with."""
        distinct, row = torch.unique(lengths - len(template), return_inverse=True)
        places = torch.arange(len(template), device=lengths.device)
        moved = (places >= len(template.before)) * distinct.unsqueeze(1)
        ids = torch.tensor(template.around(()), device=lengths.device).expand(len(distinct), -1)
        output = self.model(input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=places + moved)
        return pools.full(output.last_hidden_state[:, -template.mask_from_end])[row]


def reproduce(encoder: Encoder) -> None:
    """Make an encoder with templates train as the official code does."""
    if encoder.prompt is None:
        raise ValueError("an encoder without templates")
    prompt = encoder.prompt
    encoder.prompt = _Denoised(kind=prompt.kind, templates=prompt.templates, blank=prompt.blank)
    # Only methods differ: the encoder stays the module that it is, with its parameters.
    encoder.__class__ = _Faulty
