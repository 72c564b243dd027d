"""What every run of requests shares: taking the project's one run, steering, workers, money, the way it ends.

What is asked, and what an answer means, is the business of ``pipeline.Generation`` and ``scoring.Scoring``.
"""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from claif_tui.core.asking import Asker, Ended, Reply, Subject
from claif_tui.core.desk import Desk
from claif_tui.core.errors import ClaifError
from claif_tui.core.events import (
    BudgetReached,
    CallFailed,
    EndState,
    Event,
    Finished,
    PairScored,
    Progress,
)
from claif_tui.core.llm.base import Reason
from claif_tui.core.models import NANO, RunKind, RunState, Stage
from claif_tui.core.progress import EventStream, Tally
from claif_tui.core.recipes import Recipe, recipe_id, requests_id, to_json
from claif_tui.core.run_words import closing_words, fatal_words
from claif_tui.core.scores import ParsedScore
from claif_tui.core.store.runs import Ask
from claif_tui.core.store.store import Store
from claif_tui.core.systems import claif
from claif_tui.core.systems.readers import read_score
from claif_tui.core.watching import watch

Item = TypeVar("Item")

_RUN_STATES: dict[EndState, RunState] = {
    "finished": "finished",
    "paused": "stopped",
    "stopped": "stopped",
    "budget": "stopped",
    "failed": "failed",
}


