"""Versions of the recipe, each under the hash of its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claif_tui.core.store.connection import now

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


class RecipesRepo:
    """Table ``recipes``: never changed, only added to."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def save(self, recipe_id: str, json: str, author: str | None = None) -> None:
        """Keep a version; saving the same one again does nothing."""
        self._store.write(
            lambda conn: conn.execute(
                "INSERT OR IGNORE INTO recipes(id, json, created, author) VALUES (?, ?, ?, ?)",
                (recipe_id, json, now(), author or self._store.author),
            )
        )

    def get(self, recipe_id: str) -> str | None:
        """The version's JSON."""
        with self._store.read() as conn:
            row = conn.execute("SELECT json FROM recipes WHERE id = ?", (recipe_id,)).fetchone()
        return None if row is None else str(row[0])

    def list(self) -> list[tuple[str, str, str]]:
        """All versions as (id, created, json), oldest first."""
        with self._store.read() as conn:
            return conn.execute("SELECT id, created, json FROM recipes ORDER BY created, rowid").fetchall()
