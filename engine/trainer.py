"""The training loop: steps, dev scores, checkpoints, and a stop at any moment. What is learnt is the objectives' part.

On a CPU with one number of threads two runs of the same settings are equal to the last bit, and so is a run that was
interrupted and resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from engine import card, resume
from engine.batches import Ahead, Order, Rows
from engine.checkpoint import save_cross_encoder, save_sentence_transformer
from engine.columns import learnt, training_rows
from engine.config import TrainConfig, digest
from engine.data import Examples
from engine.distributed import Alone, device
from engine.encoder import CrossEncoder
from engine.errors import RunError
from engine.events import Kind
from engine.gradients import Gradients
from engine.objectives import Batch, Learner, build, columns, in_batch, unused
from engine.optimiser import Optimiser
from engine.process import Seat
from engine.rundir import Run, read_metrics, read_overlap
from engine.schedule import Counting, evaluation_steps
from engine.selection import DevScore, Selection, choose
from engine.telling import Step, Teller

WISH_SECONDS = 1.0
"""How often it is looked whether somebody wishes that the run ends."""
SAVE_SECONDS, SAVE_SHARE = 60.0, 0.02
"""A state to resume from is kept no more often than this, and takes at most this share of the time."""

Stopped = Callable[[], bool]


def train(run: Run, config: TrainConfig, signalled: Stopped, team: Alone | None = None) -> bool:
    """Train to the end, or until ``signalled`` or a wish in the run's directory; return whether the end was reached.

    Everything is told in the run's events, the last one (``finished`` or ``stopped``) included. Raises an
    ``EngineError`` where training cannot go on. All processes of a ``team`` call this; ``run`` is a real one in the
    process that leads.
    """
    team = team or Alone()
    torch.manual_seed(config.seed)
    if config.threads:
        torch.set_num_threads(config.threads)
    training, selection = choose(config, training_rows(config))
    text_columns = columns(config, training)
    learner = build(config, device(Seat(team.rank, team.size)))
    team.same(learner)
    team.seed(config.seed)
    return Trainer(run, config, training, selection, learner, text_columns, signalled, team).go()


class Trainer:
    """A run in progress; ``go`` once."""

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        examples: Examples,
        selection: Selection,
        learner: Learner,
        text_columns: tuple[str, ...],
        signalled: Stopped,
        team: Alone,
    ) -> None:
        self._run, self._config, self._examples, self._selection = run, config, examples, selection
        self._learner, self._columns, self._signalled = learner, text_columns, signalled
        self._team = team
        self._order = Order(len(examples), config.batch_size, config.seed, in_batch=in_batch(config))
        self._total = self._order.steps_per_epoch * config.epochs
        self._scaler = torch.amp.GradScaler(learner.device.type, enabled=config.precision == "fp16")
        self._gradients = Gradients(learner, config, self._scaler, team)
        self._optimiser = Optimiser(learner, config, self._total, self._scaler)
        self._ahead = Ahead(self._batch)
        self._lineage = card.lineage(config, examples)
        self._progress = resume.Progress()
        self._metrics: dict[str, Any] = {}
        # With several processes all have to end at the same step, so none may find out later than the others.
        at_once = learner.device.type == "cpu" or team.size > 1
        self._told = Teller(run, self._diverged, at_once=at_once, scaled=self._scaler.is_enabled())
        self._saver = Pace(SAVE_SECONDS, SAVE_SHARE)
        self._wish = Pace(WISH_SECONDS, 1.0)

    def go(self) -> bool:
        """See ``train``."""
        self._begin()
        scored, start = set(self._evaluation_steps()), self._progress.step
        for step, batch in self._ahead.items(start, self._total):
            stop, save = self._team.agree(self._stop_wanted(), step > start and self._save_due())
            if stop:
                return self._stop()
            if save:
                self._saver.took(partial(self._save_last, True))
            if step == start:
                self._learner.check_mask(batch, self._team)
            self._step(step, batch)
            done = step + 1
            self._progress = replace(self._progress, step=done)
            if done in scored:
                if self._team.leads:
                    self._evaluate(done)
                # Here the others wait for the score.
                if self._team.agree(self._team.leads and self._enough())[0]:
                    return self._finish(f"no better dev score {self._progress.since_best} times in a row")
        return self._finish("")

    def _begin(self) -> None:
        config, order, report = self._config, self._order, self._examples.report
        state = self._stored()
        if state is not None:
            if state.data != self._examples.fingerprint:
                raise RunError(
                    f"{config.data} has changed since the run began: its rows have another fingerprint",
                    "Put back the data that the run was started with, or start a new run.",
                )
            resume.restore(state, self._learner, self._optimiser.adam, self._scaler, self._team)
            self._progress = state.progress
            # What is said of checkpoints/best stays until a better one takes its place.
            self._metrics = read_metrics(self._run.path)
        encoder = self._learner.encoder
        self._run.describe(
            data=self._lineage,
            dev=self._selection.describe(),
            versions=_versions(),
            parameters=self._size(),
            pids=list(self._team.pids),
        )
        self._run.events.write(
            "started",
            config=digest(config),
            device=_device_name(self._learner.device, self._team.size),
            rows=len(self._examples),
            steps_per_epoch=order.steps_per_epoch,
            total_steps=self._total,
            from_step=self._progress.step,
            max_seq_length=encoder.max_seq_length,
            packed=encoder.fast,
        )
        for message in [*report.warnings, *self._remarks(), *self._departures()]:
            self._run.events.write("warning", message=message)
        if not self._run.resumed or "best" not in self._metrics:
            self._metrics = {"best": {"step": None, "dev": None}}
        self._write_metrics()
        self._told.begin()

    def _stored(self) -> resume.State | None:
        """The state to go on from; the first process reads it first, as it may have to put things right."""
        if not self._run.resumed:
            return None
        state = resume.load(self._run.checkpoints) if self._team.leads else None
        self._team.agree()
        return state if self._team.leads else resume.load(self._run.checkpoints)

    def _remarks(self) -> list[str]:
        """What the model cannot do as the method has it."""
        encoder, words = self._learner.encoder, self._learner.words
        found = [*getattr(encoder, "remarks", ()), *([words.remark] if words and words.remark else [])]
        if self._config.packed and encoder.slow_because:
            found.append(f"texts are padded: {encoder.slow_because}")
        return found

    def _departures(self) -> list[str]:
        """What of the data is not used."""
        found, dropped = [], self._examples.report.dropped
        if dropped:
            reasons = ", ".join(f"{reason}: {count:,}" for reason, count in dropped.items())
            found.append(f"rows left out of the data: {reasons}")
        if passed_over := unused(self._config, self._examples):
            names = " and ".join(passed_over)
            found.append(f"objective {self._config.objective} does not use the data's {names}")
        if self._order.dropped:
            found.append(
                "the last batch of every epoch would have one row, which has nothing to contrast with: it is left out"
            )
        return found

    def _batch(self, step: int) -> Batch:
        rows: Rows = self._order.at(step)
        if self._team.size == 1:
            return self._tokenised(rows)
        share = self._team.share(len(rows))
        if self._learner.words is None:
            return replace(self._tokenised(rows[share]), step=rows)
        whole = self._tokenised(rows)
        return replace(whole.cut(share), step=rows, words=whole.texts)

    def _tokenised(self, rows: Rows) -> Batch:
        found = self._examples.batch(rows)
        numbers = [found[name] for name in learnt(self._config)]
        scores = list(zip(*numbers, strict=True)) if len(numbers) > 1 else next(iter(numbers), None)
        return self._learner.tokenise(rows, [found[name] for name in self._columns], scores)

    def _step(self, step: int, batch: Batch) -> None:
        loss = self._gradients(batch, step)
        norm = self._optimiser.step(step, loss)
        self._told.step(Step(step + 1, batch.of_all, self._optimiser.lr, loss, norm))

    def _diverged(self, step: Step, what: str, value: float) -> RunError:
        ids = self._examples.batch(step.rows).get("pair_id", step.rows.tolist())
        rows = ", ".join(map(str, ids[:32]))
        more = f" and {len(ids) - 32} more" if len(ids) > 32 else ""
        named = (
            "by pair_id" if "pair_id" in self._examples.columns else "counted from 0 among the training rows"
        )
        half = "set precision to fp32" if self._config.precision != "fp32" else "lower lr or lengthen warmup"
        return RunError(
            f"{what} at step {step.number} is {value}: the model was left as it was before it. Rows of the batch "
            f"({named}): {rows}{more}",
            f"Look at these rows; then {half}, and start a new run.",
        )

    # Dev scores

    def _evaluation_steps(self) -> list[int]:
        per_epoch, config = self._order.steps_per_epoch, self._config
        if not config.eval_every:
            return evaluation_steps(config.epochs, per_epoch, per_epoch, "epoch")
        counting: Counting = "epoch" if config.eval_counting == "epoch" else "global"
        return evaluation_steps(config.epochs, per_epoch, config.eval_every, counting)

    def _evaluate(self, step: int) -> None:
        self._told.flush()
        self._ahead.settle()
        found = self._selection.score(self._learner.encoder, self._config.precision)
        before = self._progress.best_dev
        best = found.dev is not None and (before is None or found.dev > before)
        if best:
            self._progress = replace(self._progress, best_step=step, best_dev=found.dev, since_best=0)
            self._save_best(step, found)
        else:
            self._progress = replace(self._progress, since_best=self._progress.since_best + 1)
        reason = {"reason": found.reason} if found.reason else {}
        self._tell("eval", dev=found.dev, best=best, **found.details, **reason)
        if best:
            self._tell("checkpoint", name=resume.BEST)
        self._write_metrics(dev=found.dev, **reason)
        self._told.begin()

    def _enough(self) -> bool:
        return 0 < self._config.early_stop <= self._progress.since_best

    # Checkpoints

    def _save_best(self, step: int, found: DevScore) -> None:
        place = self._run.checkpoints / resume.BEST
        with resume.writing(place):
            self._write_model(place)
        self._metrics["best"] = {"step": step, "dev": found.dev, **found.details}

    def _save_last(self, resumable: bool) -> None:
        self._told.flush()
        self._ahead.settle()
        state = None
        if resumable:
            state = resume.collect(
                self._progress,
                self._examples.fingerprint,
                self._learner,
                self._optimiser.adam,
                self._scaler,
                self._team,
            )
        if self._team.leads:
            with resume.writing(self._run.checkpoints / resume.LAST):
                resume.save(self._run.checkpoints, state, self._write_model)
        self._tell("checkpoint", name=resume.LAST)
        self._told.begin()

    def _write_model(self, folder: Path) -> None:
        encoder, progress = self._learner.encoder, self._progress
        results = {
            "step": f"{progress.step:,} of {self._total:,}",
            "best dev score (Spearman x100)": progress.best_dev,
            "at step": progress.best_step,
            "dev sets": {name: facts["pairs"] for name, facts in self._selection.describe().items()},
        }
        overlap = read_overlap(self._run.path)
        text = card.card(self._config, self._lineage, results, tuple(self._remarks()), overlap)
        if isinstance(encoder, CrossEncoder):
            save_cross_encoder(encoder, folder, text)
        else:
            save_sentence_transformer(encoder, folder, text)

    def _write_metrics(self, **latest: Any) -> None:
        self._metrics |= {
            "step": self._progress.step,
            "total_steps": self._total,
            "steps_per_epoch": self._order.steps_per_epoch,
            "config": digest(self._config),
            "data": self._examples.fingerprint,
            "rows": len(self._examples),
            **latest,
        }
        self._run.write_metrics(self._metrics)

    def _tell(self, kind: Kind, **fields: Any) -> None:
        """Tell an event of now, with the number of all steps: whoever looks at the end of a long file knows it too."""
        self._run.events.write(kind, step=self._progress.step, total_steps=self._total, **fields)

    # Ends

    def _stop_wanted(self) -> bool:
        return self._signalled() or (self._wish.due() and self._wish.took(self._run.stop_wanted))

    def _save_due(self) -> bool:
        return self._team.leads and self._saver.due()

    def _stop(self) -> bool:
        self._run.mark_stopping()
        self._save_last(True)
        self._write_metrics()
        self._tell("stopped")
        return False

    def _finish(self, reason: str) -> bool:
        self._save_last(False)
        if self._progress.best_step is None:
            self._run.events.write(
                "warning",
                message="no dev score was defined, so no checkpoint was chosen: the model as it ended is in "
                "checkpoints/last",
            )
        self._write_metrics()
        self._tell("finished", **({"reason": f"early stop: {reason}"} if reason else {}))
        if self._team.leads:
            with suppress(OSError):  # it only takes room
                resume.discard(self._run.checkpoints)
        return True

    def _size(self) -> int:
        return sum(parameter.numel() for parameter in self._learner.encoder.parameters())


class Pace:
    """When to do again what costs time: not before ``seconds``, nor where it would take more than ``share`` of it."""

    def __init__(self, seconds: float, share: float) -> None:
        self._seconds, self._share = seconds, share
        self._last, self._cost = time.monotonic(), 0.0

    def due(self) -> bool:
        """Whether it is time."""
        return time.monotonic() - self._last >= max(self._seconds, self._cost / self._share)

    def took(self, work: Callable[[], Any]) -> Any:
        """Do it, and remember how long it took."""
        begun = time.monotonic()
        result = work()
        self._last = time.monotonic()
        self._cost = self._last - begun
        return result


def _device_name(device: torch.device, processes: int) -> str:
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"cpu, {torch.get_num_threads()} threads"
    )
    return f"{name}, {processes} processes" if processes > 1 else name


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "transformers", "numpy")}
