"""Running what is missing of a grid, cell by cell: data set, training, evaluation. One cell that fails ends no other.

Nothing here knows how progress is shown; trainings are processes of their own (``runs``), evaluations children.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from claif_tui.core import evaluating, evaluations, runs
from claif_tui.core.errors import ClaifError, InputError
from claif_tui.core.evaluating import TARGET, EvaluationWish
from claif_tui.core.events import Finished, Progress
from claif_tui.core.experiment import data as making
from claif_tui.core.experiment.data import Asking
from claif_tui.core.experiment.grid import SEEDS
from claif_tui.core.experiment.journal import Journal
from claif_tui.core.experiment.models import Cell, CellState, DataFacts, DataSet, Grid, Result
from claif_tui.core.experiment.outcome import figure
from claif_tui.core.models import NANO
from claif_tui.core.settings import Settings
from engine.config import TrainConfig
from engine.events import read_events
from engine.rundir import CHECKPOINTS, EVENTS

Drive = Callable[[Callable[[], Asking], str, Callable[[Progress], None]], Finished]
"""Runs a generation to its end, handling signals and showing it; tells each progress to the third argument too."""
LOOK_SECONDS = 0.2
TELL_SECONDS = 1.0
END_SECONDS = 60.0
"""How long a training that was asked to end may take to save itself."""


class RunFailed(ClaifError):
    """A training ended without a model."""

    exit_code = 1
    title = "Run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where the experiment is: ``done`` of ``total`` of ``stage``, for the cell ``title``; cells that ended so far."""

    stage: CellState
    title: str
    done: int
    total: int
    words: str
    ended: int
    cells: int
    eta_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What one go came to: cells that were done before or are now, and those that failed with the reasons."""

    done: int
    failed: tuple[tuple[Cell, str], ...]


class Experiment:
    """One go at a grid. ``tell`` gets each step (often), ``said`` a sentence about each cell that ended."""

    def __init__(
        self,
        grid: Grid,
        settings: Settings,
        drive: Drive,
        tell: Callable[[Step], None],
        said: Callable[[str], None],
    ) -> None:
        self._grid = grid
        self._settings = settings
        self._drive = drive
        self._tell = tell
        self._said = said
        self._journal = Journal(grid.spec.folder)
        self._author = settings.text("author") or None
        self._spent = 0
        self._ended = 0
        self._told = 0.0
        self._at: tuple[CellState, tuple[str, ...], str] = ("waiting", (), "")
        self._unmade: dict[str, ClaifError] = {}
        self._results: dict[str, Result] = {}

    # -- money

    def left_nano(self) -> int | None:
        """What is left of the one budget, open requests counted at their highest; None: there is no budget."""
        budget = self._grid.spec.budget_usd
        if budget is None:
            return None
        return round(budget * NANO) - making.spent_nano(self._journal, held=True)

    # -- the go

    def run(self) -> Ended:
        """Bring every cell to its end; the caller holds the journal. What was finished before is left alone."""
        failed: list[tuple[Cell, str]] = []
        self._spent = making.spent_nano(self._journal, held=False)
        found = {cell.id: self._journal.result(cell) for cell in self._grid.cells}
        self._results = {name: result for name, result in found.items() if result is not None}
        ended = "interrupted"
        try:
            for cell in self._grid.cells:
                if not self._is_done(cell):
                    error = self._cell(cell)
                    if error is not None:
                        failed.append((cell, f"{error.message} {error.hint}".strip()))
                self._ended += 1
            ended = f"{len(failed):,} of {self._ended:,} cells failed" if failed else "finished"
        finally:
            self._spent = making.spent_nano(self._journal, held=False)
            self._at = ("waiting", (), "")
            self._note("", 0, 0, ended=ended)
        return Ended(done=len(self._grid.cells) - len(failed), failed=tuple(failed))

    def _cell(self, cell: Cell) -> ClaifError | None:
        try:
            result = self._worked(cell)
        except (ClaifError, OSError, UnicodeError) as problem:
            error = problem if isinstance(problem, ClaifError) else InputError(str(problem))
            reason = f"{error.message} {error.hint}".strip()
            self._keep(cell, Result(state="failed", reason=reason))
            self._said(f"{cell.title} failed: {reason}")
            return error
        self._keep(cell, result)
        self._said(f"{cell.title}: {_figures(result)}")
        return None

    def _keep(self, cell: Cell, result: Result) -> None:
        self._journal.keep_result(cell, result)
        self._results[cell.id] = result

    def _is_done(self, cell: Cell) -> bool:
        known = self._results.get(cell.id)
        return known is not None and known.state == "done"

    def _worked(self, cell: Cell) -> Result:
        facts = None if cell.data is None else self._data(cell, cell.data)
        model, seconds, dev = cell.backbone, 0.0, None
        if cell.config is None:
            model = self._local(cell.backbone)
        else:
            assert facts is not None
            run = self._trained(cell, cell.config, facts)
            model, seconds, dev = str(run), train_seconds(run), runs.row_of(run).best_dev
        began = time.monotonic()
        evaluation = self._evaluated(cell, model, facts)
        evaluation = replace(evaluation, demo=evaluation.demo or cell.demo)
        evaluations.save(self._journal.folder, evaluation)
        return Result(
            state="done",
            train_seconds=seconds,
            evaluate_seconds=time.monotonic() - began,
            best_dev=dev,
            evaluation=evaluation.document(),
        )

    # -- data

    def _data(self, cell: Cell, data: DataSet) -> DataFacts:
        if data.id in self._unmade:
            raise self._unmade[data.id]
        cells = [one.id for one in self._grid.cells if one.data is not None and one.data.id == data.id]
        self._enter("generating", cells, data.title)
        try:
            return making.make(self._journal, data, self._settings, self, self._driven, self._author)
        except ClaifError as error:
            self._unmade[data.id] = error
            raise
        finally:
            self._spent = making.spent_nano(self._journal, held=False)

    def _driven(self, make: Callable[[], Asking], title: str) -> Finished:
        """Run a generation, telling how far it is and what the whole experiment has spent by then."""
        before, first = self._spent, -1

        def watch(progress: Progress) -> None:
            nonlocal first
            first = progress.spent_nano if first < 0 else first
            self._spent = before + progress.spent_nano - first
            failed = sum(progress.failed.values())
            words = progress.unit if not failed else f"{progress.unit}, {failed:,} failed"
            self._step(words, progress.answered + failed, progress.planned, eta=progress.eta_seconds)

        return self._drive(make, title, watch)

    # -- training

    def _trained(self, cell: Cell, config: TrainConfig, facts: DataFacts) -> Path:
        """Bring a cell's training to its end, whatever is there of it, and return its directory."""
        path = self._journal.run(cell)
        self._enter("training", [cell.id], cell.title)
        if path.exists() and runs.row_of(path).state == "finished":
            return path
        self._started(path, replace(config, data=str(self._journal.path_of(facts)), out=str(path)))
        with runs.told(), self._stopping(path):
            follower, looked = runs.Follower(path), 0.0
            while True:
                follower.poll()
                progress = follower.progress
                self._step(_curve(progress), progress.step, progress.total_steps)
                if progress.ended or time.monotonic() - looked > 2.0:
                    looked = time.monotonic()
                    if runs.row_of(path).state not in runs.LIVE:
                        follower.poll()
                        break
                time.sleep(LOOK_SECONDS)
        row = runs.row_of(path)
        if row.state != "finished":
            raise _failure(path, follower.progress, row)
        return path

    def _started(self, path: Path, config: TrainConfig) -> None:
        if path.exists():
            state = runs.row_of(path).state
            if state in runs.LIVE:
                return  # it outlived whoever started it
            if state in runs.RESUMABLE and not any((path / CHECKPOINTS).glob("*last*")):
                shutil.rmtree(path)  # nothing to go on from, and perhaps the wrong place of the data
            else:
                runs.resume_at(path)
                return
        runs.launch(self._journal.folder, config, base=self._grid.spec.path.parent)

    @contextmanager
    def _stopping(self, path: Path) -> Iterator[None]:
        """Have the training save and end, and wait for it, if we are to end."""
        try:
            yield
        except ClaifError:
            raise
        except BaseException:
            runs.stop_at(path)
            end = time.monotonic() + END_SECONDS
            while runs.row_of(path).state in runs.LIVE and time.monotonic() < end:
                time.sleep(LOOK_SECONDS)
            raise

    # -- evaluation

    def _evaluated(self, cell: Cell, model: str, facts: DataFacts | None) -> evaluations.Evaluation:
        self._enter("evaluating", [cell.id], cell.title)
        values = dict(cell.evaluate)
        whitening = values.pop("whitening", None)
        if whitening == SEEDS and facts is not None:
            values["whitening"] = str(self._journal.path_of(facts))
        elif whitening is not None:
            values["whitening"] = whitening if whitening == TARGET else self._local(str(whitening))
        threads = 0 if cell.config is None else cell.config.threads
        wish = EvaluationWish(
            data=self._grid.spec.data,
            name=cell.row if cell.seed is None else f"{cell.row} seed {cell.seed}",
            threads=threads,
            **values,  # type: ignore[arg-type]  # checked when the file was read
        )
        return evaluating.evaluate(
            model, wish, progress=lambda done, total, what: self._step(what, done, total)
        )

    def _local(self, word: str) -> str:
        path = self._grid.spec.path.parent / Path(word).expanduser()
        return str(path.absolute()) if path.exists() else word

    # -- telling

    def _enter(self, stage: CellState, cells: list[str], title: str) -> None:
        self._at, self._told = (stage, tuple(cells), title), 0.0
        self._step("", 0, 0)

    def _step(self, words: str, done: int, total: int, eta: float | None = None) -> None:
        stage, _, title = self._at
        rest = self._eta(done / total if total else 0.0)
        eta = rest if eta is None else eta + (rest or 0.0)
        self._tell(
            Step(
                stage=stage,
                title=title,
                done=done,
                total=total,
                words=words,
                ended=self._ended,
                cells=len(self._grid.cells),
                eta_seconds=eta,
            )
        )
        if time.monotonic() - self._told >= TELL_SECONDS:
            self._told = time.monotonic()
            self._note(words, done, total, eta=eta)

    def _note(self, words: str, done: int, total: int, *, eta: float | None = None, ended: str = "") -> None:
        stage, cells, _ = self._at
        self._journal.tell(
            stage=stage,
            cells=cells,
            done=done,
            total=total,
            words=words,
            eta_seconds=eta,
            spent_nano=self._spent,
            ended=ended,
        )

    def _eta(self, share: float) -> float | None:
        """How long the cells without a result take if they take as long as those with one; None before the first."""
        trained = [cell for cell in self._grid.cells if cell.config is not None]
        done = [self._results[cell.id] for cell in trained if self._is_done(cell)]
        known = [result.train_seconds + result.evaluate_seconds for result in done]
        missing = len(trained) - len(done)
        if not known or not missing:
            return None
        mean = sum(known) / len(known)
        return mean * max(0.0, missing - (share if self._at[0] == "training" else 0.0))


