"""The learning-rate schedule and the steps at which a run is evaluated, as plain arithmetic. No torch, no optimiser."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal, get_args

Counting = Literal["epoch", "global"]


def warmup_steps(share: float, total: int) -> int:
    """⌈share · total⌉, with the share (0..1) of all steps of the run read as the decimal that was written.

    In floats 0.07 · 100 is a little over 7, and its ceiling 8.
    """
    if not 0.0 <= share <= 1.0 or total < 1:
        raise ValueError(f"share must be in 0..1 and total at least 1, not {share} and {total}")
    return math.ceil(Fraction(str(share)) * total)


def linear_factor(step: int, total: int, warmup: int) -> float:
    """What the learning rate is multiplied by at the update that follows `step` updates already done, in 0..1.

    step / warmup before `warmup` updates, then (total - step) / (total - warmup), which is 0 at `total`: linear warm-up
    and linear decay as in the transformers library. So with a warm-up the very first update changes nothing.
    """
    if not 0 <= step <= total or not 0 <= warmup <= total:
        raise ValueError(f"step and warmup must be in 0..total, not {step} and {warmup} of {total}")
    if step < warmup:
        return step / warmup
    return (total - step) / max(1, total - warmup)


def evaluation_steps(epochs: int, steps_per_epoch: int, every: int, counting: Counting) -> list[int]:
    """The global steps (from 1, ascending) after which the model is evaluated on the dev set.

    "epoch": at every `every`-th step counted from the start of each epoch, and at each epoch's end, as
    sentence-transformers does (CLAIF, Dino). "global": at the multiples of `every`, as the transformers trainer does
    (SimCSE and what is built on it); a run shorter than `every` is evaluated at its last step, for else it would
    keep no model.
    """
    if counting not in get_args(Counting):
        raise ValueError(f"counting must be one of {', '.join(get_args(Counting))}, not {counting!r}")
    if min(epochs, steps_per_epoch, every) < 1:
        raise ValueError(
            f"epochs, steps_per_epoch and every must be at least 1, not {epochs}, {steps_per_epoch} and {every}"
        )
    total = epochs * steps_per_epoch
    if counting == "global":
        return list(range(every, total + 1, every)) or [total]
    within = [*range(every, steps_per_epoch, every), steps_per_epoch]
    return [epoch * steps_per_epoch + step for epoch in range(epochs) for step in within]
