"""Where the endpoints of this project were, by profile name, so that later commands need no ``--base-url``.

Never how they are paid for: a key source from a project folder could send a key to a stranger's host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


class EndpointsRepo:
    """Table ``endpoints``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def remember(self, name: str, *, base_url: str, model: str, api: str) -> None:
        """Keep where the endpoint ``name`` is now."""
        self._store.write(
            lambda conn: conn.execute(
                "INSERT INTO endpoints(name, base_url, model, api) VALUES (?, ?, ?, ?) ON CONFLICT(name) DO UPDATE"
                " SET base_url = excluded.base_url, model = excluded.model, api = excluded.api",
                (name, base_url, model, api),
            )
        )

    def all(self) -> list[tuple[str, str, str, str]]:
        """(name, base URL, model, API form) of each."""
        with self._store.read() as conn:
            return conn.execute("SELECT name, base_url, model, api FROM endpoints ORDER BY name").fetchall()
