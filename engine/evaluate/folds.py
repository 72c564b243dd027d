"""Stratified folds with scikit-learn's arithmetic, so that its splits are met without depending on it. No torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEED = 1111

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(rows to train on, rows held out), both ascending."""


def stratified_folds(labels: NDArray[np.int64], folds: int, seed: int = SEED) -> list[Fold]:
    """The splits of scikit-learn's StratifiedKFold(folds, shuffle=True, random_state=seed) (0.22 and later).

    ``labels`` (n,) in the order of the samples. Each class is dealt out over the folds as in the sorted labels, and
    that allocation is shuffled class by class, in order of appearance. ValueError when every class is smaller than
    the number of folds.
    """
    _, first_seen, codes, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    if folds < 2 or sizes.max() < folds:
        raise ValueError(f"{len(labels)} samples of {len(sizes)} classes do not make {folds} folds")
    by_appearance = np.argsort(np.argsort(first_seen))[codes]
    ordered = np.sort(by_appearance)
    shares = np.array([np.bincount(ordered[start::folds], minlength=len(sizes)) for start in range(folds)])
    random = np.random.RandomState(seed)
    held_by = np.empty(len(labels), dtype=np.int64)
    for code in range(len(sizes)):
        dealt = np.arange(folds).repeat(shares[:, code])
        random.shuffle(dealt)
        held_by[by_appearance == code] = dealt
    return [(np.flatnonzero(held_by != fold), np.flatnonzero(held_by == fold)) for fold in range(folds)]
