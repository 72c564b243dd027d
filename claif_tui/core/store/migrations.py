"""How a database is brought up to date, step by numbered step: never without a backup beside it.

The number of the last applied migration is the file's ``user_version``, so that an up-to-date project opens
without loading sqlite-utils.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from claif_tui.core.errors import StoreError
from claif_tui.core.store.connection import connect
from claif_tui.core.store.schema import STATEMENTS
from claif_tui.core.store.study_schema import STATEMENTS as STUDIES
from claif_tui.core.store.triplet_schema import STATEMENTS as TRIPLETS

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION_ID = 0x434C4149
"""Marks a SQLite file as ours ("CLAI")."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; ``apply`` runs inside a transaction that also records it."""

    name: str
    apply: Callable[[Database], None]


def _first(db: Database) -> None:
    for statement in STATEMENTS:
        db.execute(statement)


def _studies(db: Database) -> None:
    for statement in STUDIES:
        db.execute(statement)


def _triplets(db: Database) -> None:
    for statement in TRIPLETS:
        db.execute(statement)


MIGRATIONS: tuple[Migration, ...] = (
    Migration("0001-ground", _first),
    Migration("0002-studies", _studies),
    Migration("0003-triplets", _triplets),
)


def version(connection: sqlite3.Connection) -> int:
    """The schema version of an open database; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check(connection: sqlite3.Connection, path: Path, steps: Sequence[Migration] = MIGRATIONS) -> int:
    """Return the version of a database of ours; raises ``StoreError`` for a foreign or a newer one."""
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    found = version(connection)
    if mark != APPLICATION_ID or found == 0:
        raise StoreError(
            f"{path} is not a claif-tui project database",
            "It belongs to another program, or is empty. Choose another folder; it was not touched.",
        )
    if found > len(steps):
        raise StoreError(
            f"{path} was made by a newer claif-tui (schema {found}, this one knows up to {len(steps)})",
            "Upgrade claif-tui to open it; it was not touched.",
        )
    return found


def migrate(
    connection: sqlite3.Connection, path: Path, *, fresh: bool = False, steps: Sequence[Migration] = MIGRATIONS
) -> Path | None:
    """Apply what is missing, all or nothing, and return the backup made first (None if nothing was to do).

    The write lock is taken before the version is read, so that of two processes one migrates and the other
    finds it done. ``fresh`` builds a new file and needs no backup.
    """
    if not fresh and check(connection, path, steps) == len(steps):
        return None
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    connection.execute("BEGIN IMMEDIATE")
    try:
        backup = None
        if not fresh:
            found = check(connection, path, steps)
            if found == len(steps):
                connection.execute("ROLLBACK")
                return None
            backup = _backup(path, found)
        plan = Migrations("claif-tui")
        for step in steps:
            plan(name=step.name)(step.apply)
        plan.apply(Database(connection, execute_plugins=False, recursive_triggers=False))
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return backup


def backup_path(path: Path, found: int) -> Path:
    """Where the backup of version ``found`` made now goes."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return path.with_name(f"{path.name}.bak-v{found}-{stamp}")


def _backup(path: Path, found: int) -> Path:
    """Copy the database beside itself through SQLite's backup interface; an existing copy is never replaced."""
    target = backup_path(path, found)
    try:
        target.open("xb").close()
        with closing(connect(path, writer=False)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"No backup could be written to {target}: {error}",
            "The project was not changed. Free some space or make the folder writable, then open it again.",
        ) from error
    return target
