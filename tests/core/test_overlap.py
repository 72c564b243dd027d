"""The overlap with evaluation sets as the project knows it: asked of the real engine once, kept, removed, recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core import overlap, overlap_removal, settings
from claif_tui.core.errors import ClaifError, InputError, UsageError
from claif_tui.core.snapshot import find, snapshots
from claif_tui.core.store.store import Store
from engine import rundir, wishes
from engine.config import TrainConfig
from engine.data import read
from engine.duplicates import VERSION
from tests.overlap_data import ROWS, evaluation_data, training_file


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "project") as store:
        return store.folder


@pytest.fixture
def senteval(tmp_path: Path) -> Path:
    return evaluation_data(tmp_path / "senteval")


def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: Any, **more: Any) -> Any:
        raise AssertionError("the engine was asked again")

    monkeypatch.setattr(overlap, "ask", refuse)


def test_what_overlaps_is_found_once_said_noted_and_left_out(
    project: Path, senteval: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = training_file(tmp_path / "claif.jsonl")
    (tmp_path / "sts-dev.csv").write_text("main\tx\t2012\t1\t3\ta\tb\n")
    config = TrainConfig(data=str(data))
    found = overlap.check(config, senteval, project=project)
    assert found.document["v"] == overlap.DEFINITION == VERSION
    [whole] = found.compared
    assert (whole.name, whole.rows.exact, whole.rows.near, whole.seen.of) == ("STSBenchmark test", 2, 1, 2758)
    assert whole.same_pair is not None and whole.same_pair.exact == 1
    said = overlap.warnings(found)
    assert said[0] == (
        "42 % of the training sentences stand in STS test sets (exact 4, near 1; most in STSBenchmark: 5)"
    )
    assert said[1] == (
        "not compared, as they are missing or broken: STS12, STS13, STS14, STS15, STS16, SICKRelatedness, "
        "STSBenchmark dev, MR, CR, SUBJ, MPQA, SST2, TREC, MRPC"
    )

    cleaned = overlap_removal.clean(
        config, senteval, overlap_removal.parse("near:sts"), project=project, place=project
    )
    assert (cleaned.removed, cleaned.by_task, cleaned.left.rows) == (3, {"STSBenchmark": 3}, 3)
    assert cleaned.config.dev == str(tmp_path / "sts-dev.csv"), (
        "the dev file beside the data is still the dev set"
    )
    examples = read(cleaned.config.data)
    assert [row["sentence1"] for row in map(examples.__getitem__, range(3))] == [a for a, _ in ROWS[3:]]
    assert examples.report.snapshot == cleaned.snapshot.id and not cleaned.snapshot.problem
    assert examples[0]["score"] == 3 / 5

    no_engine(monkeypatch)
    again = overlap.check(config, senteval, project=project)
    assert again == found
    assert overlap.warnings(overlap.check(cleaned.config, senteval, project=project))[0].startswith(
        "not compared"
    )
    run = project / "runs" / "claif-1"
    taken = rundir.claim(run, config)
    overlap.note(run, found)
    noted = overlap.noted(run)
    assert noted is not None and overlap.warnings(noted) == said
    assert "red" not in (run / wishes.OVERLAP).read_text(), "training sentences stay out of the run"
    taken.describe(data={"sha256": "another"})
    assert not overlap.fits(run, found)
    taken.events.close()
    data.write_text(data.read_text().replace("fifth", "last"))
    with pytest.raises(AssertionError, match="asked again"):
        overlap.check(config, senteval, project=project)


def test_what_was_left_out_of_a_snapshot_stands_in_the_next_one(
    project: Path, senteval: Path, tmp_path: Path
) -> None:
    config = TrainConfig(data=str(training_file(tmp_path / "claif.jsonl")), select="own")

    def clean(config: TrainConfig, rule: str) -> overlap_removal.Cleaned:
        wish = overlap_removal.parse(rule)
        return overlap_removal.clean(config, senteval, wish, project=project, place=project)

    first = clean(config, "exact")
    second = clean(first.config, "near")
    assert clean(config, "exact").snapshot.id == first.snapshot.id, "the same data and wish, the same snapshot"
    assert {one.id for one in snapshots(project)} == {first.snapshot.id, second.snapshot.id}
    steps = find(project, second.snapshot.id).manifest["overlap_removed"]
    assert [(one["rule"], one["rows"]) for one in steps] == [("exact", 2), ("near", 1)]
    assert (
        steps[1]["from"] == first.snapshot.id
        and steps[0]["from"] == first.snapshot.manifest["source"]["sha256"]
    )
    assert steps[0]["evaluation_data"] == overlap.fingerprint(senteval)
    before = (first.snapshot.path / "examples.jsonl").read_bytes().splitlines()
    assert (second.snapshot.path / "examples.jsonl").read_bytes().splitlines() == before[1:]
    assert first.snapshot.derived.endswith("without 2 rows that overlap (exact) with test sets")


def test_a_folder_that_cannot_be_compared_leaves_no_trace(project: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=str(training_file(tmp_path / "claif.jsonl")))
    with pytest.raises(InputError, match="is no folder"):
        overlap.check(config, tmp_path / "nowhere", project=project)
    wish, empty = overlap_removal.parse("near"), tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ClaifError, match="no evaluation set that can be read"):
        overlap_removal.clean(config, empty, wish, project=project, place=project)
    assert not (project / "overlaps").exists()
    assert list((project / "snapshots").iterdir()) == []


def test_where_the_evaluation_data_are_is_known_from_three_places(
    project: Path, senteval: Path, tmp_path: Path
) -> None:
    beside = TrainConfig(data=str(senteval / "STS" / "STSBenchmark" / "sts-train.csv"))
    elsewhere = TrainConfig(data=str(tmp_path / "claif.jsonl"))
    assert overlap.known_folder(project, elsewhere) is None
    assert overlap.known_folder(project, beside) == senteval
    used = tmp_path / "used"
    used.mkdir()
    result: dict[str, Any] = {
        "v": 1,
        "model": "m",
        "data": str(used),
        "identity": "i",
        "name": "n",
        "made": "2024",
        "tasks": {},
    }
    result |= dict.fromkeys(("backbone", "supervision", "scorer"))
    (project / "evaluations").mkdir()
    (project / "evaluations" / "m.json").write_text(json.dumps(result))
    assert overlap.known_folder(project, beside) == used
    settings.remember(overlap.SETTING, str(senteval))
    assert overlap.known_folder(project, elsewhere) == senteval


@pytest.mark.parametrize(
    "broken",
    [{"groups": []}, {"groups": {}}, {"sets": [1]}, {"sets": []}, {"sets": 5}, {"data": None}, {"rows": "x"}],
)
def test_a_note_that_does_not_read_is_none(broken: dict[str, Any], tmp_path: Path) -> None:
    counts = {"sentences": {"exact": 1, "near": 0}, "rows": {"exact": 1, "near": 0}}
    sound: dict[str, Any] = {
        "rows": 2,
        "sentences": 3,
        "wordless": 0,
        "data": {"sha256": "0"},
        "groups": dict.fromkeys(("STS12-16", "sts", "transfer", "all"), counts),
        "sets": [
            {"task": task, "split": "test", "kind": kind, "state": "complete", **counts}
            for task, kind in (("STS12", "sts"), ("MRPC", "transfer"))
        ],
    }
    rundir.note_overlap(tmp_path, sound)
    assert overlap.noted(tmp_path) is not None
    rundir.note_overlap(tmp_path, {**sound, **broken})
    assert overlap.noted(tmp_path) is None


def test_words_for_a_removal_are_checked() -> None:
    assert overlap_removal.parse("exact:STS12,mr") == overlap_removal.Removal(rule="exact", tasks="STS12,MR")
    with pytest.raises(UsageError, match="'all' says not what to remove"):
        overlap_removal.parse("all")
    with pytest.raises(ClaifError, match="'XX' is no task"):
        overlap_removal.parse("near:XX")
    with pytest.raises(UsageError, match="not in rerank's own queries"):
        overlap_removal.parse("near:rerank")


@pytest.mark.parametrize(
    ("exact", "near", "of", "said"),
    [
        (0, 0, 9, "0 %"),
        (0, 1, 9999, "<0.1 %"),
        (3, 1, 100, "4.0 %"),
        (840, 4, 1000, "84 %"),
        (999, 0, 1000, "99.9 %"),
        (2, 0, 2, "100 %"),
    ],
)
def test_shares_are_never_rounded_to_nothing_or_all(exact: int, near: int, of: int, said: str) -> None:
    assert overlap.percent(overlap.Count(exact, near, of)) == said
