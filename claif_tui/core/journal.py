"""The ledger of a run, kept in the project: every try is on disk before it is sent and again before it counts.

It joins ``llm.caller`` (which knows tries and money) to ``store.calls`` (which knows rows). No retries here.
"""

from __future__ import annotations

from dataclasses import replace

from claif_tui.core.llm.base import Request
from claif_tui.core.llm.budget import Settlement
from claif_tui.core.models import NewCall
from claif_tui.core.store.store import Store
from claif_tui.core.text import storable_text


class Journal:
    """Implements ``budget.Ledger`` over the store. A call is introduced with ``expect`` before it is called."""

    def __init__(self, store: Store, cap_nano: int | None) -> None:
        self._store = store
        self._cap = cap_nano
        self._expected: dict[str, NewCall] = {}
        self._lost: dict[str, Settlement] = {}

    def expect(self, call: NewCall) -> None:
        """Say what the request with ``call.key`` is about; forgotten by ``done``."""
        self._expected[call.key] = call

    async def done(self, key: str) -> None:
        """Forget a call. A lost try that no further try followed is booked as cancelled."""
        del self._expected[key]
        lost = self._lost.pop(key, None)
        if lost is not None:
            await self._fail(lost, "cancelled")

    async def reserve(self, request: Request, nano: int, tries: int) -> bool:
        """Put ``nano`` aside and note the try, in one transaction; see ``budget.Ledger``."""
        lost = self._lost.pop(request.key, None)
        if lost is None or lost.error is None:
            call = replace(self._expected[request.key], reserve_nano=nano)
            return await self._store.calls.reserve(call, self._cap)
        error = lost.error
        return await self._store.calls.retry(
            request.key,
            error.reason,
            _safe(error.detail),
            reserve_nano=nano,
            cap_nano=self._cap,
            raw=_safe(error.partial) or None,
            cost_nano=lost.cost_nano,
        )

    async def settle(self, settlement: Settlement) -> None:
        """Book how a try ended; see ``budget.Ledger``. A lost try stays reserved until the next one is."""
        if settlement.outcome == "retry":
            self._lost[settlement.request.key] = settlement
        elif settlement.answer is not None and settlement.outcome == "answered":
            answer = settlement.answer
            await self._store.calls.answer(
                settlement.request.key,
                raw=_safe(answer.text),
                reasoning=_safe(answer.reasoning),
                finish_reason=answer.finish_reason,
                model_returned=_safe(answer.model) if answer.model else None,
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
                latency_ms=settlement.latency_ms,
                cost_nano=settlement.cost_nano,
            )
        else:
            reason = settlement.error.reason if settlement.error else "cancelled"
            await self._fail(settlement, "cancelled" if settlement.outcome == "cancelled" else reason)

    async def _fail(self, settlement: Settlement, reason: str) -> None:
        error = settlement.error
        await self._store.calls.fail(
            settlement.request.key,
            reason,
            _safe(error.detail) if error else "",
            raw=_safe(error.partial) or None if error else None,
            reasoning=_safe(error.reasoning) if error else "",
            latency_ms=settlement.latency_ms,
            cost_nano=settlement.cost_nano,
        )


def _safe(text: str) -> str:
    return storable_text(text)[0]
