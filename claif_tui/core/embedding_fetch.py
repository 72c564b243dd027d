"""Fetching the vectors of many texts from an embedding API: batches, splitting what is refused, money, stopping.

What is fetched is on disk before it counts. Which texts, where and for how much is settled in ``embeddings``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from claif_tui.core.errors import ClaifError
from claif_tui.core.events import EndState, Event, Finished, Progress
from claif_tui.core.llm.base import LLMError, Price, Reason, Request
from claif_tui.core.llm.budget import Settlement
from claif_tui.core.llm.caller import Caller, CallerConfig, CallEvent, Retrying, Sent
from claif_tui.core.llm.embedding_client import EmbeddingClient
from claif_tui.core.llm.embedding_wire import Embedded, embedding_request
from claif_tui.core.llm.pace import Pace
from claif_tui.core.models import NANO
from claif_tui.core.progress import EventStream, Tally
from claif_tui.core.run_words import fatal_words
from claif_tui.core.store.embeddings import Account, EmbeddingStore, text_key
from claif_tui.core.text import storable_text

BATCH = 64
"""Texts in one request. Some servers take fewer: then batches become smaller."""
BAD_IN_A_ROW = 16
"""So many unusable answers without a good one between mean that the server is no use."""
NAMED = 20
"""Texts that are refused alone are named up to this many."""
SPLIT: frozenset[Reason] = frozenset({"context_length", "bad_request", "refused", "cut_off", "bad_vectors"})
"""What may be the fault of one text, or of the number of texts."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A text that the endpoint gives no vector for, and why."""

    text: str
    reason: Reason
    detail: str


class EmbeddingLedger:
    """Implements ``budget.Ledger`` over the store: each try is booked on its own."""

    def __init__(self, store: EmbeddingStore, account: Account, *, priced: bool, anew: bool) -> None:
        self._store = store
        self._account = account
        self._priced = priced
        self._anew = anew

    async def reserve(self, request: Request, nano: int, tries: int) -> bool:
        """Put ``nano`` aside and note the try; see ``budget.Ledger``."""
        return await self._store.reserve(
            self._account.id,
            request.key,
            texts=len(request.messages),
            nano=nano,
            tries=tries,
            priced=self._priced,
        )

    async def settle(self, settlement: Settlement) -> None:
        """Book how a try ended, and keep the vectors it gave."""
        answer, request = settlement.answer, settlement.request
        if isinstance(answer, Embedded):
            keys = (text_key(text) for _, text in request.messages)
            anew, self._anew = self._anew, False  # the first answer comes before any other request is sent
            await self._store.answer(
                request.key,
                list(zip(keys, answer.vectors, strict=True)),
                model_returned=None if answer.model is None else storable_text(answer.model)[0],
                tokens=answer.prompt_tokens,
                cost_nano=settlement.cost_nano,
                anew=anew,
            )
            return
        error = settlement.error
        reason = error.reason if error is not None else "cancelled"
        detail = storable_text(error.detail)[0] if error is not None else ""
        await self._store.fail(request.key, reason, detail, cost_nano=settlement.cost_nano)


