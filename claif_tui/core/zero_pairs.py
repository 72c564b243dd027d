"""Drawing the partners of zero pairs, on hashes alone: no texts, no pairs, no files.

Source: methods 3 and 3.1. A part of ``claif_tui.core.postprocess``, which is the only place that calls it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Mixed into the hash of sentence1, one for each split, so that splits never share a cap, a zero pair or a partner.
SPLIT_SALTS = (0, 0x9E3779B97F4A7C15, 0x3C6EF372FE94F82A)


def draw_zero_pairs(
    *,
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
    splits: NDArray[np.uint8],
    rows: NDArray[np.int64],
    count: int,
    pool: Literal["generated", "originals"],
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return (place of sentence1, place of the partner) for each zero pair, and how many could not be had.

    ``first`` (salted by split) and ``second`` are the hashes of all pairs' sentences, ``rows`` the places of the
    pairs that may get and give partners. A partner is of the same split, never the sentence itself, never a
    text that was made from it (whatever became of that pair), and never the same twice for one sentence.
    """
    import numpy as np

    none = np.zeros(0, dtype=np.int64)
    if not count or not len(rows):
        return none, none, 0
    by_first = np.argsort(first, kind="stable")
    sorted_first, sorted_second = first[by_first], second[by_first]
    _, seen = np.unique(first[rows], return_index=True)
    anchors = rows[np.sort(seen)]
    lefts = np.searchsorted(sorted_first, first[anchors], side="left").tolist()
    rights = np.searchsorted(sorted_first, first[anchors], side="right").tolist()
    pools: list[tuple[NDArray[np.int64], list[int]]] = []
    for split, salt in enumerate(SPLIT_SALTS):
        places = anchors if pool == "originals" else rows
        places = places[splits[places] == split]
        hashes = first[places] ^ np.uint64(salt) if pool == "originals" else second[places]
        pools.append((places, hashes.tolist()))
    out_first: list[int] = []
    out_partner: list[int] = []
    missing = 0
    for place, left, right in zip(anchors.tolist(), lefts, rights, strict=True):
        split = int(splits[place])
        places, candidates = pools[split]
        own = int(first[place]) ^ SPLIT_SALTS[split]
        banned = {own, *sorted_second[left:right].tolist()}
        chosen = _draw(seed, own, split, candidates, banned, count)
        missing += count - len(chosen)
        out_first += [place] * len(chosen)
        out_partner += [int(places[index]) for index in chosen]
    return np.array(out_first, dtype=np.int64), np.array(out_partner, dtype=np.int64), missing


def ranks(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return each row's rank in its run of equal neighbours: ``same[i]`` says that row i+1 equals row i."""
    import numpy as np

    places = np.arange(len(same) + 1)
    starts = np.where(np.concatenate(([True], ~same)), places, 0)
    return places - np.maximum.accumulate(starts)


def _draw(seed: int, own: int, split: int, hashes: list[int], banned: set[int], count: int) -> list[int]:
    """Return up to ``count`` places in ``hashes``, none banned, no text twice (``banned`` grows)."""
    chosen: list[int] = []
    stream = hashlib.shake_256(f"claif zero 1|{seed}|{split}|{own}".encode()).digest(8 * (6 + 2 * count))
    draws = [int.from_bytes(stream[at : at + 8], "big") % len(hashes) for at in range(0, len(stream), 8)]
    # A few free draws; where most texts are banned, a walk from the last of them finds what there is, and ends.
    walk = range(draws[-1], draws[-1] + len(hashes))
    for tries in (draws, (index % len(hashes) for index in walk)):
        for index in tries:
            if len(chosen) == count:
                return chosen
            if hashes[index] not in banned:
                banned.add(hashes[index])
                chosen.append(index)
    return chosen
