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
from engine.distributed import Alone
from engine.masked_words import MaskedWords
from engine.objectives import Batch, Learner, autocast, in_batch, together

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
    """Adds the gradients of a batch to a learner's parameters. ``scaler`` scales losses for fp16, and nothing else.

    With several processes each computes its rows, and all end with the loss and the gradients of the whole step. A
    mean over rows is added up from shares. An in-batch loss is computed by every process, from all vectors.
    """

    def __init__(
        self, learner: Learner, config: TrainConfig, scaler: torch.amp.GradScaler, team: Alone | None = None
    ) -> None:
        self._learner, self._config, self._scaler = learner, config, scaler
        self._team = team or Alone()
        self._size = -(-config.batch_size // (config.gradient_accumulation * self._team.size))
        self._parameters = [one for one in learner.parameters() if one.requires_grad]

    def __call__(self, batch: Batch, step: int) -> Tensor:
        """Return the loss () of the step, having added its gradients; ``step`` fixes which words are masked."""
        learner, team = self._learner, self._team
        if in_batch(self._config):
            with autocast(self._config, learner.device):
                mask_cosines = learner.mask_cosines(batch, team)
            loss = (self._cached if self._config.gradient_cache else self._whole)(batch, mask_cosines)
        else:
            parts = [self._part(part, len(batch.of_all)) for part in batch.parts(self._size)]
            own = torch.stack(parts).sum() if parts else torch.zeros((), device=learner.device)
            loss = team.total(own)
        if learner.words is not None:
            loss = loss + team.total(self._words(learner.words, batch, step))
        team.add_up(self._parameters)
        return loss

    def _outputs(self, batch: Batch) -> list[Tensor]:
        with autocast(self._config, self._learner.device):
            return self._learner.outputs(batch.texts)

    def _part(self, part: Batch, rows: int) -> Tensor:
        """One part's share of a mean over ``rows`` rows."""
        loss = self._learner.loss(self._outputs(part), part.scores) * (len(part) / rows)
        self._scaler.scale(loss).backward()
        return loss.detach()

    def _whole(self, batch: Batch, mask_cosines: Tensor | None) -> Tensor:
        """An in-batch loss of all rows of the step."""
        vectors = together(self._outputs(batch), self._team, len(batch.of_all))
        loss = self._learner.loss(vectors, self._scores(batch), mask_cosines)
        if len(batch):
            self._scaler.scale(loss).backward()
        return loss.detach()

    def _cached(self, batch: Batch, mask_cosines: Tensor | None) -> Tensor:
        device, parts, states, found = self._learner.device, list(batch.parts(self._size)), [], []
        with torch.no_grad():
            for part in parts or [batch]:
                states.append(random_state(device))
                found.append(self._outputs(part))
        after = random_state(device)
        own = [torch.cat(side).requires_grad_() for side in zip(*found, strict=True)]
        vectors = together(own, self._team, len(batch.of_all))
        loss = self._learner.loss(vectors, self._scores(batch), mask_cosines)
        self._scaler.scale(loss).backward()
        wanted = zip(*(side.grad.split(self._size) for side in own), strict=True)
        for part, state, gradients in zip(parts, states, wanted, strict=False):
            set_random_state(state, device)
            torch.autograd.backward(self._outputs(part), list(gradients))
        set_random_state(after, device)
        return loss.detach()

    def _scores(self, batch: Batch) -> Tensor | None:
        """The scores of all rows of the step."""
        return None if batch.scores is None else self._team.gather(batch.scores, len(batch.of_all))

    def _words(self, words: MaskedWords, batch: Batch, step: int) -> Tensor:
        # Which words are masked follows from all rows of the step, whoever computes them.
        share = self._team.share(len(batch.of_all))
        drawn = words.draw(batch.words or batch.texts, self._config.seed * 1_000_003 + step, share)
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
