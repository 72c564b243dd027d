from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import resume, rundir
from engine.config import TrainConfig
from engine.errors import RunError
from engine.selection import DevScore, Selection
from tests.engine import tiny_models
from tests.engine.training_child import child
from tests.engine.training_helpers import (
    events,
    kinds,
    losses,
    pairs,
    run,
    scores,
    settings,
    triplets,
    weights,
)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.bert(tmp_path_factory.mktemp("models") / "bert")


def three_epochs(folder: Path, model: Path, **changes: Any) -> TrainConfig:
    """Nine steps with dropout and a dev score every two."""
    return settings(folder, model, epochs=3, lr=1e-3, dropout=0.2, **changes)


def same_end(first: Path, second: Path) -> None:
    """Both runs told the same and left the same models behind, to the last bit."""
    one, two = events(first), events(second)
    assert losses(one) == losses(two)
    assert scores(one) == scores(two)
    ours, theirs = (rundir.read_metrics(path) for path in (first, second))
    assert ours["best"] == theirs["best"]
    for name in ("best", "last"):
        a, b = (weights(path / "checkpoints" / name) for path in (first, second))
        assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.timeout(400)
def test_a_killed_run_goes_on_as_if_it_had_not_been(bert: Path, tmp_path: Path) -> None:
    config = three_epochs(tmp_path, bert)
    unbroken = run(tmp_path / "unbroken", config)
    rundir.prepare(tmp_path / "killed", _named(config, tmp_path / "killed"))
    assert child("kill", 5, tmp_path / "killed").returncode == -9
    assert rundir.liveness(tmp_path / "killed") == "dead"
    found = run(tmp_path / "killed", config, resume=True)
    begun = [event["from_step"] for event in found if event["kind"] == "started"]
    assert begun == [0, 5]
    assert len(losses(unbroken)) == 9
    same_end(tmp_path / "killed", tmp_path / "unbroken")


def test_a_state_that_lies_behind_the_last_checkpoint_is_caught_up_with(bert: Path, tmp_path: Path) -> None:
    """The best checkpoint may be newer than the state: the way there is gone again and ends at the same."""
    config = three_epochs(tmp_path, bert)
    run(tmp_path / "unbroken", config)
    path = tmp_path / "run"
    asked = iter([False] * 3 + [True])
    run(path, config, signalled=lambda: next(asked))
    kept = tmp_path / "kept"
    shutil.copytree(path / "checkpoints/last", kept)
    asked = iter([False] * 4 + [True])
    run(path, config, resume=True, signalled=lambda: next(asked))
    shutil.rmtree(path / "checkpoints/last")
    kept.rename(path / "checkpoints/last")
    run(path, config, resume=True)
    same_end(path, tmp_path / "unbroken")


@pytest.mark.timeout(400)
def test_a_signal_saves_and_says_so(bert: Path, tmp_path: Path) -> None:
    config = three_epochs(tmp_path, bert)
    run(tmp_path / "unbroken", config)
    path = tmp_path / "run"
    rundir.prepare(path, _named(config, path))
    ended = child("term", 3, path)
    # The step in hand is finished first.
    assert ended.returncode == 143 and ended.stderr == ""
    assert kinds(events(path))[-2:] == ["checkpoint", "stopped"] and events(path)[-1]["step"] == 4
    assert rundir.liveness(path) == "stopped"
    run(path, config, resume=True)
    same_end(path, tmp_path / "unbroken")


@pytest.mark.timeout(400)
def test_a_full_disk_leaves_the_last_good_state(bert: Path, tmp_path: Path) -> None:
    config = three_epochs(tmp_path, bert)
    run(tmp_path / "unbroken", config)
    path = tmp_path / "run"
    rundir.prepare(path, _named(config, path))
    ended = child("full", 4, path)
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr and "Traceback" not in ended.stderr
    last = events(path)[-1]
    assert last["kind"] == "failed" and "resume" in last["hint"]
    assert resume.load(path / "checkpoints").progress.step == 4  # type: ignore[union-attr]
    run(path, config, resume=True)
    same_end(path, tmp_path / "unbroken")


