"""How far a study is, and what departed from its plan, in words. For those who run it; no figures of the report."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from claif_tui.core.rating.freezing import study_hash
from claif_tui.core.rating.models import StudyData


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One rater: items answered in full of those assigned, and when the last answer came (empty: never)."""

    rater: str
    done: int
    total: int
    last: str


def progress(data: StudyData) -> tuple[Progress, ...]:
    """Return every rater's progress, in the order of the plan."""
    questions = len(data.study.protocol.criteria)
    given: dict[tuple[str, int, int], int] = defaultdict(int)
    last: dict[str, str] = defaultdict(str)
    for answer in data.answers:
        given[answer.rater, answer.item, answer.occurrence] += 1
        last[answer.rater] = max(last[answer.rater], answer.at)
    done: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for assignment in data.assignments:
        total[assignment.rater] += 1
        done[assignment.rater] += given[assignment.rater, assignment.item, assignment.occurrence] >= questions
    return tuple(
        Progress(rater=rater, done=done[rater], total=total[rater], last=last[rater])
        for rater in data.study.protocol.raters
    )


def deviations(data: StudyData) -> tuple[str, ...]:
    """Return what departed from the frozen plan: events that say so, and pairs that are not what they were."""
    said = [
        f"{event.at[:16].replace('T', ' ')} {event.kind}: {event.detail}"
        for event in data.events
        if event.deviation
    ]
    if study_hash(data.study.protocol, data.items, data.assignments) != data.study.hash:
        said.append("what is stored is not what was frozen: the study does not match its hash any more")
    if data.changed:
        listed = ", ".join(f"{n} ({words})" for n, words in list(data.changed.items())[:10])
        more = f" and {len(data.changed) - 10} more" if len(data.changed) > 10 else ""
        said.append(f"pairs changed in the project since the freeze; rated as they were: items {listed}{more}")
    return tuple(said)
