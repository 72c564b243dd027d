"""What a step came to, from the device to the events: losses are read back when they are told. No gradients, no data.

Reading a number back from an accelerator waits for all that it still has to do, so it is done some times a second and
not at each step. Until then ``Optimiser`` itself passes over a step that is not finite, and all steps after it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.batches import Rows
from engine.errors import RunError
from engine.rundir import Run

TELL_SECONDS = 0.5
"""How often losses are told; all of them are."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its number from 1, its rows, the rate, and loss and gradient norm () as they are on the device."""

    number: int
    rows: Rows
    lr: float
    loss: Tensor
    norm: Tensor


Diverged = Callable[[Step, str, float], RunError]


class Teller:
    """Tells losses some times a second, with the rows done in a second since the last time.

    ``at_once`` reads each step as it comes. A loss that is not finite is told of by ``diverged``, once all losses
    before it are told; so is a gradient, unless they are ``scaled`` (fp16 passes over such steps by itself).
    """

    def __init__(self, run: Run, diverged: Diverged, *, at_once: bool, scaled: bool) -> None:
        self._run, self._diverged, self._at_once, self._scaled = run, diverged, at_once, scaled
        self._unread: list[Step] = []
        self._losses: list[float] = []
        self._latest: dict[str, Any] = {}
        self._rows = 0
        self._begun = 0.0

    def begin(self) -> None:
        """Start the clock: what came before was no training."""
        self._begun, self._rows = time.monotonic(), 0

    def step(self, step: Step) -> None:
        """Take in one step."""
        self._unread.append(step)
        self._rows += len(step.rows)
        if self._at_once:
            self._read()
        if time.monotonic() - self._begun >= TELL_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Tell what is not told yet. Raises a ``RunError`` if a step was not finite."""
        self._read()
        self._tell()

    def _read(self) -> None:
        """Bring back the numbers of all steps since the last time, in one transfer."""
        steps, self._unread = self._unread, []
        if not steps:
            return
        values = torch.stack([value.float() for step in steps for value in (step.loss, step.norm)]).tolist()
        for step, loss, norm in zip(steps, values[::2], values[1::2], strict=True):
            bad = next(
                ((what, value) for what, value in self._judged(loss, norm) if not math.isfinite(value)), None
            )
            if bad is not None:
                self._tell()
                raise self._diverged(step, *bad)
            self._losses.append(loss)
            self._latest = {"step": step.number, "lr": step.lr, "grad_norm": norm}

    def _judged(self, loss: float, norm: float) -> list[tuple[str, float]]:
        return [("the loss", loss)] + ([] if self._scaled else [("the gradient", norm)])

    def _tell(self) -> None:
        if not self._losses:
            return
        seconds = max(time.monotonic() - self._begun, 1e-9)
        held = {"gpu_memory_bytes": torch.cuda.memory_reserved()} if torch.cuda.is_available() else {}
        rate = round(self._rows / seconds, 2)
        self._run.events.write("step", losses=self._losses, rows_per_second=rate, **self._latest, **held)
        self._losses = []
        self.begin()
