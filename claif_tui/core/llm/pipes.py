"""A child process that answers over JSON lines on its pipes, many requests in flight. No model, no protocol words.

The child has a session of its own (so that a Ctrl-C reaches the application alone) and ends when its input does,
however we ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from claif_tui.core.llm.base import LLMError, Reason

END_SECONDS = 3.0
ROOT = Path(__file__).resolve().parents[3]
"""Where the engine's package is, for the child's PYTHONPATH where the caller gives none."""
_LINE_LIMIT = 1 << 22
_STDERR_KEPT = 2000

Event = dict[str, Any]


class Child:
    """One running child: its process, the tasks that read its pipes, and the queues of the requests in flight."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.waiting: dict[int, asyncio.Queue[Event | None]] = {}
        self.stderr = b""
        self.readers: list[asyncio.Task[None]] = []

    @property
    def gone(self) -> bool:
        """Whether the child has ended or its answers have."""
        return self.process.returncode is not None or any(r.done() for r in self.readers[:1])

    async def read_answers(self) -> None:
        """Hand every event to the request that waits for it; at the end of output tell all that are left."""
        assert self.process.stdout is not None
        try:
            while line := await self.process.stdout.readline():
                event = json.loads(line)
                queue = self.waiting.get(event.get("id"))
                if queue is not None:
                    queue.put_nowait(event)
        except ValueError:
            # Not a line of JSON, or one beyond all bounds: whatever wrote this is not our engine any more.
            self.stderr += b"the engine wrote something that is no answer"
            self.kill()
        finally:
            for queue in self.waiting.values():
                queue.put_nowait(None)

    async def read_stderr(self) -> None:
        """Keep the end of what the child says on stderr, for an error message."""
        assert self.process.stderr is not None
        while piece := await self.process.stderr.read(4096):
            self.stderr = (self.stderr + piece)[-_STDERR_KEPT:]

    def kill(self) -> None:
        """End the child now; it may have ended already."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def last_words(self) -> str:
        """The last line on stderr, and the exit code if there is one."""
        lines = self.stderr.decode("utf-8", "replace").strip().splitlines()
        code = self.process.returncode
        told = [f"exit code {code}"] if code is not None else []
        return ": ".join([*told, *lines[-1:]]) or "no message"


async def start(words: Sequence[str], environ: Mapping[str, str], seconds: float | None) -> tuple[Child, Event]:
    """Start ``python -m engine words``; return it with the first event that it wrote ("ready" or "failed").

    The child that fails is gone when this returns. Raises ``NotStarted`` for one that says nothing within ``seconds``
    (None: however long it takes), or something else.
    """
    # -P: a folder named "engine" where the user stands must not be taken for ours.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "engine", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE_LIMIT,
        start_new_session=True,
        env={"PYTHONPATH": str(ROOT), **environ, "PYTHONIOENCODING": "utf-8"},
    )
    child = Child(process)
    stderr = asyncio.create_task(child.read_stderr())
    child.readers = [stderr]
    try:
        assert process.stdout is not None
        first = await asyncio.wait_for(process.stdout.readline(), seconds)
        said = json.loads(first)
        if said["event"] == "ready":
            child.readers = [asyncio.create_task(child.read_answers()), stderr]
        else:
            await end(child)
    except (TimeoutError, ValueError, KeyError) as problem:
        await end(child)
        raise NotStarted(child.last_words()) from problem
    except BaseException:
        # Called off while starting: nobody else knows of this process yet.
        child.kill()
        stderr.cancel()
        await asyncio.shield(process.wait())
        raise
    return child, said


class NotStarted(Exception):
    """The child ended, or was ended, before it was ready; the text is its last words."""


async def ask(child: Child, number: int, question: Event, name: str) -> AsyncGenerator[Event, None]:
    """Send one question and yield its events up to "done"; a caller that stops listening calls it off.

    Raises ``LLMError``: what the child answers as an error, or that the child, which is called ``name``, has ended.
    """
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    child.waiting[number] = queue
    done = False
    try:
        await send(child, {"id": number, **question})
        if child.gone:
            queue.put_nowait(None)
        while not done:
            event = await queue.get()
            if event is None:
                done = True
                raise await _lost(child, name)
            done = event["event"] in ("done", "error")
            if event["event"] == "error":
                reason = cast(Reason, event.get("reason", "bad_request"))
                raise LLMError(reason, event["message"], billed=False)
            yield event
    finally:
        del child.waiting[number]
        if not done and not child.gone:
            await send(child, {"id": number, "op": "cancel"})


async def _lost(child: Child, name: str) -> LLMError:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(child.process.wait(), END_SECONDS)
    killed = "; the system may have run out of memory" if child.process.returncode == -9 else ""
    detail = f"{name}'s process ended ({child.last_words()}{killed}); the next request starts it again"
    return LLMError("connection", detail, billed=False)


async def send(child: Child, message: Event) -> None:
    """Write one line; a pipe that is gone counts as sent, since the end of output tells the same more clearly."""
    assert child.process.stdin is not None
    with contextlib.suppress(ConnectionError):
        child.process.stdin.write(json.dumps(message).encode() + b"\n")
        await child.process.stdin.drain()


async def end(child: Child) -> None:
    """Wait for the child to end after its input has, kill it if it does not, and collect its readers."""
    assert child.process.stdin is not None
    child.process.stdin.close()
    if child.waiting:
        child.kill()
    try:
        await asyncio.wait_for(child.process.wait(), END_SECONDS)
    except TimeoutError:
        child.kill()
        await child.process.wait()
    await asyncio.gather(*child.readers, return_exceptions=True)
