"""The application's client of the offline model: streams, calls off, survives the child's death, leaves no orphan."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from claif_tui.core.errors import EndpointError, MissingExtraError
from claif_tui.core.llm import offline
from claif_tui.core.llm.base import Answer, Delta, LLMError, Request, Sampling, Task
from claif_tui.core.llm.offline import OfflineClient
from claif_tui.core.models import Scale
from claif_tui.core.scores import parse_score
from tests.engine.offline_child import ROOT, needs_model

pytestmark = needs_model

LONG = "the <mask> man " * 300


def request(task: Task, seed: int = 1) -> Request:
    return Request(
        key="0",
        stage="generate",
        model="offline",
        api="chat",
        messages=(("user", "never read"),),
        sampling=Sampling(temperature=0.7, top_p=0.9),
        task=task,
        seed=seed,
    )


async def told(client: OfflineClient, task: Task, seed: int = 1) -> tuple[str, Answer]:
    """The joined deltas and the answer of one request."""
    *deltas, answer = [event async for event in client.stream(request(task, seed))]
    assert isinstance(answer, Answer)
    assert all(isinstance(d, Delta) for d in deltas)
    return "".join(d.text for d in deltas if isinstance(d, Delta)), answer


def pid_of(client: OfflineClient) -> int:
    assert client.pid is not None
    return client.pid


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def environment(pid: int) -> bytes:
    """The environment of a process, empty where the system does not tell."""
    path = Path(f"/proc/{pid}/environ")
    return path.read_bytes() if path.exists() else b""


@pytest.fixture
async def client() -> AsyncIterator[OfflineClient]:
    running = OfflineClient()
    await running.open()
    yield running
    await running.close()


async def test_a_fill_streams_and_ends_in_the_same_answer(client: OfflineClient) -> None:
    pieces, answer = await told(client, Task(op="fill", text="three <mask> are playing <mask> ."))
    assert pieces == answer.text
    assert answer.text.startswith("three ")
    assert answer.finish_reason == "stop"
    assert answer.model == client.model
    assert client.model.startswith("claif-offline@")
    assert "not a GPT" in client.note


async def test_many_at_once_get_each_its_own_answer(client: OfflineClient) -> None:
    tasks = [Task(op="fill", text=f"number {n} is a <mask> .") for n in range(100, 132)]
    answers = await asyncio.gather(*(told(client, task) for task in tasks))
    assert [a.text.split()[1] for _, a in answers] == [str(n) for n in range(100, 132)]


@pytest.mark.parametrize(("reason_first", "scale"), [(False, "0-1"), (True, "0-1"), (False, "0-5")])
async def test_the_score_parser_reads_a_score_answer(
    client: OfflineClient, reason_first: bool, scale: Scale
) -> None:
    first, second = "he ate 7 apples .", "he ate 9 green apples ."
    task = Task(op="score", text=first, other=second, reason_first=reason_first, scale=scale)
    _, answer = await told(client, task)
    parsed = parse_score(answer.text, "last" if reason_first else "plain", scale)
    assert (float(parsed.said) > 1) == (scale == "0-5")
    (cosine,) = await client.similarity([(task.text, task.other)])
    assert parsed.value is not None
    assert 0.4 < parsed.value < 1
    assert abs(parsed.value - cosine) < 0.4
    assert "“7”" in parsed.reason


async def test_similarity_keeps_the_order_of_many_pairs(client: OfflineClient) -> None:
    pairs = [("a cat sleeps", "a cat sleeps" if n % 3 else "prices rose") for n in range(450)]
    cosines = await client.similarity(pairs)
    assert [c > 0.9 for c in cosines] == [bool(n % 3) for n in range(450)]


async def test_what_the_model_cannot_do_is_an_error_of_that_request_alone(client: OfflineClient) -> None:
    for task in (Task(op="fill", text="no gap"), Task(op="free", text="write a poem")):
        with pytest.raises(LLMError) as caught:
            await told(client, task)
        assert caught.value.reason == "bad_request"
        assert caught.value.detail
    await told(client, Task(op="paraphrase", text="a dog runs ."))


async def test_a_megabyte_goes_through_the_pipe_and_is_refused(client: OfflineClient) -> None:
    with pytest.raises(LLMError, match="at most"):
        await told(client, Task(op="fill", text="<mask> é" * 120_000))


async def test_who_stops_listening_frees_the_model(client: OfflineClient) -> None:
    streams = [client.stream(request(Task(op="fill", text=LONG), seed)) for seed in range(20)]
    for stream in streams[:2]:
        await anext(stream)
    for stream in streams:
        await stream.aclose()
    task = asyncio.create_task(told(client, Task(op="fill", text=LONG)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await told(client, Task(op="score", text="a", other="b"))
    assert client.in_flight == 0


async def test_when_the_child_dies_every_waiter_is_told_and_the_next_request_starts_another(
    client: OfflineClient,
) -> None:
    waiting = [asyncio.create_task(told(client, Task(op="fill", text=LONG), seed)) for seed in range(4)]
    stream = client.stream(request(Task(op="fill", text=LONG), 9))
    await anext(stream)
    first = pid_of(client)
    os.kill(first, signal.SIGKILL)
    for task in waiting:
        with pytest.raises(LLMError) as caught:
            await task
        assert caught.value.reason == "connection"
        assert "-9" in caught.value.detail
        assert not caught.value.billed
    await stream.aclose()
    await told(client, Task(op="score", text="a", other="b"))
    assert pid_of(client) != first


async def test_close_ends_the_child_even_at_work_and_twice() -> None:
    client = OfflineClient()
    await client.open()
    stream = client.stream(request(Task(op="fill", text=LONG)))
    await anext(stream)
    pid = pid_of(client)
    await client.close()
    await client.close()
    assert not alive(pid)
    with pytest.raises(LLMError):
        # Pieces that had arrived may still come.
        async for event in stream:
            assert isinstance(event, Delta)
    with pytest.raises(LLMError):
        await told(client, Task(op="score", text="a", other="b"))


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_the_child_ends_when_its_parent_is_killed() -> None:
    code = (
        "import asyncio, os, signal\n"
        "from claif_tui.core.llm.offline import OfflineClient\n"
        "async def main():\n"
        "    client = OfflineClient()\n    await client.open()\n"
        "    print(client.pid, flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    try:
        child = os.pidfd_open(int(done.stdout))
    except ProcessLookupError:
        return
    with os.fdopen(child, "rb") as ends:
        assert select.select([ends], [], [], 20)[0], "the child outlived its parent"


async def test_a_folder_called_engine_where_the_user_stands_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__main__.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    client = OfflineClient()
    await client.open()
    await client.close()


async def test_secrets_do_not_reach_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    client = OfflineClient()
    await client.open()
    told_to_the_child = environment(pid_of(client))
    await client.close()
    assert b"sk-secret" not in told_to_the_child


async def test_missing_weights_are_an_error_with_a_hint(tmp_path: Path) -> None:
    client = OfflineClient(assets=tmp_path)
    with pytest.raises(MissingExtraError) as caught:
        await client.open()
    assert "model.safetensors" in caught.value.message
    assert "pip install" in caught.value.hint


async def test_a_child_that_cannot_start_is_an_endpoint_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no luck >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    client = OfflineClient()
    with pytest.raises(EndpointError, match="exit code 3: no luck"):
        await client.open()


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc")


@needs_proc
async def test_a_child_prepared_early_is_the_one_that_answers_and_is_handed_out_once() -> None:
    await offline.prepare()
    first, second = OfflineClient(), OfflineClient()
    try:
        prepared = children()
        assert len(prepared) == 1
        await offline.prepare()
        assert children() == prepared, "as when another project is opened: one is enough"
        await first.open()
        assert [pid_of(first)] == prepared
        await second.open()
        assert pid_of(second) != pid_of(first)
        _, answer = await told(first, Task(op="fill", text="three <mask> are playing ."))
        assert answer.model == first.model == second.model
    finally:
        await first.close()
        await second.close()


@needs_proc
async def test_a_request_waits_for_the_child_that_is_starting_rather_than_start_another() -> None:
    preparing = asyncio.create_task(offline.prepare())
    await asyncio.sleep(0)
    client = OfflineClient()
    await client.open()
    await preparing
    assert children() == [pid_of(client)]
    await client.close()


@needs_proc
async def test_a_prepared_child_that_died_is_started_anew_and_one_that_nobody_took_is_ended() -> None:
    await offline.prepare()
    (dead,) = children()
    os.kill(dead, signal.SIGKILL)
    starting = offline._spare._starting
    assert starting is not None
    await starting.result()[0].process.wait()
    client = OfflineClient()
    await client.open()
    assert pid_of(client) != dead
    await client.close()
    await offline.prepare()
    (left,) = children()
    await offline.discard()
    assert not alive(left)


def children() -> list[int]:
    """The engine processes below this one."""
    own = Path("/proc/self/task")
    listed = [(task / "children").read_text().split() for task in own.iterdir()]
    return [
        int(pid)
        for pids in listed
        for pid in pids
        if b"engine" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]
