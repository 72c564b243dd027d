"""One step's gradients: of the whole batch at once, in parts, or in parts by cached vectors. No optimiser, no data.

Parts of an objective that is a mean over rows add up. An in-batch loss needs all vectors together: they are computed
without gradients first, then each part again with the gradient that the loss gives its vectors (GradCache, Gao et al.
2021), under the random state that it had.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine import losses
from engine.config import TrainConfig
from engine.masked_words import MaskedWords
from engine.objectives import Batch, Learner, autocast

Random = tuple[Tensor, Tensor | None]


def random_state(device: torch.device) -> Random:
    """The state of the generators that dropout draws from: the CPU's, and the GPU's where there is one."""
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def set_random_state(state: Random, device: torch.device) -> None:
    """Put back what ``random_state`` gave."""
    torch.set_rng_state(state[0])
    if state[1] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


class Gradients:
    """Adds the gradients of a batch to a learner's parameters. ``scaler`` scales losses for fp16, and nothing else."""

    def __init__(self, learner: Learner, config: TrainConfig, scaler: torch.amp.GradScaler) -> None:
        self._learner, self._config, self._scaler = learner, config, scaler
        self._size = config.batch_size // config.gradient_accumulation

    def __call__(self, batch: Batch, step: int) -> float:
        """Return the loss of the batch, having added its gradients; ``step`` fixes which words are masked."""
        learner = self._learner
        with autocast(self._config, learner.device):
            mask_cosines = learner.mask_cosines(batch)
        if self._config.gradient_cache:
            loss = self._cached(batch, mask_cosines)
        else:
            parts = [self._part(part, len(batch), mask_cosines) for part in batch.parts(self._size)]
            loss = torch.stack(parts).sum()
        if learner.words is not None:
            loss = loss + self._words(learner.words, batch, step)
        return float(loss)

    def _outputs(self, batch: Batch) -> list[Tensor]:
        with autocast(self._config, self._learner.device):
            return self._learner.outputs(batch.texts)

    def _part(self, part: Batch, rows: int, mask_cosines: Tensor | None) -> Tensor:
        """One part's share of a mean over ``rows`` rows; the whole batch where there is one part."""
        loss = self._learner.loss(self._outputs(part), part, mask_cosines) * (len(part) / rows)
        self._scaler.scale(loss).backward()
        return loss.detach()

    def _cached(self, batch: Batch, mask_cosines: Tensor | None) -> Tensor:
        device, parts, states, found = self._learner.device, list(batch.parts(self._size)), [], []
        with torch.no_grad():
            for part in parts:
                states.append(random_state(device))
                found.append(self._outputs(part))
        after = random_state(device)
        vectors = [torch.cat(side).requires_grad_() for side in zip(*found, strict=True)]
        loss = self._learner.loss(vectors, batch, mask_cosines)
        self._scaler.scale(loss).backward()
        wanted = zip(*(side.grad.split(self._size) for side in vectors), strict=True)
        for part, state, gradients in zip(parts, states, wanted, strict=True):
            set_random_state(state, device)
            torch.autograd.backward(self._outputs(part), list(gradients))
        set_random_state(after, device)
        return loss.detach()

    def _words(self, words: MaskedWords, batch: Batch, step: int) -> Tensor:
        drawn = words.draw(batch.texts, self._config.seed * 1_000_003 + step)
        total = torch.zeros((), device=self._learner.device)
        for read, mask, targets in drawn.parts(self._size):
            asked = targets[targets != losses.IGNORED]
            if not len(asked):
                continue
            with autocast(self._config, self._learner.device):
                logits = words.logits(read, mask, targets)
            loss = losses.mlm(logits, asked) * (self._config.mlm_weight * len(asked) / drawn.asked)
            self._scaler.scale(loss).backward()
            total = total + loss.detach()
        return total
