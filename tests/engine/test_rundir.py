from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from engine import process, rundir
from engine.config import TrainConfig, preset
from engine.errors import ConfigError, RunError
from engine.events import BEAT_SECONDS, EventWriter, all_events
from engine.rundir import claim, condition, liveness, prepare, read_info, request_stop
from tests.engine.run_child import child, started

CONFIG = preset("claif", data="d.jsonl")


def tree(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


def changed(path: Path, **values: Any) -> None:
    """Change what run.json says."""
    info = json.loads((path / "run.json").read_bytes())
    (path / "run.json").write_text(json.dumps({**info, **values}))


def dead(path: Path, config: TrainConfig = CONFIG) -> Path:
    """Make a run whose process is gone: the number is ours, the start time is not."""
    with claim(path, config).events:
        changed(path, started="1")
    return path


def refused(path: Path, *, resume: bool = False, config: TrainConfig = CONFIG) -> RunError:
    """Return why a claim fails, having made sure that it changed nothing."""
    before = tree(path) if path.is_dir() else None
    with pytest.raises(RunError) as caught:
        claim(path, config, resume=resume)
    assert (tree(path) if path.is_dir() else None) == before
    return caught.value


def test_a_claimed_directory_says_who_runs_and_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    path = tmp_path / "runs" / "claif-1"
    run = claim(path, CONFIG, "slurm")
    info = read_info(path)
    assert info == run.info
    assert info is not None
    assert (info.incarnation, info.first_seq, info.launcher, info.job) == (1, 1, "slurm", "4711")
    assert (info.pid, info.host) == (os.getpid(), os.uname().nodename)
    assert info.started == process.start_mark(os.getpid()) != ""
    assert rundir.read_config(path) == CONFIG
    assert rundir.read_metrics(path) == {}
    assert condition(path).state == "running"
    assert condition(path).why == f"process {os.getpid()} runs"
    run.describe(data="c0ffee")
    run.describe(device="cpu")
    again = read_info(path)
    assert again is not None
    assert again.facts == {"data": "c0ffee", "device": "cpu"}
    run.write_metrics({"best": {"step": 125, "dev": 77.4}, "loss": float("nan")})
    assert rundir.read_metrics(path) == {"best": {"step": 125, "dev": 77.4}, "loss": None}
    assert run.checkpoints == path / "checkpoints"
    assert not [name for name in tree(path) if name.endswith(".part")]
    run.events.close()


def test_a_run_that_ended_says_how(tmp_path: Path) -> None:
    for kind, fields in [
        ("finished", {"step": 1}),
        ("stopped", {"step": 1}),
        ("failed", {"type": "E", "message": "m", "hint": ""}),
    ]:
        run = claim(tmp_path / kind, CONFIG)
        run.events.write(kind, **fields)  # type: ignore[arg-type]
        assert liveness(tmp_path / kind) == kind
        assert request_stop(tmp_path / kind) == "over"
        assert not (tmp_path / kind / "stop.json").exists()


def test_a_killed_process_is_dead_at_once_and_its_run_goes_on_in_another(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with child("hold", path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == f"claimed 1 {holder.pid}\n"
        assert liveness(path) == "running"
        assert "holds a run already: running" in refused(path).message
        assert "cannot be resumed: running" in refused(path, resume=True).message
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    assert condition(path) == rundir.Condition("dead", f"process {holder.pid} is gone")
    assert "holds a run already: dead" in refused(path).message
    assert request_stop(path) == "over"
    with (path / "events.jsonl").open("ab") as file:
        file.write(b'{"torn')
    with child("hold", path, "resume") as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == f"claimed 2 {holder.pid}\n"
        info = read_info(path)
        assert info is not None
        assert (info.incarnation, info.first_seq, info.pid) == (2, 2, holder.pid)
        assert liveness(path) == "running"
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "finished\n"
    assert liveness(path) == "finished"
    assert [(e["seq"], e["kind"]) for e in all_events(path / "events.jsonl")] == [
        (1, "started"),
        (2, "started"),
        (3, "finished"),
    ]
    assert "there is nothing to resume" in refused(path, resume=True).message


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with child("hold", path) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        os.kill(holder.pid, signal.SIGKILL)
        holder.stdout.read()  # its end closes the pipe; nobody has asked for its exit code yet
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        assert liveness(path) == "dead"


@pytest.mark.parametrize("resume", ["new", "resume"])
def test_of_processes_that_claim_at_once_exactly_one_wins(tmp_path: Path, resume: str) -> None:
    rounds, rivals = 25, 4
    if resume == "resume":
        for number in range(rounds):
            dead(tmp_path / str(number))
    with ExitStack() as stack:
        all_of_them = [stack.enter_context(child("race", tmp_path, rounds, resume)) for _ in range(rivals)]
        for number in range(rounds):
            for rival in all_of_them:
                assert rival.stdin is not None
                rival.stdin.write("\n")
                rival.stdin.flush()
            said = [rival.stdout.readline().strip() for rival in all_of_them if rival.stdout is not None]
            assert said.count("won") == 1, said
            winner = all_of_them[said.index("won")]
            info = read_info(tmp_path / str(number))
            assert info is not None
            assert info.pid == winner.pid
            assert info.incarnation == (2 if resume == "resume" else 1)
            for words in said:
                assert words == "won" or any(
                    reason in words
                    for reason in (
                        "taken by another",
                        "holds a run already",
                        "cannot be resumed",
                        "is being taken",
                    )
                ), words


def test_a_slow_rival_cannot_take_an_old_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dead(tmp_path / "r")
    judged = rundir._before(path, CONFIG)
    with claim(path, CONFIG, resume=True).events:
        changed(path, started="1")
    with claim(path, CONFIG, resume=True).events:
        # The rival judged turn 1 dead, and comes to take turn 2 only now.
        monkeypatch.setattr(rundir, "_before", lambda *_: judged)
        assert "taken by another process" in refused(path, resume=True).message


def test_stopping_signals_the_group_and_shows(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with child("hold", path, "deaf", "helper") as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert request_stop(path) == "signalled"
        assert liveness(path) == "stopping"
        assert holder.poll() is None
        assert request_stop(path, force=True) == "signalled"
        # Both it and its helper hold the pipe: it ends when both are gone.
        assert holder.stdout.read() == ""
        assert holder.wait() == -signal.SIGKILL
    assert liveness(path) == "dead"
    assert request_stop(path, force=True) == "over"


def test_a_process_in_a_group_of_others_is_signalled_alone(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with child("under", path) as leader:
        assert leader.stdout is not None
        assert leader.stdout.readline().startswith("claimed 1 ")
        assert request_stop(path) == "signalled"
        assert leader.stdout.readline() == "leader saw 0\n"


def test_a_number_that_went_to_another_process_is_never_signalled(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with child("hold", path) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdout.readline()
        changed(path, started="12345")
        assert liveness(path) == "dead"
        assert request_stop(path, force=True) == "over"
        info = read_info(path)
        assert info is not None
        # Even one that was taken for alive when it was looked at.
        assert not rundir._signal(info, signal.SIGKILL)
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "finished\n"


def test_process_one_is_never_taken_for_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpgid", lambda pid: pid)
    assert process.leads_its_group(2)
    assert not process.leads_its_group(1)
    assert process.start_mark(2**22 + 1) is None


def test_on_another_host_a_wish_is_left_and_nothing_is_signalled(tmp_path: Path) -> None:
    path = tmp_path / "r"
    run = claim(path, CONFIG)
    started(run, 0)
    changed(path, host="gpu7")
    assert not run.stop_wanted()
    assert liveness(path) == "running"
    assert request_stop(path) == "asked"
    assert liveness(path) == "stopping"
    assert run.stop_wanted()
    run.events.write("stopped", step=1)
    changed(path, host=os.uname().nodename, started="1")
    resumed = claim(path, CONFIG, resume=True)
    # The old wish was for the turn before.
    assert not resumed.stop_wanted()
    assert liveness(path) == "running"
    resumed.mark_stopping()
    assert liveness(path) == "stopping"
    resumed.events.close()


@pytest.mark.parametrize(
    ("age", "state", "why"),
    [
        (0, "running", "sign of life from gpu7 0 s ago"),
        (BEAT_SECONDS, "running", "sign of life from gpu7 30 s ago"),
        (3 * BEAT_SECONDS, "running", "sign of life from gpu7 90 s ago"),
        (3 * BEAT_SECONDS + 1, "unknown", "no sign of life from gpu7 for 91 s"),
        (86400 * 30, "unknown", "no sign of life from gpu7 for 30 d"),
        (-60, "running", "sign of life from gpu7 0 s ago"),
        (-3600 * 5, "unknown", "the clocks of gpu7 and this machine differ by 5 h"),
    ],
)
@pytest.mark.parametrize("elsewhere", [{"host": "gpu7"}, {"host": "gpu7", "machine": "0"}])
def test_elsewhere_the_age_of_the_last_event_tells(
    tmp_path: Path, elsewhere: dict[str, str], age: float, state: str, why: str
) -> None:
    path = tmp_path / "r"
    with claim(path, CONFIG).events as writer:
        writer.beat()
    changed(path, claimed=1.0, **elsewhere)
    beat = next(all_events(path / "events.jsonl"))["t"]
    assert condition(path, now=beat + age) == rundir.Condition(state, why)  # type: ignore[arg-type]


def test_before_its_first_event_a_run_is_as_old_as_its_claim(tmp_path: Path) -> None:
    path = tmp_path / "r"
    claim(path, CONFIG).events.close()
    changed(path, host="gpu7", claimed=1000.0)
    assert condition(path, now=1010.0).state == "running"
    assert condition(path, now=1100.0).state == "unknown"


def test_a_run_that_may_be_alive_is_never_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "r"
    claim(path, CONFIG).events.close()
    changed(path, host="gpu7", claimed=1000.0)
    error = refused(path, resume=True)
    assert "cannot be resumed: unknown (no sign of life from gpu7" in error.message
    assert "on gpu7" in error.hint
    assert "holds a run already: unknown" in refused(path).message


def test_another_container_of_this_machine_is_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "r"
    claim(path, CONFIG).events.close()
    changed(path, namespace="pid:[1]", claimed=1000.0)
    assert condition(path, now=1001.0).state == "running"
    assert condition(path, now=9000.0).state == "unknown"
    assert request_stop(path) == "asked"


def test_after_a_restart_of_the_machine_its_runs_are_dead(tmp_path: Path) -> None:
    path = tmp_path / "r"
    claim(path, CONFIG).events.close()
    changed(path, boot="0ldb007", claimed=1000.0)
    assert condition(path, now=1001.0).state == "unknown"
    assert condition(path, now=9000.0) == rundir.Condition("dead", f"{os.uname().nodename} has restarted since")


def test_a_process_that_this_user_may_not_see_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r"
    claim(path, CONFIG).events.close()
    monkeypatch.setattr(process, "start_mark", lambda pid: "")
    assert condition(path) == rundir.Condition("unknown", f"process {os.getpid()} is hidden from this user")
    assert request_stop(path) == "asked"


def test_the_end_of_an_earlier_turn_says_nothing_about_this_one(tmp_path: Path) -> None:
    path = tmp_path / "r"
    run = claim(path, CONFIG)
    run.events.write("stopped", step=7)
    assert "is about to end" in refused(path, resume=True).message
    changed(path, started="1")
    resumed = claim(path, CONFIG, resume=True)
    assert resumed.resumed
    assert liveness(path) == "running"
    changed(path, started="1")
    assert liveness(path) == "dead"
    resumed.events.close()


def test_a_directory_that_is_not_its_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "is a file" in refused(tmp_path / "file").message
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    (tmp_path / "thesis" / "notes.md").write_text("x")
    assert "not empty: it holds chapter.tex and 1 more" in refused(tmp_path / "thesis").message
    (tmp_path / "empty").mkdir()
    assert "holds no run to resume" in refused(tmp_path / "empty", resume=True).message
    assert "holds no run to resume" in refused(tmp_path / "none", resume=True).message
    assert not (tmp_path / "none").exists()
    claim(tmp_path / "empty", CONFIG).events.close()
    assert liveness(tmp_path / "empty") == "running"


def test_a_prepared_directory_waits_for_its_process(tmp_path: Path) -> None:
    path = tmp_path / "r"
    prepare(path, CONFIG)
    (path / "stderr.log").write_text("warming up\n")
    assert condition(path) == rundir.Condition("unknown", "no process has taken it yet")
    with pytest.raises(RunError, match="exists already"):
        prepare(path, CONFIG)
    other = preset("claif", data="d.jsonl", seed=7)
    assert "made for a run with other settings: seed was 42 and is 7" in refused(path, config=other).message
    claim(path, rundir.read_config(path)).events.close()
    assert liveness(path) == "running"


def test_a_resumed_run_keeps_its_settings(tmp_path: Path) -> None:
    path = dead(tmp_path / "r")
    other = preset("claif", data="d.jsonl", epochs=4)
    error = refused(path, resume=True, config=other)
    assert "cannot go on with other settings: epochs was 3 and is 4" in error.message
    claim(path, preset("claif", data="d.jsonl", threads=2, out="x"), resume=True).events.close()
    assert rundir.read_config(path) == CONFIG


def test_a_claim_that_broke_off_can_be_made_good(tmp_path: Path) -> None:
    path = dead(tmp_path / "r")
    # Its process died before run.json: the claim itself says who it was.
    (path / ".claim-1").write_bytes((path / "run.json").read_bytes())
    (path / "run.json").unlink()
    (path / "config.json").unlink()
    assert liveness(path) == "dead"
    assert "holds a run already: dead" in refused(path).message
    run = claim(path, CONFIG, resume=True)
    assert run.info.incarnation == 2
    assert rundir.read_config(path) == CONFIG
    run.events.close()
    # And one that died within the claim.
    (path / ".claim-3").touch()
    error = refused(path, resume=True)
    assert "is being taken by another process at this moment" in error.message
    assert str(path / ".claim-3") in error.hint


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pid": -1}, "pid is -1, expected a process number"),
        ({"pid": 0}, "pid is 0, expected a process number"),
        ({"pid": 10**30}, "pid is 1000"),
        ({"pid": True}, "pid is 'True', expected int"),
        ({"pid": "7"}, "pid is '7', expected int"),
        ({"host": None}, "host is 'None', expected str"),
        ({"facts": []}, "facts is '[]', expected dict"),
        ({"v": 2}, "has version 2, this program knows 1"),
    ],
)
def test_a_run_file_that_is_not_what_it_should_be_is_unknown(
    tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    path = tmp_path / "r"
    claim(path, CONFIG).events.close()
    changed(path, **values)
    assert condition(path).state == "unknown"
    assert said in condition(path).why
    with pytest.raises(RunError):
        request_stop(path)
    with pytest.raises(RunError):
        claim(path, CONFIG, resume=True)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000], ids=range(5))
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r"
    claim(path, CONFIG).events.close()
    for name in ("run.json", "metrics.json"):
        (path / name).write_bytes(content)
    assert condition(path).state == "unknown"
    assert "run.json is damaged" in condition(path).why
    with pytest.raises(RunError, match=r"metrics\.json is damaged"):
        rundir.read_metrics(path)
    (path / "config.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.json"):
        rundir.read_config(path)
    with pytest.raises(RunError, match=r"is not a run directory: it has no config\.json"):
        rundir.read_config(tmp_path)


def test_on_a_full_disk_the_last_good_file_survives(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with child("metrics_full", path, 30_000) as writing:
        assert writing.stdout is not None
        said = writing.stdout.read()
    assert said.startswith(f"{path}/metrics.json cannot be written: ")
    assert rundir.read_metrics(path) == {"best": {"step": 1, "dev": 70.5}}
    assert not [name for name in tree(path) if name.endswith(".part")]


def test_events_of_a_run_are_where_readers_look(tmp_path: Path) -> None:
    run = claim(tmp_path / "r", CONFIG)
    started(run, 0)
    run.events.close()
    with EventWriter(tmp_path / "r" / rundir.EVENTS) as writer:
        assert writer.next_seq == 2
