"""One live run at a time: who is in the way is named, the dead are taken over, requests cross processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from claif_tui.core.errors import BusyError
from claif_tui.core.models import Run, RunKind, RunState
from claif_tui.core.store.process import is_alive, own_mark, start_mark
from claif_tui.core.store.store import Store
from tests.core.store_children import finish, said, start

RUNNING = (
    "store = Store.open(folder)\n"
    "run = store.runs.start('generate', 'r1', 'p', 'm', {'limit': 3})\n"
    "ready(run.id, run.started)\n"
    "wait()\n"
    "store.runs.set_state(run.id, 'finished', {'pairs': 9}, 'done')\n"
    "store.close()\n"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as opened:
        yield opened


def begin(store: Store, kind: RunKind = "generate") -> Run:
    return store.runs.start(kind, "r1", "p", "m", {})


def test_a_second_run_is_refused_with_who_where_and_since_when(store: Store) -> None:
    child = start(store.folder, RUNNING)
    run_id, started = said(child).split()
    with pytest.raises(BusyError) as caught:
        begin(store)
    for word in (os.uname().nodename, str(child.pid), started, "generate"):
        assert word in caught.value.message
    assert caught.value.hint
    active = store.runs.active()
    assert active is not None
    assert (active.id, active.pid, active.args) == (int(run_id), child.pid, {"limit": 3})
    finish(child)
    assert store.runs.active() is None
    done = store.runs.get(int(run_id))
    assert done is not None
    assert (done.state, done.totals, done.message) == ("finished", {"pairs": 9}, "done")
    assert done.ended is not None
    begin(store)


def test_a_run_whose_process_was_killed_shows_as_stopped_and_is_taken_over(store: Store) -> None:
    child = start(store.folder, RUNNING)
    run_id = int(said(child).split()[0])
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, but still a zombie
    assert store.runs.active() is None
    (shown,) = store.runs.list()
    assert (shown.id, shown.state) == (run_id, "stopped")
    assert "ended without" in shown.message
    child.communicate()
    fresh = begin(store)
    assert [run.state for run in store.runs.list()] == ["running", "stopped"]
    with store.read() as conn:
        assert conn.execute("SELECT state FROM runs WHERE id = ?", (run_id,)).fetchone() == ("stopped",)
    assert fresh.id != run_id


def test_a_paused_run_is_alive_too(store: Store) -> None:
    run = begin(store)
    store.runs.set_state(run.id, "paused", message="by hand")
    with pytest.raises(BusyError, match="paused"):
        begin(store, "score")
    active = store.runs.active()
    assert active is not None
    assert (active.state, active.message, active.ended) == ("paused", "by hand", None)


@pytest.mark.parametrize("state", ["stopped", "finished", "failed"])
def test_a_run_that_ended_makes_room(store: Store, state: RunState) -> None:
    store.runs.set_state(begin(store).id, state)
    assert begin(store).state == "running"


def test_tries_and_rescores_go_beside_a_live_run(store: Store) -> None:
    live = begin(store)
    begin(store, "try")
    begin(store, "rescore")
    active = store.runs.active()
    assert active is not None
    assert active.id == live.id
    with pytest.raises(BusyError):
        begin(store, "retry")


@pytest.mark.parametrize(("age", "alive"), [(30, True), (120, False)])
def test_a_run_on_another_host_is_judged_by_its_heartbeat(store: Store, age: int, alive: bool) -> None:
    run = begin(store)
    beat = (datetime.now(UTC) - timedelta(seconds=age)).isoformat(timespec="milliseconds")
    store.write(
        lambda conn: conn.execute(
            "UPDATE runs SET host = 'elsewhere', heartbeat = ? WHERE id = ?", (beat, run.id)
        )
    )
    assert (store.runs.active() is not None) is alive
    if alive:
        with pytest.raises(BusyError, match="elsewhere"):
            begin(store)
        return
    store.runs.heartbeat(run.id)
    assert store.runs.active() is not None


def test_a_reused_process_number_is_not_the_same_process(store: Store) -> None:
    run = begin(store)
    store.write(lambda conn: conn.execute("UPDATE runs SET pid_started = 'long ago' WHERE id = ?", (run.id,)))
    assert store.runs.active() is None


def test_requests_reach_a_run_in_another_process_once(store: Store) -> None:
    child = start(
        store.folder,
        "with Store.open(folder) as store:\n"
        "    run = store.runs.start('generate', 'r1', 'p', 'm', {})\n"
        "    ready(run.id); wait()\n"
        "    ready(store.runs.requested(run.id)); ready(store.runs.requested(run.id)); wait()\n",
    )
    run_id = int(said(child))
    assert store.runs.requested(run_id) is None
    store.runs.request(run_id, "pause")
    store.runs.request(run_id, "stop")
    assert child.stdin is not None
    child.stdin.write("look\n")
    child.stdin.flush()
    assert [said(child), said(child)] == ["stop", "None"]
    finish(child)


def test_marks_tell_processes_apart() -> None:
    assert own_mark() == start_mark(os.getpid())
    assert is_alive(os.getpid(), own_mark())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = start_mark(child.pid)
    assert mark is not None
    assert is_alive(child.pid, mark)
    assert not is_alive(child.pid, own_mark())
    child.communicate(b"\n")
    assert start_mark(child.pid) is None
    assert not is_alive(child.pid, mark)


def test_marks_from_ps_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ps = tmp_path / "ps"
    ps.write_text(
        '#!/bin/sh\n[ "$4" = 77 ] && echo "Ss   Sat Nov 21 10:00:00 2026"\n[ "$4" = 78 ] && echo "Z    x"\nexit 0\n'
    )
    ps.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("claif_tui.core.store.process.SYSTEM", "Darwin")
    assert start_mark(77) == "Sat Nov 21 10:00:00 2026"
    assert start_mark(78) is None
    assert start_mark(79) is None
