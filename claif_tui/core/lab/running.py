"""Running a lab: every open question of its cells through the pipeline's own request path, under one cap.

One run of the store for each model, one after the other; within it rows come one by one, each in every cell, so that
a lab that stops early has rows that can be compared. What the answers mean is in ``figures``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from claif_tui.core.answers import CleanAnswer
from claif_tui.core.asking import Subject
from claif_tui.core.desk import Desk
from claif_tui.core.estimate import SAMPLE
from claif_tui.core.events import EndState, Event, Finished, Progress
from claif_tui.core.lab.models import Asked, Cell, GoldRow, Lab, Made, Station
from claif_tui.core.lab.outcomes import (
    Question,
    is_due,
    made_pairs,
    made_questions,
    score_question,
    scored_rows,
)
from claif_tui.core.llm import budget
from claif_tui.core.llm.base import Reason, Request
from claif_tui.core.llm.caller import CallerConfig
from claif_tui.core.models import Stage
from claif_tui.core.run import Run
from claif_tui.core.scores import ParsedScore
from claif_tui.core.session import open_desk
from claif_tui.core.store.store import Store
from claif_tui.core.systems import base
from claif_tui.core.systems.registry import system_of


@dataclass(frozen=True, slots=True)
class _Item:
    """One row in one cell: a gold pair to score, or a seed at a rate to make a pair of."""

    cell: Cell
    row: GoldRow | None = None
    plan: base.PlanItem | None = None
    question: Question[CleanAnswer] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a lab would still ask. Dollars (low, high) are None when a price is unknown; ``worst_usd`` bounds them.

    ``planned`` questions in all, of which ``open`` have no outcome yet; ``calls`` are sent for these, re-asks aside.
    """

    planned: int
    open: int
    calls: int
    tokens: tuple[int, int]
    usd: tuple[float, float] | None
    worst_usd: float | None


class Laboratory:
    """One pass over a lab. Read ``events()`` to its end; steer with ``pause``, ``resume``, ``stop``, as any run."""

    def __init__(self, store: Store, lab: Lab, *, config: CallerConfig | None = None) -> None:
        self._store, self._lab, self._config = store, lab, config
        self._now: _Pass | None = None
        self._end: tuple[EndState, str] | None = None
        self._paused = False
        self._done = Progress(planned=0, answered=0)

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
        """End once what is in flight has landed. The first reason given stays."""
        self._end = self._end or (state, message)
        if self._now is not None:
            self._now.stop(*self._end)

    async def events(self) -> AsyncIterator[Event]:
        """Run, yielding what happens; the last event is ``Finished``. Raises ``ClaifError`` if it cannot start."""
        passes = []
        for station in self._lab.stations:
            desk = await asyncio.to_thread(
                open_desk, self._store, station.ready, streaming=False, config=self._config
            )
            passes.append(_Pass(self._store, self._lab, station, desk))
        total = await asyncio.to_thread(lambda: sum(one.plan() for one in passes))
        last = Finished(state="finished", message="", progress=self._done)
        for one in passes:
            self._now = one
            if self._paused:
                one.pause()
            if self._end is not None:
                one.stop(*self._end)
            async for event in one.events():
                if isinstance(event, Progress):
                    yield self._whole(event, total)
                elif isinstance(event, Finished):
                    last = replace(event, progress=self._whole(event.progress, total))
                else:
                    yield event
            self._done = last.progress
            if last.state != "finished":
                break
        yield replace(last, message=_words(last))

    def _whole(self, progress: Progress, total: int) -> Progress:
        """A pass's progress as that of the whole lab."""
        before = self._done
        left = max(0, progress.open)
        all_left = max(0, total - before.answered - sum(before.failed.values()) - progress.planned + left)
        eta = progress.eta_seconds
        return replace(
            progress,
            planned=total,
            answered=before.answered + progress.answered,
            failed=dict(Counter(before.failed) + Counter(progress.failed)),
            calls=before.calls + progress.calls,
            troubles=dict(Counter(before.troubles) + Counter(progress.troubles)),
            eta_seconds=eta * all_left / left if eta is not None and left else eta,
        )


