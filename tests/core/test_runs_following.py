from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core import launching, runs
from claif_tui.core.errors import ClaifError, InputError, UsageError
from claif_tui.core.run_import import import_run
from claif_tui.core.runs import Follower, Progress, Score
from engine import rundir
from engine.config import TrainConfig, preset
from engine.rundir import liveness
from tests.core.train_child import FAILS, FINISHES, REFUSES, SILENT, WAITS

ROOT = Path(__file__).resolve().parents[2]
CHILD = (sys.executable, "-P", "-m", "tests.core.train_child")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(launching, "TRAIN", CHILD)
    (tmp_path / "p" / "runs").mkdir(parents=True)
    (tmp_path / "p" / "d.jsonl").touch()
    yield tmp_path / "p"
    for row in runs.list_runs(tmp_path / "p"):
        if row.state in ("running", "stopping"):
            runs.stop(tmp_path / "p", row.name, force=True)


def config(kind: int, **more: Any) -> TrainConfig:
    return preset("claif", data="d.jsonl", seed=kind, **more)


def launch(project: Path, kind: int, **more: Any) -> str:
    return runs.launch(project, config(kind, **more), base=project).name


def until(follower: Follower, reached: Callable[[Progress], bool]) -> Progress:
    """Follow a run until it has told what is waited for; the other process gets the CPU meanwhile."""
    while not reached(follower.progress):
        follower.poll()
        os.sched_yield()
    return follower.progress


def wait(project: Path, name: str) -> Progress:
    """Follow a run to its last word."""
    return until(runs.follow(project, name), lambda progress: progress.ended != "")


def wait_gone(path: Path) -> None:
    """Wait until its process is over, and not only about to end."""
    info = rundir.read_info(path)
    assert info is not None
    while rundir._alive_here(info):
        os.sched_yield()


def test_a_project_without_runs(tmp_path: Path) -> None:
    assert runs.list_runs(tmp_path) == []
    with pytest.raises(UsageError) as caught:
        runs.show(tmp_path, "claif-1")
    assert caught.value.hint == "It has no runs yet."


def test_a_launched_run_goes_from_start_to_end_and_is_listed(project: Path) -> None:
    path = runs.launch(project, config(FINISHES), base=project)
    assert path == project / "runs" / "claif-1"
    progress = wait(project, "claif-1")
    assert progress.ended == "finished"
    assert (progress.total_steps, progress.step, progress.rows, progress.device) == (10, 6, 64, "cpu")
    assert progress.losses == [(step, 1 / step) for step in range(1, 7)]
    assert progress.best == Score(6, 76.0, True)
    assert progress.latest == {"lr": 1e-5, "rows_per_second": 99.0}
    [row] = runs.list_runs(project)
    assert (row.name, row.state, row.system, row.model) == ("claif-1", "finished", "claif", "bert-base-uncased")
    assert (row.step, row.total, row.best_step, row.best_dev) == (10, 10, 6, 76.0)
    assert row.host == os.uname().nodename
    assert row.told is not None
    assert row.told >= row.begun > 1.6e9
    detail = runs.show(project, "claif-1")
    assert detail.row == row
    assert detail.config.data == str(project / "d.jsonl")
    assert detail.config.out == str(path)
    assert detail.metrics == {"best": {"step": 6, "dev": 76.0}}
    assert detail.progress == progress
    assert detail.log == "turn 1\n"


def test_names_count_on_within_a_system(project: Path) -> None:
    (project / "runs" / "claif-2").write_text("in the way")
    names = [runs.launch(project, config(FINISHES), base=project).name for _ in range(2)]
    other = preset("dino", data="d.jsonl", seed=FINISHES)
    names.append(runs.launch(project, other, base=project).name)
    assert names == ["claif-1", "claif-3", "dino-1"]
    for name in names:
        wait(project, name)
    assert [row.name for row in runs.list_runs(project)] == ["dino-1", "claif-3", "claif-1"]


