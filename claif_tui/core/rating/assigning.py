"""Who judges which item, in which order. Pure functions of the protocol; no texts are read.

Loads differ by one item at most, and raters meet each other on as equal a number of items as a greedy plan gives.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from claif_tui.core.rating.models import Assignment, Item, Protocol


def assign(protocol: Protocol, items: Sequence[Item]) -> list[Assignment]:
    """Return every assignment, by rater and position. Practice comes first, in one order for all."""
    practice = [item.n for item in items if item.role == "practice"]
    gold = [item.n for item in items if item.role == "gold"]
    sample = [item.n for item in items if item.role == "sample"]
    shares = share_out(sample, protocol.raters, protocol.per_item)
    result: list[Assignment] = []
    for rater in protocol.raters:
        own = _ordered(protocol, rater, shares[rater], gold)
        turns = [(item, 0) for item in practice] + own
        result += [
            Assignment(
                token=secrets.token_hex(8), rater=rater, position=position, item=item, occurrence=occurrence
            )
            for position, (item, occurrence) in enumerate(turns, 1)
        ]
    return result


def share_out(sample: Sequence[int], raters: Sequence[str], per_item: int) -> dict[str, list[int]]:
    """Return each rater's items: ``per_item`` raters an item, those with the least to do first."""
    loads: Counter[str] = Counter()
    met: Counter[tuple[str, str]] = Counter()
    shares: dict[str, list[int]] = {rater: [] for rater in raters}
    for item in sample:
        chosen: list[str] = []
        for _ in range(per_item):
            rater = min(
                (rater for rater in raters if rater not in chosen),
                key=lambda name: (loads[name], sum(met[_pair(name, other)] for other in chosen)),
            )
            chosen.append(rater)
            loads[rater] += 1
        met.update(_pair(first, second) for first, second in combinations(chosen, 2))
        for rater in chosen:
            shares[rater].append(item)
    return shares


def _pair(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first < second else (second, first)


def _ordered(protocol: Protocol, rater: str, own: Sequence[int], gold: Sequence[int]) -> list[tuple[int, int]]:
    """Return (item, occurrence) in this rater's order: gold and repeats lie among the others.

    A repeat comes in the last third, of an item of the first half: at least a sixth of the way after it.
    """

    def chance(item: int, what: str) -> bytes:
        text = f"claif order 1|{protocol.seed}|{rater}|{item}|{what}"
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()

    turns = list(own)
    if protocol.order == "shuffled":
        turns.sort(key=lambda item: chance(item, "order"))
    order = [(item, 0) for item in turns]
    early = turns[: (len(turns) + 1) // 2]
    repeats = sorted(early, key=lambda item: chance(item, "repeat"))[: protocol.repeats]
    for item in sorted(gold, key=lambda item: chance(item, "gold")):
        place = int.from_bytes(chance(item, "place"), "big") % (len(order) + 1)
        order.insert(place, (item, 0))
    for item in repeats:
        first = len(order) - len(order) // 3
        place = first + int.from_bytes(chance(item, "again"), "big") % (len(order) - first + 1)
        order.insert(place, (item, 1))
    return order