class Fetch:
    """One run. Read ``events()`` to its end; ``stop`` lets what is in flight land.

    The first batch goes alone: it shows whether there is a use in sending more.
    """

    def __init__(
        self,
        store: EmbeddingStore,
        account: Account,
        texts: Sequence[str],
        client: EmbeddingClient,
        *,
        price: Price | None,
        cap_nano: int | None,
        pace: Pace,
        anew: bool = False,
        config: CallerConfig | None = None,
    ) -> None:
        """``texts`` are those without a vector, each once and none empty."""
        self.refusals: list[Refusal] = []
        self._store, self._account, self._client = store, account, client
        self._cap, self._anew = cap_nano, anew
        self._open: deque[str] = deque(texts)
        self._size = BATCH
        self._tally = Tally(planned=len(texts))
        self._stream = EventStream()
        self._caller = Caller(
            client,
            ledger=EmbeddingLedger(store, account, priced=price is not None, anew=anew),
            pace=pace,
            price=price,
            cap_nano=cap_nano,
            config=config,
        )
        self._pace = pace
        self._model: str | None = None
        self._bad = 0
        self._end: EndState | None = None
        self._message = ""
        self._working: asyncio.Task[None] | None = None
        self._unsent: set[asyncio.Task[object]] = set()
        self._let_go: set[asyncio.Task[object]] = set()

    def stop(self, state: EndState = "stopped", message: str = "") -> None:
        """End once what is in flight has landed; what waits for its turn is not sent. The first reason stays."""
        if self._end is None:
            self._end, self._message = state, message
        for task in self._unsent - self._let_go:
            self._let_go.add(task)
            task.cancel()

    async def events(self) -> AsyncIterator[Event]:
        """Run, yielding ``Progress``; the last event is ``Finished``. Raises ``ClaifError`` if it cannot start.

        Closing the iterator early gives up what is in flight, which then counts at its worst case.
        """
        await asyncio.to_thread(self._begin)
        self._working = asyncio.create_task(self._work())
        try:
            async for event in self._stream.until(self._working, self._progress):
                yield event
            self.stop("finished" if self._working.exception() is None else "failed")
        finally:
            self.stop()
            self._working.cancel()
            await asyncio.wait([self._working])
            await self._client.close()
            await asyncio.to_thread(self._store.end, self._account.id)
        self._working.result()
        progress = self._progress()
        yield Finished(
            state=self._end or "finished", message=self._message or _closing(progress), progress=progress
        )

    def _begin(self) -> None:
        """Take the account; what another process has fetched meanwhile is not asked for again."""
        lost = self._store.begin(self._account.id, self._cap)
        self._tally.troubles["interrupted"] += lost
        have = set() if self._anew else self._store.keys(self._account.id)
        self._open = deque(text for text in self._open if text_key(text) not in have)
        self._tally.answered += self._tally.planned - len(self._open)

    def _progress(self) -> Progress:
        money = self._store.money(self._account.id)
        return self._tally.progress(
            in_flight=self._pace.in_flight,
            limit=self._pace.limit,
            held_by_cap=self._caller.held_by_cap,
            spent_nano=money.spent_nano,
            reserved_nano=money.reserved_nano,
            cap_nano=self._cap,
        )

    async def _work(self) -> None:
        if not self._anew:
            account = await asyncio.to_thread(self._store.money, self._account.id)
            self._client.dimension = account.dimension
            self._model = await asyncio.to_thread(self._store.answered_as, self._account.id)
        try:
            await self._client.open()
            while self._end is None and (batch := self._take()):
                if await self._settle(batch):
                    break
            async with asyncio.TaskGroup() as group:
                # More workers than requests in flight: while some wait for their commits, others keep the line busy.
                for _ in range(self._pace.maximum + 2):
                    group.create_task(self._worker())
        except* ClaifError as errors:
            error = _first(errors)
            self.stop("failed", f"{error.message}. {error.hint}".strip())

    async def _worker(self) -> None:
        while self._end is None and (batch := self._take()):
            await self._settle(batch)

    def _take(self) -> list[str]:
        return [self._open.popleft() for _ in range(min(self._size, len(self._open)))]

    async def _settle(self, texts: list[str]) -> bool:
        """Bring a batch to its outcome; whether all of it has vectors now. What the end leaves open stays open."""
        try:
            answer = await self._call(texts)
        except LLMError as error:
            return await self._failed(texts, error)
        except _EndedError:
            return False
        self._bad = 0
        self._tally.answered += len(texts)
        returned = answer.model or self._account.model
        if self._model is not None and self._model != returned:
            self.stop("failed", _two_models(self._model, returned))
        self._model = returned
        return True

    async def _call(self, texts: list[str]) -> Embedded:
        task: asyncio.Task[object] | None = asyncio.current_task()
        assert task is not None

        def on_event(event: CallEvent) -> None:
            if isinstance(event, Sent):
                self._tally.calls += 1
                self._unsent.discard(task)
            elif isinstance(event, Retrying):
                self._tally.troubles[event.reason] += 1
                self._unsent.add(task)

        request = embedding_request(secrets.token_hex(12), self._account.model, texts)
        self._unsent.add(task)
        try:
            answer = await self._caller.call(request, on_event)
        except asyncio.CancelledError:
            if task in self._let_go and task.uncancel() == 0:
                raise _EndedError from None
            raise
        finally:
            self._unsent.discard(task)
            self._let_go.discard(task)
        assert isinstance(answer, Embedded)
        return answer

    async def _failed(self, texts: list[str], error: LLMError) -> bool:
        if error.reason == "bad_vectors":
            self._bad += 1
            if self._bad >= BAD_IN_A_ROW:
                self.stop("failed", fatal_words(error))
        if self._caller.fatal is not None:
            self.stop("failed", fatal_words(self._caller.fatal))
        elif error.reason == "budget":
            self.stop("budget", self._budget_words())
        elif error.reason in SPLIT and len(texts) > 1:
            return await self._halved(texts, error.reason)
        else:
            self._tally.failed[error.reason] += len(texts)
            if error.reason in SPLIT and len(self.refusals) < NAMED:
                self.refusals.append(Refusal(texts[0], error.reason, error.detail))
        return False

    async def _halved(self, texts: list[str], reason: Reason) -> bool:
        """Ask for the halves: one of them holds what is refused, or both are accepted and batches were too big."""
        middle = len(texts) // 2
        self._tally.troubles[reason] += 1
        accepted = True
        for half in (texts[:middle], texts[middle:]):
            if self._end is not None:
                return False
            accepted = await self._settle(half) and accepted
        if accepted and reason != "bad_vectors":
            self._size = min(self._size, len(texts) - middle)
        return accepted

    def _budget_words(self) -> str:
        spent = self._store.money(self._account.id).spent_nano
        return (
            f"The budget of ${(self._cap or 0) / NANO:.4g} for this model is reached (${spent / NANO:.4g} counted as "
            "spent). Raise it with --budget and start again to go on."
        )


class _EndedError(Exception):
    """The run ends before the batch was sent."""


def _closing(progress: Progress) -> str:
    failed = sum(progress.failed.values())
    if not failed and not progress.open:
        return f"All {progress.planned:,} sentences that were missing are there."
    rest = f"{failed:,} failed" if failed else f"{progress.open:,} are still to come"
    return (
        f"{progress.answered:,} of {progress.planned:,} sentences fetched, {rest}. "
        "Start again to go on; nothing that is there is asked again."
    )


def _two_models(first: str, second: str) -> str:
    return (
        f"The endpoint answers as {first} and as {second}: vectors of two models do not compare. "
        "Start again with --anew once it is one model, to ask for all of them again."
    )


def _first(errors: BaseExceptionGroup[ClaifError]) -> ClaifError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ClaifError)
    return error
