"""AdamW as the sources use it: two groups by weight decay, linear schedule, clipped norm. No losses, no data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

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
        self._broken: Tensor | None = None
        self.lr = 0.0

    def step(self, done: int, loss: Tensor) -> Tensor:
        """Change the parameters, after ``done`` such steps, forget the gradients, and return their global norm ().

        Gradients are brought back from their scale and clipped first. Where ``loss`` () or the norm is not finite,
        nothing is changed, now or at any later step; nothing is read back from the device to find that out.
        """
        self.lr = self._config.lr * linear_factor(done, self._total, self._warmup)
        for group in self.adam.param_groups:
            group["lr"] = self.lr
        scaled = self._scaler.is_enabled()
        if scaled:
            self._scaler.unscale_(self.adam)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._config.clip or float("inf"))
        if scaled:
            # It passes over steps with infinite gradients by itself, and tries them again at another scale.
            self._scaler.step(self.adam)
            self._scaler.update()
        else:
            broken = (~(torch.isfinite(loss) & torch.isfinite(norm))).float()
            self._broken = broken if self._broken is None else torch.maximum(self._broken, broken)
            # What AdamW's kernels look at, and what a scaler would set.
            self.adam.found_inf = self._broken
            self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return norm.detach()