def test_a_run_can_be_sent_elsewhere(project: Path, tmp_path: Path) -> None:
    path = runs.launch(project, config(FINISHES, out="../far/away"), base=project)
    assert path.resolve() == tmp_path / "far" / "away"
    follower = Follower(path)
    until(follower, lambda progress: progress.ended == "finished")
    assert runs.list_runs(project) == []
    with pytest.raises(ClaifError, match="exists already") as caught:
        runs.launch(project, config(FINISHES, out="../far/away"), base=project)
    assert caught.value.exit_code == 1
    assert liveness(path) == "finished"


def test_a_process_of_its_own_knows_no_keys_and_outlives_its_launcher(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.config import preset\n"
        "from claif_tui.core import launching, runs\n"
        f"launching.TRAIN = {CHILD!r}\n"
        f"runs.launch(Path(sys.argv[1]), preset('claif', data='d.jsonl', seed={WAITS}), base=Path(sys.argv[1]))"
    )
    environ = {**os.environ, "OPENAI_API_KEY": "sk-secret", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(project)], env=environ, check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    info = rundir.read_info(project / "runs" / "claif-1")
    assert info is not None
    assert os.getpgid(info.pid) == os.getsid(info.pid) == info.pid
    [row] = runs.list_runs(project)
    assert (row.state, row.why) == ("running", f"process {info.pid} runs")
    # A reopened app follows it from the first event on, and may stop it.
    follower = runs.follow(project, "claif-1")
    until(follower, lambda progress: progress.step == 6)
    info = rundir.read_info(project / "runs" / "claif-1")
    assert info is not None
    assert info.facts == {"keys": [], "cwd": str(project)}
    assert runs.stop(project, "claif-1") == "signalled"
    assert wait(project, "claif-1").ended == "stopped"
    assert runs.stop(project, "claif-1") == "over"


def test_a_stopped_run_is_resumed_and_its_curve_goes_on(project: Path) -> None:
    name = launch(project, WAITS)
    path = project / "runs" / name
    with pytest.raises(ClaifError, match=r"cannot be resumed: running"):
        runs.resume(project, name)
    assert liveness(path) == "running"
    follower = runs.follow(project, name)
    until(follower, lambda progress: progress.step == 6)
    runs.stop(project, name)
    assert wait(project, name).ended == "stopped"
    wait_gone(path)
    runs.resume(project, name)
    until(follower, lambda progress: progress.ended == "finished")
    # The second turn began after step 4: steps 5 and 6 are told again, once each in the curve.
    assert [step for step, _ in follower.progress.losses] == list(range(1, 11))
    assert [score.step for score in follower.progress.scores] == [10]
    assert runs.show(project, name).progress == follower.progress
    assert runs.log_tail(path) == "turn 1\nturn 2\n" or "cannot be resumed" in runs.log_tail(path)
    wait_gone(path)
    with pytest.raises(ClaifError, match="nothing to resume"):
        runs.resume(project, name)


def test_a_failed_run_says_why(project: Path) -> None:
    name = launch(project, FAILS)
    progress = wait(project, name)
    assert (progress.ended, progress.message) == ("failed", "a loss is not a number Lower lr.")
    [row] = runs.list_runs(project)
    assert (row.state, row.why) == ("failed", "a loss is not a number")


@pytest.mark.parametrize(
    ("kind", "said"),
    [(REFUSES, "with code 2: d.jsonl: line 7: no score"), (SILENT, "with code 2: it said nothing")],
)
def test_what_does_not_start_leaves_a_reason_and_no_run(project: Path, kind: int, said: str) -> None:
    with pytest.raises(ClaifError) as caught:
        launch(project, kind)
    assert caught.value.message == f"training ended at once {said}"
    assert caught.value.exit_code == 1
    assert ("looking at the data" in caught.value.hint) == (kind == REFUSES)
    assert list((project / "runs").iterdir()) == []


