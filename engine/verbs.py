"""The verbs of `python -m engine` that need torch: training, evaluation, embedding. How each ends; not how it works.

Nothing heavy is imported before a run has its directory: whoever started it waits for that.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from engine import rundir
from engine.config import TrainConfig
from engine.errors import EngineError, RunError
from engine.events import Heartbeat
from engine.rundir import Launcher, Run

SCHEDULERS = (signal.SIGUSR1, signal.SIGUSR2)
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def train(args: argparse.Namespace) -> int:
    """Take the run's directory and train; what goes wrong from then on is told in its events too."""
    signals = Signals()
    try:
        config = rundir.read_config(args.run)
        run = rundir.claim(args.run, config, cast(Launcher, config.launcher), resume=args.resume)
    except EngineError as error:
        return _refused(error)
    with run.events, Heartbeat(run.events):
        try:
            return _train(run, config, signals)
        except EngineError as error:
            return _failed(run, error)
        except ModuleNotFoundError as error:
            return _failed(run, _missing(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the run's directory must say that it ended
            traceback.print_exc()
            return _failed(run, _explained(error), type(error).__name__)


def _train(run: Run, config: TrainConfig, signals: Signals) -> int:
    use_threads(config.threads)
    from engine.trainer import train as go

    finished = go(run, config, signals.came)
    return 0 if finished else signals.exit_code


class Signals:
    """SIGTERM, SIGINT, and what schedulers send before they take a node back, as a wish to save and end.

    The first one counts.
    """

    def __init__(self) -> None:
        self._number = 0
        for number in (signal.SIGTERM, signal.SIGINT, *SCHEDULERS):
            signal.signal(number, self._note)
        # A job blocks them until there is somebody to take them: by default they end a process at once.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SCHEDULERS)

    def came(self) -> bool:
        """Whether one was there."""
        return self._number != 0

    @property
    def exit_code(self) -> int:
        """128 and the number of the signal; 0 where the wish came in another way."""
        return 128 + self._number if self._number else 0

    def _note(self, number: int, frame: object) -> None:
        self._number = self._number or number


def use_threads(count: int) -> None:
    """Set how many threads libraries compute with, before they load; 0 leaves it to them."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if count:
        os.environ.update(dict.fromkeys(_THREADS, str(count)))


def _missing(error: ImportError) -> RunError:
    return RunError(
        f"{error.name or error} is not installed, which training and evaluation need",
        'Install the extra: pip install "claif-tui[train]".',
    )


def _explained(error: Exception) -> EngineError:
    """What can be said of an error that nobody foresaw, under its own type's name."""
    kind, said = type(error).__name__, str(error).strip() or "no message"
    if kind == "OutOfMemoryError" or isinstance(error, MemoryError) or "not enough memory" in said:
        return RunError(
            f"memory is full: {said.splitlines()[0]}",
            "Set gradient_accumulation (in-batch losses: with gradient_cache), or lower batch_size or "
            "max_seq_length.",
        )
    return RunError(f"{kind}: {said}", "This is a fault of the program; stderr.log says where.")


def _failed(run: Run, error: EngineError, kind: str = "") -> int:
    with suppress(RunError, ValueError):  # a full disk, or a run that had ended already
        run.events.write("failed", type=kind or type(error).__name__, message=error.message, hint=error.hint)
    return _refused(error)


def _refused(error: EngineError) -> int:
    """Say what is wrong in one line, which whoever started the process may show; returns the exit code."""
    parts = [f"{error.message.rstrip('.')}.", error.hint] if error.hint else [error.message]
    sys.stderr.write(" ".join(" ".join(parts).split()) + "\n")
    return error.exit_code


def evaluate(args: argparse.Namespace) -> int:
    """Score a model on evaluation tasks and print one JSON document."""

    def work() -> None:
        from engine.evaluating import ModelOptions
        from engine.evaluating import evaluate as score

        _print(score(args.model, args.data, args.tasks, ModelOptions(**_options(args)), args.mode))

    return _guarded(args, work)


def embed(args: argparse.Namespace) -> int:
    """Turn the lines of a text file into a file of vectors and print what it holds."""

    def work() -> None:
        from engine.evaluating import ModelOptions
        from engine.evaluating import embed as write

        _print(write(args.model, args.texts, args.out, ModelOptions(**_options(args))))

    return _guarded(args, work)


def _guarded(args: argparse.Namespace, work: Callable[[], None]) -> int:
    use_threads(args.threads)
    try:
        work()
    except EngineError as error:
        return _refused(error)
    except ModuleNotFoundError as error:
        return _refused(_missing(error))
    except KeyboardInterrupt:
        return 130
    return 0


def _print(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def _options(args: argparse.Namespace) -> dict[str, Any]:
    names = ("pooling", "max_seq_length", "precision", "own_pooler", "allow_pickle")
    return {name: getattr(args, name) for name in names}
