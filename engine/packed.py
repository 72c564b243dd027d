"""The fast path of BERT-like encoders: no padding anywhere. It runs the parameters of a transformers model, not copies.

The tokens of all sentences lie one after the other, longest sentences first, so that every linear layer sees one matrix
without holes. Sentences of exactly equal length are neighbours, and attention runs over each such group as one batch
without a mask. Query, key and value are one product. Dropout comes from the model's own configuration and mode. What
is pooled from one token needs the last layer at that token alone. With dropout off the states equal those of the
model's own forward up to rounding. `obstacle` names what keeps an architecture from this path;
such models take the padded one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    BertForSequenceClassification,
    BertModel,
    RobertaForSequenceClassification,
    RobertaModel,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from engine import pooling as pools
from engine.backbone import first_position

KNOWN = (BertModel, RobertaModel, XLMRobertaModel)
KNOWN_CLASSIFIERS = (
    BertForSequenceClassification,
    RobertaForSequenceClassification,
    XLMRobertaForSequenceClassification,
)


def obstacle(model: Any) -> str | None:
    """Why a transformers model cannot take the packed path; None where it can."""
    if type(model) not in KNOWN:
        return f"{type(model).__name__} has no packed path"
    config = model.config
    if config.is_decoder or config.add_cross_attention:
        return "decoders and cross-attention have no packed path"
    if getattr(config, "position_embedding_type", "absolute") != "absolute":
        return "relative positions have no packed path"
    for layer in model.encoder.layer:
        own = layer.attention.self
        if any(type(part) is not nn.Linear for part in (own.query, own.key, own.value)):
            return "its attention has been changed (an adapter?)"
    return None


def base(model: Any) -> Any:
    """The transformer inside a classifier."""
    return getattr(model, model.base_model_prefix)


def classifier_obstacle(model: Any) -> str | None:
    """Why a sequence classifier cannot take the packed path; None where it can."""
    if type(model) not in KNOWN_CLASSIFIERS:
        return f"{type(model).__name__} has no packed path"
    return obstacle(base(model))


def suits(ids: Sequence[Sequence[int]], model: Any) -> bool:
    """Whether these sentences can be packed: some, none empty; for RoBERTa no padding token written in a text.

    RoBERTa's own forward counts no position for a padding token, wherever it stands.
    """
    if not ids or not all(ids):
        return False
    padding = getattr(model.embeddings, "padding_idx", None)
    return padding is None or not any(padding in sentence for sentence in ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Sentences laid out one after the other, longest first.

    `tokens`, `positions` and `segments` are (T,); `groups` lists (sentences, length) in the order of the layout;
    `starts` (b,) is where each sentence begins, and `places` (b,) where in that order a given sentence came to lie.
    """

    tokens: Tensor
    positions: Tensor
    segments: Tensor | None
    groups: tuple[tuple[int, int], ...]
    starts: Tensor
    places: Tensor


def pack(
    ids: Sequence[Sequence[int]],
    model: Any,
    *,
    segments: Sequence[Sequence[int]] | None = None,
) -> Pack:
    """Lay out tokenised sentences (each at least one token) for `model`, on its device."""
    lengths = np.fromiter((len(sentence) for sentence in ids), dtype=np.int64, count=len(ids))
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    starts = np.cumsum(ordered) - ordered
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    positions = np.arange(int(lengths.sum())) - np.repeat(starts, ordered) + first_position(model)

    def flat(rows: Sequence[Sequence[int]]) -> Tensor:
        values = np.fromiter((value for place in order for value in rows[place]), dtype=np.int64)
        return torch.from_numpy(values).to(model.device, non_blocking=True)

    return Pack(
        tokens=flat(ids),
        positions=torch.from_numpy(positions).to(model.device, non_blocking=True),
        segments=None if segments is None else flat(segments),
        groups=tuple((len(list(same)), int(length)) for length, same in groupby(ordered)),
        starts=torch.from_numpy(starts).to(model.device, non_blocking=True),
        places=torch.from_numpy(places).to(model.device, non_blocking=True),
    )


