"""What became of each planned pair: the outcome of one place in a seed's plan. No requests, no texts.

A planned pair without a row here is open. The rows make ``status`` cheap and let a rerun skip what is settled
without building its requests again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

ItemState = Literal["generated", "scored", "unscorable", "failed"]
"""generated: the pair waits for its score; scored: it has all it needs, be that a score or not; unscorable: kept, but
a rule drops it, so no score is bought.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One planned pair's outcome. ``rate`` is its slot, 0..1000: a mask rate or a label in thousandths.

    Seed 0 is of imported triplets: ``copy`` and ``pair_id`` are the triplet's id.
    """

    seed_id: int
    rate: int
    copy: int
    state: ItemState
    reason: str | None
    pair_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCounts:
    """How many planned pairs of a scope are settled, and how. ``generated`` ones still wait for their score."""

    generated: int
    answered: int
    failed: dict[str, int]


class ItemsRepo:
    """Outcomes of planned pairs, by scope (what is asked: see ``recipes.scope_id``)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_seeds(self, scope: str, first: int, last: int) -> dict[tuple[int, int, int], Item]:
        """Return the settled items of the seeds ``first``..``last`` (ids, inclusive) by (seed, rate, copy)."""
        with self._store.read() as connection:
            rows = connection.execute(
                "SELECT seed_id, rate, copy, state, reason, pair_id FROM items"
                " WHERE scope = ? AND seed_id BETWEEN ? AND ?",
                (scope, first, last),
            ).fetchall()
        return {
            (seed, rate, copy): Item(
                seed_id=seed, rate=rate, copy=copy, state=state, reason=reason, pair_id=pair_id
            )
            for seed, rate, copy, state, reason, pair_id in rows
        }

    def counts(self, scope: str, last_seed: int | None = None) -> ItemCounts:
        """Count the settled items of ``scope`` that come from seeds, up to ``last_seed`` if given."""
        with self._store.read() as connection:
            rows = connection.execute(
                "SELECT state, reason, count(*) FROM items"
                " WHERE scope = ? AND seed_id BETWEEN 1 AND ? GROUP BY state, reason",
                (scope, last_seed if last_seed is not None else 2**62),
            ).fetchall()
        settled = dict.fromkeys(("generated", "scored", "unscorable"), 0)
        failed: dict[str, int] = {}
        for state, reason, count in rows:
            if state == "failed":
                failed[reason or "unknown"] = count
            else:
                settled[state] += count
        return ItemCounts(
            generated=settled["generated"],
            answered=settled["scored"] + settled["unscorable"],
            failed=dict(sorted(failed.items())),
        )

    def failed(self, scope: str, limit: int = 2_000) -> list[Item]:
        """Return the failed items of ``scope`` in plan order."""
        with self._store.read() as connection:
            rows = connection.execute(
                "SELECT seed_id, rate, copy, state, reason, pair_id FROM items"
                " WHERE scope = ? AND state = 'failed' ORDER BY seed_id, rate, copy LIMIT ?",
                (scope, limit),
            ).fetchall()
        return [
            Item(seed_id=seed, rate=rate, copy=copy, state=state, reason=reason, pair_id=pair_id)
            for seed, rate, copy, state, reason, pair_id in rows
        ]

    @staticmethod
    def put(
        connection: sqlite3.Connection,
        scope: str,
        place: tuple[int, int, int],
        state: ItemState,
        *,
        reason: str | None = None,
        pair_id: int | None = None,
    ) -> None:
        """Record the outcome of the item at ``place`` (seed, rate, copy), inside a writer's transaction."""
        connection.execute(
            "INSERT INTO items (scope, seed_id, rate, copy, state, reason, pair_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET state = excluded.state, reason = excluded.reason,"
            " pair_id = coalesce(excluded.pair_id, pair_id)",
            (scope, *place, state, reason, pair_id),
        )

    @staticmethod
    def scored(connection: sqlite3.Connection, scope: str, seed_id: int, pair_id: int) -> None:
        """Record that a pair which had no score has one now, whoever bought it; inside a writer's transaction."""
        connection.execute(
            "UPDATE items SET state = 'scored', reason = NULL WHERE scope = ? AND seed_id = ? AND pair_id = ?"
            " AND state IN ('generated', 'failed')",
            (scope, seed_id, pair_id),
        )


class OccurrenceCounter:
    """Ranks identical requests in plan order, on disk beyond a few megabytes, so any plan fits."""

    def __init__(self) -> None:
        # The empty name is SQLite's private temporary file: it spills to disk and vanishes when closed.
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA cache_size=-16384")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute(
            "CREATE TABLE seen (identity BLOB PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID"
        )

    def ranks(self, identities: Sequence[bytes]) -> list[int]:
        """Return for each identity how often it came before, in this call and all earlier ones."""
        execute = self._connection.execute
        execute("BEGIN")
        result = [
            execute(
                "INSERT INTO seen VALUES (?, 0) ON CONFLICT DO UPDATE SET n = n + 1 RETURNING n", (identity,)
            ).fetchone()[0]
            for identity in identities
        ]
        execute("COMMIT")
        return result

    def close(self) -> None:
        """Drop the counts."""
        self._connection.close()
