"""How a connection to the project's database is opened, and how SQLite's errors become words.

No tables here: the schema is in ``migrations``, the rows are in the repositories.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from claif_tui.core.errors import BusyError, StoreError

BUSY_MS = 5000
"""How long a connection waits for another process's lock before it gives up."""

WRITER_CACHE_KIB = 65_536
READER_CACHE_KIB = 16_384
WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""The write-ahead log is cut back to this after a checkpoint: one bulk import must not leave it huge."""

_LOCKED = "another process holds a lock on it and did not let go for {seconds:g} s"
_CAUSES: dict[str, tuple[type[StoreError], str, str]] = {
    "SQLITE_FULL": (
        StoreError,
        "the disk is full",
        "Free some space and go on; what was saved before is safe.",
    ),
    "SQLITE_READONLY": (StoreError, "it is read-only", "Make the folder and its files writable for you."),
    "SQLITE_PERM": (StoreError, "permission denied", "Make the folder and its files writable for you."),
    "SQLITE_BUSY": (BusyError, _LOCKED, "Close the other program, then try again."),
    "SQLITE_LOCKED": (BusyError, _LOCKED, "Close the other program, then try again."),
    "SQLITE_CORRUPT": (
        StoreError,
        "the file is damaged",
        "Keep a copy, then restore a backup (claif.db.bak-*) or run: sqlite3 claif.db .recover",
    ),
    "SQLITE_NOTADB": (
        StoreError,
        "the file is not a SQLite database, or its first page is damaged",
        "Restore a backup (claif.db.bak-*), or choose another folder.",
    ),
    "SQLITE_IOERR": (
        StoreError,
        "the disk could not be read or written",
        "Check free space, quota and the disk, then try again.",
    ),
    "SQLITE_CANTOPEN": (
        StoreError,
        "it cannot be opened",
        "Check that the folder exists and that you may read and write in it.",
    ),
    "SQLITE_TOOBIG": (StoreError, "one value is larger than a database cell may be", "Leave that text out."),
    "SQLITE_NOMEM": (StoreError, "memory is exhausted", "Close other programs, then try again."),
}


class Connection(sqlite3.Connection):
    """A connection that can be referenced weakly, so that those of finished threads do not pile up."""


def connect(path: Path, *, writer: bool, wal: bool = True) -> sqlite3.Connection:
    """Open ``path`` (which must exist) with the project's settings; raises sqlite3.Error.

    A writer commits with ``synchronous=FULL``; a reader cannot write. ``wal`` False means a rollback journal.
    """
    uri = f"{path.resolve().as_uri()}?mode=rw"
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=BUSY_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=Connection,
    )
    try:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        if writer:
            _set_journal(connection, wal)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA cache_size=-{WRITER_CACHE_KIB}")
        else:
            connection.execute(f"PRAGMA cache_size=-{READER_CACHE_KIB}")
            connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _set_journal(connection: sqlite3.Connection, wal: bool) -> None:
    """Bring the file to the wanted journal mode; to leave WAL nobody else may have the file open."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    wanted = "wal" if wal else "delete"
    if mode != wanted:
        (mode,) = connection.execute(f"PRAGMA journal_mode={wanted}").fetchone()
    if not wal and mode == "wal":
        raise BusyError(
            "The project is open in another process, and on a network filesystem that is not safe",
            "Close the other process, then try again.",
        )
    connection.execute(f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}")


def explain(error: sqlite3.Error, path: Path, doing: str = "use") -> StoreError | None:
    """Return the user's words for ``error``; None for a programmer's mistake (bad SQL, a broken rule)."""
    name = getattr(error, "sqlite_errorname", None) or ""
    primary = "_".join(name.split("_")[:2])
    if primary not in _CAUSES:
        return None
    kind, cause, hint = _CAUSES[primary]
    cause = cause.format(seconds=BUSY_MS / 1000)
    if primary == "SQLITE_IOERR":
        cause = f"{cause} ({name}; a full disk or quota shows like this too)"
    return kind(f"Cannot {doing} {path}: {cause}", hint)


@contextmanager
def explained(path: Path, doing: str = "use") -> Iterator[None]:
    """Turn SQLite's environment errors into ``StoreError``; let programmer errors through."""
    try:
        yield
    except sqlite3.Error as error:
        told = explain(error, path, doing)
        if told is None:
            raise
        raise told from error


def now() -> str:
    """The current time as ISO 8601 in UTC with milliseconds, which sorts as text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
