"""AdamW as the sources use it: two groups by weight decay, linear schedule, clipped norm. No losses, no data."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from engine.config import TrainConfig
from engine.schedule import linear_factor, warmup_steps


def groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with weight decay, then those without: biases and LayerNorm weights. Shared ones occur once."""
    plain = {
        id(parameter)
        for part in module.modules()
        for name, parameter in part.named_parameters(recurse=False)
        if isinstance(part, nn.LayerNorm) or name.endswith("bias")
    }
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [one for one in trained if id(one) not in plain], "weight_decay": weight_decay},
        {"params": [one for one in trained if id(one) in plain], "weight_decay": 0.0},
    ]


class Optimiser:
    """AdamW (betas 0.9 and 0.999, eps 1e-8) over ``total`` steps, with the rate that each step has."""

    def __init__(
        self, module: nn.Module, config: TrainConfig, total: int, scaler: torch.amp.GradScaler
    ) -> None:
        self._config, self._total, self._scaler = config, total, scaler
        self._warmup = warmup_steps(config.warmup, total)
        self.adam = torch.optim.AdamW(
            groups(module, config.weight_decay), lr=config.lr, betas=(0.9, 0.999), eps=1e-8, fused=True
        )
        self._parameters = [one for group in self.adam.param_groups for one in group["params"]]
        self.lr = 0.0

    def norm(self) -> float:
        """Bring gradients back from their scale, clip their global norm, and return what it was."""
        if self._scaler.is_enabled():
            self._scaler.unscale_(self.adam)
        limit = self._config.clip or float("inf")
        return float(torch.nn.utils.clip_grad_norm_(self._parameters, limit))

    def step(self, done: int) -> None:
        """Change the parameters, after ``done`` such steps, and forget the gradients."""
        self.lr = self._config.lr * linear_factor(done, self._total, self._warmup)
        for group in self.adam.param_groups:
            group["lr"] = self.lr
        if self._scaler.is_enabled():
            self._scaler.step(self.adam)
            self._scaler.update()
        else:
            self.adam.step()
        self.adam.zero_grad(set_to_none=True)
