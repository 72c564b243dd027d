"""Real child processes on a project: what two windows, a detached run or a killed process do to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from claif_tui.core.models import NewCall

PREAMBLE = """
import asyncio, os, sys
from pathlib import Path
from claif_tui.core.errors import StoreError
from claif_tui.core.store.store import Store
from tests.core.store_children import new_call
folder = Path(sys.argv[1])
def ready(*words):
    print(*words, flush=True)
def wait():
    sys.stdin.readline()
"""


def new_call(key: str, run_id: int, nano: int = 100, recipe: str = "r1") -> NewCall:
    return NewCall(
        key=key,
        stage="generate",
        recipe_id=recipe,
        run_id=run_id,
        seed_id=1,
        pair_id=None,
        rate=0.1,
        occurrence=0,
        attempt=0,
        profile="p",
        model="m",
        api="chat",
        prompt='[["user","hi"]]',
        params="{}",
        reserve_nano=nano,
    )


def start(folder: Path, code: str, *args: str) -> subprocess.Popen[str]:
    """Start a child that runs ``code`` after PREAMBLE; it can ``ready(...)`` a line and ``wait()`` for one."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + code, str(folder), *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )


def said(child: subprocess.Popen[str]) -> str:
    """The next line of a child; fails with its error output if it ended instead."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        _, errors = child.communicate()
        raise AssertionError(f"the child ended without a word: {errors}")
    return line.strip()


def finish(child: subprocess.Popen[str]) -> str:
    """Let a child go on to its end, which must be a good one; the rest of its output."""
    out, errors = child.communicate("go\n")
    assert child.returncode == 0, errors
    return out
