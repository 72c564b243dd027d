"""What scripts build on: exit codes, one document on stdout, signals, pipes; with the real command."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from claif_tui.core.store.store import Store
from tests.cli.conftest import Cli, Done, child, finish
from tests.llm_fixtures import LLMServer

Start = Callable[..., LLMServer]


def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Wait for something that another process does."""
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, "it did not happen in time"
        sleep(0.02)


def generate(folder: Path, server: LLMServer, *more: object) -> list[object]:
    return [
        "generate",
        "-P",
        folder,
        "--base-url",
        server.base_url,
        "--model",
        "m",
        "--rates",
        "0.0,0.5",
        *more,
    ]


def test_importing_stsb_in_a_real_process(tmp_path: Path, data_dir: Path) -> None:
    folder = tmp_path / "p"
    assert finish(child("init", folder)).code == 0
    train = data_dir / "senteval/STS/STSBenchmark/sts-train.csv"
    done = finish(child("import", "-P", folder, train, "--format", "stsb", "--json"))
    assert done.code == 0
    shape = {key: done.doc[key] for key in ("rows", "sentences", "unique", "duplicates", "empty", "dropped")}
    assert shape == {
        "rows": 5749, "sentences": 11498, "unique": 10518, "duplicates": 980, "empty": 0, "dropped": {},
    }  # fmt: skip


def test_without_a_terminal_the_app_is_not_opened(tmp_path: Path) -> None:
    done = finish(child(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert "needs a terminal" in done.err


def test_a_closed_pipe_is_quiet(scored: Path) -> None:
    process = child("review", "list", "-P", scored)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    done = finish(process)
    assert done.code == 141
    assert done.err == "" or done.err is None


def slow_run(seeded: Path, llm_server: Start, *more: object) -> tuple[LLMServer, subprocess.Popen[str]]:
    """Start a run against a server that takes its time, and wait until it is under way."""
    server = llm_server(options={"latency": 0.15})
    process = child(*generate(seeded, server, "--yes", "--concurrency", 2, *more))
    until(lambda: len(server.log()) >= 4)
    return server, process


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_end_a_run_after_what_is_in_flight(
    seeded: Path, llm_server: Start, cli: Cli, number: signal.Signals, code: int
) -> None:
    server, process = slow_run(seeded, llm_server, "--json")
    process.send_signal(number)
    done = finish(process)
    assert done.code == code, done.err
    asked = len(server.log())
    with Store.open(seeded) as store:
        answered = store.calls.totals().answered
        made = store.pairs.counts().total
    assert answered == asked, "every answer that was paid for is kept"
    assert made > 0
    assert done.doc["answered"] < done.doc["planned"] == 12
    assert cli(*generate(seeded, server, "--yes", "--json")).code == 0
    with Store.open(seeded) as store:
        assert store.calls.totals().answered == len(server.log()), "nothing is asked twice"


def test_a_detached_run_outlives_its_parent_and_can_be_stopped(
    seeded: Path, llm_server: Start, cli: Cli
) -> None:
    server = llm_server(options={"latency": 0.15})
    done = finish(child(*generate(seeded, server, "--yes", "--concurrency", 1, "--detach", "--json")))
    assert done.code == 0, done.err
    assert done.doc["detached"] is True
    shown = cli("status", "-P", seeded, "--json").doc
    assert shown["run"]["pid"] == done.doc["pid"]
    busy = cli(*generate(seeded, server, "--yes"))
    assert busy.code == 1
    assert str(done.doc["pid"]) in busy.err
    assert cli("generate", "-P", seeded, "--stop").code == 0
    until(lambda: cli("status", "-P", seeded, "--json").doc["run"] is None)


def test_a_detached_run_that_cannot_start_says_why(seeded: Path, llm_server: Start) -> None:
    server = llm_server(options={"key": "right"})
    done = finish(child(*generate(seeded, server, "--yes", "--detach")))
    assert done.code == 1
    assert "the key is missing or refused" in done.err
    assert not (seeded / "generate.log").exists(), "nothing was started in the background"


def test_a_detached_run_writes_through_no_link_in_the_project(
    seeded: Path, llm_server: Start, tmp_path: Path
) -> None:
    mine = tmp_path / "profile"
    mine.write_text("mine\n")
    (seeded / "generate.log").symlink_to(mine)
    done = finish(child(*generate(seeded, llm_server(), "--yes", "--detach")))
    assert done.code == 1
    assert "generate.log" in done.err
    assert mine.read_text() == "mine\n"


def in_terminal(words: list[object], answer: bytes) -> Done:
    """Run a command with a terminal as stdin and stderr, and type ``answer``."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "claif_tui", *map(str, words)],
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        os.close(theirs)
        os.write(ours, answer)
        out, _ = process.communicate(timeout=60)
        said = b""
        with suppress(OSError):  # Linux says so when the other side has closed
            while chunk := os.read(ours, 65536):
                said += chunk
        return Done(process.returncode, out, said.decode())
    finally:
        os.close(ours)


def test_money_is_asked_about_on_a_terminal(seeded: Path, llm_server: Start) -> None:
    server = llm_server()
    no = in_terminal(generate(seeded, server, "--json"), b"n\n")
    assert no.code == 2
    assert "Spend it?" in no.err
    assert server.log() == []
    yes = in_terminal(generate(seeded, server, "--json"), b"y\n")
    assert yes.code == 0, yes.err
    assert json.loads(yes.out)["answered"] == 12


def test_a_lost_terminal_pauses_a_run(seeded: Path, llm_server: Start) -> None:
    server = llm_server(options={"latency": 0.15})
    words = generate(seeded, server, "--yes", "--concurrency", 2)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "claif_tui", *map(str, words)])
    until(lambda: len(server.log()) >= 4)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (129, 141)
    with Store.open(seeded) as store:
        assert store.calls.totals().answered == len(server.log())
        assert store.runs.active() is None
        assert store.runs.list(1)[0].state == "stopped"


def test_hash_seeds_and_concurrency_do_not_show_in_an_export(
    tmp_path: Path, llm_server: Start, cli: Cli
) -> None:
    server = llm_server()
    seeds = tmp_path / "seeds.txt"
    seeds.write_text("".join(f"the cat number {n} sits on a red mat .\n" for n in range(12)))
    written = []
    for hash_seed, concurrency in (("1", 1), ("2", 16)):
        folder = tmp_path / f"p{hash_seed}"
        env = {"PYTHONHASHSEED": hash_seed}
        assert cli("init", folder).code == cli("import", "-P", folder, seeds).code == 0
        ran = finish(child(*generate(folder, server, "--yes", "--concurrency", concurrency), env=env))
        assert ran.code == 0, ran.err
        assert cli("review", "accept", "-P", folder, "--filter", "score >= 0").code == 0
        exported = finish(child("export", "-P", folder, "--format", "dino", env=env))
        assert exported.code == 0, exported.err
        written.append((folder / "exports" / "dino.jsonl").read_bytes())
    assert written[0] == written[1]
    assert written[0]
