"""The trained modules that may follow a pooling: how they are made. No loading, no pooling."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform


def dense(inputs: int, outputs: int, *, tanh: bool, bias: bool = True) -> nn.Sequential:
    """A linear layer (inputs, outputs), followed by tanh or by nothing."""
    return nn.Sequential(nn.Linear(inputs, outputs, bias=bias), nn.Tanh() if tanh else nn.Identity())


def mlp(config: Any) -> nn.Sequential:
    """A fresh MLP of ``cls``: one square linear layer and tanh, drawn as the model draws its own (SimCSE)."""
    head = dense(config.hidden_size, config.hidden_size, tanh=True)
    nn.init.normal_(head[0].weight, std=getattr(config, "initializer_range", 0.02))
    nn.init.zeros_(head[0].bias)
    return head


def mlm_transform(config: Any) -> nn.Module:
    """BERT's transform before its vocabulary: dense, activation, layer norm; PromptBERT's supervised head."""
    return BertPredictionHeadTransform(config)


def is_mlm_transform(head: nn.Module | None) -> bool:
    """Whether a head is BERT's transform, which maps mask and template states before they are subtracted."""
    return isinstance(head, BertPredictionHeadTransform)
