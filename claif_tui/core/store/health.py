"""Whether a project's database is sound: SQLite's own check, for the doctor command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


def faults(store: Store, limit: int = 10) -> list[str]:
    """Return what SQLite finds wrong with the file, and rows that point nowhere; empty if all is well.

    Reads the whole file. Raises ``StoreError`` where it cannot be read at all.
    """
    with store.read() as conn:
        found = [str(row[0]) for row in conn.execute(f"PRAGMA quick_check({limit:d})")]
        lost = conn.execute("PRAGMA foreign_key_check").fetchmany(limit)
    problems = [] if found == ["ok"] else found
    return problems + [f"row {row[1]} of {row[0]} points to a missing row of {row[2]}" for row in lost]
