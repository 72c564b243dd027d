"""The client of ``local:MODEL``: a Hugging Face language model in a child process. No model code.

The child reads the messages, writes many answers together and follows decoding rules, which need its logits. It gets no
LLM endpoint's key in its environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator
from pathlib import Path

from claif_tui.core.engine_child import environment, require_train
from claif_tui.core.errors import EndpointError
from claif_tui.core.llm import pipes
from claif_tui.core.llm.base import Answer, Delta, LLMError, Request, Sampling
from claif_tui.core.llm.pipes import Child, Event


class LocalClient:
    """A local model as an ``LLMClient``; its child starts on ``open`` or the first request, again if it died.

    Loading may take minutes, and a hub name is fetched first: there is no limit of time but the user's patience.
    """

    def __init__(self, model: str, *, device: str = "auto", dtype: str = "auto") -> None:
        self._words = ("local-lm", "--model", model, "--device", device, "--dtype", dtype)
        self._name = model
        self._child: Child | None = None
        self._starting = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._closed = False
        self.model = ""
        """Name and revision of the loaded model, e.g. ``gpt2@607a30d783df``; empty before the start."""
        self.note = ""
        """What the child says of the model: class, device, precision."""

    @property
    def pid(self) -> int | None:
        """Process id of the child, None before the start."""
        return self._child.process.pid if self._child else None

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
        """Yield the answer piece by piece, then whole; ``LLMError`` if the model cannot answer or the child died."""
        return self._stream(request)

    async def _stream(self, request: Request) -> AsyncGenerator[Delta | Answer, None]:
        child = await self._running()
        asked = pipes.ask(child, next(self._numbers), _question(request), "the local model")
        async with contextlib.aclosing(asked) as events:
            async for event in events:
                if event["event"] == "token":
                    yield Delta(event["text"])
                elif event["event"] == "done":
                    yield Answer(
                        text=event["text"],
                        finish_reason=event["finish_reason"],
                        model=self.model,
                        prompt_tokens=event["prompt_tokens"],
                        completion_tokens=event["completion_tokens"],
                    )

    async def _running(self) -> Child:
        """The child, started if there is none or the last one died."""
        async with self._starting:
            if self._closed:
                raise LLMError("connection", "the local model was closed", sent=False, billed=False)
            if self._child is not None and self._child.gone:
                child, self._child = self._child, None
                await pipes.end(child)
            if self._child is None:
                self._child = await self._start()
            return self._child

    async def _start(self) -> Child:
        require_train("a local language model")
        _check_path(self._name)
        try:
            child, said = await pipes.start(self._words, environment(), None)
        except pipes.NotStarted as problem:
            raise EndpointError(
                f"the local model {self._name!r} did not start ({problem})",
                "Run “claif-tui doctor”; a process that is killed mostly ran out of memory.",
            ) from problem
        if said["event"] == "failed":
            if "missing" in said:
                raise EndpointError(
                    f"the local model needs the package {said['missing']!r}, which is not installed",
                    f"pip install {said['missing']}",
                )
            raise EndpointError(f"local model: {said['message'].rstrip('.')}", said["hint"])
        self.model, self.note = f"{said['model']}@{said['version']}", said["note"]
        return child


def _check_path(model: str) -> None:
    """Raise ``EndpointError`` for a path that leads nowhere, before anything is started."""
    looks_like_path = model.startswith((".", "/", "~")) or model.count("/") > 1
    if looks_like_path and not Path(model).expanduser().is_dir():
        raise EndpointError(
            f"local model: there is no model folder {model!r}",
            f"Looked from {Path.cwd()}. A hub name is NAME or OWNER/NAME.",
        )


def _question(request: Request) -> Event:
    sampling: Sampling = request.sampling
    return {
        "op": "generate",
        "messages": [list(message) for message in request.messages],
        "form": request.api,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "min_tokens": sampling.min_tokens,
        "stop": list(sampling.stop),
        "seed": request.seed,
        "rule": None if sampling.rule is None else sampling.rule.plain(),
    }
