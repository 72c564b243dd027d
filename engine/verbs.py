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
from functools import partial
from typing import TYPE_CHECKING, Any

from engine import process, rundir
from engine.config import TrainConfig
from engine.errors import ConfigError, EngineError, RunError
from engine.events import Heartbeat
from engine.process import Seat
from engine.rundir import Run

if TYPE_CHECKING:
    from engine.lookout import Lookout

SCHEDULERS = (signal.SIGUSR1, signal.SIGUSR2)
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def train(args: argparse.Namespace) -> int:
    """Take the run's directory and train; what goes wrong from then on is told in its events too."""
    seat = process.seat()
    if seat.rank:
        return _accompany(args, seat)
    signals = Signals()
    try:
        config = rundir.read_config(args.run)
        check_seat(config, seat)
        run = rundir.claim(args.run, config, config.launcher, resume=args.resume)
    except EngineError as error:
        return _refused(error)
    others: Lookout | None = None
    with run.events, Heartbeat(run.events):
        try:
            use_threads(config.threads)
            if seat.size > 1:
                # A run that somebody wishes to end begins all the same, and ends with a checkpoint.
                others = _look_out(
                    args, seat, lambda: signals.came() and not run.stop_wanted(), partial(_lost, run)
                )
            return _train(run, config, signals, others)
        except EngineError as error:
            return _failed(run, error)
        except ModuleNotFoundError as error:
            return _failed(run, _missing(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the run's directory must say that it ended
            if others is not None and (why := others.explain()) is not None:
                return _failed(run, why)
            traceback.print_exc()
            return _failed(run, _explained(error), type(error).__name__)


def _accompany(args: argparse.Namespace, seat: Seat) -> int:
    """Compute beside the first process, which alone tells, scores and saves. What goes wrong here it is told."""
    try:
        config = rundir.read_config(args.run)
        check_seat(config, seat)
        use_threads(config.threads)
        # Until all are there, a signal simply ends this one.
        others = _look_out(args, seat, lambda: False, _end_quietly)
    except (EngineError, ModuleNotFoundError) as error:
        return error.exit_code if isinstance(error, EngineError) else 1  # the first one says the same
    signals = Signals()
    try:
        from engine.bystander import beside

        return _train(beside(args.run, resumed=args.resume), config, signals, others)
    except EngineError as error:
        own: EngineError = error
    except Exception as error:  # noqa: BLE001 - the first process is to know whatever it is
        if others.explain() is not None:
            return 1
        traceback.print_exc()
        own = _explained(error)
    others.tell(own, signals.came)
    return own.exit_code


def _train(run: Run, config: TrainConfig, signals: Signals, others: Lookout | None) -> int:
    from engine.trainer import train as go

    if others is None:
        return 0 if go(run, config, signals.came) else signals.exit_code
    go(run, config, signals.came, others.team)
    # To torchrun a run that was told to end has not failed.
    others.stop()
    others.team.part()
    return 0


def _look_out(
    args: argparse.Namespace, seat: Seat, came: Callable[[], bool], lost: Callable[[EngineError], None]
) -> Lookout:
    """Meet the other processes of the run, and watch them from now on."""
    from engine.distributed import join
    from engine.lookout import Lookout

    others = Lookout(join(seat, args.group, came), lost)
    others.start()
    return others


def _lost(run: Run, why: EngineError) -> None:
    """Another process failed while this one waits for it: from a thread, as nothing else goes on."""
    _failed(run, why)
    _end_quietly(why)


def _end_quietly(why: EngineError) -> None:
    sys.stderr.flush()
    os._exit(why.exit_code)


def check_seat(config: TrainConfig, seat: Seat) -> None:
    """Make sure that as many processes were started as the settings say; ``ConfigError``, else."""
    wanted = config.processes or (seat.size if config.launcher == "torchrun" else 1)
    if seat.size != wanted or (config.launcher == "torchrun" and not process.under_torchrun()):
        raise ConfigError(
            f"launcher is {config.launcher} and processes {config.processes}, but {seat.size} "
            f"{'processes were' if seat.size > 1 else 'process was'} started",
            "Start it with claif-tui train, or with python -m engine.torchrun --run DIR.",
        )
    if seat.size > 1 and os.environ.get("LOCAL_WORLD_SIZE") != str(seat.size):
        raise ConfigError(
            "the processes were started on several machines, but those of a run are on one",
            "Start all of them on one machine.",
        )
    if seat.size > config.batch_size:
        raise ConfigError(
            f"batch_size is {config.batch_size}, but {seat.size} processes share every batch",
            f"Set batch_size to {seat.size} or more, or start fewer processes.",
        )


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
    sys.stderr.write(f"{error.line}\n")
    return error.exit_code


def evaluate(args: argparse.Namespace) -> int:
    """Score a model on evaluation tasks and print one JSON document."""

    def work() -> None:
        from engine.evaluating import ModelOptions
        from engine.evaluating import evaluate as score

        whitened = {"whiten_own": args.whiten_own, "whiten_dim": args.whiten_dim}
        options = ModelOptions(**_options(args), **whitened)
        _print(score(args.model, args.data, args.tasks, options, args.mode, args.predictions))

    return _guarded(args, work)


def embed(args: argparse.Namespace) -> int:
    """Turn the lines of a text file into a file of vectors and print what it holds."""

    def work() -> None:
        from engine.evaluating import ModelOptions
        from engine.evaluating import embed as write

        _print(write(args.model, args.texts, args.out, ModelOptions(**_options(args))))

    return _guarded(args, work)


def whiten(args: argparse.Namespace) -> int:
    """Write a model folder that whitens its vectors and print what the whitening rests on."""

    def work() -> None:
        from engine.evaluating import ModelOptions
        from engine.whiten import whiten as write

        _print(write(args.model, args.corpus, args.dim, args.out, ModelOptions(**_options(args))))

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
