"""How token states become one vector a sentence: pure functions of tensors. No models, no weights, no text.

The names are those of the settings; which system uses which is in `docs`. A trained head (the MLP of ``cls``) is not
pooling and lives in the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.errors import ConfigError

POOLINGS = ("mean", "cls", "cls_before_pooler", "avg_first_last", "static_last", "avg_top2", "prompt")
"""``cls`` is the first token through a trained Linear + tanh, ``cls_before_pooler`` the first token alone."""

FIRST_TOKEN = ("cls", "cls_before_pooler")
ONE_TOKEN = (*FIRST_TOKEN, "prompt")
"""Poolings that read one token of the last layer; the rest are averages over all tokens."""

_LAYERS: dict[str, tuple[int, ...]] = {
    "mean": (-1,),
    "avg_first_last": (1, -1),
    "static_last": (0, -1),
    "avg_top2": (-2, -1),
}


def check(name: str) -> str:
    """Return the name, or raise ConfigError where it is no pooling."""
    if name not in POOLINGS:
        raise ConfigError(f"pooling: {name!r} is unknown.", f"One of: {', '.join(POOLINGS)}.")
    return name


def layers(name: str) -> tuple[int, ...]:
    """The entries of the hidden states that a pooling averages: 0 is the embedding output, -1 the last layer.

    ``avg_first_last`` takes the first layer's output (SimCSE today), ``static_last`` the embedding output (its paper).
    """
    return _LAYERS.get(name, (-1,))


def full(states: Tensor) -> Tensor:
    """The states in float32 where they are in half precision, so that sums over tokens lose nothing."""
    return states.float() if states.dtype in (torch.float16, torch.bfloat16) else states


def average(hidden_states: Sequence[Tensor], name: str) -> Tensor:
    """Mean of the layers that a pooling reads, token by token; the shape of one layer."""
    chosen = [full(hidden_states[number]) for number in layers(name)]
    return chosen[0] if len(chosen) == 1 else (chosen[0] + chosen[1]) / 2


def pool(name: str, hidden_states: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
    """Vectors (b, d) from the embedding output and all layers, each (b, t, d), and a mask (b, t) of zeros and ones.

    Averages weigh every token with the mask, special tokens included. ``cls`` and ``cls_before_pooler`` both give the
    raw first token: the trained head is the encoder's. For ``prompt`` the mask marks the mask token alone.
    """
    check(name)
    if name in FIRST_TOKEN:
        return full(hidden_states[-1][:, 0])
    states = average(hidden_states, name)
    weights = attention_mask.to(states.dtype).unsqueeze(-1)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
