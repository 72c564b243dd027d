"""What Review reads from the store, as plain functions for worker threads; no widget, no SQL."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claif_tui.core.models import Counts, Pair, PairQuery, Today

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

SORTS: dict[str, str] = {
    "newest": "newest first",
    "oldest": "oldest first",
    "score": "score",
    "rate": "mask rate",
    "length": "length",
    "disagreement": "disagreement with the encoder",
}


@dataclass(frozen=True, slots=True)
class QuerySource:
    """The pairs of one query, for a `RowList`."""

    store: Store
    query: PairQuery

    def first(self, limit: int) -> Sequence[Pair]:
        """The first rows, from an index."""
        return self.store.pairs.first(self.query, limit)

    def ids(self) -> array[int]:
        """All ids in order."""
        return self.store.pairs.ids(self.query)

    def rows(self, ids: Sequence[int]) -> Sequence[Pair]:
        """Rows by id."""
        return self.store.pairs.many(ids)


@dataclass(frozen=True, slots=True)
class FixedSource:
    """A given queue of pairs, such as a random sample that must stay the same sample."""

    store: Store
    fixed: array[int]

    def first(self, limit: int) -> Sequence[Pair]:
        """Nothing: the ids are here already."""
        return ()

    def ids(self) -> array[int]:
        """The queue."""
        return self.fixed

    def rows(self, ids: Sequence[int]) -> Sequence[Pair]:
        """Rows by id."""
        return self.store.pairs.many(ids)


@dataclass(frozen=True, slots=True)
class Glance:
    """What the frame of Review says: counts, today's work, and the newest pair (to know when rows landed)."""

    counts: Counts
    today: Today
    newest: int


def glance(store: Store) -> Glance:
    """Read the frame's figures."""
    return Glance(store.pairs.counts(), store.decisions.today(store.author), store.pairs.newest_id() or 0)


def query_words(query: PairQuery) -> str:
    """Return what a query shows and in which order, in words."""
    parts = []
    if query.sample is not None:
        parts.append(f"sample of {query.sample[1]:,}, seed {query.sample[0]}")
    if query.search:
        parts.append(f'"{query.search}"')
    if query.filter:
        parts.append(query.filter)
    if not parts:
        parts.append("all pairs")
    if query.sample is None:
        order = SORTS[query.sort]
        if query.sort in ("score", "rate", "length"):
            order += ", high first" if query.descending else ", low first"
        parts.append(order)
    return " · ".join(parts)
