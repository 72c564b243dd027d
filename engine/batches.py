"""The order of the training rows, and the next batch made ready while a step is computed. No losses, no vectors.

The position in the data is the number of steps done: order and batches follow from it and the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.data import shuffled
from engine.errors import DataError

Made = TypeVar("Made")
Rows = NDArray[np.int64]


class Order:
    """Which rows each step takes: another order in every epoch, the last batch of an epoch as large as it comes.

    With ``in_batch`` a last batch of one row is left out (``dropped`` is then 1), as it would have nothing to
    contrast with. ``DataError`` where not one batch is left.
    """

    def __init__(self, rows: int, batch_size: int, seed: int, *, in_batch: bool) -> None:
        self.rows, self.batch_size, self._seed = rows, batch_size, seed
        self.dropped = int(in_batch and rows % batch_size == 1)
        if in_batch and min(rows, batch_size) < 2:
            raise DataError(
                f"a batch has one row ({rows:,} rows, batch_size {batch_size}), but this objective contrasts rows",
                "Set batch_size to 2 or more, and name data of two rows or more.",
            )
        self.steps_per_epoch = (rows - self.dropped + batch_size - 1) // batch_size
        self._epoch: tuple[int, Rows] | None = None

    def at(self, step: int) -> Rows:
        """The rows of the step that follows ``step`` steps done."""
        epoch, number = divmod(step, self.steps_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, shuffled(self.rows, self._seed, epoch)
        return self._epoch[1][number * self.batch_size : (number + 1) * self.batch_size]


class Ahead(Generic[Made]):
    """Makes the item of the next step in a thread while the present one is used; one at a time, in order."""

    def __init__(self, make: Callable[[int], Made]) -> None:
        self._make = make
        self._next: Future[Made] | None = None

    def items(self, start: int, end: int) -> Iterator[tuple[int, Made]]:
        """Yield (step, item) from ``start`` up to ``end``."""
        with ThreadPoolExecutor(1, "batches") as pool:
            self._next = pool.submit(self._make, start) if start < end else None
            for step in range(start, end):
                item = self._taken()
                self._next = pool.submit(self._make, step + 1) if step + 1 < end else None
                yield step, item

    def settle(self) -> None:
        """Wait until nothing is being made: the tokenizer is not to be used by two at a time."""
        if self._next is not None:
            self._next.exception()

    def _taken(self) -> Made:
        if self._next is None:
            raise ValueError("no item was asked for")
        return self._next.result()
