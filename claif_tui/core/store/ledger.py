"""Money of each recipe: cap, spent, reserved. It moves only together with a call (see ``calls``)."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from claif_tui.core.models import Ledger

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


class LedgerRepo:
    """Table ``ledger``. Calls of no recipe are kept under None."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, recipe_id: str | None) -> Ledger:
        """How the recipe's money stands; all zero and no cap if nothing was ever reserved."""
        with self._store.read() as conn:
            row = conn.execute(
                "SELECT cap_nano, spent_nano, reserved_nano FROM ledger WHERE recipe_id = ?", (recipe_id or "",)
            ).fetchone()
        return Ledger() if row is None else Ledger(cap_nano=row[0], spent_nano=row[1], reserved_nano=row[2])

    def set_cap(self, recipe_id: str | None, cap_nano: int | None) -> None:
        """Set or lift (None) the cap that every later reservation of this recipe obeys, by whatever command."""
        self._store.write(
            lambda conn: conn.execute(
                "INSERT INTO ledger(recipe_id, cap_nano) VALUES (?, ?)"
                " ON CONFLICT(recipe_id) DO UPDATE SET cap_nano = excluded.cap_nano",
                (recipe_id or "", cap_nano),
            )
        )

    def spent(self) -> int:
        """What all recipes together have spent, in nano-dollars."""
        with self._store.read() as conn:
            return int(conn.execute("SELECT coalesce(sum(spent_nano), 0) FROM ledger").fetchone()[0])

    def reserved(self) -> int:
        """What open requests of all recipes together may still cost at most, in nano-dollars."""
        with self._store.read() as conn:
            return int(conn.execute("SELECT coalesce(sum(reserved_nano), 0) FROM ledger").fetchone()[0])


def reserve(conn: sqlite3.Connection, recipe_id: str | None, nano: int, cap_nano: int | None) -> bool:
    """Reserve ``nano`` unless that would pass ``cap_nano`` or the stored cap: then False and no change."""
    taken = conn.execute(
        "INSERT INTO ledger(recipe_id, reserved_nano) SELECT ?1, ?2 WHERE ?3 IS NULL OR ?2 <= ?3"
        " ON CONFLICT(recipe_id) DO UPDATE SET reserved_nano = reserved_nano + ?2"
        " WHERE (?3 IS NULL OR spent_nano + reserved_nano + ?2 <= ?3)"
        " AND (cap_nano IS NULL OR spent_nano + reserved_nano + ?2 <= cap_nano)",
        (recipe_id or "", nano, cap_nano),
    )
    return taken.rowcount == 1


def settle(conn: sqlite3.Connection, recipe_id: str | None, released_nano: int, spent_nano: int) -> None:
    """Give back a reservation and book what it cost."""
    conn.execute(
        "UPDATE ledger SET reserved_nano = reserved_nano - ?, spent_nano = spent_nano + ? WHERE recipe_id = ?",
        (released_nano, spent_nano, recipe_id or ""),
    )
