"""Which words of a sentence are masked, reproducibly. No prompts, no files, no shared random stream.

Source: methods 1.2. The only inputs are the run seed, the SHA-256 of the original and the rate written as a
decimal, so resuming, re-ordering or adding seeds cannot change a mask.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Literal

from claif_tui.core.errors import RecipeError
from claif_tui.core.text import text_hash

MASK = "<mask>"
MERGE_PROBABILITY = 0.5
_DRAW_BITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """One masked sentence and the record of how it came about.

    ``positions`` are the ``k`` masked word indices (0-based, ascending) of the ``n`` words. ``merged`` is the
    draw made once for the sentence; ``joined`` is how many masks it took away (0 if none stood side by side).
    ``split`` says how words were found: at single spaces, or, for raw text, at runs of white space.
    """

    text: str
    rate: float
    k: int
    n: int
    merged: bool
    positions: tuple[int, ...]
    joined: int = 0
    split: Literal["single spaces", "whitespace runs"] = "single spaces"


def rate_permille(rate: float) -> int:
    """Return ``rate`` (0..1, at most three decimals) as whole thousandths, or raise ``RecipeError``."""
    if not 0.0 <= rate <= 1.0:
        raise RecipeError(f"mask rate {rate!r} is outside 0 to 1", "Give the share of words, as in 0.3.")
    permille = round(rate * 1000)
    if abs(rate * 1000 - permille) > 1e-6:
        raise RecipeError(f"mask rate {rate!r} has more than three decimals", "Round it, as in 0.125.")
    return permille


def rate_text(rate: float) -> str:
    """Return the one spelling of a rate that goes into hashes and labels: "0.0", "0.3", "0.125"."""
    permille = rate_permille(rate)
    decimals = f"{permille % 1000:03d}".rstrip("0") or "0"
    return f"{permille // 1000}.{decimals}"


def mask_count(n: int, rate: float) -> int:
    """Return ceil(n * rate) in exact arithmetic."""
    return -(-n * rate_permille(rate) // 1000)


def has_mask(text: str) -> bool:
    """Whether the literal ``<mask>`` stands in ``text``.

    A seed for which this is true can be masked (its own ``<mask>`` counts as a word like any other), but every
    pair made from it falls under the residual-mask rule; planners should say so before they spend on it.
    """
    return MASK in text


def mask_sentence(text: str, rate: float, seed: int, *, merge: float = MERGE_PROBABILITY) -> Masked:
    """Mask ceil(n * rate) distinct words of ``text``, chosen uniformly; rate 0.0 leaves it as it is.

    ``merge`` is the probability (0..1), drawn once, that every run of adjacent masks becomes a single one.
    """
    words = text.split(" ")
    split: Literal["single spaces", "whitespace runs"] = "single spaces"
    if "" in words or "\t" in text or "\n" in text or "\r" in text:
        words, split = text.split(), "whitespace runs"
    n = len(words)
    k = mask_count(n, rate)
    if not k:
        return Masked(text=" ".join(words), rate=rate, k=0, n=n, merged=False, positions=(), split=split)
    draws = _draws(seed, text, rate, n + 1)
    merged = draws[n] < merge * (1 << _DRAW_BITS)
    # One 64-bit ticket a word, the k smallest win: a uniform choice of distinct positions.
    positions = tuple(sorted(sorted(range(n), key=draws.__getitem__)[:k]))
    for position in positions:
        words[position] = MASK
    joined = 0
    if merged:
        kept = [word for i, word in enumerate(words) if word != MASK or i == 0 or words[i - 1] != MASK]
        joined, words = n - len(kept), kept
    return Masked(
        text=" ".join(words),
        rate=rate,
        k=k,
        n=n,
        merged=merged,
        positions=positions,
        joined=joined,
        split=split,
    )


def _draws(seed: int, text: str, rate: float, count: int) -> tuple[int, ...]:
    """Return ``count`` uniform 64-bit numbers that depend on nothing but the three arguments before it."""
    material = f"claif mask 1|{seed}|{text_hash(text)}|{rate_text(rate)}".encode()
    return struct.unpack(f">{count}Q", hashlib.shake_256(material).digest(8 * count))