def train_seconds(run: Path) -> float:
    """How long a run was at work, over all its turns, by its own events."""
    total, begun, last, offset = 0.0, None, 0.0, 0
    while True:
        with runs.told():
            events, offset = read_events(run / EVENTS, offset)
        if not events:
            break
        for event in events:
            if event["kind"] == "started":
                total += 0.0 if begun is None else last - begun
                begun = event["t"]
            last = event["t"]
    return total + (0.0 if begun is None else max(0.0, last - begun))


def _curve(progress: runs.Progress) -> str:
    if not progress.total_steps:
        return "loading"
    parts = []
    if progress.losses and progress.losses[-1][1] is not None:
        parts.append(f"loss {progress.losses[-1][1]:.4f}")
    if progress.best is not None and progress.best.dev is not None:
        parts.append(f"best dev {progress.best.dev:.2f}")
    return ", ".join(parts)


def _failure(path: Path, progress: runs.Progress, row: runs.RunRow) -> RunFailed:
    if progress.message:
        return RunFailed(progress.message, f"All of it: {path / 'stderr.log'}")
    tail = runs.log_tail(path).strip().splitlines()[-2:]
    said = f" It said: {' / '.join(line.strip() for line in tail)}" if tail else ""
    return RunFailed(f"the training is {row.state} ({row.why}).{said}", f"All of it: {path / 'stderr.log'}")


def _figures(result: Result) -> str:
    value = figure(result)
    return "evaluated" if value is None else f"{value:.2f}"
