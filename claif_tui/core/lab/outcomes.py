"""What the store knows of a lab's questions: read back from the calls under their content addresses. Sends nothing.

So a lab has no tables of its own: its result is a function of its plan and of the answers that are there, whoever
bought them, and a run that is killed loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from claif_tui.core.addressing import call_key
from claif_tui.core.answers import CleanAnswer
from claif_tui.core.lab.models import Asked, Cell, GoldRow, Made
from claif_tui.core.models import Seed
from claif_tui.core.planning import rank, scores_asked
from claif_tui.core.scores import ParsedScore
from claif_tui.core.store.items import OccurrenceCounter
from claif_tui.core.store.store import Store
from claif_tui.core.systems import base
from claif_tui.core.systems.base import RawAnswer, Reading
from claif_tui.core.systems.registry import system_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[T]):
    """One thing to be asked: the request, its rank among equal ones, how its answer is read, re-asks allowed."""

    ask: base.Ask
    read: Callable[[RawAnswer], Reading[T]]
    occurrence: int = 0
    reasks: int = 0


def score_question(cell: Cell, text_a: str, text_b: str) -> Question[ParsedScore]:
    """Return the question for a pair's score in a cell."""
    recipe, system = cell.recipe, system_of(cell.recipe)
    (ask,) = system.score_asks(recipe, text_a, text_b)
    return Question(ask=ask, read=system.read_score(recipe), reasks=recipe.reasks)


def made_questions(cell: Cell, seeds: Sequence[Seed]) -> list[tuple[base.PlanItem, Question[CleanAnswer]]]:
    """Return a generation cell's plan: what is asked for each seed at each rate, in plan order."""
    recipe = replace(cell.recipe, keep_duplicates=False)
    counter = OccurrenceCounter()
    ranked = rank(recipe, list(seeds), counter)
    counter.close()
    return [
        (
            item,
            Question(
                ask=item.asks[0],
                read=system_of(recipe).read(recipe, item, 0),
                occurrence=ranks[0],
            ),
        )
        for item, ranks in ranked
    ]


def scored_rows(store: Store, cell: Cell, rows: Sequence[GoldRow]) -> list[Asked[ParsedScore]]:
    """Return what the store knows of each row's score in a cell."""
    return look_up(store, [score_question(cell, row.text_a, row.text_b) for row in rows])


def made_pairs(store: Store, cell: Cell, seeds: Sequence[Seed]) -> list[Made]:
    """Return what the store knows of each planned pair of a generation cell, in plan order."""
    plan = made_questions(cell, seeds)
    answers = look_up(store, [question for _, question in plan])
    made = [
        Made(
            seed=item.seed,
            plan=item,
            masked=item.subject,
            occurrence=question.occurrence,
            answer=answer,
        )
        for (item, question), answer in zip(plan, answers, strict=True)
    ]
    due = [place for place, one in enumerate(made) if is_due(cell, one.answer.value)]
    questions = [score_question(cell, made[place].seed.text, _text(made[place])) for place in due]
    for place, score in zip(due, look_up(store, questions), strict=True):
        made[place] = replace(made[place], score=score)
    return made


def is_due(cell: Cell, answer: CleanAnswer | None) -> bool:
    """Whether a score is bought for an answer: not for what the funnel takes out anyway, nor where labels are fixed."""
    return answer is not None and answer.answer_class == "ok" and scores_asked(cell.recipe, triplet=False) > 0


def look_up(store: Store, questions: Sequence[Question[T]]) -> list[Asked[T]]:
    """Return what is known of each question, as ``asking.Asker`` would find it."""
    found: list[Asked[T]] = [Asked() for _ in questions]
    pending = list(range(len(questions)))
    attempt = 0
    while pending:
        keys = {
            place: call_key(questions[place].ask.identity, questions[place].occurrence, attempt)
            for place in pending
        }
        known = store.calls.known(list(dict.fromkeys(keys.values())))
        again = []
        for place, key in keys.items():
            call, before, question = known.get(key), found[place], questions[place]
            if call is None or call.state == "reserved":
                continue  # open, and with the reason of the attempt before, if there was one
            paid = replace(
                before,
                keys=(*before.keys, key),
                cost_nano=before.cost_nano + call.cost_nano,
                model=call.model_returned,
            )
            if call.state != "answered":
                found[place] = replace(paid, reason=call.reason or "unknown")
                continue
            reading = question.read(RawAnswer(text=call.raw or "", finish_reason=call.finish_reason))
            if reading.reason is None:
                found[place] = replace(paid, value=reading.value, reason="", open=False)
                continue
            last = attempt >= question.reasks
            found[place] = replace(paid, reason=reading.reason, unusable=paid.unusable + 1, open=not last)
            if not last:
                again.append(place)
        pending = again
        attempt += 1
    return found


def _text(made: Made) -> str:
    assert made.answer.value is not None
    return made.answer.value.text
