"""Logistic regressions of the transfer protocol, many at a time. No data reading and no choice of folds or penalties.

Every fit does what a single one of the official classifier (Conneau and Kiela 2018) does, operation by operation: the
same seed, permutations, mini-batches, optimiser arithmetic and stopping. Fits of equal size go through one program
because they draw the same permutations; on a CPU their weights are those of fits made one by one, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SEED = 1111
MAX_PASSES = 200
VALIDATION_SHARE = 0.05
_CHUNK_BYTES = {"cpu": 4 << 20}
"""How much of the features one step gathers: what stays in a core's caches; elsewhere what memory allows."""
_CHUNK_BYTES_ELSEWHERE = 1 << 30


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a fit proceeds. ``tenacity``: the check that fails after this many failed ones, in all, is the last."""

    folds: int
    optimiser: Literal["adam", "rmsprop"]
    batch: int
    epoch_size: int
    """Passes over the samples between two checks of the validation accuracy."""
    tenacity: int


FULL = Schedule(folds=10, optimiser="adam", batch=64, epoch_size=4, tenacity=5)
FAST = Schedule(folds=5, optimiser="rmsprop", batch=128, epoch_size=2, tenacity=3)


@dataclass(frozen=True, slots=True)
class Fit:
    """What to fit: rows to train on, rows that decide when to stop (None: a random 5 % of ``train``), L2 penalty."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64] | None
    l2: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """The best state of a fit by its validation accuracy (0-1)."""

    accuracy: float
    weight: Tensor
    """(classes, d)"""
    bias: Tensor
    """(classes,)"""


