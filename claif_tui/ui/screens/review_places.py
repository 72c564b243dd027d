"""Coming back to where I was: which list, which pair. The store keeps it; nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store
    from claif_tui.ui.screens.review import ReviewScreen


async def begin(screen: ReviewScreen, store: Store) -> None:
    """Show the list and the pair where the author was."""
    screen.show_query(screen.query_shown)


def remember(screen: ReviewScreen) -> None:
    """Note where the cursor stands, soon."""
