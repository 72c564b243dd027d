"""The auxiliary masked language model beside a contrastive loss (SimCSE's ``do_mlm``): its head, its draws, its loss.

The head reads the states of the encoder that is trained, and shares its word embeddings. It is not saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine import backbone, losses
from engine.encoder import Encoder, pad
from engine.errors import ModelError

_HEADS = {"bert": "cls.predictions", "roberta": "lm_head", "xlm-roberta": "lm_head"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Masked texts: ids to read, their mask, and the ids to guess (-100 elsewhere), each (views, n, t).

    ``asked`` is how many there are to guess in the whole batch.
    """

    read: Tensor
    mask: Tensor
    targets: Tensor
    asked: int

    def parts(self, size: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(read, mask, targets) of at most ``size`` rows at a time, each (views · rows, t)."""
        pieces = (part.split(size, dim=1) for part in (self.read, self.mask, self.targets))
        return [(a.flatten(0, 1), b.flatten(0, 1), c.flatten(0, 1)) for a, b, c in zip(*pieces, strict=True)]


class MaskedWords(nn.Module):  # type: ignore[misc]
    """A masked-language-model head on an encoder. ``remark`` says where it had to begin with random weights."""

    def __init__(self, spec: str, encoder: Encoder) -> None:
        super().__init__()
        kind = encoder.model.config.model_type
        if kind not in _HEADS:
            raise ModelError(
                f"{spec}: a {kind} model has no masked-language-model head that is known here.",
                "Set mlm_weight to 0, or use a BERT or RoBERTa model.",
            )
        source = backbone.resolve(spec)
        loaded = backbone.load(source, "AutoModelForMaskedLM", allow_pickle=False)
        fresh = any(name.startswith(f"{_HEADS[kind]}.") for name in loaded.missing)
        self.remark = (
            f"{spec} has no masked-language-model weights: the auxiliary loss begins with a fresh head."
            if fresh
            else ""
        )
        self.head = loaded.model.get_submodule(_HEADS[kind])
        self.head.decoder.weight = encoder.model.embeddings.word_embeddings.weight
        # The encoder is registered elsewhere; here it must not be a second time.
        self._encoder = [encoder]

    def draw(self, texts: Sequence[list[list[int]]], seed: int, rows: slice = slice(None)) -> Drawn:
        """Mask 15 % of the words of a batch's views, the same for the same seed on every device.

        Only ``rows`` of the batch are returned; ``asked`` still counts all of it.
        """
        encoder = self._encoder[0]
        own: Any = encoder.tokenizer
        ids, mask = pad([text for side in texts for text in side], own.pad_token_id or 0, torch.device("cpu"))
        special = torch.isin(ids, torch.tensor(own.all_special_ids)) | (mask == 0)
        read, targets = losses.mask_tokens(
            ids,
            special,
            mask_id=own.mask_token_id,
            vocabulary=encoder.model.config.vocab_size,
            generator=torch.Generator().manual_seed(seed),
        )
        shape = (len(texts), -1, ids.shape[1])
        return Drawn(
            read=read.view(shape)[:, rows].to(encoder.device),
            mask=mask.view(shape)[:, rows].to(encoder.device),
            targets=targets.view(shape)[:, rows].to(encoder.device),
            asked=int((targets != losses.IGNORED).sum()),
        )

    def logits(self, read: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """Logits (k, vocabulary) of the k words asked for."""
        states = self._encoder[0].model(input_ids=read, attention_mask=mask).last_hidden_state
        found: Tensor = self.head(states[targets != losses.IGNORED])
        return found
