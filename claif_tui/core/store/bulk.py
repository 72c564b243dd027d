"""Loading many pairs at once: rows first, then the search index, then, all at once, their states and the indexes.

Until the states are there nobody sees the new pairs, so a load is all or nothing to everyone, although other processes
go on reading and writing between its transactions. A load that was cut off is taken back when the project is next
opened, or, if its pairs were visible already, its indexes are finished.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from claif_tui.core.models import NewPair
from claif_tui.core.store.codes import SCALES, code_of
from claif_tui.core.store.pair_schema import SEARCH, STATE_INDEXES, TALLY_TRIGGERS
from claif_tui.core.store.pairs import PairsRepo, pair_values
from claif_tui.core.store.process import is_alive, own_mark, this_host
from claif_tui.core.store.states import checked
from claif_tui.core.store.triplet_schema import FIRST_SECOND_TEXT, SECOND_TEXT

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

Progress = Callable[[str, int], None]
"""Called with the stage ("rows", "search", "indexes") and how many pairs it has behind it."""

SMALL = 20_000
"""Up to so many pairs go in like any other, in one transaction."""
CHUNK = 20_000
SEARCH_CHUNK = 50_000
REBUILD_SHARE = 0.25
"""If the new pairs are more than this share of the old ones, indexes are dropped and made again."""

_PAIR_INSERT = f"INSERT INTO pairs VALUES ({', '.join('?' * 24)})"
_SCORE_INSERT = """INSERT INTO scores (pair_id, n, score, raw, scale, reason, key, text, after)
    VALUES (?, 0, ?, ?, ?, ?, ?, ?, 0)"""
_STATES_INSERT = """INSERT INTO states (pair_id, status, score, rate, length, stale, flags, system, model, class, kind,
    source_id, split, edited, score_n, gold, triplet, negative)
    SELECT p.id, 0, c.score, p.rate, p.length, c.text IS NOT NULL, 0, p.system, p.model, p.class, p.kind,
    p.source_id, p.split, 0, c.n, p.gold, p.hard_negative IS NOT NULL, p.negative_score
    FROM pairs p LEFT JOIN scores c ON c.pair_id = p.id AND c.n = 0
    WHERE p.id BETWEEN ? AND ? AND p.source_id = ? ORDER BY p.id"""
_OURS = "id BETWEEN ? AND ? AND source_id = ?"


class BulkLoader:
    """Loads the pairs of one source. Bounded memory; call from a worker thread."""

    def __init__(self, store: Store, progress: Progress | None = None) -> None:
        self._store = store
        self._progress = progress or (lambda _stage, _done: None)
        self._codes: dict[tuple[str, str], int] = {}

    def load(self, source_id: int, rows: Iterable[NewPair]) -> int:
        """Store all ``rows`` as pairs of source ``source_id`` and return how many they were.

        If ``rows`` raises, none of them is kept; the source stays as it is. Texts must have passed ``storable_text``,
        scores lie in 0..1 (that of a hard negative is the pair's ``negative_score``), and no key of a call is given.
        """
        stream = iter(rows)
        head = list(islice(stream, SMALL + 1))
        if len(head) <= SMALL:
            self._store.write(lambda conn: [PairsRepo.add(conn, _owned(row, source_id)) for row in head])
            self._progress("rows", len(head))
            return len(head)
        self._store.write(lambda conn: _begin(conn, source_id))
        try:
            total = self._load_rows(source_id, chain(head, stream))
            self._index_texts(source_id)
        except BaseException:
            _take_back(self._store, source_id)
            raise
        self._store.write(lambda conn: _show(conn, source_id))
        finish(self._store, source_id, lambda done: self._progress("indexes", done))
        return total

    def _load_rows(self, source_id: int, stream: Iterator[NewPair]) -> int:
        total = 0
        created = round(time.time() * 1000)
        while chunk := list(islice(stream, CHUNK)):
            self._store.write(partial(self._put, source_id=source_id, chunk=chunk, created=created))
            total += len(chunk)
            self._progress("rows", total)
        return total

    def _put(self, conn: sqlite3.Connection, source_id: int, chunk: list[NewPair], created: int) -> None:
        (last,) = conn.execute("SELECT coalesce(max(id), 0) FROM pairs").fetchone()
        pairs, scores = [], []
        for pair_id, row in enumerate(chunk, last + 1):
            values = pair_values(row, self._code(conn, "system", row.system), self._model(conn, row), created)
            pairs.append((pair_id, *values[:3], source_id, *values[4:]))
            if row.score is not None:
                score = checked(row.score, row.generated, row.hard_negative)
                scale = None if score.scale is None else SCALES.index(score.scale)
                scores.append((pair_id, score.score, score.raw, scale, score.reason, score.key, score.text_b))
        conn.executemany(_PAIR_INSERT, pairs)
        conn.executemany(_SCORE_INSERT, scores)
        conn.execute(
            "UPDATE loads SET first_id = CASE first_id WHEN 0 THEN ? ELSE first_id END, last_id = ?"
            " WHERE source_id = ?",
            (last + 1, last + len(chunk), source_id),
        )

    def _model(self, conn: sqlite3.Connection, row: NewPair) -> int | None:
        return None if row.model is None else self._code(conn, "model", row.model)

    def _code(self, conn: sqlite3.Connection, kind: str, name: str) -> int:
        code = self._codes.get((kind, name))
        if code is None:
            code = self._codes[kind, name] = code_of(conn, kind, name)
        return code

    def _index_texts(self, source_id: int) -> None:
        first, last = self._store.write(lambda conn: _span(conn, source_id))
        done = 0
        for start in range(first, last + 1, SEARCH_CHUNK):
            end = min(last, start + SEARCH_CHUNK - 1)
            done += self._store.write(partial(_search, source_id=source_id, start=start, end=end))
            self._progress("search", done)


def _owned(row: NewPair, source_id: int) -> NewPair:
    if row.source_id == source_id:
        return row
    from dataclasses import replace

    return replace(row, source_id=source_id)


def _begin(conn: sqlite3.Connection, source_id: int) -> None:
    conn.execute(
        "INSERT INTO loads (source_id, first_id, last_id, searched_id, host, pid, mark) VALUES (?, 0, 0, 0, ?, ?, ?)",
        (source_id, this_host(), os.getpid(), own_mark()),
    )


def _span(conn: sqlite3.Connection, source_id: int) -> tuple[int, int]:
    row = conn.execute("SELECT first_id, last_id FROM loads WHERE source_id = ?", (source_id,)).fetchone()
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


def _search(conn: sqlite3.Connection, source_id: int, start: int, end: int) -> int:
    cursor = conn.execute(
        "INSERT INTO pairs_fts (rowid, text_a, text_b)"
        f" SELECT id, text_a, {FIRST_SECOND_TEXT} FROM pairs WHERE {_OURS}",
        (start, end, source_id),
    )
    conn.execute("UPDATE loads SET searched_id = ? WHERE source_id = ?", (end, source_id))
    return cursor.rowcount


def _show(conn: sqlite3.Connection, source_id: int) -> None:
    """Make the loaded pairs visible, all at once."""
    first, last = _span(conn, source_id)
    (old,) = conn.execute("SELECT count(*) FROM states").fetchone()
    if last - first + 1 > REBUILD_SHARE * old:
        for name in STATE_INDEXES:
            conn.execute(f"DROP INDEX IF EXISTS {name}")
    conn.execute("DROP TRIGGER states_added")
    added = conn.execute(_STATES_INSERT, (first, last, source_id)).rowcount
    conn.execute("UPDATE tallies SET n = n + ? WHERE status = 0", (added,))
    conn.execute(TALLY_TRIGGERS["states_added"])
    conn.execute("UPDATE loads SET shown = 1 WHERE source_id = ?", (source_id,))


def finish(store: Store, source_id: int, progress: Callable[[int], None] = lambda _: None) -> None:
    """Make the missing indexes, one transaction each, so that no other process waits long, and forget the load."""
    for done, statement in enumerate(STATE_INDEXES.values(), 1):
        store.write(partial(_execute, sql=statement.replace("INDEX", "INDEX IF NOT EXISTS", 1)))
        progress(done)
    store.write(lambda conn: _forget(conn, source_id))


def _execute(conn: sqlite3.Connection, sql: str) -> None:
    conn.execute(sql)


def _forget(conn: sqlite3.Connection, source_id: int) -> None:
    conn.execute("DELETE FROM loads WHERE source_id = ?", (source_id,))


def mend(store: Store) -> tuple[str, ...]:
    """Finish or take back loads whose process is gone; return what to tell the user. Cheap if there are none."""
    with store.read() as conn:
        rows = conn.execute("SELECT source_id, shown, host, pid, mark FROM loads").fetchall()
    notices = []
    for source_id, shown, host, pid, mark in rows:
        if host == this_host() and is_alive(pid, mark):
            continue
        if shown:
            finish(store, source_id)
            continue
        source = store.sources.get(source_id)
        taken = _take_back(store, source_id)
        store.write(partial(store.sources.discard, source_id=source_id))
        name = source.path if source is not None else f"source {source_id}"
        notices.append(
            f"The import of {name} was cut off; its {taken:,} pairs were taken back. Import it again."
        )
    return tuple(notices)


def _take_back(store: Store, source_id: int) -> int:
    """Remove what a load that nobody has seen left behind; return how many pairs that were."""
    removed = 0
    while True:
        count = store.write(partial(_remove, source_id=source_id))
        if not count:
            return removed
        removed += count


def _remove(conn: sqlite3.Connection, source_id: int) -> int:
    """Remove one chunk from the end, or the load itself when nothing is left; return how many pairs."""
    first, last = _span(conn, source_id)
    start = max(first, last - SEARCH_CHUNK + 1)
    if last == 0 or start > last:
        _forget(conn, source_id)
        return 0
    (searched,) = conn.execute("SELECT searched_id FROM loads WHERE source_id = ?", (source_id,)).fetchone()
    conn.execute(
        "INSERT INTO pairs_fts (pairs_fts, rowid, text_a, text_b)"
        f" SELECT 'delete', id, text_a, {FIRST_SECOND_TEXT} FROM pairs WHERE {_OURS}",
        (start, min(last, searched), source_id),
    )
    ours = (start, last, source_id)
    conn.execute(f"DELETE FROM scores WHERE pair_id IN (SELECT id FROM pairs WHERE {_OURS})", ours)
    count = conn.execute(f"DELETE FROM pairs WHERE {_OURS}", ours).rowcount
    conn.execute("UPDATE loads SET last_id = ? WHERE source_id = ?", (start - 1, source_id))
    return count or _remove(conn, source_id)


def rebuild_search(store: Store, progress: Progress | None = None) -> int:
    """Make the search index anew from the current texts, in one transaction; return how many pairs it has."""

    def work(conn: sqlite3.Connection) -> int:
        conn.execute("DROP TABLE pairs_fts")
        conn.execute(SEARCH)
        cursor = conn.execute(
            f"INSERT INTO pairs_fts (rowid, text_a, text_b) SELECT p.id, p.text_a, {SECOND_TEXT}"
            " FROM pairs p JOIN states s ON s.pair_id = p.id LEFT JOIN edits e ON e.pair_id = p.id"
        )
        return cursor.rowcount

    done = store.write(work)
    if progress is not None:
        progress("search", done)
    return done
