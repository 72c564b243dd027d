"""What every run of requests shares: taking the project's one run, steering, workers, money, the way it ends.

What is asked, and what an answer means, is the business of ``pipeline.Generation`` and ``scoring.Scoring``.
"""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from claif_tui.core.asking import Asker, Ended, Reply, Subject, together
from claif_tui.core.desk import Desk
from claif_tui.core.errors import ClaifError
from claif_tui.core.events import (
    AnswerLanded,
    BudgetReached,
    CallFailed,
    EndState,
    Event,
    Finished,
    PairScored,
    Progress,
)
from claif_tui.core.llm.base import Reason
from claif_tui.core.masking import rate_text
from claif_tui.core.models import NANO, AnswerClass, Pair, RunKind, RunState, Stage
from claif_tui.core.progress import EventStream, Tally
from claif_tui.core.recipes import Recipe, recipe_id, requests_id, to_json
from claif_tui.core.run_words import closing_words, fatal_words
from claif_tui.core.scores import ParsedScore
from claif_tui.core.store.runs import Ask
from claif_tui.core.store.store import Store
from claif_tui.core.systems import base
from claif_tui.core.systems.registry import system_of
from claif_tui.core.watching import watch

Item = TypeVar("Item")
Texts = tuple[str, str, str | None]
"""Anchor, second sentence (a triplet's positive), hard negative."""

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
        self._system = system_of(recipe)
        self._desk = desk
        self._kind = kind
        self._scope = requests_id(recipe)
        self._version = recipe_id(recipe)
        self._stream = EventStream()
        self._tally = Tally(unit=self._system.makes)
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

    async def events(self) -> AsyncGenerator[Event, None]:
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

    async def _ask_scores(
        self, subject: Subject, texts: Texts, *, retry: bool = False, anew: bool = False
    ) -> list[Reply[ParsedScore]]:
        """Ask all that the system asks about a pair or triplet at once: the positive's score, then the negative's."""
        asks = self._system.score_asks(self._recipe, *texts)
        return await together(
            [
                self._ask_score(subject, texts, part, ask, several=len(asks) > 1, retry=retry, anew=anew)
                for part, ask in enumerate(asks)
            ]
        )

    async def _ask_score(
        self,
        subject: Subject,
        texts: Texts,
        part: int,
        ask: base.Ask,
        *,
        several: bool,
        retry: bool,
        anew: bool,
    ) -> Reply[ParsedScore]:
        reply = await self._asking.ask(
            ask,
            replace(subject, text=f"{texts[0]} ⟷ {texts[1 + part]}"),
            self._system.read_score(self._recipe),
            reasks=self._recipe.reasks,
            retry=retry,
            anew=anew,
        )
        if several:
            said = reply.value.said if reply.value is not None else reply.detail
            self._stream.put(AnswerLanded(key=reply.key, text=said or ""))
        return reply

    async def _keep_scores(
        self,
        subject: Subject,
        replies: Sequence[Reply[ParsedScore]],
        texts: Texts,
        also: Callable[[sqlite3.Connection], None],
        *,
        plan: base.PlanItem | None = None,
    ) -> None:
        """Write a pair's scores, and what ``also`` writes, in one transaction; then count and tell it.

        Where ``plan`` fixes a label, that is the score, and the model's decides how the pair is classed.
        """
        pair_id = subject.pair_id
        assert pair_id is not None
        (parsed, score), *others = map(_read, replies)
        label = None if plan is None else plan.label
        reason = parsed.reason or None
        verdict = None
        if plan is not None and label is not None:
            verdict = self._system.verdict(self._recipe, plan, score)
            fits = "fits" if verdict == "ok" else "does not fit"
            reason = f"made with label {label:g}; the check says {score:.2f}, which {fits}"
        kept = score if label is None else label
        negative = others[0] if others else None

        def record(connection: sqlite3.Connection) -> None:
            self._store.pairs.put_score(
                connection,
                pair_id,
                score=kept,
                raw=parsed.said,
                scale=self._system.scale(self._recipe),
                reason=reason,
                key=replies[0].key,
                text=texts[1],
                negative=None if negative is None else negative[1],
                negative_raw=None if negative is None else negative[0].said,
                negative_key=None if negative is None else replies[1].key,
                negative_text=None if negative is None else texts[2],
            )
            if verdict is not None:
                self._store.pairs.put_class(connection, pair_id, verdict)
            also(connection)

        await self._store.awrite(record)
        self._tally.answered += 1
        told = None if negative is None else negative[1]
        self._tell_score(subject, replies[0].key, texts, kept, told, verdict or "ok")

    def _tell_score(
        self,
        subject: Subject,
        key: str,
        texts: Texts,
        score: float,
        negative: float | None = None,
        verdict: AnswerClass = "ok",
    ) -> None:
        assert subject.pair_id is not None
        self._stream.put(
            PairScored(
                key=key,
                pair_id=subject.pair_id,
                seed_id=subject.seed_id,
                title=subject.title,
                rate=subject.rate,
                text_a=texts[0],
                text_b=texts[1],
                score=score,
                hard_negative=texts[2],
                negative_score=negative,
                answer_class=verdict,
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
                title=subject.title,
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


def about(pair: Pair) -> tuple[Subject, Texts]:
    """Return a pair that is there already as what is asked about."""
    title = rate_text(pair.rate) if pair.rate is not None else "triplet" if pair.hard_negative else ""
    subject = Subject(
        seed_id=pair.seed_id or 0,
        text=f"{pair.text_a} ⟷ {pair.text_b}",
        title=title,
        rate=pair.rate,
        pair_id=pair.id,
    )
    return subject, (pair.text_a, pair.text_b, pair.hard_negative)


def side(part: int, of: int) -> str:
    """Return how a remark begins on one of ``of`` answers: which side of a triplet it is about."""
    if of < 2:
        return ""
    return "hard negative: " if part else "positive: "


def unscored(replies: Sequence[Reply[ParsedScore]]) -> tuple[int, Reply[ParsedScore]] | None:
    """Return the first question that has no score: its place and what came; None if all have one."""
    for part, reply in enumerate(replies):
        if reply.value is None or reply.value.value is None:
            return part, reply
    return None


def _read(reply: Reply[ParsedScore]) -> tuple[ParsedScore, float]:
    assert reply.value is not None and reply.value.value is not None
    return reply.value, reply.value.value


def _first(errors: BaseExceptionGroup[ClaifError]) -> ClaifError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ClaifError)
    return error
