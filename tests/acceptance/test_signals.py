"""Whatever ends a run, what was in hand is safe, nothing stays reserved, and the next run only does the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core.recipes import requests_id
from claif_tui.core.session import load_recipe
from claif_tui.core.store.store import Store
from tests.acceptance.support import Shell, Terminal, contents, endpoint, finish, seeds_file, until
from tests.llm_fixtures import LLMServer

PLANNED = 18
SLOW = {"latency": 0.15}
PRICED = ("--price-in", 1, "--price-out", 2, "--budget", 1, "--concurrency", 2)
Begun = tuple[LLMServer, Path]


@pytest.fixture
def begun(shell: Shell, tmp_path: Path, shared_server: LLMServer) -> Iterator[Begun]:
    """A project with six seeds, and a server that takes its time; its log begins anew."""
    folder = tmp_path / "p"
    shell("init", folder).well()
    shell("import", "-P", folder, seeds_file(tmp_path / "seeds.txt", PLANNED // 3)).well()
    shared_server.log_path.write_bytes(b"")
    shared_server.control(faults=[], options=SLOW)
    yield shared_server, folder
    shared_server.control(faults=[], options={"latency": 0.0})


def words(begun: Begun, *more: object) -> list[object]:
    server, folder = begun
    return ["generate", "-P", folder, "--rates", "0.0,0.3,0.5", *endpoint(server, *PRICED, *more)]


def asked(server: LLMServer, count: int) -> None:
    until(lambda: len(server.log()) >= count, f"request {count}")


def money(folder: Path) -> tuple[int, int]:
    """(spent, reserved) in nano-dollars."""
    with Store.open(folder) as store:
        ledger = store.ledger.get(requests_id(load_recipe(folder)))
    return ledger.spent_nano, ledger.reserved_nano


def owed(server: LLMServer) -> int:
    """What the server's own log comes to, in nano-dollars."""
    prompt, completion = server.spent_tokens()
    return 1000 * (prompt + 2 * completion)


def paused(shell: Shell, folder: Path) -> dict[str, Any] | None:
    """The live run, once it is paused."""
    run: dict[str, Any] = shell("status", "-P", folder, "--json").well().doc["run"]
    return run if run["state"] == "paused" else None


def assert_safe(begun: Begun) -> None:
    """Every request that was sent is answered and kept, at its price; nothing is reserved, no run is open."""
    server, folder = begun
    with Store.open(folder) as store:
        assert store.calls.totals().answered == len(server.log())
        assert store.runs.active() is None
    assert money(folder) == (owed(server), 0)


def assert_completes(shell: Shell, begun: Begun) -> None:
    """The same command goes on to the end, and nothing was asked twice on the way."""
    server, _ = begun
    server.control(options={"latency": 0.0})
    done = shell(*words(begun)).well().doc
    assert (done["answered"], done["failed"], done["state"]) == (PLANNED, {}, "finished")
    assert_safe(begun)


@pytest.mark.parametrize(
    ("number", "code", "state"),
    [(signal.SIGINT, 130, "stopped"), (signal.SIGTERM, 143, "stopped"), (signal.SIGHUP, 129, "paused")],
)
def test_a_signal_ends_a_run_when_what_is_in_flight_has_landed(
    shell: Shell, begun: Begun, number: signal.Signals, code: int, state: str
) -> None:
    server, folder = begun
    process = shell.start(*words(begun))
    asked(server, 5)
    process.send_signal(number)
    done = finish(process)
    assert (done.code, done.doc["state"]) == (code, state), done.err
    assert done.doc["answered"] < PLANNED == done.doc["planned"]
    assert done.doc["pairs"]["pending"] > 0
    assert "Traceback" not in done.err
    assert_safe(begun)
    told = shell("status", "-P", folder).well().out
    assert "open)" in told and "claif-tui generate" in told
    if state == "paused":
        assert "Paused: the terminal went away" in told
    assert_completes(shell, begun)


def test_a_second_ctrl_c_gives_up_what_is_in_flight_at_its_worst_case(shell: Shell, begun: Begun) -> None:
    server, folder = begun
    process = shell.start(*words(begun))
    asked(server, 3)
    server.control(options={"latency": 600.0})
    before = len(server.log())
    asked(server, before + 2)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    until(lambda: "Ctrl-C again" in (process.stderr.readline() if process.stderr else ""), "the first Ctrl-C")
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.code == 130, done.err
    sent = len(server.log())
    spent, reserved = money(folder)
    assert (reserved, spent > owed(server)) == (0, True), "what may have been billed is counted"
    server.control(options={"latency": 0.0})
    assert shell(*words(begun)).well().doc["answered"] == PLANNED
    with Store.open(folder) as store:
        assert len(server.log()) - store.calls.totals().answered <= 2 <= sent, (
            "at most what was in flight again"
        )


