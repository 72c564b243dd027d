"""Two results against each other, on what they predicted; and the file that keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from claif_tui.core import evaluations, significance_formats
from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.evaluations import Evaluation, kept, predicted, save
from claif_tui.core.predictions import Predictions
from claif_tui.core.reference import Kind, reference_rows
from claif_tui.core.significance import Contest, Side, contest, find, own_side
from engine.stats import mcnemar
from engine.tasks import STS, TRANSFER

N = 300
DRAWS = 200


def scored(name: str, predictions: dict[str, NDArray[Any]], **more: Any) -> Evaluation:
    """A result of STS tasks, whose gold depends on the task alone, or of transfer tasks, whose true class is 0."""
    tasks: dict[str, Any] = {}
    arrays: dict[str, Predictions] = {}
    for task, values in predictions.items():
        about: dict[str, Any] = {"n": len(values), "fingerprint": f"f-{task}"}
        if task in STS:
            gold = gold_of(task)
            about["spearman"] = 100 * float(spearmanr(gold, values).statistic)
        else:
            gold = np.zeros(len(values), dtype=np.int8)
            right = 100 * float(np.mean(values == gold))
            about |= {"accuracy": right, "printed": round(right, 2), "mode": "full"}
        tasks[task] = about
        arrays[task] = Predictions(about["fingerprint"], gold, values)
    facts: dict[str, Any] = {
        "model": f"/m/{name}",
        "data": "/d",
        "identity": name,
        "name": name,
        "backbone": "bert-base",
        "supervision": "ai",
        "scorer": "bi-encoder",
        "made": "2026-01-01T00:00:00+00:00",
    }
    return Evaluation(tasks=tasks, predictions=arrays, **{**facts, **more})


def gold_of(task: str) -> NDArray[np.float32]:
    return np.random.default_rng(STS.index(task)).uniform(0, 5, N).astype(np.float32)


def noisy(noise: float, seed: int, tasks: tuple[str, ...] = STS) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    return {task: (gold_of(task) + random.normal(0, noise, N)).astype(np.float32) for task in tasks}


def against(first: Evaluation, second: Evaluation, kind: Kind = "sts", project: Path | None = None) -> Contest:
    sides = [own_side(kind, one, project) for one in (first, second)]
    assert sides[0] is not None and sides[1] is not None
    return contest(kind, sides[0], sides[1], resamples=DRAWS)


def test_a_better_system_stands_out_and_an_equal_one_does_not() -> None:
    base, same, better = (
        scored(name, noisy(noise, seed)) for name, noise, seed in (("a", 2, 5), ("b", 2, 6), ("c", 1, 7))
    )
    clear, reverse = against(better, base), against(base, better)
    for one, other in zip(
        (*clear.differences, clear.average), (*reverse.differences, reverse.average), strict=True
    ):
        assert one is not None and other is not None and one.low is not None and one.p is not None
        assert one.value is not None and one.value > 0 and one.low > 0 and one.p < 0.05
        assert other.value == pytest.approx(-one.value) and other.p == one.p
    average = clear.average
    assert average is not None and average.value == pytest.approx(
        sum(one.value or 0 for one in clear.differences) / 7
    )
    widths = [one.high - one.low for one in clear.differences if one.high is not None and one.low is not None]
    assert average.high is not None and average.low is not None and average.high - average.low < min(widths)
    unclear = against(base, same).average
    assert (
        unclear is not None and unclear.p is not None and unclear.low is not None and unclear.high is not None
    )
    assert unclear.p > 0.05 and unclear.low < 0 < unclear.high


def test_transfer_tasks_are_tested_on_the_samples_that_one_side_alone_had_right() -> None:
    first, second = np.zeros(100, dtype=np.int8), np.zeros(100, dtype=np.int8)
    first[:3], second[2:14] = 1, 1  # 2 wrong alone on one side, 11 on the other, 1 on both
    found = against(scored("a", {"CR": first}), scored("b", {"CR": second}), "transfer")
    [one] = found.differences
    assert one.p == pytest.approx(mcnemar(11, 2)) == pytest.approx(0.02246, abs=1e-5)
    assert one.value == pytest.approx(9.0) and one.low is not None and one.high is not None
    # The variance of a paired difference of shares: (b + c - (b - c)^2 / n) / n^2.
    spread = 100 * ((13 - 81 / 100) / 100**2) ** 0.5
    assert one.high - one.low == pytest.approx(2 * 1.96 * spread, rel=0.25)
    assert found.average is None, "one task is no average"
    assert (mcnemar(0, 0), mcnemar(5, 5)) == (1.0, 1.0) and mcnemar(0, 10) == pytest.approx(2 / 1024)


def test_what_is_not_alike_or_not_kept_has_a_reason_in_place_of_a_test() -> None:
    one = scored("a", noisy(1, 1, STS[:2]))
    assert against(one, scored("b", noisy(1, 2, STS[:2]), supervision="human")).reason == (
        "supervision is ai, not human"
    )
    assert "is not known" in against(one, scored("b", noisy(1, 2, STS[:2]), backbone=None)).reason
    unknown = {"backbone": None, "supervision": None, "identity": "same"}
    twice = against(
        scored("a", noisy(1, 1, STS[:1]), **unknown),
        scored("a", noisy(1, 2, STS[:1]), **unknown, settings={"pooling": "cls"}),
    )
    assert twice.reason == "" and twice.differences[0].p is not None, "one model used in two ways is alike"
    own = scored("b", noisy(1, 2, STS[:2]), settings={"whitening": "target"})
    assert against(one, own).reason == "b is whitened on the test sentences"
    other = scored("b", noisy(1, 2, STS[:3]))
    tasks = {**other.tasks, "STS12": {**other.tasks["STS12"], "fingerprint": "another copy"}}
    copy = scored("b", noisy(1, 2, STS[:3]))
    object.__setattr__(copy, "tasks", tasks)
    reasons = [one.reason for one in against(one, copy).differences]
    assert reasons == ["scored on different copies of the data", "", "a has no figure"]
    object.__setattr__(other, "predictions", {"STS12": one.predictions["STS12"]})
    untested = against(one, other).differences
    assert "not those of its figure" in untested[0].reason and "were not kept" in untested[1].reason
    assert untested[1].value is not None and untested[1].p is None
    said = significance_formats.notes(against(one, other))
    assert any(note.startswith("STS13: no test: the predictions of b were not kept") for note in said)


def test_a_row_of_the_papers_has_a_difference_and_no_test(tmp_path: Path) -> None:
    mine = scored("mine", noisy(1, 1))
    paper = find("sts", "claif-bert", [mine], tmp_path)
    side = own_side("sts", mine, None)
    assert paper is not None and side is not None
    found = contest("sts", side, paper, resamples=DRAWS)
    assert found.reason == "" and all(one.value is not None and one.p is None for one in found.differences)
    assert found.average is not None and found.average.value is not None and found.average.p is None
    assert "a paper prints figures" in significance_formats.notes(found)[0]
    assert find("transfer", "mine", [mine], tmp_path) is None
    with pytest.raises(UsageError, match="no row 'claif-brt'"):
        find("sts", "claif-brt", [mine], tmp_path)
    with pytest.raises(UsageError, match="2 results are called 'mine'"):
        find("sts", "mine", [mine, scored("mine", noisy(1, 2))], tmp_path)
    assert contest("sts", Side(row=reference_rows("sts")[0]), paper).reason


def test_predictions_lie_beside_their_result_and_grow_with_it(tmp_path: Path) -> None:
    first = save(tmp_path, scored("a", noisy(1, 1, STS[:2])))
    one = scored("a", {"CR": np.zeros(50, dtype=np.int8)})
    last = save(tmp_path, one)
    assert first != last and not first.with_suffix(".npz").exists() and last.with_suffix(".npz").exists()
    [again] = kept(tmp_path).evaluations
    found = predicted(tmp_path, again)
    assert list(found) == [*STS[:2], "CR"] and not again.predictions
    np.testing.assert_array_equal(found["STS13"].predicted, noisy(1, 1, STS[:2])["STS13"])
    assert "predictions" not in last.read_text()
    better = save(tmp_path, scored("b", noisy(0.5, 3, STS[:2])))
    both = {one.name: one for one in kept(tmp_path).evaluations}
    test = against(both["b"], both["a"], project=tmp_path)
    assert [one.p is not None and one.p < 0.05 for one in test.differences] == [True, True]
    better.with_suffix(".npz").write_bytes(b"PK cut")
    with pytest.raises(InputError, match="holds no predictions"):
        predicted(tmp_path, both["b"])
    save(tmp_path, scored("b", {TRANSFER[0]: np.zeros(5, dtype=np.int8)}))
    assert len(kept(tmp_path).evaluations) == 2, "damaged predictions do not stop a result from being kept"
    plain = {**{name: getattr(one, name) for name in one.__slots__}, "identity": "none", "predictions": {}}
    path = evaluations.save(tmp_path, Evaluation(**plain))
    assert not path.with_suffix(".npz").exists() and predicted(tmp_path, Evaluation(**plain)) == {}