class _Pass(Run[_Item]):
    """The questions of one station's cells, as a run."""

    def __init__(self, store: Store, lab: Lab, station: Station, desk: Desk) -> None:
        super().__init__(store, station.ready.recipe, desk, "lab")
        self._scope = lab.id  # one account and one cap for all cells
        self._lab, self._station = lab, station
        self._open: list[_Item] = []

    def plan(self) -> int:
        """Find what is open, and return how many questions there are in all. Blocks."""
        columns = []
        total = settled = 0
        failed: Counter[str] = Counter()
        for cell in self._station.cells:
            items, known = _items(self._store, self._lab, cell)
            total += len(items)
            outcomes = [_why(one) for one in known if not one.open]
            settled += outcomes.count("")
            failed.update(filter(None, outcomes))
            columns.append([item for item, one in zip(items, known, strict=True) if one.open])
        self._open = [item for row in zip_longest(*columns) for item in row if item is not None]
        self._tally.planned, self._tally.answered, self._tally.failed = total, settled, failed
        return total

    def _args(self) -> dict[str, object]:
        return {
            "lab": self._lab.id,
            "kind": self._lab.spec.kind,
            "cells": [cell.name for cell in self._station.cells],
            "rows": len(self._lab.gold) + len(self._lab.seeds),
        }

    def _count(self) -> None:
        """Counted by ``plan`` before."""

    async def _items(self) -> AsyncIterator[_Item]:
        for item in self._open:
            yield item

    async def _settle(self, item: _Item) -> None:
        if item.row is not None:
            row = item.row
            subject = Subject(seed_id=0, text=f"{row.text_a} ⟷ {row.text_b}", pair_id=row.pair_id)
            await self._score(item.cell, subject, row.text_a, row.text_b)
            return
        plan, question = item.plan, item.question
        assert plan is not None and question is not None
        subject = Subject(seed_id=plan.seed.id, text=plan.subject, title=plan.title, rate=plan.rate)
        reply = await self._asking.ask(question.ask, subject, question.read, occurrence=question.occurrence)
        if reply.value is None:
            self._fail(subject, reply.key, "generate", reply.reason, reply.detail)
        elif not is_due(item.cell, reply.value):
            self._tally.answered += 1
        else:
            pair = f"{plan.seed.text} ⟷ {reply.value.text}"
            await self._score(item.cell, replace(subject, text=pair), plan.seed.text, reply.value.text)

    async def _score(self, cell: Cell, subject: Subject, text_a: str, text_b: str) -> None:
        question = score_question(cell, text_a, text_b)
        reply = await self._asking.ask(question.ask, subject, question.read, reasks=question.reasks)
        if reply.value is None:
            self._fail(subject, reply.key, "score", reply.reason, reply.detail)
        else:
            self._tally.answered += 1

    def _fail(self, subject: Subject, key: str, stage: Stage, reason: Reason | None, detail: str) -> None:
        why: Reason = reason or "unparsed"
        self._end_if_hopeless(why)
        self._tell_failure(subject, key, stage, why, detail)


def plan_of(store: Store, lab: Lab) -> Plan:
    """Say what a lab would still ask and cost; what is stored is not asked again. Blocks."""
    planned = open_ = calls = 0
    ends = [0, 0]
    usd: list[float] | None = [0.0, 0.0]
    worst: float | None = 0.0
    for station in lab.stations:
        for cell in station.cells:
            items, known = _items(store, lab, cell)
            planned += len(items)
            left = [(item, one) for item, one in zip(items, known, strict=True) if one.open]
            open_ += len(left)
            for sample, count in _samples(cell, left):
                if not count:
                    continue
                found = budget.estimate(sample, count, station.ready.price)
                calls += count
                for place in (0, 1):
                    ends[place] += found.tokens_in[place] + found.tokens_out[place]
                if found.usd is None or found.worst_usd is None:
                    usd = worst = None
                elif usd is not None and worst is not None:
                    usd = [usd[0] + found.usd[0], usd[1] + found.usd[1]]
                    worst += found.worst_usd
    return Plan(
        planned=planned,
        open=open_,
        calls=calls,
        tokens=(ends[0], ends[1]),
        usd=None if usd is None else (usd[0], usd[1]),
        worst_usd=worst,
    )


def _samples(
    cell: Cell, left: Sequence[tuple[_Item, Asked[ParsedScore] | Made]]
) -> list[tuple[list[Request], int]]:
    """Return sample requests of what is open in a cell, each kind with how many calls it stands for."""
    recipe, system = cell.recipe, system_of(cell.recipe)
    to_make = [item.plan for item, one in left if item.plan and isinstance(one, Made) and one.answer.open]
    pairs = [(item.row.text_a, item.row.text_b) for item, _ in left if item.row is not None]
    # A generated sentence is about as long as its original.
    pairs += [(item.plan.seed.text, item.plan.seed.text) for item, _ in left if item.plan is not None]
    asks = [
        [plan.asks[0] for plan in to_make[:SAMPLE]],
        [ask for pair in pairs[:SAMPLE] for ask in system.score_asks(recipe, *pair)],
    ]
    made, scored = ([base.request(recipe, ask, "", 0) for ask in some] for some in asks)
    return [(made, len(to_make)), (scored, len(pairs) if scored else 0)]


def _items(store: Store, lab: Lab, cell: Cell) -> tuple[list[_Item], Sequence[Asked[ParsedScore] | Made]]:
    """Return a cell's items and what the store knows of each."""
    if lab.spec.kind == "score":
        return [_Item(cell, row=row) for row in lab.gold], scored_rows(store, cell, lab.gold)
    items = [_Item(cell, plan=item, question=question) for item, question in made_questions(cell, lab.seeds)]
    return items, made_pairs(store, cell, lab.seeds)


def _why(one: Asked[ParsedScore] | Made) -> str:
    """Why a settled question has no usable outcome; "" where it has one."""
    if isinstance(one, Asked):
        return one.reason
    return one.answer.reason or (one.score.reason if one.score is not None else "")


def _words(last: Finished) -> str:
    """Say how a lab ended."""
    if last.state not in ("finished", "stopped"):
        return last.message.replace(f"planned {last.progress.unit}", "questions")
    progress = last.progress
    failed = sum(progress.failed.values())
    if last.state == "stopped":
        return f"{progress.open:,} of {progress.planned:,} questions are open. The same lab goes on where it stopped."
    usable = f"{progress.answered:,} of {progress.planned:,} questions have a usable answer"
    return f"{usable}." if not failed else f"{usable}, {failed:,} have none."
