"""The original sentences: unique within their split, in import order."""

from __future__ import annotations

import hashlib
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from claif_tui.core.models import WRITTEN, BatchResult, Duplicate, Seed, Split

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

Which = str | Literal[False] | None
"""Which seeds: those written under that digest (``Source.sha256``), none that a model wrote, or None: all."""

_COLUMNS = "id, text, split, source_id, line, count"


class SeedsRepo:
    """Table ``seeds``. Ids grow in import order, and every plan follows them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_batch(
        self, conn: sqlite3.Connection, source_id: int, split: Split, rows: Sequence[tuple[str, int]]
    ) -> BatchResult:
        """Add (text, line) rows inside ``Store.write``; a text that its split already has is counted there.

        Texts must have passed ``storable_text``. A duplicate names where the sentence stood first.
        """
        duplicates: list[Duplicate] = []
        for text, line in rows:
            first_source, first_line, count = conn.execute(
                "INSERT INTO seeds(hash, text, split, source_id, line) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT(split, hash) DO UPDATE SET count = count + 1"
                " RETURNING source_id, line, count",
                (hashlib.sha256(text.encode()).digest()[:16], text, split, source_id, line),
            ).fetchone()
            if count > 1:
                duplicates.append(Duplicate(line, first_line, first_source))
        return BatchResult(unique=len(rows) - len(duplicates), duplicates=tuple(duplicates))

    def add_new(
        self, conn: sqlite3.Connection, source_id: int, split: Split, rows: Sequence[tuple[str, int]]
    ) -> BatchResult:
        """As ``add_batch``, but a text that is there already is left alone: it was not in the user's data again."""
        duplicates: list[Duplicate] = []
        for text, line in rows:
            digest = hashlib.sha256(text.encode()).digest()[:16]
            known = conn.execute(
                "SELECT line, source_id FROM seeds WHERE split = ? AND hash = ?", (split, digest)
            ).fetchone()
            if known is not None:
                duplicates.append(Duplicate(line, *known))
                continue
            conn.execute(
                "INSERT INTO seeds(hash, text, split, source_id, line) VALUES (?, ?, ?, ?, ?)",
                (digest, text, split, source_id, line),
            )
        return BatchResult(unique=len(rows) - len(duplicates), duplicates=tuple(duplicates))

    def last_line(self, source_id: int) -> int:
        """The highest line of a source that gave a seed; 0 if none did."""
        with self._store.read() as conn:
            row = conn.execute(
                "SELECT coalesce(max(line), 0) FROM seeds WHERE source_id = ?", (source_id,)
            ).fetchone()
        return int(row[0])

    def count(self, split: Split | None = None) -> int:
        """How many distinct sentences."""
        with self._store.read() as conn:
            if split is None:
                row = conn.execute("SELECT count(*) FROM seeds").fetchone()
            else:
                row = conn.execute("SELECT count(*) FROM seeds WHERE split = ?", (split,)).fetchone()
        return int(row[0])

    def by_splits(self) -> dict[Split, int]:
        """How many distinct sentences in each split that has any."""
        with self._store.read() as conn:
            return dict(conn.execute("SELECT split, count(*) FROM seeds GROUP BY split").fetchall())

    def page(self, after_id: int = 0, limit: int = 200, split: Split | None = None) -> list[Seed]:
        """The next ``limit`` seeds behind ``after_id``, in id order."""
        where, bound = ("", ()) if split is None else (" AND split = ?", (split,))
        with self._store.read() as conn:
            rows = conn.execute(
                f"SELECT {_COLUMNS} FROM seeds WHERE id > ?{where} ORDER BY id LIMIT ?",
                (after_id, *bound, limit),
            ).fetchall()
        return [_seed(row) for row in rows]

    def iter(
        self,
        splits: Sequence[Split] = ("train",),
        limit: int | None = None,
        chunk: int = 1000,
        *,
        written: Which = None,
    ) -> Iterator[Seed]:
        """Seeds of these splits in id order, ``chunk`` in memory at a time; no view stays open in between."""
        after, left = 0, limit
        of, digest = _of(written)
        marks = ", ".join("?" * len(splits))
        while left is None or left > 0:
            size = chunk if left is None else min(chunk, left)
            with self._store.read() as conn:
                rows = conn.execute(
                    f"SELECT {_COLUMNS} FROM seeds WHERE id > ? AND split IN ({marks}){of} ORDER BY id LIMIT ?",
                    (after, *splits, *digest, size),
                ).fetchall()
            for row in rows:
                yield _seed(row)
            if len(rows) < size:
                return
            after = rows[-1][0]
            left = None if left is None else left - size

    def planned(
        self, split: Split = "train", limit: int | None = None, *, written: Which = None
    ) -> tuple[int, int, int]:
        """(distinct sentences, occurrences, last id) of a split's first ``limit`` seeds: what a plan covers."""
        of, digest = _of(written)
        with self._store.read() as conn:
            row = conn.execute(
                "SELECT count(*), coalesce(sum(count), 0), coalesce(max(id), 0) FROM"
                f" (SELECT id, count FROM seeds WHERE split = ?{of} ORDER BY id LIMIT ?)",
                (split, *digest, -1 if limit is None else limit),
            ).fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def get(self, seed_id: int) -> Seed | None:
        """One seed."""
        with self._store.read() as conn:
            row = conn.execute(f"SELECT {_COLUMNS} FROM seeds WHERE id = ?", (seed_id,)).fetchone()
        return None if row is None else _seed(row)

    def many(self, seed_ids: Sequence[int]) -> list[Seed]:
        """The seeds with these ids, in id order; unknown ids are left out."""
        found: list[Seed] = []
        with self._store.read() as conn:
            for start in range(0, len(seed_ids), 500):
                some = seed_ids[start : start + 500]
                marks = ", ".join("?" * len(some))
                rows = conn.execute(f"SELECT {_COLUMNS} FROM seeds WHERE id IN ({marks}) ORDER BY id", some)
                found += [_seed(row) for row in rows]
        return found

    def at(self, index: int, split: Split | None = None, *, written: Which = None) -> Seed | None:
        """The seed at place ``index`` (from 0) in id order; ``written`` as in ``iter``."""
        where, bound = (" WHERE 1", ()) if split is None else (" WHERE split = ?", (split,))
        of, digest = _of(written)
        with self._store.read() as conn:
            row = conn.execute(
                f"SELECT {_COLUMNS} FROM seeds"
                f" WHERE id = (SELECT id FROM seeds{where}{of} ORDER BY id LIMIT 1 OFFSET ?)",
                (*bound, *digest, index),
            ).fetchone()
        return None if row is None else _seed(row)

    def ids(self, split: Split | None = None) -> array[int]:
        """All ids in order, eight bytes each: what a list needs to know its length and jump anywhere."""
        where, bound = ("", ()) if split is None else (" WHERE split = ?", (split,))
        with self._store.read() as conn:
            return array(
                "q", (row[0] for row in conn.execute(f"SELECT id FROM seeds{where} ORDER BY id", bound))
            )

    def search(self, text: str, limit: int = 200) -> list[Seed]:
        """Seeds that contain ``text``, ignoring ASCII case, in id order."""
        pattern = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        with self._store.read() as conn:
            rows = conn.execute(
                f"SELECT {_COLUMNS} FROM seeds WHERE text LIKE ? ESCAPE '\\' ORDER BY id LIMIT ?",
                (f"%{pattern}%", limit),
            ).fetchall()
        return [_seed(row) for row in rows]


def _of(written: Which) -> tuple[str, tuple[str, ...]]:
    if written is None:
        return "", ()
    if written is False:
        return f" AND source_id NOT IN (SELECT id FROM sources WHERE format = '{WRITTEN}')", ()
    return f" AND source_id IN (SELECT id FROM sources WHERE format = '{WRITTEN}' AND sha256 = ?)", (written,)


def _seed(row: tuple[int, str, Split, int, int, int]) -> Seed:
    seed_id, text, split, source_id, line, count = row
    return Seed(id=seed_id, text=text, split=split, source_id=source_id, line=line, count=count)
