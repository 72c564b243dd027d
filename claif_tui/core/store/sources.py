"""What was imported from where, and what became of each row that did not make it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from claif_tui.core.models import WRITTEN, Source, Split
from claif_tui.core.store.connection import now

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

DETAIL_LIMIT = 200
INTERRUPTED = "the import was interrupted"


class SourcesRepo:
    """Table ``sources`` and its ``import_issues``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(
        self,
        conn: sqlite3.Connection,
        *,
        path: str,
        role: Literal["seeds", "pairs", "triplets", "gold"],
        format: str,  # noqa: A002 - the word of the command line and of Source
        split: Split,
        sha256: str,
        author: str | None = None,
    ) -> int:
        """Note that an import starts; returns its id. Until ``finish`` it counts as interrupted."""
        cursor = conn.execute(
            "INSERT INTO sources(path, role, format, split, sha256, created, author)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (path, role, format, split, sha256, now(), author or self._store.author),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def finish(
        self,
        conn: sqlite3.Connection,
        source_id: int,
        *,
        rows: int,
        sentences: int,
        unique: int,
        duplicates: int,
        empty: int,
        dropped: Mapping[str, int],
        notes: Sequence[str] = (),
    ) -> None:
        """Record what the whole import came to."""
        conn.execute(
            "UPDATE sources SET finished = 1, rows = ?, sentences = ?, uniq = ?, duplicates = ?, empty = ?,"
            " dropped = ?, notes = ? WHERE id = ?",
            (
                rows,
                sentences,
                unique,
                duplicates,
                empty,
                json.dumps(dict(dropped)),
                json.dumps(list(notes)),
                source_id,
            ),
        )

    def add_issues(
        self, conn: sqlite3.Connection, source_id: int, rows: Sequence[tuple[int, str, str]]
    ) -> None:
        """Keep (line, reason, detail) of rows that were dropped or merged; the detail is clipped."""
        conn.executemany(
            "INSERT INTO import_issues(source_id, line, reason, detail) VALUES (?, ?, ?, ?)",
            [(source_id, line, reason, detail[:DETAIL_LIMIT]) for line, reason, detail in rows],
        )

    def discard(self, conn: sqlite3.Connection, source_id: int) -> None:
        """Forget an import of which nothing was kept."""
        conn.execute("DELETE FROM import_issues WHERE source_id = ?", (source_id,))
        conn.execute("DELETE FROM sources WHERE id = ?", (source_id,))

    def list(self) -> list[Source]:
        """All imports, oldest first; an unfinished one carries a note that says so."""
        with self._store.read() as conn:
            rows = conn.execute(
                "SELECT id, path, role, format, split, sha256, created, author, rows, sentences, uniq,"
                " duplicates, empty, dropped, notes, finished FROM sources ORDER BY id"
            ).fetchall()
        return [_source(row) for row in rows]

    def get(self, source_id: int) -> Source | None:
        """One import."""
        return next((source for source in self.list() if source.id == source_id), None)

    def written(self, digest: str) -> Source | None:
        """The sentences that a model wrote under that digest (see ``SeedsRepo.iter``)."""
        return next((one for one in self.list() if one.format == WRITTEN and one.sha256 == digest), None)

    def reasons(self, source_id: int, line: int = 0) -> dict[str, int]:
        """How many rows from ``line`` on were dropped or merged, by reason."""
        with self._store.read() as conn:
            return dict(
                conn.execute(
                    "SELECT reason, count(*) FROM import_issues WHERE source_id = ? AND line >= ? GROUP BY reason",
                    (source_id, line),
                ).fetchall()
            )

    def issues(self, source_id: int, limit: int = 200, offset: int = 0) -> Sequence[tuple[int, str, str]]:
        """Rows of one import that were dropped or merged: (line, reason, detail), by line."""
        with self._store.read() as conn:
            return conn.execute(
                "SELECT line, reason, detail FROM import_issues WHERE source_id = ?"
                " ORDER BY line, id LIMIT ? OFFSET ?",
                (source_id, limit, offset),
            ).fetchall()


def _source(row: tuple[object, ...]) -> Source:
    *plain, dropped, notes, finished = row
    names = (
        *("id", "path", "role", "format", "split", "sha256", "created", "author"),
        *("rows", "sentences", "unique", "duplicates", "empty"),
    )
    said = tuple(json.loads(str(notes)))
    return Source(
        **dict(zip(names, plain, strict=True)),  # type: ignore[arg-type]
        dropped=json.loads(str(dropped)),
        notes=said if finished else (*said, INTERRUPTED),
    )
