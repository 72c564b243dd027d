"""Everything one run needs to reach its endpoint: client, pace, budget and journal, opened and closed together."""

from __future__ import annotations

from dataclasses import asdict

from claif_tui.core.journal import Journal
from claif_tui.core.llm.base import LLMClient, Price
from claif_tui.core.llm.caller import Caller, CallerConfig
from claif_tui.core.llm.pace import Pace
from claif_tui.core.store.store import Store


class Desk:
    """One run's way to one endpoint. ``cap_nano`` is the recipe's budget in nano-dollars, None: no cap."""

    def __init__(
        self,
        store: Store,
        client: LLMClient,
        *,
        price: Price | None,
        cap_nano: int | None = None,
        pace: Pace | None = None,
        config: CallerConfig | None = None,
    ) -> None:
        self.client = client
        self.cap_nano = cap_nano
        self.journal = Journal(store, cap_nano)
        self.caller = Caller(
            client,
            ledger=self.journal,
            pace=pace or Pace(),
            price=price,
            cap_nano=cap_nano,
            config=config or CallerConfig(),
        )

    def terms(self) -> dict[str, object]:
        """Return what a run keeps of its money: the cap, and the price it counts with (None: unknown)."""
        price = self.caller.price
        return {"cap_nano": self.cap_nano, "price": None if price is None else asdict(price)}

    async def open(self) -> None:
        """Connect, or start the local model; raises ``EndpointError`` or ``MissingExtraError``."""
        await self.client.open()

    async def close(self) -> None:
        """Release the client; idempotent."""
        await self.client.close()
