"""What the line at the top says about the open project; called in a thread."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from claif_tui.ui.widgets.chrome import TopState

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


def top_state(store: Store) -> TopState:
    """Read project, endpoint, money and the time of the last decision; a few indexed reads."""
    from claif_tui.core.recipes import Recipe, requests_id
    from claif_tui.ui.endpoints import endpoint_name
    from claif_tui.ui.recipe_files import read_recipe

    recipe = read_recipe(store, path=store.folder / "recipe.toml").recipe or Recipe()
    ledger = store.ledger.get(requests_id(recipe))
    return TopState(
        project=store.folder.name,
        endpoint=endpoint_name(recipe.profile, recipe.model),
        money=money_text(ledger.spent_nano, ledger.cap_nano, free=recipe.profile in ("offline", "local")),
        saved=saved_text(store.decisions.last_at()),
    )


def money_text(spent_nano: int, cap_nano: int | None, *, free: bool) -> str:
    """``$0.31 / $5.00``; nothing for a free endpoint that cost nothing."""
    from claif_tui.core.models import NANO

    if free and not spent_nano:
        return "free"
    spent = f"${spent_nano / NANO:,.2f}"
    return spent if cap_nano is None else f"{spent} / ${cap_nano / NANO:,.2f}"


def saved_text(at: str | None) -> str:
    """``saved 14:02:11`` in local time, with the day when that is not today."""
    if at is None:
        return ""
    try:
        when = datetime.fromisoformat(at).astimezone()
    except ValueError:
        return ""
    today = when.date() == datetime.now().astimezone().date()
    return f"saved {when:%H:%M:%S}" if today else f"saved {when:%d %b %H:%M}"
