"""Whether one row stands out from another, task by task. Which results there are and how it is shown is elsewhere.

STS: paired bootstrap over the pairs of a task, the same draws for both systems, as Spearman's coefficient has no simple
distribution. Transfer: McNemar's exact test, and the bootstrap over samples for the interval. Reranking: paired
bootstrap over queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claif_tui.core.errors import UsageError
from claif_tui.core.evaluations import Evaluation, predicted
from claif_tui.core.leaderboard import demo_of, own_rows, unlike
from claif_tui.core.predictions import Predictions
from claif_tui.core.reference import TASKS, Kind, Row, reference_rows
from engine.errors import nearest
from engine.stats import (
    Comparison,
    mcnemar,
    mean,
    paired_difference,
    percentile_interval,
    resampled_spearman,
    spearman,
)
from engine.tasks import EVERY, RERANK

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 2000
SEED = 1111
_AGREE = 0.02
"""How far (x100) a figure may be from what its kept predictions give: they are in single precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A row to compare; of our own also its result and what it predicted."""

    row: Row
    evaluation: Evaluation | None = None
    predictions: Mapping[str, Predictions] = field(default_factory=dict)

    def about(self, task: str) -> Mapping[str, Any]:
        """What the result says of a task."""
        return {} if self.evaluation is None else self.evaluation.tasks.get(task, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDifference:
    """The first side's figure less the second's, x100. ``low``, ``high`` (95 %) and ``p`` are None without a test.

    ``reason`` says why there is no difference or no test. ``task`` is "average" for the mean over all seven tasks.
    """

    task: str
    first: float | None
    second: float | None
    n: int | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Two rows, task by task. With a ``reason`` they are not comparable and there are no differences.

    ``average`` is None unless both have one.
    """

    kind: Kind
    first: Row
    second: Row
    reason: str
    differences: tuple[TaskDifference, ...] = ()
    average: TaskDifference | None = None


def own_side(kind: Kind, evaluation: Evaluation, project: Path | None) -> Side | None:
    """Return one of our results as a side; None where it has no figures of this kind."""
    rows = own_rows(kind, [evaluation])
    if not rows:
        return None
    return Side(row=rows[0], evaluation=evaluation, predictions=predicted(project, evaluation))


def find(kind: Kind, word: str, evaluations: Sequence[Evaluation], project: Path) -> Side | None:
    """Return the row that a word means: the id of any row, or the name of one of our results.

    None where that row has no figures of this kind; ``UsageError`` where there is no such row, or several.
    """
    named = [one for one in evaluations if word in (one.name, _id(one))]
    if len(named) > 1:
        raise UsageError(
            f"{len(named)} results are called {word!r}", f"Name one by its id: {', '.join(map(_id, named))}"
        )
    if named:
        return own_side(kind, named[0], project)
    papers = {row.id: row for other in TASKS for row in reference_rows(other)}
    if word not in papers:
        known = [*papers, *(one.name for one in evaluations), *map(_id, evaluations)]
        raise UsageError(f"there is no row {word!r}", nearest(word, known))
    return next((Side(row=row) for row in reference_rows(kind) if row.id == word), None)


def contest(kind: Kind, first: Side, second: Side, *, resamples: int = RESAMPLES) -> Contest:
    """Compare two rows on every task that one of them has a figure for, and on their averages. Takes seconds."""
    whole = Contest(kind=kind, first=first.row, second=second.row, reason=_apart(first, second))
    if whole.reason:
        return whole
    found: list[TaskDifference] = []
    draws: list[NDArray[Any]] = []
    for number, task in enumerate(TASKS[kind]):
        one, drawn = _task(task, first, second, resamples, SEED + number)
        if one.first is not None or one.second is not None:
            found.append(one)
        if drawn is not None:
            draws.append(drawn)
    return replace(whole, differences=tuple(found), average=_average(kind, first.row, second.row, draws, found))


def _id(evaluation: Evaluation) -> str:
    return evaluation.file_name.removesuffix(".json")


def _apart(first: Side, second: Side) -> str:
    """Why two rows may not be compared. Of one model used in two ways only the scorer need be known."""
    if reason := demo_of(first.row, second.row):
        return reason
    mine, other = first.evaluation, second.evaluation
    if mine is not None and other is not None and mine.identity == other.identity:
        if mine == other:
            return "both are the same result"
        same = mine.scorer == other.scorer and first.row.apart == second.row.apart
        return "" if same else unlike(first.row, second.row)
    return unlike(first.row, second.row)


def _task(
    task: str, first: Side, second: Side, resamples: int, seed: int
) -> tuple[TaskDifference, NDArray[Any] | None]:
    """One task's difference, and its bootstrap draws where there is a test."""
    a, b = first.row.values.get(task), second.row.values.get(task)
    n = first.about(task).get("n", second.about(task).get("n"))
    plain = TaskDifference(task=task, first=a, second=b, n=n)
    if a is None or b is None:
        without = first if a is None else second
        return replace(plain, reason=f"{without.row.system} has no figure"), None
    if reason := _unlike_task(task, first, second):
        return replace(plain, reason=reason), None
    value = a - b
    for side in (first, second):
        if reason := _unkept(task, side):
            return replace(plain, value=value, reason=reason), None
    ours, theirs = first.predictions[task], second.predictions[task]
    tested = _TESTS[EVERY[task].kind]
    comparison, drawn = tested(value, ours, theirs, resamples, seed)
    if comparison is None:
        return replace(plain, value=value, reason="a resample leaves one side constant"), None
    ends = comparison.difference
    return replace(plain, value=value, low=ends.low, high=ends.high, p=comparison.p), drawn


