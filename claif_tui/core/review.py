"""A review session: the queue of pairs, where I was in it, and the figures that say how far it has come.

No screen here, and no SQL. All methods may read from disk: call them from a worker.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Self

from claif_tui.core.models import Counts, Pair, PairQuery
from claif_tui.core.store.places import PlacesRepo
from engine.stats import Interval, trials_for, wilson

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

PRECISION = 0.03
"""The stop rule: the keep rate is known to so much either way, with 95 % confidence."""
BREAK_SECONDS = 300.0
"""A longer gap between two decisions is a break and does not count as work."""
PACE_DECISIONS = 200
"""The pace is that of so many decisions at most, the latest."""
_LEAST_GAPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """Whether the keep rate is known well enough, and if not, how many decisions that takes at the rate so far."""

    precision: float
    reached: bool
    more: int
    beyond: int
    """How many of ``more`` the sample does not hold any more: draw a larger one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How far a queue has come. Pairs decided by anybody count.

    ``keep`` is the share of accepted pairs among the decided ones with its 95 % Wilson interval. Only if
    ``random`` does it speak for all pairs that the queue was drawn from, and only then is there a ``stop`` rule.
    """

    queue: Counts
    random: bool
    keep: Interval | None
    stop: StopRule | None
    per_hour: float | None
    eta_seconds: float | None

    @property
    def decided(self) -> int:
        """Accepted and rejected pairs of the queue."""
        return self.queue.accepted + self.queue.rejected


class ReviewQueue:
    """The pairs of one query for one reviewer. A sample is drawn once and stays the same from then on.

    A queue is fixed when it is loaded: pairs that are decided meanwhile stay in it until ``load`` is called again.
    """

    def __init__(
        self, store: Store, query: PairQuery, author: str, ids: array[int], pair_id: int | None
    ) -> None:
        self._store = store
        self.query = query
        self.author = author
        self.ids = ids
        self.pair_id = pair_id
        """The pair that was in view when the reviewer left; None at the start."""

    @classmethod
    def open(cls, store: Store, query: PairQuery, author: str | None = None) -> Self:
        """Open a queue where its reviewer left it; a sample is drawn now if it is new.

        Only a sample has its ``ids`` yet: show ``first`` and call ``load`` in the background.
        """
        who = author or store.author
        places = PlacesRepo(store)
        place = places.get(who, query)
        ids = array("q") if place is None or place.ids is None else place.ids
        if query.sample is not None and not ids:
            ids = store.pairs.ids(query)
            places.put(who, query, None, ids)
        return cls(store, query, who, ids, None if place is None else place.pair_id)

    @classmethod
    def resume(cls, store: Store, author: str | None = None) -> Self | None:
        """Open the queue that the reviewer was in last; None if there was none."""
        place = PlacesRepo(store).last(author or store.author)
        return None if place is None else cls.open(store, place.query, author)

    def first(self, limit: int) -> list[Pair]:
        """The first pairs of the queue."""
        if self.ids:
            return self._store.pairs.many(self.ids[:limit])
        return self._store.pairs.first(self.query, limit)

    def load(self) -> array[int]:
        """Read all ids of the queue (a sample keeps its own) and return them."""
        if self.query.sample is None:
            self.ids = self._store.pairs.ids(self.query)
        return self.ids

    def remember(self, pair_id: int | None) -> None:
        """Save which pair is in view."""
        self.pair_id = pair_id
        PlacesRepo(self._store).put(self.author, self.query, pair_id)

    def position(self) -> int:
        """The index in ``ids`` of the pair that was in view; where it would be by id if it left; 0 at the start."""
        if self.pair_id is None or not self.ids:
            return 0
        try:
            return self.ids.index(self.pair_id)
        except ValueError:
            if self.query.sample is None and self.query.sort == "newest":
                return min(
                    bisect_right(self.ids, -self.pair_id, key=lambda pair_id: -pair_id), len(self.ids) - 1
                )
            if self.query.sample is None and self.query.sort == "oldest":
                return min(bisect_right(self.ids, self.pair_id), len(self.ids) - 1)
            return 0

    def counts(self) -> Counts:
        """How the pairs of the queue stand; of a filter's queue, whatever status the filter asks for."""
        if self.query.sample is not None:
            return self._store.pairs.counts_of(self.ids)
        return self._store.pairs.counts_like(self.query)

    def elsewhere(self) -> Counts:
        """How the pairs outside the queue stand: what is left when it is done."""
        here, everywhere = self.counts(), self._store.pairs.counts()
        return Counts(
            pending=everywhere.pending - here.pending,
            accepted=everywhere.accepted - here.accepted,
            rejected=everywhere.rejected - here.rejected,
        )

    def figures(self, precision: float = PRECISION) -> Figures:
        """Work out the figures now."""
        queue = self.counts()
        random = self.query.sample is not None
        decided = queue.accepted + queue.rejected
        keep = wilson(queue.accepted, decided)
        hourly = per_hour(self._store.decisions.times(self.author, PACE_DECISIONS))
        return Figures(
            queue=queue,
            random=random,
            keep=keep,
            stop=_stop(keep, decided, queue.pending, precision) if random else None,
            per_hour=hourly,
            eta_seconds=None if not hourly else queue.pending / hourly * 3600,
        )


def sample_query(query: PairQuery, seed: int, size: int) -> PairQuery:
    """The query of a random sample from what ``query`` finds."""
    return replace(query, sample=(seed, size), sort="newest", descending=False)


def per_hour(times: Sequence[str]) -> float | None:
    """Decisions an hour from their times (ISO 8601, newest first), breaks left out; None from too few."""
    moments = [datetime.fromisoformat(time).timestamp() for time in times]
    gaps = [later - earlier for later, earlier in pairwise(moments)]
    worked = [gap for gap in gaps if gap <= BREAK_SECONDS]
    spent = sum(worked)
    return len(worked) / spent * 3600 if len(worked) >= _LEAST_GAPS and spent > 0 else None


def _stop(keep: Interval | None, decided: int, pending: int, precision: float) -> StopRule:
    if keep is not None and keep.half_width <= precision:
        return StopRule(precision=precision, reached=True, more=0, beyond=0)
    # The middle of the interval, not the share itself: three of three accepted is no certainty.
    share = 0.5 if keep is None else (keep.low + keep.high) / 2
    more = max(1, trials_for(share, precision) - decided)
    return StopRule(precision=precision, reached=False, more=more, beyond=max(0, more - pending))
