"""The real command in real processes, in a world of its own: what every acceptance test runs on."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from tests.conftest import _SECRETS, ROOT
from tests.llm_fixtures import LLMServer

T = TypeVar("T")
PROMISED: Mapping[str, object] = {
    "planned": int,
    "answered": int,
    "failed": {str: int},
    "pairs": {"pending": int, "accepted": int, "rejected": int},
    "spent_usd": float,
    "cap_usd": (float, type(None)),
}
"""What ``status --json`` and ``generate --json`` promise."""


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def doc(self) -> dict[str, Any]:
        """The one JSON document that is all of stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    def well(self) -> Done:
        """Return it, if it went well."""
        assert self.code == 0, f"exit code {self.code}\n{self.err}\n{self.out}"
        return self


class Shell:
    """Runs ``claif-tui`` in children that see neither this machine's settings nor its keys."""

    def __init__(self, home: Path, **env: str) -> None:
        # Where the tests run beside each other, COLUMNS and LINES are set, and overrule a terminal's own size.
        left_out = {*_SECRETS, *(name.lower() for name in _SECRETS), "COLUMNS", "LINES"}
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        self.env = {
            **kept,
            "CLAIF_TUI_HOME": str(home),
            "CLAIF_TUI_AUTHOR": "tester",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
            **env,
        }

    def start(self, *words: object, env: Mapping[str, str] | None = None, **more: Any) -> subprocess.Popen[str]:
        """Start a command; its streams are pipes, stdin is empty."""
        return subprocess.Popen(
            self.argv(*words),
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                "env": {**self.env, **(env or {})},
                **more,
            },
        )

    def __call__(self, *words: object, **more: Any) -> Done:
        """Run a command to its end."""
        return finish(self.start(*words, **more))

    @staticmethod
    def argv(*words: object) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-P", "-m", "claif_tui", *map(str, words)]


def finish(process: subprocess.Popen[str], timeout: float = 90) -> Done:
    """Wait for a child and return what it came to."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it did not end: {process.args!r}\n{err}\n{out}") from None
    return Done(process.returncode, out or "", err or "")


def until(holds: Callable[[], T], what: str = "it", seconds: float = 45) -> T:
    """Wait for something that another process does, and return what ``holds`` says then."""
    end = monotonic() + seconds
    while not (found := holds()):
        assert monotonic() < end, f"{what} did not happen in time"
        sleep(0.02)
    return found


def seeds_file(path: Path, count: int, start: int = 0) -> Path:
    """Write ``count`` sentences, all different."""
    things = ("cat", "violin", "train", "river", "baker", "lamp", "teacher", "horse")
    path.write_text(
        "".join(
            f"the {things[n % len(things)]} number {n} waits near the old {things[(n * 3 + 1) % len(things)]} .\n"
            for n in range(start, start + count)
        )
    )
    return path


def endpoint(server: LLMServer, *more: object) -> list[object]:
    """Return the words that send a run to ``server``."""
    return ["--base-url", server.base_url, "--model", "m", "--yes", "--json", *more]


def matches(value: object, shape: object) -> bool:
    """Whether a JSON value has the shape: a type, some types, {"key": shape, …} (at least these) or {str: shape}."""
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            return False
        if str in shape:
            return all(matches(item, shape[str]) for item in value.values())
        return all(key in value and matches(value[key], part) for key, part in shape.items())
    if isinstance(value, bool) and shape is not bool:
        return False
    assert isinstance(shape, (type, tuple))
    return isinstance(value, shape)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


_COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")
_ESCAPES = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_].*?\x1b\\|\x1b[()][A-Z0-9]|\x1b[=>78]",
    re.DOTALL,
)


def _set_size(handle: int, lines: int, columns: int) -> None:
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


_DEAF_PARENT = """
import signal, subprocess, sys
signal.signal(signal.SIGHUP, lambda *_: None)
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""


class Terminal:
    """A command on a real terminal of its own: keys go in, the bytes that come out are kept."""

    def __init__(
        self,
        shell: Shell,
        *words: object,
        size: tuple[int, int] = (40, 120),
        cwd: Path | None = None,
        below_a_deaf_parent: bool = False,
    ) -> None:
        """``below_a_deaf_parent``: the terminal's first process is one that keeps a hang-up to itself, as make does."""
        self.output = b""
        self.pid, self._ours = pty.fork()
        if self.pid == 0:
            _set_size(0, *size)
            os.chdir(cwd or Path.cwd())
            before = [sys.executable, "-c", _DEAF_PARENT] if below_a_deaf_parent else []
            os.execve(sys.executable, [*before, *shell.argv(*words)], shell.env)
        self.code: int | None = None

    def resize(self, lines: int, columns: int) -> None:
        """Give the terminal another size."""
        _set_size(self._ours, lines, columns)
        if self.code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGWINCH)

    def flags(self) -> list[Any]:
        """The terminal's settings: whether it echoes, gathers lines, sends signals."""
        return list(termios.tcgetattr(self._ours)[:4])

    def press(self, keys: str) -> None:
        """Type keys."""
        os.write(self._ours, keys.encode())

    def read(self, seconds: float = 0.05) -> bool:
        """Read what has come; False when the other side is gone."""
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if not ready:
            return True
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # Linux says so when the other side has closed
            return False
        self.output += piece
        return bool(piece)

    def mark(self) -> int:
        """Return a place in the output, for ``text`` and ``expect``."""
        self.read(0)
        return len(self.output)

    def text(self, since: int = 0) -> str:
        """What was written since ``since``, without colours, each jump as a line break: words, not places."""
        return _ESCAPES.sub(b"\n", _COLOURS.sub(b"", self.output[since:])).decode("utf-8", "replace")

    def expect(self, *words: str, since: int = 0, seconds: float = 45) -> str:
        """Read until one of ``words`` has been written, and return which."""
        end = monotonic() + seconds
        while True:
            shown = self.text(since)
            for word in words:
                if word in shown:
                    return word
            alive = self.read()
            assert alive and monotonic() < end, f"never shown: {words}\n{shown[-4000:]}"

    def end(self, press: str = "", seconds: float = 45) -> int:
        """Read to the end, and return the exit code; ``press`` is typed, and again when nothing comes of it.

        (A signal just before a blocking read is seen only when the read is over.)
        """
        end = monotonic() + seconds
        pressed = 0.0
        while self._ours >= 0 and monotonic() < end:
            if press and monotonic() - pressed > 10:
                pressed = monotonic()
                self.press(press)
            if not self.read():
                break
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"it did not end\n{self.text()[-4000:]}")
            else:
                sleep(0.02)
        return self.code

    def hang_up(self) -> None:
        """Take the terminal away, as a lost connection does."""
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def close(self) -> None:
        """End whatever is left."""
        if self.code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        self.hang_up()
