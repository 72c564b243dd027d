"""Asking one question exactly once: content address, stored answer, re-asks. No plan, no pairs, no pace.

Every command that spends money (runs, tries, rescores) goes through ``Asker``, so that an answer that is in the
store is never bought again and every request can be accounted for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from claif_tui.core.addressing import call_key, call_seed, messages_json, sampling_json
from claif_tui.core.desk import Desk
from claif_tui.core.errors import CallTakenError
from claif_tui.core.events import CallFailed, CallStarted, Event, TokenArrived
from claif_tui.core.llm.base import Delta, LLMError, Reason
from claif_tui.core.llm.caller import CallEvent, Sent
from claif_tui.core.models import Call, NewCall
from claif_tui.core.recipes import Recipe, requests_id
from claif_tui.core.store.store import Store
from claif_tui.core.systems import base
from claif_tui.core.systems.base import RawAnswer, Reader

T = TypeVar("T")

ELSEWHERE_SECONDS = 0.2
"""How often a question that another run is asking is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a question is about, for the journal and the screens. ``seed_id`` 0: no seed; ``title`` as in events."""

    seed_id: int
    text: str
    title: str = ""
    rate: float | None = None
    pair_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Generic[T]):
    """The end of a question: a value with the key it stands under, or the reason there is none."""

    key: str
    value: T | None
    reason: Reason | None = None
    detail: str = ""
    model: str | None = None


class Ended(Exception):
    """Raised out of ``ask`` when the run ends before the question is answered; nothing is recorded."""


async def together(questions: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what came of questions that are asked at once, in their order.

    When one of them raises, the others land first: what is in flight is paid for. Any error goes before ``Ended``.
    """
    if len(questions) == 1:
        return [await questions[0]]
    results = await asyncio.gather(*questions, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, Ended))
    return [result for result in results if not isinstance(result, BaseException)]


class Asker:
    """Asks questions of one recipe within one run. Safe for many concurrent ``ask`` calls on one event loop."""

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        desk: Desk,
        run_id: int,
        emit: Callable[[Event], None],
        *,
        scope: str | None = None,
    ) -> None:
        """``scope`` is the account that pays; None: the recipe's."""
        self._store = store
        self._recipe = recipe
        self._caller = desk.caller
        self._journal = desk.journal
        self._run_id = run_id
        self._emit = emit
        self._scope = scope or requests_id(recipe)
        self._running: dict[str, asyncio.Future[None]] = {}
        self._unsent: set[asyncio.Task[object]] = set()
        self._ending = False

    def end(self) -> None:
        """Send nothing more. Questions that wait for a turn or a retry end with ``Ended``; the rest lands."""
        self._ending = True
        for task in self._unsent:
            task.cancel()

    async def ask(
        self,
        ask: base.Ask,
        subject: Subject,
        read: Reader[T],
        *,
        occurrence: int = 0,
        reasks: int = 0,
        retry: bool = False,
        anew: bool = False,
        known: Call | None = None,
    ) -> Reply[T]:
        """Return the stored answer to ``ask``, or send it; ask up to ``reasks`` more times while unusable.

        A call that failed on the way is sent again: whoever asks has no outcome yet. ``retry`` asks once more where
        all stored answers are unusable, ``anew`` even where one is usable (a rescore). What another run is asking at
        this moment is waited for. ``known`` is the stored call of the first attempt where that has been looked up
        already. Raises ``Ended``.
        """
        attempt = 0
        while True:
            key = call_key(ask.identity, occurrence, attempt)
            while key in self._running:
                # An equal question is under way: its answer is ours too.
                await asyncio.wait([self._running[key]])
            call = known if attempt == 0 and known is not None else self._store.calls.get(key)
            fresh = call is None or call.state != "answered"
            if fresh:
                if self._ending:
                    raise Ended
                try:
                    raw, model = await self._send(ask, subject, key, occurrence, attempt)
                except CallTakenError:
                    known = None
                    await self._elsewhere(key)
                    continue
                except LLMError as error:
                    return Reply(key=key, value=None, reason=error.reason, detail=error.detail)
            else:
                assert call is not None
                raw, model = (
                    RawAnswer(text=call.raw or "", finish_reason=call.finish_reason),
                    call.model_returned,
                )
            reading = read(raw)
            if reading.reason is None and (fresh or not anew):
                return Reply(key=key, value=reading.value, model=model)
            if attempt >= reasks and (fresh or not (anew or retry)):
                return Reply(key=key, value=None, reason=reading.reason, detail=reading.detail, model=model)
            if fresh and reading.reason is not None:
                self._failed(ask, subject, key, reading.reason, reading.detail, final=False)
            attempt += 1

    async def _elsewhere(self, key: str) -> None:
        """Wait until the run that is asking this has its answer, has failed, or is dead."""
        calls = self._store.calls
        while (call := await asyncio.to_thread(calls.get, key)) is not None and call.state == "reserved":
            if self._ending:
                raise Ended
            if not await asyncio.to_thread(calls.recover):
                await asyncio.sleep(ELSEWHERE_SECONDS)

    async def _send(
        self, ask: base.Ask, subject: Subject, key: str, occurrence: int, attempt: int
    ) -> tuple[RawAnswer, str | None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running[key] = done
        recipe = self._recipe
        request = base.request(recipe, ask, key, call_seed(key))
        call = NewCall(
            key=key,
            stage=ask.stage,
            recipe_id=self._scope,
            run_id=self._run_id,
            seed_id=subject.seed_id,
            pair_id=subject.pair_id,
            rate=subject.rate,
            occurrence=occurrence,
            attempt=attempt,
            profile=recipe.profile,
            model=recipe.model,
            api=recipe.api,
            prompt=messages_json(ask.messages),
            params=sampling_json(ask.sampling),
            reserve_nano=0,
        )
        task: asyncio.Task[object] | None = asyncio.current_task()
        assert task is not None

        def on_event(event: CallEvent) -> None:
            if isinstance(event, Delta):
                self._emit(TokenArrived(key=key, text=event.text, reasoning=event.kind == "reasoning"))
            elif isinstance(event, Sent):
                self._unsent.discard(task)
                self._emit(
                    CallStarted(
                        key=key,
                        stage=ask.stage,
                        seed_id=subject.seed_id,
                        title=subject.title,
                        rate=subject.rate,
                        text=subject.text,
                        attempt=attempt,
                    )
                )
            else:
                self._unsent.add(task)
                self._failed(ask, subject, key, event.reason, event.detail, final=False)

        self._journal.expect(call)
        self._unsent.add(task)
        try:
            answer = await self._caller.call(request, on_event)
        except asyncio.CancelledError:
            if self._ending and task in self._unsent and task.uncancel() == 0:
                raise Ended from None
            raise
        finally:
            self._unsent.discard(task)
            await asyncio.shield(self._journal.done(key))
            del self._running[key]
            done.set_result(None)
        return RawAnswer(text=answer.text, finish_reason=answer.finish_reason), answer.model

    def _failed(
        self, ask: base.Ask, subject: Subject, key: str, reason: Reason, detail: str, *, final: bool
    ) -> None:
        self._emit(
            CallFailed(
                key=key,
                stage=ask.stage,
                seed_id=subject.seed_id,
                title=subject.title,
                rate=subject.rate,
                reason=reason,
                detail=detail,
                final=final,
            )
        )
