"""Load the offline model while the user still looks at the first screen. It is asked nothing here."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store
    from claif_tui.ui.app import ClaifApp


async def warm(app: ClaifApp, store: Store) -> None:
    """Start the offline model's child if that is what the project's recipe asks."""
    from claif_tui.core.errors import ClaifError
    from claif_tui.core.llm import offline
    from claif_tui.core.session import load_recipe

    # What is wrong with the recipe is told by whatever needs it.
    with contextlib.suppress(ClaifError):
        recipe = await app.background(lambda: load_recipe(store.folder))
        if recipe.profile == "offline":
            await offline.prepare()


async def cool() -> None:
    """End the child that no run took."""
    from claif_tui.core.llm import offline

    await offline.discard()