def test_a_process_that_never_claims_is_ended(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "TRAIN", (sys.executable, "-c", "import signal; signal.pause()"))
    monkeypatch.setattr(launching, "START_SECONDS", 0.0)
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **more: Any) -> None:
            started.append(self)
            super().__init__(*args, **more)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    with pytest.raises(ClaifError, match="did not begin within 0 s and was ended"):
        launch(project, FINISHES)
    assert [child.wait() for child in started] == [-signal.SIGTERM]
    assert list((project / "runs").iterdir()) == []


def test_a_resume_that_does_not_start_leaves_the_run_as_it_was(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = launch(project, FAILS)
    wait(project, name)
    wait_gone(project / "runs" / name)
    monkeypatch.setattr(launching, "TRAIN", (sys.executable, "-c", "raise SystemExit(3)"))
    # What an earlier turn said is not taken for this one's reason.
    with pytest.raises(ClaifError, match=r"^training ended at once with code 3: it said nothing$"):
        runs.resume(project, name)
    assert liveness(project / "runs" / name) == "failed"
    assert runs.log_tail(project / "runs" / name) == "turn 1\n"


def test_without_data_nothing_is_made(project: Path) -> None:
    with pytest.raises(UsageError, match="data is empty"):
        runs.launch(project, preset("claif"))
    assert list((project / "runs").iterdir()) == []


def test_a_name_that_is_no_run_gets_the_nearest_one(project: Path) -> None:
    wait(project, launch(project, FINISHES))
    with pytest.raises(UsageError) as caught:
        runs.stop(project, "claf-1")
    assert caught.value.hint == "Did you mean claif-1?"
    for name in ("", ".", "..", "../runs/claif-1", "/", str(project / "runs" / "claif-1")):
        with pytest.raises(UsageError):
            runs.find(project, name)


def test_broken_runs_are_listed_and_say_so(project: Path) -> None:
    folder = project / "runs"
    (folder / "empty").mkdir()
    (folder / ".importing-1").mkdir()
    (folder / "a file").touch()
    wait(project, launch(project, FINISHES))
    for name in ("run.json", "config.json", "metrics.json", "events.jsonl"):
        (folder / name).mkdir()
        (folder / name / name).write_bytes(b"\xff{")
    rows = {row.name: row for row in runs.list_runs(project)}
    assert set(rows) == {"claif-1", "empty", "run.json", "config.json", "metrics.json", "events.jsonl"}
    assert (rows["empty"].state, rows["empty"].why) == ("unknown", "no process has taken it yet")
    assert "run.json is damaged" in rows["run.json"].why
    assert {row.state for name, row in rows.items() if name != "claif-1"} == {"unknown"}
    with pytest.raises(ClaifError, match=r"config\.json is not JSON") as caught:
        runs.show(project, "config.json")
    assert caught.value.title == "Configuration"


def test_a_run_from_elsewhere_is_imported_whole(project: Path, tmp_path: Path) -> None:
    name = launch(project, FINISHES)
    wait(project, name)
    source = project / "runs" / name
    (source / "checkpoints" / "best").mkdir(parents=True)
    (source / "checkpoints" / "best" / "model.safetensors").write_bytes(b"weights")
    (source / ".metrics.json.0.part").touch()
    with pytest.raises(UsageError, match="has this run already: claif-1"):
        import_run(project, source)
    with pytest.raises(UsageError, match="has a run claif-1 already"):
        import_run(project, source, name)
    assert import_run(project, source, "cluster").name == "cluster"
    copied = project / "runs" / "cluster"
    assert (copied / "checkpoints" / "best" / "model.safetensors").read_bytes() == b"weights"
    assert not (copied / ".metrics.json.0.part").exists()
    assert runs.show(project, "cluster").progress == runs.show(project, name).progress
    assert {row.name for row in runs.list_runs(project)} == {name, "cluster"}


def test_a_packed_run_is_unpacked_and_its_models_may_stay_behind(project: Path, tmp_path: Path) -> None:
    source = project / "runs" / launch(project, FINISHES)
    wait(project, source.name)
    (source / "checkpoints" / "best").mkdir(parents=True)
    (source / "checkpoints" / "best" / "model.safetensors").write_bytes(b"weights")
    # What submitit leaves: a pickle that nobody is to load, and a link.
    (source / "slurm").mkdir()
    (source / "slurm" / "7_submitted.pkl").touch()
    (source / "slurm" / ".submission_file_1.sh").symlink_to("/somewhere/7_submission.sh")
    with tarfile.open(tmp_path / "run7.tar.gz", "w:gz") as archive:
        archive.add(source, "scratch/claif-1")
    other = tmp_path / "laptop"
    done = import_run(other, tmp_path / "run7.tar.gz")
    assert (done.name, done.state, done.models) == ("run7", "finished", True)
    assert runs.show(other, "run7").progress == runs.show(project, source.name).progress
    assert list((other / "runs" / "run7" / "slurm").iterdir()) == []
    light = import_run(other, source, "light", models=False)
    assert not light.models and (light.path / "metrics.json").is_file()
    for bad in ("link", "/absolute", "../up"):
        member = tarfile.TarInfo(bad)
        member.type = tarfile.SYMTYPE if bad == "link" else tarfile.REGTYPE
        with tarfile.open(tmp_path / "bad.tar", "w") as archive:
            archive.addfile(member)
        with pytest.raises(InputError, match="is no plain file inside it"):
            import_run(other, tmp_path / "bad.tar")
    (tmp_path / "half.tgz").write_bytes((tmp_path / "run7.tar.gz").read_bytes()[:200])
    with pytest.raises(InputError, match=r"neither a run directory nor a whole tar|holds 0 run directories"):
        import_run(other, tmp_path / "half.tgz")
    assert sorted(entry.name for entry in (other / "runs").iterdir()) == ["light", "run7"]


def test_what_is_no_ended_run_is_not_imported(project: Path, tmp_path: Path) -> None:
    name = launch(project, WAITS)
    source = project / "runs" / name
    with pytest.raises(UsageError, match="is running"):
        import_run(project, source, "copy")
    runs.stop(project, name, force=True)
    wait_gone(source)
    for bad in ("../x", ".x"):
        with pytest.raises(UsageError, match="cannot be the name"):
            import_run(project, source, bad)
    (tmp_path / "none").mkdir()
    with pytest.raises(ClaifError, match="is not a run directory"):
        import_run(project, tmp_path / "none")
    (source / "secret").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="secret is no plain file"):
        import_run(project, source, "copy")
    (source / "secret").unlink()
    import_run(project, source, "copy")
    assert liveness(project / "runs" / "copy") == "dead"
    assert sorted(f.name for f in (project / "runs").iterdir()) == [name, "copy"]


def test_events_that_lack_something_are_counted_and_do_no_harm() -> None:
    progress = Progress()
    damaged: list[dict[str, Any]] = [
        {"kind": "step", "step": 2},
        {"kind": "step", "step": "2", "losses": 1},
        {"kind": "step", "step": 2, "losses": ["nan", 1.0]},
        {"kind": "eval", "step": 2, "dev": "x", "best": True},
        {"kind": "started"},
        {},
        {"kind": "failed"},
    ]
    for event in damaged:
        progress.feed(event)
    assert (progress.damaged, progress.losses, progress.scores, progress.ended) == (7, [], [], "failed")
    progress.feed({"kind": "something new"})
    progress.feed({"kind": "warning", "message": "rows were dropped"})
    progress.feed(json.loads('{"kind": "step", "step": 3, "losses": [NaN, null, 0.5]}'))
    progress.feed({"kind": "eval", "step": 3, "dev": None, "best": False})
    assert progress.losses == [(1, None), (2, None), (3, 0.5)]
    assert (progress.warnings, progress.scores) == (["rows were dropped"], [Score(3, None, False)])
    assert progress.best is None
    assert progress.damaged == 7