class Run(ABC, Generic[Item]):
    """One run. Read ``events()`` to its end; steer with ``pause``, ``resume``, ``stop``, ``abandon``.

    A subclass yields its items and settles them one by one; ``Ended`` out of ``settle`` leaves an item open.
    """

    def __init__(self, store: Store, recipe: Recipe, desk: Desk, kind: RunKind) -> None:
        self._store = store
        self._recipe = recipe
        self._desk = desk
        self._kind = kind
        self._scope = requests_id(recipe)
        self._version = recipe_id(recipe)
        self._stream = EventStream()
        self._tally = Tally()
        self._going = asyncio.Event()
        self._going.set()
        self._end: EndState | None = None
        self._message = ""
        self._working: asyncio.Task[None] | None = None
        self._asker: Asker | None = None
        self._run_id = 0

    @abstractmethod
    def _args(self) -> dict[str, object]:
        """Return what the store keeps of how the run was asked for."""

    @abstractmethod
    def _count(self) -> None:
        """Fill the tally with what is planned and settled already. Called in a thread; may read the store."""

    @abstractmethod
    def _items(self) -> AsyncIterator[Item]:
        """Yield what is to be settled, a bounded amount at a time."""

    @abstractmethod
    async def _settle(self, item: Item) -> None:
        """Bring one item to its outcome. Raises ``Ended`` when the run ends first."""

    # -- steering ------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Start nothing new; what is in flight still lands."""
        self._tally.paused = True
        self._going.clear()

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._tally.paused = False
        self._going.set()

    def stop(self, state: EndState = "stopped", message: str = "") -> None:
        """End the run once what is in flight has landed. The first reason given stays."""
        if self._end is None:
            self._end, self._message = state, message
        if self._asker is not None:
            self._asker.end()
        self.resume()

    def abandon(self) -> None:
        """End the run now: requests in flight are given up, and count at their worst case."""
        self.stop()
        if self._working is not None:
            self._working.cancel()

    # -- the stream ----------------------------------------------------------------------------------------

    async def events(self) -> AsyncIterator[Event]:
        """Run, yielding what happens; the last event is ``Finished``. Raises ``ClaifError`` if it cannot start.

        Closing the iterator early ends the run like ``abandon``.
        """
        await self._start()
        self._working = asyncio.create_task(self._work())
        try:
            async for event in self._stream.until(self._working, self._progress):
                yield event
            self.stop("finished" if self._working.exception() is None else "failed")
        finally:
            self.abandon()
            await asyncio.wait([self._working])
            finished = await self._finish()
        self._working.result()
        yield finished

    async def _start(self) -> None:
        """Take the project's one run and charge what a dead run left open."""
        store, recipe = self._store, self._recipe

        def take() -> int:
            store.recipes.save(self._version, to_json(recipe))
            args = {**self._args(), **self._desk.terms()}
            run = store.runs.start(self._kind, self._version, recipe.profile, recipe.model, args)
            store.calls.recover()
            store.ledger.set_cap(self._scope, self._desk.cap_nano)
            self._count()
            return run.id

        self._run_id = await asyncio.to_thread(take)
        self._asker = Asker(store, recipe, self._desk, self._run_id, self._emit, scope=self._scope)

    async def _finish(self) -> Finished:
        """Close the run in the store and say how it ended."""
        await self._desk.close()
        state = self._end or "finished"
        progress = self._progress()
        message = self._message or closing_words(state, progress)
        totals: dict[str, object] = {
            "planned": progress.planned,
            "answered": progress.answered,
            "failed": progress.failed,
            "calls": progress.calls,
            "troubles": progress.troubles,
        }
        await asyncio.to_thread(self._store.runs.set_state, self._run_id, _RUN_STATES[state], totals, message)
        return Finished(state=state, message=message, progress=progress)

    def _emit(self, event: Event) -> None:
        self._tally.note(event)
        self._stream.put(event)

    def _progress(self) -> Progress:
        ledger = self._store.ledger.get(self._scope)
        pace = self._desk.caller.pace
        return self._tally.progress(
            in_flight=pace.in_flight,
            limit=pace.limit,
            held_by_cap=self._desk.caller.held_by_cap,
            spent_nano=ledger.spent_nano,
            reserved_nano=ledger.reserved_nano,
            cap_nano=self._desk.cap_nano,
        )

    # -- the work ------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Settle items until there is nothing left or a reason to end."""
        watching = asyncio.create_task(watch(self._store.runs, self._run_id, self._obey))
        try:
            await self._desk.open()
            await self._run_workers()
        except* ClaifError as errors:
            error = _first(errors)
            self.stop("failed", f"{error.message}. {error.hint}".strip())
        finally:
            watching.cancel()

    def _obey(self, wish: Ask) -> RunState | None:
        """Do what another process asks of this run."""
        if wish == "stop":
            self.stop(message="stopped on request")
            return None
        (self.pause if wish == "pause" else self.resume)()
        return "paused" if wish == "pause" else "running"

    async def _run_workers(self) -> None:
        # More workers than requests in flight: while some wait for their commits, others keep the line busy.
        maximum = self._desk.caller.pace.maximum
        count = maximum + maximum // 2 + 2
        queue: asyncio.Queue[Item | None] = asyncio.Queue(maxsize=count)
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._worker(queue))
            async for item in self._items():
                await queue.put(item)
                if self._end is not None:
                    break
            for _ in range(count):
                await queue.put(None)

    async def _worker(self, queue: asyncio.Queue[Item | None]) -> None:
        while (item := await queue.get()) is not None:
            await self._going.wait()
            if self._end is not None:
                continue
            try:
                await self._settle(item)
            except Ended:
                # The run is ending: the item stays as it was, and a later run takes it up.
                continue

    @property
    def _asking(self) -> Asker:
        assert self._asker is not None
        return self._asker

    # -- scores and failures -------------------------------------------------------------------------------

    async def _ask_score(
        self, subject: Subject, text_a: str, text_b: str, *, retry: bool = False, anew: bool = False
    ) -> Reply[ParsedScore]:
        return await self._asking.ask(
            claif.score_ask(self._recipe, text_a, text_b),
            subject,
            read_score(self._recipe),
            reasks=self._recipe.reasks,
            retry=retry,
            anew=anew,
        )

    async def _keep_score(
        self,
        subject: Subject,
        reply: Reply[ParsedScore],
        texts: tuple[str, str],
        also: Callable[[sqlite3.Connection], None],
    ) -> None:
        """Write a pair's score, and what ``also`` writes, in one transaction; then count and tell it."""
        parsed, pair_id = reply.value, subject.pair_id
        assert parsed is not None and parsed.value is not None and pair_id is not None
        score = parsed.value

        def record(connection: sqlite3.Connection) -> None:
            self._store.pairs.put_score(
                connection,
                pair_id,
                score=score,
                raw=parsed.said,
                scale="0-1",
                reason=parsed.reason or None,
                key=reply.key,
                text=texts[1],
            )
            also(connection)

        await self._store.awrite(record)
        self._tally.answered += 1
        self._stream.put(
            PairScored(
                key=reply.key,
                pair_id=pair_id,
                seed_id=subject.seed_id,
                rate=subject.rate,
                text_a=texts[0],
                text_b=texts[1],
                score=score,
            )
        )

    def _end_if_hopeless(self, reason: Reason) -> None:
        """End the run, and raise ``Ended``, where every other request would fail alike."""
        fatal = self._desk.caller.fatal
        if fatal is not None:
            self.stop("failed", fatal_words(fatal))
            raise Ended
        if reason == "budget":
            self._budget_reached()
            raise Ended

    def _tell_failure(self, subject: Subject, key: str, stage: Stage, reason: Reason, detail: str) -> None:
        self._tally.failed[reason] += 1
        self._stream.put(
            CallFailed(
                key=key,
                stage=stage,
                seed_id=subject.seed_id,
                rate=subject.rate,
                reason=reason,
                detail=detail,
                final=True,
            )
        )

    def _budget_reached(self) -> None:
        if self._end is not None:
            return
        ledger = self._store.ledger.get(self._scope)
        cap = self._desk.cap_nano or 0
        self._stream.put(
            BudgetReached(spent_nano=ledger.spent_nano, reserved_nano=ledger.reserved_nano, cap_nano=cap)
        )
        self.stop(
            "budget",
            f"The budget of ${cap / NANO:.2f} is reached (${ledger.spent_nano / NANO:.4f} counted as spent). "
            "Raise it and start again to go on.",
        )


def _first(errors: BaseExceptionGroup[ClaifError]) -> ClaifError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ClaifError)
    return error
