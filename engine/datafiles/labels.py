"""What the scores of a whole file say about their scale, and whether they were smoothed before. Arrays, no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError

Scale = Literal["0-1", "0-5"]
Floats = NDArray[np.float64]

TOPS: dict[str, float] = {"0-1": 1.0, "0-5": 5.0}
_STRAY = 0.01
"""Share of labels that may lie outside a scale that the others are on ("80%" read as 80 by other tools)."""
_ENOUGH = 50
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class ScaleGuess:
    """A scale and why; ``guessed`` is False where it was named or is part of the format."""

    scale: Scale
    why: str
    guessed: bool


def find_scale(name: str, values: Floats, lines: NDArray[np.uint32]) -> ScaleGuess:
    """Return the scale that labels (nan: none) are on; raises ``DataError`` naming a line when it is neither.

    ``lines`` are the line numbers of the values, for the error.
    """
    there = ~np.isnan(values)
    count = int(there.sum())
    outside = there & ((values < 0.0) | (values > 5.0))
    above = int((there & (values > 1.0) & ~outside).sum())
    out, allowed = int(outside.sum()), _STRAY * count
    scale: Scale = "0-1" if above + out <= allowed else "0-5"
    if out > allowed:
        raise DataError(
            f"{name}: line {int(lines[outside][0])}: scores are on no known scale "
            f"({out:,} of {count:,} lie outside 0-5)",
            "Name it: --score-scale 0-1 or 0-5; rows outside it are then dropped and counted.",
        )
    top = float(np.nanmax(values)) if count else 0.0
    return ScaleGuess(scale, f"guessed from all {count:,}; the largest is {top:g}", True)


def outside(values: Floats, scale: Scale) -> NDArray[np.bool_]:
    """Return which labels lie outside their scale; a missing one does not."""
    return (values < 0.0) | (values > TOPS[scale])


def look_smoothed(values: Floats) -> bool:
    """Whether labels on 0-1 all lie in {0} or 0.1-0.9, as smoothing by 0.2 leaves them, and enough of them say so.

    A hint, no proof (methods 3, 16): an edge of that range must be hit, or 50 labels be there.
    """
    known = values[~np.isnan(values)]
    zero = np.abs(known) < _CLOSE
    inside = (known >= 0.1 - _CLOSE) & (known <= 0.9 + _CLOSE)
    edges = zero | (np.abs(known - 0.1) < _CLOSE) | (np.abs(known - 0.9) < _CLOSE)
    return len(known) > 0 and bool((zero | inside).all()) and (bool(edges.any()) or len(known) >= _ENOUGH)
