"""A random sample as a queue: which pairs, how far, what the keep rate is and how well it is known."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claif_tui.core.models import PairQuery
from claif_tui.ui import safe

if TYPE_CHECKING:
    from textual.content import Content

    from claif_tui.core.store.store import Store
    from claif_tui.ui.screens.review import ReviewScreen


@dataclass(slots=True)
class Sample:
    """A drawn sample and how far its review is; ``margin`` is the half width at which the rule says stop."""

    query: PairQuery
    ids: array[int]
    margin: float
    next_id: int | None = None

    @classmethod
    def draw(cls, store: Store, query: PairQuery, seed: int, size: int, margin: float) -> Sample:
        """Draw."""
        raise NotImplementedError

    async def count(self, screen: ReviewScreen) -> None:
        """Read the figures again."""

    def title(self) -> str:
        """Name the sample."""
        return ""

    def line(self) -> Content:
        """Say how far it is."""
        return safe.line("")
