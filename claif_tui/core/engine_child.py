"""Asking the engine in a child process: it starts, answers once with a JSON document, and is gone.

Training is not asked for here: it outlives whoever started it (``runs``). No torch on this side.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from claif_tui.core.errors import ClaifError, MissingExtraError

Started = Callable[[subprocess.Popen[bytes]], object]
"""What gets a process that was started, so that somebody else can end it."""
PYTHON = (sys.executable, "-P", "-m")
"""-P: what lies in the user's folder is not ours."""

_ROOT = Path(__file__).resolve().parents[2]
_QUIET = {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1", "NO_COLOR": "1"}
_TRAIN = ("torch", "transformers", "tokenizers", "safetensors")
_PATIENCE_SECONDS = 10.0


class EngineFailure(ClaifError):
    """The engine's own error, as its process told it."""

    def __init__(self, title: str, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.title, self.exit_code = title, exit_code


def require_train(what: str) -> None:
    """Raise ``MissingExtraError`` unless what training and encoders need is installed; nothing of it is imported."""
    missing = [name for name in _TRAIN if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{what} needs an extra ({', '.join(missing)} missing)", "pip install 'claif-tui[train]'"
        )


def environment(*, keys: bool = False) -> dict[str, str]:
    """The environment of a child: ours without the LLM endpoints' keys, which the engine has no use for.

    ``keys``: with them, for a child that asks endpoints itself.
    """
    kept = {name: value for name, value in os.environ.items() if keys or not name.endswith("_API_KEY")}
    paths = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", ""))))
    return {**kept, **_QUIET, "PYTHONPATH": paths}


def ask(
    module: str, words: Sequence[str], *, given: str = "", started: Started | None = None
) -> dict[str, Any]:
    """Run ``python -m module words`` with ``given`` on its stdin; return the JSON document it answers with.

    Blocks; whatever ends the waiting ends the child. ``started`` gets the process, for whoever may want to end it.
    What the engine refuses, in one line on its stderr, is raised as ``EngineFailure``, as is its unforeseen end.
    """
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [*PYTHON, module, *words],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
        try:
            if started is not None:
                started(child)
            answer = child.communicate(given.encode())[0]
        finally:
            _end(child)
        if child.returncode == 0:
            try:
                found = json.loads(answer)
            except ValueError:
                found = None
            if isinstance(found, dict):
                return found
        said.seek(0)
        raise _failure(module, child.returncode, said.read().decode("utf-8", "replace").strip())


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _failure(module: str, code: int, said: str) -> EngineFailure:
    if code in (1, 2) and said and "Traceback" not in said:
        return EngineFailure("Engine", said.rpartition("\n")[2][:2000], "", code)
    last = said.rpartition("\n")[2][:500] or "it said nothing"
    hint = "The system may have run out of memory." if code == -9 else said[-2000:] if "\n" in said else ""
    return EngineFailure("Engine", f"{module} ended with code {code}: {last}", hint, 1)
