"""Which pairs a study may ask about, and the seeded draw among them. No raters, no storage.

The draw depends on the seed and the texts alone: not on ids, nor on the order in which answers came in.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from claif_tui.core.models import STATUSES, PairQuery
from claif_tui.core.postprocess import RULES, PostOptions, options_of, own_rule, postprocess
from claif_tui.core.rating.models import Item, Protocol

if TYPE_CHECKING:
    from claif_tui.core.models import Pair
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.store.store import Store

BINS = 5
"""Strata by score: fifths of 0..1, the last with 1.0."""

_RULES = PostOptions()


@dataclass(frozen=True, slots=True)
class Population:
    """What may be drawn from, each text pair once, and how many were left out, by reason in words."""

    items: tuple[Item, ...]
    left_out: dict[str, int]


def population(store: Store, protocol: Protocol, recipe: Recipe) -> Population:
    """Read the pairs that a study may ask about. ``Item.n`` is 0 in all of them; blocks for a moment.

    Scored pairs that a model made, each text pair once, as the store has them (the scores are not smoothed).
    """
    left_out: Counter[str] = Counter()
    found: dict[tuple[str, str], Item] = {}
    with store.read():
        for pair in store.pairs.export_rows(PairQuery(filter=protocol.population)):
            reason = _unfit(pair, protocol)
            if reason is None and (pair.text_a, pair.text_b) in found:
                reason = RULES["duplicate"]
            if reason is not None:
                left_out[reason] += 1
                continue
            found[pair.text_a, pair.text_b] = _item(pair)
        if protocol.with_zero:
            for item in _zero_pairs(store, protocol, recipe):
                found.setdefault((item.text_a, item.text_b), item)
    return Population(tuple(found.values()), dict(left_out.most_common()))


def draw(items: Iterable[Item], protocol: Protocol) -> list[Item]:
    """Return all items in the order of the draw: the first ``protocol.sample`` are the sample.

    Stratified, each stratum gives its share of the population (largest remainder), so that the sample stays
    representative; within a stratum and without strata it is a simple random draw without replacement.
    """
    ordered = sorted(items, key=lambda item: _key(protocol.seed, item.text_a, item.text_b))
    if not protocol.stratify:
        return ordered
    strata: dict[tuple[object, ...], list[Item]] = defaultdict(list)
    for item in ordered:
        strata[stratum(item, protocol)].append(item)
    wanted = _shares({key: len(members) for key, members in strata.items()}, protocol.sample)
    chosen = {id(item) for key, members in strata.items() for item in members[: wanted[key]]}
    sample = [item for item in ordered if id(item) in chosen]
    return sample + [item for item in ordered if id(item) not in chosen]


def score_bin(score: float) -> int:
    """Return which fifth of 0..1 a score lies in, 0 to 4."""
    return min(BINS - 1, int(score * BINS + 1e-9))


def stratum(item: Item, protocol: Protocol) -> tuple[object, ...]:
    """Return the stratum of an item: fifth of the score and mask rate, as far as the protocol asks."""
    parts: list[object] = []
    if "score" in protocol.stratify:
        parts.append(None if item.score is None else score_bin(item.score))
    if "rate" in protocol.stratify:
        parts.append(item.rate)
    return tuple(parts)


def _shares(sizes: dict[tuple[object, ...], int], total: int) -> dict[tuple[object, ...], int]:
    """Split ``total`` in proportion to ``sizes`` by largest remainder; never more than a size."""
    everything = sum(sizes.values())
    total = min(total, everything)
    exact = {key: total * size / everything for key, size in sizes.items()}
    shares = {key: int(value) for key, value in exact.items()}
    by_remainder = sorted(sizes, key=lambda key: (shares[key] - exact[key], repr(key)))
    for key in by_remainder[: total - sum(shares.values())]:
        shares[key] += 1
    return shares


def _key(seed: int, *texts: str) -> bytes:
    return hashlib.blake2b(
        "\0".join((f"claif study 1|{seed}", *texts)).encode("utf-8", "surrogatepass"), digest_size=16
    ).digest()


def _unfit(pair: Pair, protocol: Protocol) -> str | None:
    """Return why a pair is no part of the population, in words."""
    if pair.kind == "zero" and not protocol.with_zero:
        return "a zero pair"
    if pair.kind not in ("llm", "zero"):
        return "its label is a human one, or it comes from NLI"
    if pair.status == "rejected" and not protocol.with_rejected:
        return "rejected in review"
    rule = own_rule(pair, _RULES)
    if rule is not None:
        return RULES[rule]
    return RULES["unscored"] if pair.score is None else None


def _item(pair: Pair) -> Item:
    return Item(
        n=0,
        role="sample",
        pair_id=pair.id,
        text_a=pair.text_a,
        text_b=pair.text_b,
        score=pair.score,
        explanation=pair.reason,
        rate=pair.rate,
        system=pair.system if pair.kind == "llm" else "zero pair",
        model=pair.model,
        recipe_id=pair.recipe_id,
        status=pair.status,
    )


def _zero_pairs(store: Store, protocol: Protocol, recipe: Recipe) -> Iterator[Item]:
    """Yield the zero pairs as post-processing would draw them from the same pairs."""
    statuses = [status for status in STATUSES if protocol.with_rejected or status != "rejected"]
    options = replace(options_of(recipe, statuses), seed=protocol.seed)
    query = PairQuery(filter=protocol.population)
    for row in postprocess(lambda: store.pairs.export_rows(query), options).rows():
        if row.kind == "zero":
            yield Item(
                n=0,
                role="sample",
                pair_id=None,
                text_a=row.sentence1,
                text_b=row.sentence2,
                score=0.0,
                explanation=None,
                rate=None,
                system="zero pair",
                model=None,
                recipe_id=None,
                status=None,
            )
