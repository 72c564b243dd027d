"""The report on a study: who rated what, whose answers count, and the figures. Layout and formulas are elsewhere."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from claif_tui.core.rating.intervals import Estimate
from claif_tui.core.rating.models import Answer, Comment, Item, Protocol, StudyData
from claif_tui.core.rating.report_figures import Question, bin_name, criterion_report
from claif_tui.core.rating.report_models import CriterionReport, Gold, Progress, Report
from engine.stats import percentile

LEAST_STRATUM = 10
"""Items that a stratum needs to be resampled by itself; in a smaller one they vary too little among themselves."""
_TINY = 1e-9


def report(data: StudyData) -> Report:
    """Everything that is told about a study. Whatever is missing is told in words; nothing raises for it."""
    protocol = data.study.protocol
    raters = _raters(data)
    gold = [_gold(data, rater) for rater in raters] if any(item.role == "gold" for item in data.items) else []
    excluded = tuple(one.rater for one in gold if one.excluded)
    times = _times(data)
    return Report(
        study=data.study.name,
        hash=data.study.hash,
        created=data.study.created,
        author=data.study.author,
        preset=protocol.preset,
        protocol=tuple(protocol_words(protocol)),
        progress=tuple(_progress(data, rater, times) for rater in raters),
        gold=tuple(gold),
        excluded=excluded,
        criteria=_criteria(data, [rater for rater in raters if rater not in excluded]),
        everyone=_criteria(data, raters) if excluded else (),
        sources=tuple(sorted(Counter(answer.source for answer in data.answers).items())),
        seconds=percentile(list(times.values()), 0.5),
        events=data.events,
        changed=tuple(sorted(data.changed.items())),
        comments=data.comments,
        limits=tuple(_limits(data, raters, excluded)),
    )


def summary(data: StudyData) -> dict[str, Any]:
    """A study in short, for manifests and cards: what was asked of how many, and the main figures. Plain JSON data.

    Raters are counted and not named, and no text of theirs is in it.
    """
    found = report(data)
    return {
        "study": found.study,
        "hash": found.hash,
        "preset": found.preset,
        "items": sum(item.role == "sample" for item in data.items),
        "raters": sum(one.done + one.partly > 0 for one in found.progress),
        "excluded": len(found.excluded),
        "deviations": len(found.deviations),
        "changed_since": len(found.changed),
        "criteria": [
            {
                "name": one.criterion.name,
                "question": one.criterion.question,
                "scale": one.criterion.scale,
                "blind": one.criterion.blind,
                "planned": one.planned,
                "given": one.given,
                "figures": {
                    figure.label: _short(figure.estimate, figure.unit)
                    for figure in (*one.overall.figures, *([one.human_ai] if one.human_ai else []))
                    if figure.estimate.value is not None
                },
                "agreement": {
                    each.measure: _short(each.estimate, each.unit)
                    for each in one.agreement
                    if each.estimate.value is not None
                },
            }
            for one in found.criteria
        ],
    }


def _short(estimate: Estimate, unit: str) -> dict[str, Any]:
    value, low, high = (
        None if part is None else round(part, 4) for part in (estimate.value, estimate.low, estimate.high)
    )
    return {"value": value, "interval": None if low is None else [low, high], "unit": unit}


def protocol_words(protocol: Protocol) -> Iterable[str]:
    """The frozen plan in sentences."""
    left = [
        word
        for word, kept in (("zero pairs", protocol.with_zero), ("rejected pairs", protocol.with_rejected))
        if not kept
    ]
    population = (
        f"Pairs that match {protocol.population!r}" if protocol.population else "All pairs of the project"
    )
    without = f", without {' and '.join(left)}" if left else ""
    strata = {"score": "AI score", "rate": "mask rate"}
    by = (
        f", stratified by {' and '.join(strata[one] for one in protocol.stratify)}" if protocol.stratify else ""
    )
    yield f"{population}{without}; {protocol.sample:,} drawn with seed {protocol.seed}{by}."
    names = f"{len(protocol.raters)} rater{'s' * (len(protocol.raters) != 1)} ({', '.join(protocol.raters)})"
    yield f"{names}; each item is judged by {protocol.per_item}."
    extra = [
        f"{count} {word}"
        for count, word in (
            (protocol.practice, "practice items"),
            (protocol.gold, "items of known answer (gold)"),
            (protocol.repeats, "items shown again"),
        )
        if count
    ]
    if extra:
        yield f"For each rater {', '.join(extra)}."
    order = "in an order of each rater's own" if protocol.order == "shuffled" else "in the order of the draw"
    yield f"Items come {order}."
    shown = [
        w for w, on in (("score", protocol.shows_score), ("explanation", protocol.shows_explanation)) if on
    ]
    yield f"Raters see the AI's {' and '.join(shown)}." if shown else "Raters do not see the AI's score."
    if protocol.exclusion.min_gold is not None:
        yield f"Raters who pass less than {protocol.exclusion.min_gold:.0%} of the gold items they answer are excluded."


def _raters(data: StudyData) -> list[str]:
    """The planned raters, then others who answered."""
    return list(dict.fromkeys([*data.study.protocol.raters, *(answer.rater for answer in data.answers)]))


def _criteria(data: StudyData, raters: Sequence[str]) -> tuple[CriterionReport, ...]:
    """The figures on each question from these raters. Practice and gold never count, and a repeat is no rating more."""
    items = {item.n: item for item in data.items if item.role == "sample"}
    comments: dict[int, list[Comment]] = defaultdict(list)
    for comment in data.comments:
        comments[comment.item].append(comment)
    strata = _strata(list(items.values())) if "score" in data.study.protocol.stratify else {}
    planned = sum(one.item in items and one.occurrence == 0 and one.rater in raters for one in data.assignments)
    found = []
    for criterion in data.study.protocol.criteria:
        own = [
            a for a in data.answers if a.criterion == criterion.name and a.item in items and a.rater in raters
        ]
        question = Question(
            criterion=criterion,
            items=items,
            first=_said(items, [answer for answer in own if answer.occurrence == 0]),
            again=_said(items, [answer for answer in own if answer.occurrence > 0]),
            planned=planned,
            comments=comments,
            raters=raters,
            strata=strata,
        )
        found.append(criterion_report(question))
    return tuple(found)


def _strata(items: Sequence[Item]) -> dict[int, int]:
    """Item number to stratum: bins of the AI's score, joined upwards until each has enough items to vary."""
    bins: dict[str, list[int]] = defaultdict(list)
    for item in items:
        bins[bin_name(item.score)].append(item.n)
    joined: list[list[int]] = []
    for name in sorted(bins):
        if joined and len(joined[-1]) < LEAST_STRATUM:
            joined[-1] += bins[name]
        else:
            joined.append(list(bins[name]))
    if len(joined) > 1 and len(joined[-1]) < LEAST_STRATUM:
        last = joined.pop()
        joined[-1] += last
    return {n: place for place, numbers in enumerate(joined) for n in numbers}


