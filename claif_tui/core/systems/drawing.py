"""Draws that depend on nothing but what they are for: no shared random stream, so no order of work can change one."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def tickets(about: str, count: int) -> tuple[int, ...]:
    """Return ``count`` uniform 64-bit numbers that follow from the text ``about`` alone."""
    return struct.unpack(f">{count}Q", hashlib.shake_256(about.encode()).digest(8 * count))


def drawn(items: Sequence[T], count: int, about: str) -> tuple[T, ...]:
    """Return ``count`` of ``items`` without replacement, in the order drawn; all of them where there are fewer."""
    drawing = tickets(about, len(items))
    # One ticket an item, the smallest win: a uniform choice, and a uniform order.
    return tuple(items[place] for place in sorted(range(len(items)), key=drawing.__getitem__)[:count])
