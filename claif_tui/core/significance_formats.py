"""A comparison of two rows as cells, notes and plain data, for the command and the screen. Nothing is computed here."""

from __future__ import annotations

from claif_tui.core.leaderboard_formats import SHORT, TITLES
from claif_tui.core.significance import RESAMPLES, Contest, TaskDifference

HEAD = ("task", "first", "second", "difference", "95 %", "p", "n")
RIGHT = (1, 2, 3, 4, 5, 6)
STAND_OUT = 0.05
_LEAST = 0.001
_METHOD = {
    "sts": f"p and interval: paired bootstrap over the pairs of a task, {RESAMPLES:,} draws.",
    "rerank": f"p and interval: paired bootstrap over queries, {RESAMPLES:,} draws.",
    "transfer": (
        "p: McNemar's exact test on the samples of a task; its interval, and the average's p: paired bootstrap, "
        f"{RESAMPLES:,} draws."
    ),
}
_READING = (
    "Each p is of one task; of many tasks some fall below 0.05 by chance. Other training runs would differ too."
)


def title(contest: Contest) -> str:
    """What is subtracted from what."""
    return f"{contest.first.system} less {contest.second.system} · {TITLES[contest.kind].partition(' (')[0]}"


def cells(contest: Contest) -> list[list[str]]:
    """A line for each task, then the average; of what has no test the last cells are empty."""
    return [_cells(one) for one in lines(contest)]


def lines(contest: Contest) -> tuple[TaskDifference, ...]:
    """The tasks, then the average where there is one."""
    return (*contest.differences, *([contest.average] if contest.average is not None else []))


def notes(contest: Contest) -> list[str]:
    """Why there is no comparison; else what has no difference or no test and why, and how the others were made."""
    if contest.reason:
        state = ["State what is not known when you evaluate it."] if "is not known" in contest.reason else []
        return [f"not comparable: {contest.reason}", *state]
    by_reason: dict[str, list[str]] = {}
    for one in lines(contest):
        if one.reason:
            by_reason.setdefault(one.reason, []).append(_name(one))
    found = [f"{', '.join(tasks)}: {reason}" for reason, tasks in by_reason.items()]
    tested = any(one.p is not None for one in lines(contest))
    return [*found, *([_METHOD[contest.kind], _READING] if tested else [])]


def stands_out(one: TaskDifference) -> bool:
    """Whether a difference is more than the choice of samples explains."""
    return one.p is not None and one.p < STAND_OUT


def document(contest: Contest) -> dict[str, object]:
    """The comparison as plain data, x100."""
    return {
        "kind": contest.kind,
        "first": contest.first.id,
        "second": contest.second.id,
        "reason": contest.reason or None,
        "tasks": {one.task: _document(one) for one in contest.differences},
        "average": None if contest.average is None else _document(contest.average),
        "resamples": RESAMPLES,
    }


def _document(one: TaskDifference) -> dict[str, object]:
    tested = one.low is not None and one.high is not None
    return {
        "first": one.first,
        "second": one.second,
        "difference": one.value,
        "interval": [one.low, one.high] if tested else None,
        "p": one.p,
        "n": one.n,
        "reason": one.reason or None,
    }


def _cells(one: TaskDifference) -> list[str]:
    tested = one.low is not None and one.high is not None
    return [
        _name(one),
        _figure(one.first),
        _figure(one.second),
        "" if one.value is None else f"{one.value:+.2f}",
        f"{one.low:+.2f} to {one.high:+.2f}" if tested else "",
        _p(one),
        "" if one.n is None else f"{one.n:,}",
    ]


def _p(one: TaskDifference) -> str:
    if one.p is None:
        return ""
    return f"{f'<{_LEAST}' if one.p < _LEAST else f'{one.p:.3f}'}{'*' if stands_out(one) else ' '}"


def _name(one: TaskDifference) -> str:
    return SHORT.get(one.task, one.task)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
