"""Imported triplets as work to be done: which of them lack the scores that a recipe asks for. Reads only.

A triplet's outcome is an item (see ``items``) of seed 0 whose copy is the pair's id.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claif_tui.core.models import Split
from claif_tui.core.store.codes import SPLITS

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

_IMPORTED = "s.triplet AND s.source_id IS NOT NULL AND s.split = :split"
_OF_PLAN = f"(SELECT s.* FROM states s WHERE {_IMPORTED} ORDER BY s.pair_id LIMIT :limit) s"
_KNOWN = """LEFT JOIN items i ON i.scope = :scope AND i.seed_id = 0 AND i.rate = 0 AND i.copy = s.pair_id
    LEFT JOIN scores c ON c.pair_id = s.pair_id AND c.n = s.score_n"""
# A score without a call came with the file or from a person; one of another recipe's call does not count.
_GIVEN = "(s.score IS NOT NULL AND c.key IS NULL AND (NOT :both OR s.negative IS NOT NULL))"
_STANDS = f"""CASE WHEN i.state = 'scored' THEN 'scored' WHEN {_GIVEN} THEN 'given'
    WHEN i.state = 'failed' THEN 'failed' ELSE 'open' END"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TripletCounts:
    """How the planned triplets stand: ``given`` scores need no request, ``failed`` is by reason."""

    planned: int = 0
    given: int = 0
    scored: int = 0
    failed: dict[str, int]

    @property
    def answered(self) -> int:
        """Those that have what is needed."""
        return self.given + self.scored


class TripletsRepo:
    """The imported triplets of a split, in id order. ``both``: the hard negative needs a score too."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def count(self, split: Split = "train") -> int:
        """How many there are."""
        with self._store.read() as connection:
            sql = f"SELECT count(*) FROM states s WHERE {_IMPORTED}"
            return int(connection.execute(sql, {"split": SPLITS.index(split)}).fetchone()[0])

    def counts(self, scope: str, both: bool, split: Split = "train", limit: int | None = None) -> TripletCounts:
        """Count how the first ``limit`` triplets stand under ``scope``."""
        values = {
            "scope": scope,
            "both": both,
            "split": SPLITS.index(split),
            "limit": -1 if limit is None else limit,
        }
        sql = f"SELECT {_STANDS}, i.reason, count(*) FROM {_OF_PLAN} {_KNOWN} GROUP BY 1, 2"
        with self._store.read() as connection:
            rows = connection.execute(sql, values).fetchall()
        sums = dict.fromkeys(("scored", "given", "open"), 0)
        failed: dict[str, int] = {}
        for stands, reason, count in rows:
            if stands == "failed":
                failed[reason or "unknown"] = count
            else:
                sums[stands] += count
        return TripletCounts(
            planned=sum(sums.values()) + sum(failed.values()),
            given=sums["given"],
            scored=sums["scored"],
            failed=dict(sorted(failed.items())),
        )

    def wanted(
        self,
        scope: str,
        both: bool,
        split: Split = "train",
        limit: int | None = None,
        *,
        after: int = 0,
        size: int = 200,
        failed: bool = False,
        reasons: Collection[str] | None = None,
    ) -> list[tuple[int, str | None]]:
        """Return (pair id, None) of open triplets of the plan, or (pair id, reason) of ``failed`` ones, by id.

        ``after`` is the last id of the page before, ``reasons`` chooses among the failures (None: all).
        """
        values = {
            "scope": scope,
            "both": both,
            "split": SPLITS.index(split),
            "limit": -1 if limit is None else limit,
            "after": after,
            "size": size,
            "stands": "failed" if failed else "open",
        }
        among = ""
        if failed and reasons is not None:
            names = {f"reason{place}": reason for place, reason in enumerate(sorted(reasons))}
            among = f"AND i.reason IN ({', '.join(f':{name}' for name in names)})"
            values |= names
        # Bounded by ids and not by a LIMIT within, so that each page begins where the last one ended.
        sql = f"""SELECT s.pair_id, i.reason FROM states s {_KNOWN} WHERE {_IMPORTED} AND s.pair_id > :after
            AND s.pair_id <= :last AND {_STANDS} = :stands {among} ORDER BY s.pair_id LIMIT :size"""
        with self._store.read() as connection:
            last = "SELECT coalesce(max(s.pair_id), 0) FROM "
            values["last"] = 2**62
            if limit is not None:
                (values["last"],) = connection.execute(last + _OF_PLAN, values).fetchone()
            rows = connection.execute(sql, values).fetchall()
        return [(pair_id, reason if failed else None) for pair_id, reason in rows]

    def first(self, limit: int, split: Split = "train") -> list[int]:
        """The ids of the first ``limit`` triplets."""
        values = {"split": SPLITS.index(split), "limit": limit}
        with self._store.read() as connection:
            rows = connection.execute(f"SELECT pair_id FROM {_OF_PLAN}", values).fetchall()
        return [row[0] for row in rows]