def _embed(embeddings: Any, sentences: Pack) -> Tensor:
    """The embedding output (T, d): words, positions and token types, normalised and dropped out."""
    types = embeddings.token_type_embeddings
    kind = types.weight[0] if sentences.segments is None else types(sentences.segments)
    states = embeddings.word_embeddings(sentences.tokens) + kind
    states = states + embeddings.position_embeddings(sentences.positions)
    return embeddings.dropout(embeddings.LayerNorm(states))


def _attend(own: Any, states: Tensor, sentences: Pack, kept: Tensor | None) -> Tensor:
    """Self-attention of all tokens (T, d), or of the `kept` ones alone, one a sentence (b, d)."""
    heads, size = own.num_attention_heads, own.attention_head_size
    parts = (own.query, own.key, own.value) if kept is None else (own.key, own.value)
    mixed = F.linear(states, torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts]))
    # split, not slices: the gradient of a split is one concatenation, that of each slice a matrix of zeros.
    pieces = mixed.split([count * length for count, length in sentences.groups])
    asked: Sequence[Tensor | None] = [None] * len(pieces)
    if kept is not None:
        asked = own.query(states[kept]).split([count for count, _ in sentences.groups])
    dropout = own.dropout.p if own.training else 0.0
    seen = []
    for (count, length), piece, question in zip(sentences.groups, pieces, asked, strict=True):
        *query, key, value = piece.view(count, length, len(parts), heads, size).permute(2, 0, 3, 1, 4).unbind(0)
        wanted = query[0] if question is None else question.view(count, heads, 1, size)
        mixed_values = F.scaled_dot_product_attention(wanted, key, value, dropout_p=dropout, scale=own.scaling)
        seen.append(mixed_values.transpose(1, 2).reshape(-1, heads * size))
    return torch.cat(seen)


def _layer(layer: Any, states: Tensor, sentences: Pack, kept: Tensor | None) -> Tensor:
    """One transformer layer over all tokens, or for the `kept` ones alone."""
    attention = _attend(layer.attention.self, states, sentences, kept)
    states = layer.attention.output(attention, states if kept is None else states[kept])
    return layer.output(layer.intermediate(states), states)


def hidden_states(model: Any, sentences: Pack, kept: Tensor | None = None) -> list[Tensor]:
    """The embedding output and every layer's output, each (T, d).

    With `kept` (b,), one token a sentence in the order of the layout, the last layer is (b, d): those tokens alone.
    """
    states = [_embed(model.embeddings, sentences)]
    layers = model.encoder.layer
    for number, layer in enumerate(layers):
        states.append(_layer(layer, states[-1], sentences, kept if number == len(layers) - 1 else None))
    return states


def at_token(model: Any, sentences: Pack, offsets: Tensor | None = None) -> Tensor:
    """Last-layer states (b, d) at one token of each sentence, in the order given: the first, or at `offsets` (b,)."""
    kept = sentences.starts
    if offsets is not None:
        kept = kept + torch.empty_like(offsets).index_copy_(0, sentences.places, offsets)
    return hidden_states(model, sentences, kept)[-1][sentences.places]


def pool(model: Any, sentences: Pack, name: str) -> Tensor:
    """Vectors (b, d) of a pooling that needs no mask token, in the order given; before any trained head."""
    if name in pools.FIRST_TOKEN:
        return pools.full(at_token(model, sentences))
    states = pools.average(hidden_states(model, sentences), name)
    pieces = states.split([count * length for count, length in sentences.groups])
    means = [
        piece.view(count, length, -1).mean(1)
        for (count, length), piece in zip(sentences.groups, pieces, strict=True)
    ]
    return torch.cat(means)[sentences.places]


def classify(model: Any, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]]) -> Tensor:
    """Logits (b,) of pairs by a classifier's own head on the first token."""
    inner = base(model)
    first = at_token(inner, pack(ids, inner, segments=types)).unsqueeze(1)
    if isinstance(model, BertForSequenceClassification):
        logits = model.classifier(model.dropout(inner.pooler(first)))
    else:
        logits = model.classifier(first)
    return logits.squeeze(-1)
