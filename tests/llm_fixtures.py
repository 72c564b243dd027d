"""The ``llm_server`` fixture: start loopback LLM servers, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


class LLMServer:
    """A running server: where it is, what it was asked, and a handle to change it."""

    def __init__(
        self,
        log: Path,
        faults: list[dict[str, Any]] | None = None,
        options: dict[str, Any] | None = None,
        cert: Path | None = None,
    ) -> None:
        self.log_path = log
        self.scheme = "https" if cert else "http"
        command = [sys.executable, "-m", "tests.llm_server", "--log", str(log)]
        command += ["--faults", json.dumps(faults or []), "--options", json.dumps(options or {})]
        command += ["--cert", str(cert)] if cert else []
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.strip():
            raise RuntimeError("the test server did not start")
        self.port = int(line)

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"

    def log(self) -> list[dict[str, Any]]:
        """Return every request so far: see ``Server._write`` for the fields."""
        return [json.loads(line) for line in self.log_path.read_text("utf-8").splitlines()]

    def spent_tokens(self) -> tuple[int, int]:
        """Return (prompt tokens, completion tokens) the server has computed."""
        lines = [line for line in self.log() if line["status"] == 200]
        return sum(line["prompt_tokens"] for line in lines), sum(line["completion_tokens"] for line in lines)

    def control(
        self, *, faults: list[dict[str, Any]] | None = None, options: dict[str, Any] | None = None
    ) -> dict[str, int]:
        """Replace the faults (and their counters) or options; return the server's counts."""
        wish: dict[str, Any] = {}
        if faults is not None:
            wish["faults"] = faults
        if options is not None:
            wish["options"] = options
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/control", body=json.dumps(wish))
            counts: dict[str, int] = json.loads(connection.getresponse().read())
            return counts
        finally:
            connection.close()

    def stop(self) -> None:
        """End the process; nothing listens on the port afterwards."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.terminate()
        self.process.wait(timeout=20)


Factory = Callable[..., LLMServer]


@pytest.fixture
def llm_server(tmp_path: Path) -> Iterator[Factory]:
    """Return ``start(faults=[…], options={…}) -> LLMServer``; every server is stopped after the test."""
    running: list[LLMServer] = []

    def start(faults: list[dict[str, Any]] | None = None, options: dict[str, Any] | None = None) -> LLMServer:
        server = LLMServer(tmp_path / f"llm-server-{len(running)}.jsonl", faults, options)
        running.append(server)
        return server

    yield start
    for server in running:
        server.stop()