def fit_all(
    features: Tensor, labels: Tensor, classes: int, fits: Sequence[Fit], schedule: Schedule
) -> list[Fitted]:
    """Fit each of ``fits`` on rows of ``features`` (n, d) float32 and ``labels`` (n,) int64, on their device.

    On a CPU torch's threads are spent on groups of fits, one each: the figures do not depend on their number.
    ValueError when a fit has nothing to train on or nothing to validate on.
    """
    at_once = torch.get_num_threads() if features.device.type == "cpu" else 1
    limit = _CHUNK_BYTES.get(features.device.type, _CHUNK_BYTES_ELSEWHERE)
    most = max(1, limit // (4 * features.shape[1] * schedule.batch))
    weights = _first_weights(features.shape[1], classes)
    chunks: list[list[int]] = []
    order = sorted(range(len(fits)), key=lambda number: _shape(fits[number]))
    for _, group in groupby(order, key=lambda number: _shape(fits[number])):
        numbers = list(group)
        size = min(most, -(-len(numbers) // at_once))
        chunks += [numbers[start : start + size] for start in range(0, len(numbers), size)]

    def run(chunk: list[int]) -> list[Fitted]:
        return _Program(features, labels, weights, [fits[number] for number in chunk], schedule).run()

    with _one_thread_each(features.device), ThreadPoolExecutor(at_once) as pool:
        done = list(pool.map(run, chunks))
    found = dict(zip(chain(*chunks), chain(*done), strict=True))
    return [found[number] for number in range(len(fits))]


@contextmanager
def _one_thread_each(device: torch.device) -> Iterator[None]:
    """Let an operation on the CPU use one thread: how sums are split over threads would change their last bits."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def predict(features: Tensor, fitted: Fitted, batch: int) -> Tensor:
    """Classes (n,) of ``features`` (n, d), in batches as the official code has them."""
    with _one_thread_each(features.device):
        logits = [torch.addmm(fitted.bias, part, fitted.weight.t()) for part in features.split(batch)]
    return torch.cat(logits).max(1)[1]


def _shape(fit: Fit) -> tuple[int, int]:
    return len(fit.train), -1 if fit.valid is None else len(fit.valid)


class _Program:
    """Fits of equal size in lockstep; those that have stopped are taken out."""

    def __init__(
        self,
        features: Tensor,
        labels: Tensor,
        weights: tuple[Tensor, Tensor],
        fits: Sequence[Fit],
        schedule: Schedule,
    ) -> None:
        weight, bias = weights
        self.features, self.schedule, self.fits = features, schedule, fits
        self.device = features.device
        self.random = np.random.RandomState(SEED)
        train = np.stack([fit.train for fit in fits])
        if fits[0].valid is None:
            shuffled = self.random.permutation(train.shape[1])
            cut = int(VALIDATION_SHARE * len(shuffled))
            valid, train = train[:, shuffled[:cut]], train[:, shuffled[cut:]]
        else:
            valid = np.stack([fit.valid for fit in fits if fit.valid is not None])
        if not valid.shape[1] or not train.shape[1]:
            raise ValueError("too few samples to train and to validate")
        self.train = torch.from_numpy(train).to(self.device)
        self.valid = torch.from_numpy(valid).to(self.device)
        self.valid_size = valid.shape[1]
        self.labels = labels
        hits = -nn.functional.one_hot(labels, len(bias)).float()
        sizes = {min(schedule.batch, train.shape[1]), train.shape[1] % schedule.batch} - {0}
        self.wanted = {size: hits / size for size in sizes}
        count = len(fits)
        l2 = torch.tensor([fit.l2 for fit in fits], dtype=torch.float64)
        self.state = _State(
            weight.to(self.device).expand(count, -1, -1),
            bias.to(self.device).expand(count, -1),
            l2.to(self.device),
            schedule.optimiser,
        )

    def run(self) -> list[Fitted]:
        """Train until the last fit has stopped."""
        schedule = self.schedule
        numbers = np.arange(len(self.fits))
        best = np.full(len(self.fits), -1, dtype=np.int64)
        failed = np.zeros(len(self.fits), dtype=np.int64)
        found: list[tuple[Tensor, Tensor]] = [(self.state.weight[0], self.state.bias[0])] * len(self.fits)
        passes = 0
        while len(numbers) and passes <= MAX_PASSES:
            for _ in range(schedule.epoch_size):
                self._pass()
            passes += schedule.epoch_size
            correct = self._correct()
            better = correct > best[numbers]
            best[numbers[better]] = correct[better]
            for place in np.flatnonzero(better):
                found[numbers[place]] = self.state.copy(int(place))
            stops = ~better & (failed[numbers] >= schedule.tenacity)
            failed[numbers[~better]] += 1
            if stops.any():
                numbers = numbers[~stops]
                keep = torch.from_numpy(np.flatnonzero(~stops)).to(self.device)
                self.state.keep(keep)
                self.train, self.valid = self.train[keep], self.valid[keep]
        return [Fitted(int(right) / self.valid_size, *state) for right, state in zip(best, found, strict=True)]

    def _pass(self) -> None:
        order = torch.from_numpy(self.random.permutation(self.train.shape[1])).to(self.device)
        for rows in self.train[:, order].split(self.schedule.batch, 1):
            self.state.step(_take(self.features, rows), _take(self.wanted[rows.shape[1]], rows))

    def _correct(self) -> NDArray[np.int64]:
        right = torch.zeros(len(self.valid), dtype=torch.int64, device=self.device)
        for rows in self.valid.split(self.schedule.batch, 1):
            predicted = self.state.logits(_take(self.features, rows)).max(2)[1]
            right += predicted.eq(self.labels[rows]).sum(1)
        counts: NDArray[np.int64] = right.cpu().numpy()
        return counts


def _take(table: Tensor, rows: Tensor) -> Tensor:
    """``table[rows]`` for rows (fits, batch), several times faster on a CPU."""
    return table.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)


class _State:
    """Weights of several fits and their optimiser, laid out flat: all weights, then all biases."""

    def __init__(self, weight: Tensor, bias: Tensor, l2: Tensor, optimiser: Literal["adam", "rmsprop"]) -> None:
        self.count, self.classes, self.width = weight.shape
        self.optimiser = optimiser
        self.steps = 0
        self.l2 = l2
        values = torch.cat([weight.reshape(-1), bias.reshape(-1)])
        self._lay_out(values, torch.zeros_like(values), torch.zeros_like(values))

    def _lay_out(self, values: Tensor, momentum: Tensor, square: Tensor) -> None:
        self.values, self.momentum, self.square = values, momentum, square
        self.grad = torch.empty_like(values)
        self.weight, self.bias = self._views(values)
        self.weight_grad, self.bias_grad = self._views(self.grad)
        self.turned = self.weight.transpose(1, 2)
        l2 = self.l2.to(values.dtype)
        sizes = (self.classes * self.width, self.classes)
        self.decay = torch.cat([l2.repeat_interleave(size) for size in sizes])

    def _views(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        cut = self.count * self.classes * self.width
        return (
            flat[:cut].view(self.count, self.classes, self.width),
            flat[cut:].view(self.count, self.classes),
        )

    def keep(self, places: Tensor) -> None:
        """Go on with the fits at ``places`` alone."""
        kept = [
            torch.cat([part[places].reshape(-1) for part in self._views(flat)])
            for flat in (self.values, self.momentum, self.square)
        ]
        self.count, self.l2 = len(places), self.l2[places]
        self._lay_out(*kept)

    def copy(self, place: int) -> tuple[Tensor, Tensor]:
        """Weight and bias of one fit as they are now."""
        return self.weight[place].clone(), self.bias[place].clone()

    def logits(self, x: Tensor) -> Tensor:
        """(fits, batch, d) -> (fits, batch, classes)."""
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.turned)

    def step(self, x: Tensor, wanted: Tensor) -> None:
        """One mini-batch: x (fits, batch, d); wanted (fits, batch, classes) is -1/batch at the true class.

        The gradient of the mean cross-entropy is taken with the operations that autograd would run.
        """
        logs = torch.log_softmax(self.logits(x), 2)
        slope = torch._log_softmax_backward_data(wanted, logs, 2, torch.float32)
        torch.bmm(slope.transpose(1, 2), x, out=self.weight_grad)
        torch.sum(slope, 1, out=self.bias_grad)
        self.update()

    def update(self) -> None:
        """Move the weights by the gradient at hand."""
        self.grad.addcmul_(self.values, self.decay)
        if self.optimiser == "adam":
            self._adam()
        else:
            self._rmsprop()

    def _adam(self, rate: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        """Adam (Kingma and Ba 2015) with the L2 penalty in the gradient, in the order of torch.optim.Adam."""
        self.steps += 1
        self.momentum.lerp_(self.grad, 1 - beta1)
        self.square.mul_(beta2).addcmul_(self.grad, self.grad, value=1 - beta2)
        size = rate / (1 - beta1**self.steps)
        root = (1 - beta2**self.steps) ** 0.5
        self.values.addcdiv_(self.momentum, (self.square.sqrt() / root).add_(eps), value=-size)

    def _rmsprop(self, rate: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8) -> None:
        """RMSprop in the order of torch.optim.RMSprop, with its defaults."""
        self.square.mul_(alpha).addcmul_(self.grad, self.grad, value=1 - alpha)
        self.values.addcdiv_(self.grad, self.square.sqrt().add_(eps), value=-rate)


def _first_weights(width: int, classes: int) -> tuple[Tensor, Tensor]:
    """What ``nn.Linear`` draws right after seeding with 1111; the caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        layer = nn.Linear(width, classes)
    return layer.weight.detach(), layer.bias.detach()
