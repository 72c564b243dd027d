"""What post-processing does with one pair by itself: its roles, its halves, the first rule that drops it. No I/O.

Sources: methods 3 (drops), 10.3 (MultiCSR's swap and filter), 5 with 3.2 (CLAIF-scaled's two pairs of a triplet). A
part of ``claif_tui.core.postprocess``, which holds a pair against the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

from claif_tui.core.masking import has_mask, rate_text
from claif_tui.core.models import Pair
from claif_tui.core.post_options import Curation, PostOptions, Rule
from claif_tui.core.systems.registry import SYSTEMS

_TOP = 5.0
_HIGH = 4.0
"""Above this, of 5, both sides of a triplet are as good as the same (the script's constant)."""

Side = Literal["", "positive", "negative"]


class Standing(NamedTuple):
    """A row to be, before it is held against others: the pair as it is read, and the stored one that it comes from.

    ``swapped``: its roles have changed places; ``side``: it is that half of a triplet, as a pair.
    """

    pair: Pair
    stored: Pair
    swapped: bool = False
    side: Side = ""

    @property
    def row_id(self) -> str:
        """The id of the row: that of the stored pair, with the side where a triplet gives two."""
        base = pair_id(self.stored)
        return f"{base}-{self.side}" if self.side else base


def standings(pair: Pair, options: PostOptions) -> Iterator[Standing]:
    """Yield what stands for ``pair``: itself, itself with its roles swapped, or its two halves.

    A triplet that is not wanted at all, by its status or system, is not taken apart.
    """
    if pair.hard_negative is None:
        yield Standing(pair, pair)
    elif options.split_triplets and _unwanted(pair, options) is None:
        yield Standing(_positive(pair), pair, side="positive")
        yield Standing(_negative(pair, pair.hard_negative), pair, side="negative")
    elif options.curation is not None and options.curation.swap and _is_reversed(pair):
        yield Standing(_swapped(pair, pair.hard_negative), pair, swapped=True)
    else:
        yield Standing(pair, pair)


def own_rule(pair: Pair, options: PostOptions) -> Rule | None:
    """Return the first rule that drops the pair whatever the others are; None if none does."""
    if unwanted := _unwanted(pair, options):
        return unwanted
    text_a, text_b, negative = pair.text_a, pair.text_b, pair.hard_negative
    if not text_a.strip() or not text_b.strip() or (negative is not None and not negative.strip()):
        return "empty"
    if options.drop_refusals and pair.answer_class == "refusal" and not pair.text_edited:
        return "refusal"
    # Before the scores: no score is bought for a pair that these two take out anyway.
    if options.drop_identical and (text_a == text_b or negative in (text_a, text_b)):
        return "identical"
    if options.drop_mask and (has_mask(text_a) or has_mask(text_b) or has_mask(negative or "")):
        return "mask"
    if pair.stale or (pair.kind == "human" and pair.edited):
        return "stale"
    if _lacks_scores(pair, options):
        return "unscored"
    if options.drop_off_label and pair.answer_class == "off_label" and not pair.text_edited:
        return "off_label"
    if options.curation is not None and pair.hard_negative is not None:
        return _curation_rule(pair, options.curation)
    return None


def curated(score: float, negative_score: float, rules: Curation) -> tuple[bool, Rule | None]:
    """Return whether the roles of a triplet with these scores (0..1) change places, and the rule that then drops it."""
    swaps = rules.swap and negative_score > score
    high, low = (negative_score, score) if swaps else (score, negative_score)
    return swaps, _filtered(high, low, rules)


def label(pair: Pair) -> float | None:
    """Return the label on 0..1: people's where there is one, else the score."""
    return pair.gold if pair.kind == "human" and pair.gold is not None else pair.score


def pair_id(pair: Pair) -> str:
    """Return the id of a stored pair as a row: a function of what it is made of, not of when."""
    if pair.generate_key:
        # Versions of a recipe share answers, so the answer alone does not name the pair.
        rate = "" if pair.rate is None else rate_text(pair.rate)
        other = () if pair.negative_key is None else (pair.negative_key,)
        return f"{pair.generate_key}-{digest(pair.split, pair.text_a, rate, *other)[:4].hex()}"
    content = digest(pair.split, pair.text_a, pair.generated, pair.generated_negative or "")
    return f"import-{pair.source_id or 0}-{content[:8].hex()}"


def digest(*parts: str) -> bytes:
    """Return 16 bytes over the parts; stored texts hold no NUL, so the joint cannot be forged."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _unwanted(pair: Pair, options: PostOptions) -> Rule | None:
    if options.statuses is not None and pair.status not in options.statuses:
        return "status"
    if options.system is not None and not SYSTEMS[options.system].takes(pair):
        return "system"
    return None


def _lacks_scores(pair: Pair, options: PostOptions) -> bool:
    if pair.hard_negative is None:
        return label(pair) is None
    needed = (pair.score, pair.negative_score)[: options.triplet_scores]
    return any(score is None for score in needed)


def _is_reversed(pair: Pair) -> bool:
    return pair.score is not None and pair.negative_score is not None and pair.negative_score > pair.score


def _curation_rule(pair: Pair, rules: Curation) -> Rule | None:
    if pair.score is None or pair.negative_score is None:
        return "unscored"
    return _filtered(pair.score, pair.negative_score, rules)


def _filtered(score: float, negative_score: float, rules: Curation) -> Rule | None:
    # Rounded: 0.62 x 5 is to be the 3.1 that was said.
    positive, negative = round(score * _TOP, 9), round(negative_score * _TOP, 9)
    if positive > _HIGH and negative > _HIGH:
        return "both_high"
    if positive < rules.alpha:
        return "alpha"
    if negative > rules.beta:
        return "beta"
    gap = round(positive - negative, 9)
    return None if gap >= rules.gamma and gap > 0 else "gamma"


def _swapped(pair: Pair, hard_negative: str) -> Pair:
    return replace(
        pair,
        text_b=hard_negative,
        generated=pair.generated_negative or "",
        score=pair.negative_score,
        hard_negative=pair.text_b,
        generated_negative=pair.generated,
        negative_score=pair.score,
    )


def _positive(pair: Pair) -> Pair:
    return replace(pair, hard_negative=None, generated_negative=None, negative_score=None)


def _negative(pair: Pair, hard_negative: str) -> Pair:
    return replace(
        pair,
        text_b=hard_negative,
        generated=pair.generated_negative or "",
        score=pair.negative_score,
        hard_negative=None,
        generated_negative=None,
        negative_score=None,
    )