def test_in_batch_losses_with_fresh_heads_resume_too(bert: Path, tmp_path: Path) -> None:
    data = triplets(tmp_path / "t.csv", 13)
    changes = {"system": "official-syncse", "select": "stsb", "data": data, "mlm_weight": 0.1}
    config = three_epochs(tmp_path, bert, **changes)
    run(tmp_path / "unbroken", config)
    asked = iter([False] * 4 + [True])
    run(tmp_path / "run", config, signalled=lambda: next(asked))
    run(tmp_path / "run", config, resume=True)
    same_end(tmp_path / "run", tmp_path / "unbroken")


def test_patience_is_remembered(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter([50.0, 40.0, 41.0, 99.0])
    monkeypatch.setattr(Selection, "score", lambda *_: DevScore(dev=next(given)))
    config = settings(tmp_path, bert, data=pairs(tmp_path / "p.jsonl", 24), eval_every=1, early_stop=2)
    asked = iter([False, False, True])
    run(tmp_path / "run", config, signalled=lambda: next(asked))
    found = run(tmp_path / "run", config, resume=True)
    assert found[-1]["kind"] == "finished" and found[-1]["step"] == 3


def test_a_run_that_died_before_its_first_state_begins_anew(bert: Path, tmp_path: Path) -> None:
    config = three_epochs(tmp_path, bert)
    run(tmp_path / "unbroken", config)
    path = tmp_path / "run"
    asked = iter([False] * 3 + [True])
    run(path, config, signalled=lambda: next(asked))
    shutil.rmtree(path / "checkpoints")
    found = run(path, config, resume=True)
    assert [event["from_step"] for event in found if event["kind"] == "started"] == [0, 0]
    same_end(path, tmp_path / "unbroken")


def test_a_run_killed_after_its_last_step_only_ends(bert: Path, tmp_path: Path) -> None:
    """Its state is kept until it has said that it finished."""
    config = settings(tmp_path, bert)
    path = tmp_path / "run"
    state = {}
    discard = resume.discard

    def keep(checkpoints: Path) -> None:
        state["there"] = (checkpoints / "last/training.safetensors").is_file()
        discard(checkpoints)

    asked = iter([False, True])
    run(path, config, signalled=lambda: next(asked))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume, "discard", keep)
        run(path, config, resume=True)
    assert state == {"there": True}
    assert not (path / "checkpoints/last/training.safetensors").exists()


def test_changed_data_are_refused(bert: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "p.jsonl", 12)
    config = settings(tmp_path, bert, data=data)
    asked = iter([False, True])
    run(tmp_path / "run", config, signalled=lambda: next(asked))
    rows = data.read_text("utf-8").splitlines()
    first = json.loads(rows[0])
    data.write_text("\n".join([json.dumps({**first, "label": 0.125}), *rows[1:]]) + "\n", "utf-8")
    with pytest.raises(RunError, match="has changed"):
        run(tmp_path / "run", config, resume=True)


def test_another_model_under_the_same_name_is_refused(bert: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(bert, model)
    config = settings(tmp_path, model)
    asked = iter([False, True])
    run(tmp_path / "run", config, signalled=lambda: next(asked))
    shutil.rmtree(model)
    tiny_models.bert(model, num_hidden_layers=2)
    with pytest.raises(RunError, match="not the one"):
        run(tmp_path / "run", config, resume=True)


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "last").mkdir()
    (tmp_path / "last/training.safetensors").write_bytes(b"cut")
    with pytest.raises(RunError, match=r"training\.safetensors cannot be read"):
        resume.load(tmp_path)


def test_what_a_kill_between_two_renames_leaves_is_put_right(tmp_path: Path) -> None:
    for name in (".last.old", ".last.partial", ".best.old-77"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "word").write_text(name, "utf-8")
    resume.recover(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "last"]
    assert (tmp_path / "last/word").read_text("utf-8") == ".last.old"
    # With a new one in place the old one goes.
    (tmp_path / ".last.old").mkdir()
    resume.recover(tmp_path)
    assert (tmp_path / "last/word").read_text("utf-8") == ".last.old"
    assert not (tmp_path / ".last.old").exists()


def _named(config: TrainConfig, path: Path) -> TrainConfig:
    from dataclasses import replace

    return replace(config, out=str(path))
