"""SynCSE from nothing: the run that has sentences written, and both runs (sentences, then triplets) as one.

What is asked for sentences and how it is read is in ``systems.sentences``; the triplets are ``pipeline.Generation``.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from claif_tui.core.asking import Reply, Subject
from claif_tui.core.desk import Desk
from claif_tui.core.events import CallFailed, EndState, Event, Finished
from claif_tui.core.llm.base import Reason
from claif_tui.core.models import LINES, WRITTEN
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions, writes, written
from claif_tui.core.recipes import Recipe
from claif_tui.core.run import Run
from claif_tui.core.store.items import OccurrenceCounter
from claif_tui.core.store.store import Store
from claif_tui.core.systems.material import material_of
from claif_tui.core.systems.sentences import Sentences, Wish, read_sentences, wish

BARREN = 20
"""Requests in a row without a new sentence after which nothing more is to be expected."""
_ANSWERED: frozenset[Reason] = frozenset({"empty", "refused", "unparsed", "cut_off"})
"""Failures that are answers. Those on the way say nothing of what is still to be expected."""
_FAILED = "request failed: "
NOTE = "Rows are requests; line 2003 is the third line of the answer to request 3."


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request for sentences with its rank among equal ones."""

    wish: Wish
    occurrence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """What the source says after so many requests; ``sentences`` counts those that were there before too."""

    source_id: int | None = None
    requests: int = 0
    sentences: int = 0
    unique: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class Scratch(Run[_Asked]):
    """One run that asks for sentences until there are enough; they become the seeds of one source.

    Requests are numbered, and what they bring is kept in that order whatever the order of the answers: a run that was
    killed goes on with the same sentences. A sentence's line is ``LINES`` times its request, plus its line there.
    """

    def __init__(self, store: Store, recipe: Recipe, desk: Desk, limit: int | None = None) -> None:
        super().__init__(store, recipe, desk, "generate")
        self._limit = limit
        self._material = material_of(recipe)
        self._tally.unit = "sentences"
        self._read = read_sentences(recipe)
        self._landed: dict[int, tuple[_Asked, Reply[Sentences]]] = {}
        self._recording = asyncio.Lock()
        self._moved = asyncio.Event()
        self._yielded = 0
        self._barren = 0
        self._sums = _Sums()
        self._digest = ""

    def stop(self, state: EndState = "stopped", message: str = "") -> None:
        """As of every run; whoever waits for an answer to decide on the next request goes on."""
        super().stop(state, message)
        self._moved.set()

    def _args(self) -> dict[str, object]:
        return {"sentences": self._limit}

    def _count(self) -> None:
        found = written(self._store, self._recipe, self._limit)
        self._tally.planned, self._tally.answered = found.wanted, min(found.sentences, found.wanted)
        self._yielded, self._digest = found.requests, found.digest
        if (source := found.source) is not None:
            self._sums = _Sums(
                source_id=source.id,
                requests=source.rows,
                sentences=source.sentences,
                unique=source.unique,
                dropped=Counter(source.dropped),
            )
            last = self._store.seeds.last_line(source.id)
            since = last // LINES + 1 if source.unique else 0
            lost = sum(
                count
                for reason, count in self._store.sources.reasons(source.id, since * LINES).items()
                if reason.startswith(_FAILED) and reason.removeprefix(_FAILED) not in _ANSWERED
            )
            self._barren = source.rows - since - lost

    async def _items(self) -> AsyncIterator[_Asked]:
        """Yield requests while those on their way cannot bring enough: more would be paid for and not needed."""
        counter = OccurrenceCounter()
        try:
            await asyncio.to_thread(self._rank_earlier, counter)
            self._look()
            while self._end is None:
                self._moved.clear()
                coming = (self._yielded - self._sums.requests) * self._recipe.scratch_per_request
                if coming and self._sums.unique + coming >= self._tally.planned:
                    await self._moved.wait()
                    continue
                one = wish(self._recipe, self._material, self._yielded)
                self._yielded += 1
                yield _Asked(one, counter.ranks([one.ask.identity])[0])
        finally:
            counter.close()

    def _rank_earlier(self, counter: OccurrenceCounter) -> None:
        for index in range(self._yielded):
            counter.ranks([wish(self._recipe, self._material, index).ask.identity])

    async def _settle(self, item: _Asked) -> None:
        subject = Subject(seed_id=0, text=item.wish.title, title="sentences")
        reply = await self._asking.ask(item.wish.ask, subject, self._read, occurrence=item.occurrence)
        if reply.value is None:
            reason = reply.reason or "unparsed"
            self._end_if_hopeless(reason)
            self._tally.troubles[reason] += 1
            self._stream.put(
                CallFailed(
                    key=reply.key,
                    stage="generate",
                    seed_id=0,
                    title=subject.title,
                    rate=None,
                    reason=reason,
                    detail=reply.detail,
                    final=True,
                )
            )
        self._landed[item.wish.index] = (item, reply)
        await self._record()

    async def _record(self) -> None:
        """Keep what has landed, in the order of the requests, as far as there is no gap."""
        async with self._recording:
            while (landed := self._landed.pop(self._sums.requests, None)) is not None:
                before = self._sums
                item, reply = landed
                self._sums = await self._store.awrite(partial(self._keep, sums=before, item=item, reply=reply))
                if self._sums.unique > before.unique:
                    self._barren = 0
                elif reply.value is not None or reply.reason in _ANSWERED:
                    self._barren += 1
                self._tally.answered = min(self._sums.unique, self._tally.planned)
                self._look()
                self._moved.set()

    def _look(self) -> None:
        """End the run where there are enough sentences, or no more are to be expected."""
        unique, requests = self._sums.unique, self._sums.requests
        if unique >= self._tally.planned:
            self.stop("finished", f"{unique:,} sentences are written, in {requests:,} requests.")
        elif self._barren >= BARREN:
            self.stop(
                "stopped",
                f"{BARREN} requests in a row brought no new sentence: {unique:,} of {self._tally.planned:,} are there, "
                f"after {requests:,} requests. Raise the temperature, name more topics, or go on with fewer: "
                f"recipe set scratch.sentences={max(1, unique)}",
            )

    def _keep(
        self, connection: sqlite3.Connection, sums: _Sums, item: _Asked, reply: Reply[Sentences]
    ) -> _Sums:
        """Write one request's sentences and what was left out; return the sums after it (on the writer's thread)."""
        store, base = self._store, item.wish.index * LINES
        source_id = sums.source_id
        if source_id is None:
            source_id = store.sources.begin(
                connection,
                path=f"written by {self._recipe.model} for recipe {self._version}",
                role="seeds",
                format=WRITTEN,
                split="train",
                sha256=self._digest,
            )
        found = reply.value or Sentences(kept=(), dropped=())
        rows = [(text, base + line) for line, text in found.kept]
        result = store.seeds.add_new(connection, source_id, "train", rows)
        issues = [(base + line, reason, text) for line, reason, text in found.dropped]
        if reply.value is None:
            issues.append((base, f"{_FAILED}{reply.reason or 'unparsed'}", reply.detail))
        dropped = Counter(reason for _, reason, _ in issues)
        repeated = dropped.pop("duplicate", 0)
        for double in result.duplicates:
            request, line = divmod(double.first_line, LINES)
            own = double.first_source == source_id
            first = f"request {request + 1:,}, line {line}" if own else f"import {double.first_source}"
            issues.append((double.line, "duplicate", f"first in {first}"))
        after = _Sums(
            source_id=source_id,
            requests=sums.requests + 1,
            sentences=sums.sentences + len(rows) + repeated,
            unique=sums.unique + result.unique,
            dropped=sums.dropped + dropped,
        )
        store.sources.add_issues(connection, source_id, issues)
        store.sources.finish(
            connection,
            source_id,
            rows=after.requests,
            sentences=after.sentences,
            unique=after.unique,
            duplicates=after.sentences - after.unique,
            empty=0,
            dropped=after.dropped,
            notes=(NOTE,),
        )
        return after


