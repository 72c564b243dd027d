"""The client of the offline model: one child process, JSON lines on its pipes, many requests in flight. No model code.

The child answers from the request's ``task`` and ``seed`` and never reads the prompt. It gets no secrets in its
environment, a session of its own (so that a Ctrl-C reaches the application alone), and ends when its input does,
however we ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from claif_tui.core.errors import EndpointError, MissingExtraError
from claif_tui.core.llm import pipes
from claif_tui.core.llm.base import Answer, Delta, LLMError, Request, refuse_rule
from claif_tui.core.llm.pipes import Child, Event
from claif_tui.core.paths import assets_dir

START_SECONDS = 60.0
"""How long the child may take to say that it is ready; it takes half a second, more on a busy or cold machine."""
PAIRS_AT_ONCE = 200
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "PYTHONHOME",
)

Started = tuple[Child, Event]
"""A child and what it said of itself when it was ready."""


class _Spare:
    """A child started before anybody asked, for whichever client is opened next on the same event loop."""

    def __init__(self) -> None:
        self._starting: asyncio.Task[Started] | None = None

    @property
    def there(self) -> bool:
        """Whether a child of this event loop is kept, ready or not."""
        return self._starting is not None and self._starting.get_loop() is asyncio.get_running_loop()

    def put(self, starting: asyncio.Task[Started]) -> None:
        """Keep a child that is starting."""
        self._starting = starting

    async def take(self) -> Started | None:
        """Hand the child over, once, when it is ready; None if there is none, it died, or another loop's it is."""
        starting = self._starting
        if starting is None or not self.there:
            return None
        await asyncio.wait([starting])
        if self._starting is not starting:
            return None  # somebody else was faster
        self._starting = None
        if starting.cancelled() or starting.exception() is not None or starting.result()[0].gone:
            return None  # whoever needs one starts it anew, and is told what is wrong
        return starting.result()


_spare = _Spare()


async def prepare() -> None:
    """Load the model in a child now, so that the first request finds it there. Raises nothing: the request will."""
    if _spare.there:
        return
    starting = asyncio.create_task(_start(assets_dir()))
    _spare.put(starting)
    await asyncio.wait([starting])


async def discard() -> None:
    """End the prepared child, if nobody took it."""
    left = await _spare.take()
    if left is not None:
        await pipes.end(left[0])


class OfflineClient:
    """The offline model as an ``LLMClient``; its child starts on ``open`` or the first request, again if it died."""

    def __init__(self, assets: Path | None = None) -> None:
        self._assets = assets
        self._child: Child | None = None
        self._starting = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._closed = False
        self.model = ""
        """Name and version of the loaded model, e.g. ``claif-offline@0123456789ab``; empty before the start."""
        self.note = ""
        """What the model says of itself, to be shown wherever it is used."""

    @property
    def pid(self) -> int | None:
        """Process id of the child, None before the start."""
        return self._child.process.pid if self._child else None

    @property
    def in_flight(self) -> int:
        """How many requests are being answered."""
        return len(self._child.waiting) if self._child else 0

    async def open(self) -> None:
        """Start the child and wait until it has loaded the model; raises ``MissingExtraError`` or ``EndpointError``."""
        self._closed = False
        await self._running()

    async def close(self) -> None:
        """End the child: by the end of its input, or by force if it does not go. Idempotent."""
        self._closed = True
        async with self._starting:
            child, self._child = self._child, None
            if child is not None:
                await pipes.end(child)

    def stream(self, request: Request) -> AsyncGenerator[Delta | Answer, None]:
        """Yield the answer word by word, then whole; ``LLMError`` if the model cannot answer or the child died."""
        return self._stream(request)

    async def similarity(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Cosine (-1..1) of the packaged encoder for each pair; ``LLMError`` as in ``stream``."""
        cosines: list[float] = []
        for begin in range(0, len(pairs), PAIRS_AT_ONCE):
            part = [list(pair) for pair in pairs[begin : begin + PAIRS_AT_ONCE]]
            async with contextlib.aclosing(self._ask({"op": "similarity", "pairs": part})) as events:
                async for event in events:
                    cosines += event.get("cosines", [])
        return cosines

    async def _stream(self, request: Request) -> AsyncGenerator[Delta | Answer, None]:
        task = request.task
        async with contextlib.aclosing(self._ask(_question(request))) as events:
            async for event in events:
                if event["event"] == "token" and task.op != "score":
                    yield Delta(event["text"])
                elif event["event"] == "done":
                    text = event["text"]
                    if task.op == "score":
                        text = _score_text(event, task.reason_first)
                        yield Delta(text)
                    yield Answer(text=text, finish_reason="stop", model=self.model)

    async def _ask(self, question: Event) -> AsyncGenerator[Event, None]:
        """Send one question and yield its events up to "done"; a caller that stops listening calls it off."""
        child = await self._running()
        async with contextlib.aclosing(
            pipes.ask(child, next(self._numbers), question, "the offline model")
        ) as events:
            async for event in events:
                yield event

    async def _running(self) -> Child:
        """The child, started if there is none or the last one died."""
        async with self._starting:
            if self._closed:
                raise LLMError("connection", "the offline model was closed", sent=False, billed=False)
            if self._child is not None and self._child.gone:
                child, self._child = self._child, None
                await pipes.end(child)
            if self._child is None:
                spare = await _spare.take() if self._assets is None else None
                self._child, said = spare or await _start(self._assets or assets_dir())
                self.model, self.note = f"{said['model']}@{said['version']}", said["note"]
            return self._child


def _question(request: Request) -> Event:
    task, sampling = request.task, request.sampling
    refuse_rule(sampling, "the offline model")
    if task.op == "score":
        top = {} if task.scale == "0-1" else {"top": 5}
        return {"op": "score", "text_a": task.text, "text_b": task.other, **top}
    if task.op == "free":
        raise LLMError(
            "bad_request",
            "the offline model only fills masks, paraphrases, scores and writes sentences on topics",
            sent=False,
            billed=False,
        )
    what: Event = {"text": task.text}
    if task.op == "sentences":
        what = {"topics": task.text.split("\n"), "count": task.count}
    return {
        "op": task.op,
        **what,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": request.seed,
    }


def _score_text(event: Event, reason_first: bool) -> str:
    number, reason = event["text"], event["reason"]
    return f"{reason} Similarity score: {number}" if reason_first else f"{number}. {reason}"


async def _start(assets: Path) -> Started:
    """Start a child and wait until it has loaded the model; return it and what it said of itself."""
    environ = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        child, ready = await pipes.start(("offline", "--assets", str(assets)), environ, START_SECONDS)
    except pipes.NotStarted as problem:
        raise EndpointError(
            f"The offline model did not start ({problem}).",
            "Run “claif-tui doctor”, or choose another endpoint with --model.",
        ) from problem
    if ready["event"] == "failed":
        raise MissingExtraError(ready["message"], ready["hint"])
    return child, {name: ready[name] for name in ("model", "version", "note")}