def _unlike_task(task: str, first: Side, second: Side) -> str:
    """Why a task's two figures are not of one protocol and one copy of the data; of the papers it is taken as read."""
    a, b = first.about(task), second.about(task)
    if not a or not b:
        return ""
    if a.get("fingerprint") != b.get("fingerprint"):
        return "scored on different copies of the data"
    if a.get("mode") != b.get("mode"):
        return "one is of the fast mode"
    return ""


def _unkept(task: str, side: Side) -> str:
    """Why the predictions of a side cannot be used, if they cannot."""
    name = side.row.system
    if side.evaluation is None:
        return "no test: a paper prints figures, not what was predicted"
    kept = side.predictions.get(task)
    if kept is None:
        return f"no test: the predictions of {name} were not kept; evaluate it again"
    about = side.about(task)
    stated = about.get("spearman", about.get("accuracy", about.get("map")))
    if (kept.fingerprint, len(kept.gold)) != (about.get("fingerprint"), about.get("n")):
        return f"no test: the predictions of {name} are of other data; evaluate it again"
    if task in TASKS["sts"]:
        given = spearman(kept.gold.tolist(), kept.predicted.tolist()).value
        close = given is not None and abs(100 * given - float(stated)) <= _AGREE
        if not close:
            return f"no test: the predictions of {name} are not those of its figure; evaluate it again"
    if task == RERANK and abs(100 * float(kept.predicted.mean()) - float(stated)) > _AGREE:
        return f"no test: the predictions of {name} are not those of its figure; evaluate it again"
    return ""


def _sts(
    value: float, ours: Predictions, theirs: Predictions, resamples: int, seed: int
) -> tuple[Comparison | None, NDArray[Any]]:
    both = [ours.predicted.tolist(), theirs.predicted.tolist()]
    drawn = resampled_spearman(ours.gold.tolist(), both, resamples=resamples, seed=seed)
    differences = (drawn[0] - drawn[1]) * 100
    return paired_difference(value, differences.tolist()), differences


def _rerank(
    value: float, ours: Predictions, theirs: Predictions, resamples: int, seed: int
) -> tuple[Comparison | None, NDArray[Any]]:
    """Paired bootstrap over the queries; the figure is a mean of theirs."""
    import numpy as np

    each = 100 * (ours.predicted.astype(np.float64) - theirs.predicted.astype(np.float64))
    chance = np.random.default_rng(seed)
    drawn = np.array([each[chance.integers(len(each), size=len(each))].mean() for _ in range(resamples)])
    return paired_difference(value, drawn.tolist()), drawn


def _transfer(
    value: float, ours: Predictions, theirs: Predictions, resamples: int, seed: int
) -> tuple[Comparison | None, NDArray[Any]]:
    """A resample of samples holds so many that one side alone had right, and so many the other: counts are enough."""
    import numpy as np

    mine, other = ours.predicted == ours.gold, theirs.predicted == theirs.gold
    n = len(mine)
    alone = int((mine & ~other).sum()), int((other & ~mine).sum())
    shares = [alone[0] / n, alone[1] / n]
    counts = np.random.default_rng(seed).multinomial(n, [*shares, 1 - sum(shares)], size=resamples)
    # The figure is a mean over folds of nearly equal size: the draws are moved by the little that this differs.
    moved = value - 100 * (shares[0] - shares[1])
    differences = 100 * (counts[:, 0] - counts[:, 1]) / n + moved
    ends = percentile_interval(value, differences.tolist())
    return None if ends is None else Comparison(ends, mcnemar(*alone)), differences


_TESTS = {"sts": _sts, "transfer": _transfer, "rerank": _rerank}


def _average(
    kind: Kind, first: Row, second: Row, draws: Sequence[NDArray[Any]], found: Sequence[TaskDifference]
) -> TaskDifference | None:
    """The difference of the averages over all seven tasks, which are samples of their own."""
    a, b = first.average, second.average
    if a is None or b is None:
        return None
    plain = TaskDifference(task="average", first=a, second=b)
    values = [one.value for one in found if one.value is not None]
    if len(values) < len(TASKS[kind]):
        return replace(plain, reason="not every task is comparable")
    value = mean(values)
    comparison = None
    if value is not None and len(draws) == len(TASKS[kind]):
        import numpy as np

        comparison = paired_difference(value, np.mean(draws, axis=0).tolist())
    if comparison is None:
        return replace(plain, value=a - b, reason="no test: not every task has one")
    ends = comparison.difference
    return replace(plain, value=ends.value, low=ends.low, high=ends.high, p=comparison.p)