class FromScratch:
    """Sentences, then triplets, steered as one run; the last event is the one ``Finished``."""

    def __init__(
        self, store: Store, recipe: Recipe, options: RunOptions, open_desk: Callable[[], Desk]
    ) -> None:
        self._store = store
        self._recipe = recipe
        self._options = options
        self._open_desk = open_desk
        self._now: Scratch | Generation | None = None
        self._paused = False
        self._stopped: tuple[EndState, str] | None = None

    def pause(self) -> None:
        """Start nothing new; what is in flight still lands."""
        self._paused = True
        if self._now is not None:
            self._now.pause()

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._paused = False
        if self._now is not None:
            self._now.resume()

    def stop(self, state: EndState = "stopped", message: str = "") -> None:
        """End once what is in flight has landed."""
        self._stopped = self._stopped or (state, message)
        if self._now is not None:
            self._now.stop(state, message)

    def abandon(self) -> None:
        """End now."""
        self._stopped = self._stopped or ("stopped", "")
        if self._now is not None:
            self._now.abandon()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Run both, yielding what happens; triplets follow only where the sentences came to their end."""
        store, recipe, options = self._store, self._recipe, self._options
        found = await asyncio.to_thread(written, store, recipe, options.limit)
        if found.missing:
            async with aclosing(
                self._take(Scratch(store, recipe, await asyncio.to_thread(self._open_desk), options.limit))
            ) as events:
                async for event in events:
                    done = isinstance(event, Finished) and event.state == "finished"
                    if not done:
                        yield event
            if not done:
                return
        async with aclosing(
            self._take(Generation(store, recipe, options, await asyncio.to_thread(self._open_desk)))
        ) as events:
            async for event in events:
                yield event

    def _take(self, run: Scratch | Generation) -> AsyncGenerator[Event, None]:
        """Steer ``run`` from now on, and as was wished already."""
        self._now = run
        if self._paused:
            run.pause()
        if self._stopped is not None:
            run.stop(*self._stopped)
        return run.events()


def run_of(
    store: Store, recipe: Recipe, options: RunOptions, open_desk: Callable[[], Desk]
) -> FromScratch | Generation:
    """Return the run that ``generate`` means for a recipe: with the sentences first where its system writes them."""
    if writes(recipe) and options.kind == "generate":
        return FromScratch(store, recipe, options, open_desk)
    return Generation(store, recipe, options, open_desk())
