"""What the line at the top says about the open project; called in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claif_tui.ui.widgets.chrome import TopState

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


def top_state(store: Store) -> TopState:
    """Read project, endpoint, money and the time of the last decision."""
    return TopState(project=store.folder.name)