def _said(items: Mapping[int, Item], answers: Sequence[Answer]) -> dict[int, dict[str, float]]:
    said: dict[int, dict[str, float]] = {}
    for answer in sorted(answers, key=lambda answer: answer.item):
        said.setdefault(answer.item, {})[answer.rater] = answer.value
    return said


def excluded_raters(data: StudyData) -> frozenset[str]:
    """The raters whose answers leave the main figures by the study's frozen rule."""
    return frozenset(rater for rater in _raters(data) if _gold(data, rater).excluded)


def _gold(data: StudyData, rater: str) -> Gold:
    """A gold item is passed when every answer that it judges is in its range; it counts when all those were given."""
    given = {(a.item, a.criterion): a.value for a in data.answers if a.rater == rater and a.occurrence == 0}
    mine = {one.item for one in data.assignments if one.rater == rater and one.occurrence == 0}
    passed = answered = planned = 0
    for item in data.items:
        if item.role != "gold" or not item.gold:
            continue
        planned += item.n in mine
        values = [(given.get((item.n, one.criterion)), one) for one in item.gold]
        if any(value is None for value, _ in values):
            continue
        answered += 1
        passed += all(
            value is not None and one.low - _TINY <= value <= one.high + _TINY for value, one in values
        )
    least = data.study.protocol.exclusion.min_gold
    if least is None:
        excluded, words = False, "there is no rule of exclusion"
    elif not answered:
        excluded, words = False, "no gold item was answered, so the rule cannot be applied"
    else:
        excluded = passed < least * answered - _TINY
        words = f"{'less than' if excluded else 'at least'} {least:.0%}"
    return Gold(rater=rater, passed=passed, answered=answered, planned=planned, excluded=excluded, words=words)


