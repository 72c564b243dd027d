"""Fixtures of the acceptance tests: a shell for each test, and one for each module that shares a project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.support import Shell, Terminal
from tests.llm_fixtures import LLMServer


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """The command in a world of its own."""
    return Shell(tmp_path / "home")


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLMServer]:
    """One loopback LLM server for a module; whoever changes its faults or options sets them back."""
    server = LLMServer(tmp_path_factory.mktemp("server") / "log.jsonl")
    yield server
    server.stop()


@pytest.fixture
def terminal(shell: Shell) -> Iterator[Callable[..., Terminal]]:
    """Return ``open(*words, size=(lines, columns)) -> Terminal``; whatever is left of them is ended."""
    opened: list[Terminal] = []

    def start(*words: object, **more: Any) -> Terminal:
        opened.append(Terminal(shell, *words, **more))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
