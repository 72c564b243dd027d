"""Endpoint profiles and prices as the screens need them; called in threads, knows no widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claif_tui.core.llm.base import Price


def price_of(profile: str, model: str) -> Price | None:
    """The price of a model behind a profile, None when it is unknown or there is none."""
    return None
