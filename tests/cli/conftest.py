"""Running commands: in this process for what they say and do, in a child where signals, pipes and exits matter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from claif_tui.cli.main import run

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def doc(self) -> dict[str, Any]:
        """Its one JSON document."""
        found: dict[str, Any] = json.loads(self.out)
        return found


Cli = Callable[..., Done]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command line in this process."""

    def call(*words: object) -> Done:
        capsys.readouterr()
        code = run([str(word) for word in words], lambda project: pytest.fail("the app was opened"))
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return call


@pytest.fixture
def project(tmp_path: Path, cli: Cli) -> Path:
    """An empty project."""
    folder = tmp_path / "project"
    assert cli("init", folder).code == 0
    return folder


@pytest.fixture
def seeded(project: Path, tmp_path: Path, cli: Cli) -> Path:
    """A project with six seeds."""
    names = ("one", "two", "three", "four", "five", "six")
    seeds = tmp_path / "seeds.txt"
    seeds.write_text("".join(f"the cat number {name} sits on a red mat .\n" for name in names))
    assert cli("import", "-P", project, seeds).code == 0
    return project


@pytest.fixture
def scored(project: Path, tmp_path: Path, cli: Cli) -> Path:
    """A project with five imported pairs, scores 0.0 to 1.0."""
    rows = [{"text_a": f"first {n}", "text_b": f"second {n}", "label": n / 4} for n in range(5)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cli("import", "-P", project, "--as", "pairs", path).code == 0
    return project


def child(*words: object, **options: Any) -> subprocess.Popen[str]:
    """Start the real command."""
    return subprocess.Popen(
        [sys.executable, "-m", "claif_tui", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})},
        **options,
    )


def finish(process: subprocess.Popen[str], timeout: float = 60) -> Done:
    """Wait for a child and return what it came to."""
    out, err = process.communicate(timeout=timeout)
    return Done(process.returncode, out, err)
