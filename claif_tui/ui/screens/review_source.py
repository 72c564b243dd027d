"""What Review reads from the store, as plain functions for worker threads, and its figures in words. No widget."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from claif_tui.core.models import Counts, Pair, PairQuery, Today
from claif_tui.ui import safe
from claif_tui.ui.screens.generate_text import clock

if TYPE_CHECKING:
    from claif_tui.core.review import Figures, ReviewQueue
    from claif_tui.core.store.store import Store

SORTS: dict[str, str] = {
    "newest": "newest first",
    "oldest": "oldest first",
    "score": "by score",
    "rate": "by mask rate",
    "length": "by length",
    "disagreement": "by disagreement with the encoder",
}


@dataclass(frozen=True, slots=True)
class QueueSource:
    """The pairs of one review queue, for a `RowList`."""

    store: Store
    queue: ReviewQueue
    cursor_id: int | None

    def first(self, limit: int) -> Sequence[Pair]:
        """What shows at once: the pair in view, or the first ones."""
        here = [] if self.cursor_id is None else self.store.pairs.many([self.cursor_id])
        return here or self.queue.first(limit)

    def ids(self) -> array[int]:
        """All ids in order."""
        return self.queue.load()

    def rows(self, ids: Sequence[int]) -> Sequence[Pair]:
        """Rows by id."""
        return self.store.pairs.many(ids)


@dataclass(frozen=True, slots=True)
class Glance:
    """What the frame of Review says: counts, today's work, and the newest pair (to know when rows landed)."""

    counts: Counts
    today: Today
    newest: int
    figures: Figures | None


def glance(store: Store, queue: ReviewQueue | None, precision: float) -> Glance:
    """Read the frame's figures; those of a queue only for a sample, where they mean something."""
    sampled = queue is not None and queue.query.sample is not None
    return Glance(
        store.pairs.counts(),
        store.decisions.today(store.author),
        store.pairs.newest_id(),
        queue.figures(precision) if queue is not None and sampled else None,
    )


def query_words(query: PairQuery) -> str:
    """Return what a query shows and in which order, in words."""
    parts = []
    if query.sample is not None:
        parts.append(f"sample of {query.sample[1]:,}, seed {query.sample[0]}")
    if query.search:
        parts.append(f'"{query.search}"')
    if query.filter:
        parts.append(query.filter)
    if not query.search and not query.filter and query.sample is None:
        parts.append("all pairs")
    if query.sample is None:
        order = SORTS[query.sort]
        if query.sort in ("score", "rate", "length"):
            order += ", high first" if query.descending else ", low first"
        parts.append(order)
    return " · ".join(parts)


def nothing_words(seen: Glance | None, *, everything: bool) -> str:
    """Return why the list is empty; ``everything``: it asks for all that is pending."""
    if seen is None:
        return ""
    if not seen.counts.total:
        return "No pairs yet.\n\nPress 4 and then g to generate some, or 2 to import a set that exists."
    if everything:
        return (
            f"All {seen.counts.total:,} pairs are decided: {seen.counts.accepted:,} accepted, "
            f"{seen.counts.rejected:,} rejected.\n\nf shows others (empty: all), x exports."
        )
    return "No pair matches.\n\nf changes the filter, / the search; esc clears the search."


def pair_words(pair: Pair) -> str:
    """Return a pair or triplet as tab-separated texts, then its scores: what y copies."""
    texts, scores = [pair.text_a, pair.text_b], [pair.score]
    if pair.hard_negative is not None:
        texts.append(pair.hard_negative)
        scores.append(pair.negative_score)
    return "\t".join([*texts, *("" if score is None else f"{score:.4g}" for score in scores)])


def session_words(seen: Glance | None) -> Content:
    """Return what was decided today, or how far a sample has come."""
    if seen is None:
        return Content("")
    if seen.figures is not None:
        return sample_words(seen.figures)
    today = seen.today
    if not today.decided and not today.bulk:
        return safe.line("nothing decided today")
    parts = [f"{today.decided:,} today"]
    if today.decided:
        parts.append(f"{100 * today.accepted / today.decided:.0f} % kept")
    if today.bulk:
        parts.append(f"{today.bulk:,} in bulk")
    return safe.line(" · ".join(parts))


def sample_words(figures: Figures) -> Content:
    """Return a sample's progress, its keep rate with the interval, the pace, and what the stop rule says."""
    total = figures.decided + figures.queue.pending
    parts: list[safe.Part] = [f"{figures.decided:,}/{total:,}"]
    keep, stop = figures.keep, figures.stop
    if keep is not None:
        interval = f"{100 * keep.low:.1f}-{100 * keep.high:.1f}"
        parts.append(safe.join("keep ", (f"{100 * keep.value:.1f} %", "bold"), f" [{interval}]"))
    if figures.per_hour is not None:
        parts.append(f"{figures.per_hour:,.0f}/h")
    if figures.eta_seconds is not None and figures.queue.pending:
        parts.append(f"ETA {clock(figures.eta_seconds)}")
    if stop is not None:
        margin = f"±{100 * stop.precision:g} %"
        if stop.reached:
            parts.append((f"✓ known to {margin}: you can stop", "$text-success"))
        else:
            larger = " (draw more)" if stop.beyond else ""
            parts.append(f"{margin} needs {stop.more:,} more{larger}")
    return safe.join(*parts, separator=" · ")