Place = tuple[str, int, int]
"""Rater, item, occurrence."""


def _times(data: StudyData) -> dict[Place, float]:
    """Seconds that each item took, all its answers together; practice apart. Unknown times are left out."""
    practice = {item.n for item in data.items if item.role == "practice"}
    parts: dict[Place, list[float]] = defaultdict(list)
    for answer in data.answers:
        if answer.elapsed is not None and answer.item not in practice:
            parts[answer.rater, answer.item, answer.occurrence].append(answer.elapsed)
    return {place: math.fsum(seconds) for place, seconds in parts.items()}


def _progress(data: StudyData, rater: str, times: Mapping[Place, float]) -> Progress:
    practice = {item.n for item in data.items if item.role == "practice"}
    planned = {
        (one.item, one.occurrence)
        for one in data.assignments
        if one.rater == rater and one.item not in practice
    }
    answers = [answer for answer in data.answers if answer.rater == rater]
    given = Counter((answer.item, answer.occurrence) for answer in answers if answer.item not in practice)
    full = len(data.study.protocol.criteria)
    done = sum(count >= full for count in given.values())
    partly = len(given) - done
    if not answers:
        words = "never began"
    elif not planned:
        words = "answered without being in the plan"
    elif not given:
        words = f"did practice items only, and none of {len(planned):,}"
    elif done >= len(planned):
        words = "finished"
    else:
        words = f"stopped, or is still at work, after {done:,} of {len(planned):,}"
    seconds = percentile([value for place, value in times.items() if place[0] == rater], 0.5)
    return Progress(rater=rater, planned=len(planned), done=done, partly=partly, words=words, seconds=seconds)


def _limits(data: StudyData, raters: Sequence[str], excluded: Sequence[str]) -> Iterable[str]:
    """What the figures cannot say."""
    answered = {answer.rater for answer in data.answers}
    protocol = data.study.protocol
    if not data.answers:
        yield "Nobody has answered anything yet."
    elif len(answered) == 1:
        yield "One rater answered: nothing here tells what another would have said."
    if protocol.per_item == 1 and len(raters) > 1:
        yield "No two raters judged the same item, so agreement cannot be computed, as in the CLAIF paper."
    yield (
        "Intervals tell what another sample of items would change with the same raters; other raters may judge "
        "otherwise. Only contrasts draw raters too, and few raters tell little about raters."
    )
    if excluded:
        yield "The main figures are without the excluded raters; those with them stand beside."
    if any(answer.source in ("packet", "sheet") for answer in data.answers):
        yield (
            "Some answers came as packets or sheets. Accidents and foreign items are found when they are merged; "
            "a rater who is determined to forge his or her own answers is not."
        )
    if protocol.shows_score and any(one.scale == "tenths" for one in protocol.criteria):
        yield "Raters saw the AI's score before they gave their own, which draws them towards it."
    if protocol.stratify:
        yield (
            "Items were drawn from each stratum in proportion to its size. Intervals of the whole sample use the "
            "strata by AI score where all items were rated; strata by mask rate they leave aside, and are wider for it."
        )
