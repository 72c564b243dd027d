"""Studies as plain data, made by hand for the report's tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from claif_tui.core.rating.models import (
    Answer,
    Assignment,
    Comment,
    Criterion,
    Exclusion,
    GoldRange,
    Item,
    Protocol,
    Role,
    ScaleKind,
    Study,
    StudyData,
    StudyEvent,
)

AT = "2026-03-04T05:06:07+00:00"


def question(name: str, scale: ScaleKind, blind: bool = False) -> Criterion:
    return Criterion(name=name, question=f"How is {name}?", guideline="", scale=scale, blind=blind)


FLUENT = question("fluent", "yesno")
FLUENCY = question("fluency", "ordinal")
SIMILARITY = question("similarity", "tenths", blind=True)


def item(n: int, role: Role = "sample", **changes: Any) -> Item:
    plain: dict[str, Any] = {
        "pair_id": 100 + n,
        "text_a": f"sentence {n}",
        "text_b": f"other {n}",
        "score": n % 11 / 10,
        "explanation": None,
        "rate": n % 3 / 10,
        "system": "claif",
        "model": "m",
        "recipe_id": None,
        "status": "pending",
    }
    return Item(n=n, role=role, **plain | changes)


def gold(n: int, criterion: str, low: float, high: float) -> Item:
    return item(n, "gold", pair_id=None, gold=(GoldRange(criterion=criterion, low=low, high=high),))


def said(
    rater: str, criterion: str, values: Mapping[int, float], occurrence: int = 0, **changes: Any
) -> list[Answer]:
    plain: dict[str, Any] = {"elapsed": 4.0, "at": AT, "source": "app"}
    return [
        Answer(rater=rater, item=n, occurrence=occurrence, criterion=criterion, value=value, **plain | changes)
        for n, value in values.items()
    ]


def data(
    criteria: Sequence[Criterion],
    items: Sequence[Item],
    answers: Iterable[Answer],
    *,
    raters: Sequence[str] = ("ann", "ben", "cyd"),
    plan: Mapping[str, Sequence[int | tuple[int, int]]] | None = None,
    min_gold: float | None = None,
    comments: Sequence[Comment] = (),
    events: Sequence[StudyEvent] = (),
    changed: Mapping[int, str] | None = None,
    **changes: Any,
) -> StudyData:
    """A study of these items; without ``plan`` each rater judges all. A tuple in it is (item, occurrence)."""
    every: Sequence[int | tuple[int, int]] = [one.n for one in items]
    assignments = [
        Assignment(
            token=f"{rater}{position}",
            rater=rater,
            position=position,
            item=turn if isinstance(turn, int) else turn[0],
            occurrence=0 if isinstance(turn, int) else turn[1],
        )
        for rater in raters
        for position, turn in enumerate(every if plan is None else plan[rater], 1)
    ]
    plain: dict[str, Any] = {
        "name": "made",
        "preset": "rigorous",
        "seed": 1,
        "population": "",
        "with_zero": False,
        "with_rejected": False,
        "sample": sum(one.role == "sample" for one in items),
        "stratify": (),
        "per_item": 3,
        "practice": 0,
        "gold": 0,
        "repeats": 0,
        "order": "shuffled",
        "shows_score": False,
        "shows_explanation": False,
    }
    protocol = Protocol(
        criteria=tuple(criteria),
        raters=tuple(raters),
        exclusion=Exclusion(min_gold=min_gold),
        **plain | changes,
    )
    return StudyData(
        study=Study(id=1, hash="ab" * 32, created=AT, author="eva", protocol=protocol),
        items=tuple(items),
        assignments=tuple(assignments),
        answers=tuple(answers),
        comments=tuple(comments),
        events=tuple(events),
        changed=dict(changed or {}),
    )