def test_ctrl_c_at_a_question_changes_nothing(
    shell: Shell, begun: Begun, terminal: Callable[..., Terminal]
) -> None:
    server, folder = begun
    before = contents(folder)
    asking = terminal(*[word for word in words(begun) if word != "--yes"])
    asking.expect("Spend it?")
    assert asking.end(press="\x03") == 130
    typing = terminal("review", "edit", 1, "-P", folder)
    typing.expect("Ctrl-D")
    typing.press("half a sente")
    assert typing.end(press="\x03") == 130
    for one in (asking, typing):
        assert "Interrupted." in one.text() and "Traceback" not in one.text()
    assert (contents(folder), server.log()) == (before, [])


def test_a_lost_terminal_pauses_a_run(shell: Shell, begun: Begun, terminal: Callable[..., Terminal]) -> None:
    server, folder = begun
    run = terminal(*words(begun))
    asked(server, 5)
    run.hang_up()
    assert run.end() in (129, 141)
    assert_safe(begun)
    with Store.open(folder) as store:
        assert "terminal went away" in store.runs.list(1)[0].message
    assert_completes(shell, begun)


def test_a_detached_run_outlives_its_terminal_is_alone_and_can_be_stopped(
    shell: Shell, begun: Begun, terminal: Callable[..., Terminal]
) -> None:
    server, folder = begun
    server.control(options={"latency": 0.4})
    parent = terminal(*words(begun, "--detach"))
    parent.expect('"pid"')
    assert parent.end() == 0
    parent.hang_up()
    document = parent.output.decode()
    pid = json.loads(document[document.index("{") :])["pid"]
    try:
        assert os.getsid(pid) == pid != os.getsid(0), "it has a session of its own"
        shell("generate", "--pause", "-P", folder).well()
        run = until(lambda: paused(shell, folder), "the pause")
        assert run is not None and (run["pid"], run["host"]) == (pid, os.uname().nodename)
        with Store.open(folder) as store:
            active = store.runs.active()
        assert active is not None
        told = f"process {pid} on {os.uname().nodename}, since {active.started[:19]}"
        assert told in shell("status", "-P", folder).well().out
        second = shell(*words(begun))
        assert (second.code, second.doc["error"]["title"]) == (1, "Busy")
        for fact in (str(pid), os.uname().nodename, active.started[:10]):
            assert fact in second.err
        before = len(server.log())
        shell("generate", "--resume", "-P", folder).well()
        asked(server, before + 1)
        shell("generate", "--stop", "-P", folder).well()
        until(lambda: shell("status", "-P", folder, "--json").doc["run"] is None, "the end of the run")
        until(lambda: not _alive(pid), "the end of the process")
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert_safe(begun)
    assert "stopped on request" in (folder / "generate.log").read_text()
    assert_completes(shell, begun)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_pause_and_resume_from_another_process(shell: Shell, begun: Begun) -> None:
    server, folder = begun
    server.control(options={"latency": 0.4})
    process = shell.start(*words(begun))
    asked(server, 3)
    shell("generate", "--pause", "-P", folder).well()
    until(lambda: paused(shell, folder), "the pause")
    shell("generate", "--resume", "-P", folder).well()
    server.control(options={"latency": 0.0})
    done = finish(process)
    assert (done.code, done.doc["answered"]) == (0, PLANNED), done.err
    assert_safe(begun)


@pytest.mark.parametrize("ending", ["closed", "full", "none"])
def test_output_that_goes_nowhere_is_quiet_or_told(shell: Shell, tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "p"
    shell("init", folder, "--demo").well()
    if ending == "closed":
        ours, theirs = os.pipe()
        os.close(ours)
        with os.fdopen(theirs, "wb") as broken:
            done = shell("recipe", "show", "--toml", "-P", folder, stdout=broken)
            help_ = shell("generate", "--help", stdout=broken)
        assert (done.code, done.err) == (help_.code, help_.err) == (141, "")
    elif ending == "full":
        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full on this system")
        with Path("/dev/full").open("wb") as full:
            done = shell("status", "-P", folder, "--json", stdout=full)
        assert done.code == 1
        assert "No space left" in done.err and "internal" not in done.err
    else:
        line = 'exec "$@" >&- 2>&- <&-'
        argv = ["sh", "-c", line, "sh", *shell.argv("status", "-P", folder)]
        assert subprocess.run(argv, env=shell.env, check=False).returncode == 0
        argv[-1] = str(tmp_path / "nowhere")
        assert subprocess.run(argv, env=shell.env, check=False).returncode == 1
