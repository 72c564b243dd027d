"""Where each reviewer was in each queue, and the samples that were drawn, so that both survive a restart."""

from __future__ import annotations

import json
from array import array
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from claif_tui.core.models import PairQuery
from claif_tui.core.store.connection import now

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A queue, the pair that was in view (None: its start), and its ids if it is a sample."""

    query: PairQuery
    pair_id: int | None
    ids: array[int] | None


class PlacesRepo:
    """Table ``places``: one row for each author and query."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def last(self, author: str) -> Place | None:
        """The queue that the author was in last."""
        with self._store.read() as conn:
            row = conn.execute(
                "SELECT query, pair_id, ids FROM places WHERE author = ? ORDER BY at DESC LIMIT 1", (author,)
            ).fetchone()
        return None if row is None else _place(*row)

    def get(self, author: str, query: PairQuery) -> Place | None:
        """Where the author was in the queue of ``query``."""
        with self._store.read() as conn:
            row = conn.execute(
                "SELECT query, pair_id, ids FROM places WHERE author = ? AND query = ?", (author, _text(query))
            ).fetchone()
        return None if row is None else _place(*row)

    def put(self, author: str, query: PairQuery, pair_id: int | None, ids: array[int] | None = None) -> None:
        """Remember the pair in view, and ``ids`` as the sample that was drawn (kept if None)."""
        values = (author, _text(query), pair_id, None if ids is None else ids.tobytes(), now())
        self._store.write(
            lambda conn: conn.execute(
                "INSERT INTO places (author, query, pair_id, ids, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET pair_id = excluded.pair_id, ids = coalesce(excluded.ids, ids), at = excluded.at",
                values,
            )
        )


def _text(query: PairQuery) -> str:
    return json.dumps(asdict(query), sort_keys=True)


def _place(query: str, pair_id: int | None, ids: bytes | None) -> Place:
    fields = json.loads(query)
    sample = fields.pop("sample")
    return Place(
        query=PairQuery(**fields, sample=None if sample is None else (sample[0], sample[1])),
        pair_id=pair_id,
        ids=None if ids is None else array("q", ids),
    )
