"""The only writer of stderr: notes, progress, questions, errors; and the one place that knows exit codes.

0 done; 1 something is missing or failed; 2 usage, bad input, refused data; 130 and 143 on SIGINT and SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

import click

from claif_tui.cli import output
from claif_tui.core.errors import ClaifError, UsageError
from claif_tui.core.text import display_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PIPE_CLOSED = 141
_PLAIN_SECONDS = 5.0


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived; ``exit_code`` is what the process ends with once its work is safe."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def note(text: str) -> None:
    """Say something to the person, not to the pipe."""
    _say(display_text(text))


def warn(text: str) -> None:
    """Say something that should be noticed."""
    _say(f"{_styled('warning', 'yellow')}: {display_text(text)}")


def interactive() -> bool:
    """Whether somebody is there to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> bool:
    """Ask on stderr; only where ``interactive``."""
    return click.confirm(display_text(question), err=True)


def guarded(work: Callable[[], object], *, as_json: bool = False) -> int:
    """Run a command and return its exit code; whatever goes wrong is said in words, never as a traceback."""
    try:
        with _signals():
            result = work()
        return result if isinstance(result, int) else 0
    except ClaifError as error:
        return _fail(error, as_json)
    except click.exceptions.Abort as error:
        if isinstance(error.__context__, EOFError):
            return _fail(UsageError("no answer was given", "Add --yes to go on without a question."), as_json)
        _say("Interrupted.")
        return 130
    except click.ClickException as error:
        return _fail(_from_click(error), as_json)
    except KeyboardInterrupt:
        _say("Interrupted.")
        return 130
    except Terminated as error:
        _say("Terminated.")
        return error.exit_code
    except output.PipeClosed:
        return PIPE_CLOSED
    except BrokenPipeError:  # click writes --help past our output
        output.discard()
        return PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - the outermost boundary: the user gets one line and a report
        return _crash(error, as_json)


def _say(text: str) -> None:
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except UnicodeEncodeError:
        sys.stderr.write(text.encode("ascii", "backslashreplace").decode("ascii") + "\n")
    except OSError:
        pass  # the terminal is gone; the work is not


def _styled(text: str, colour: str) -> str:
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        return click.style(text, fg=colour, bold=True)
    return text


def _fail(error: ClaifError, as_json: bool) -> int:
    _say(f"{_styled('error', 'red')}: {display_text(error.message)}")
    if error.hint:
        _say(f"  {display_text(error.hint)}")
    if as_json:
        told = {
            "title": error.title,
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        with suppress(output.PipeClosed):
            output.document({"error": told})
    return error.exit_code


def _from_click(error: click.ClickException) -> UsageError:
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "claif-tui"
    return UsageError(error.format_message().rstrip("."), f"See: {where} --help")


def _crash(error: Exception, as_json: bool) -> int:
    from claif_tui.cli.crash import write_report

    place = write_report(error)
    hint = "What was saved before is safe. "
    hint += f"Please report it with this file: {place}" if place else "No report could be written."
    internal = ClaifError(f"internal error: {type(error).__name__}", hint)
    internal.exit_code = 1
    return _fail(internal, as_json)


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that everything in hand is finished or undone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number: int, _: FrameType | None) -> None:
        raise Terminated(number)

    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, old in kept.items():
        if old is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in kept.items():
            signal.signal(number, old)


class Bar:
    """Progress with its time left: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = display_text(title, one_line=True)
        self._rich: Progress | None = None
        self._task: TaskID | None = None
        self._said = monotonic()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[extra]}", markup=False),
            )
            self._rich = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._rich.add_task(self._title, total=None, extra="")
            self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            with suppress(OSError):  # the terminal is gone
                self._rich.stop()

    def update(self, done: int, total: int, extra: str = "", title: str | None = None) -> None:
        """Show where the work stands; may be called from any thread, as often as one likes."""
        with self._lock:
            title = self._title if title is None else display_text(title, one_line=True)
            extra = display_text(extra, one_line=True)
            if self._rich is not None and self._task is not None:
                self._rich.update(
                    self._task, completed=done, total=max(1, total), extra=extra, description=title
                )
            elif monotonic() - self._said >= _PLAIN_SECONDS:
                self._said = monotonic()
                _say(display_text(f"{title}: {done:,} of {total:,} {extra}".rstrip()))
