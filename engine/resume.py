"""What a run needs to go on as if it had never stopped, in one file beside the model it belongs to: checkpoints/last.

The folder is written beside its place and renamed into it. Whatever kills the run, one whole folder is left.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.distributed import Alone
from engine.errors import RunError
from engine.gradients import random_state, set_random_state

LAST, BEST, STATE = "last", "best", "training.safetensors"
_STAGED, _OLD = ".last.partial", ".last.old"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run had come: steps done, the best dev score so far (x100) with its step, and scores since it."""

    step: int = 0
    best_step: int | None = None
    best_dev: float | None = None
    since_best: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a run stands: progress, the fingerprint of its data, and all tensors by name."""

    progress: Progress
    data: str
    scaler: dict[str, Any]
    tensors: dict[str, Tensor]


def collect(
    progress: Progress,
    data: str,
    module: nn.Module,
    adam: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    team: Alone,
) -> State:
    """Gather everything from the parts of a run, the random state of every process too; tensors are not copied."""
    tensors = {f"model.{name}": value for name, value in _weights(module).items()}
    for number, values in adam.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": value for name, value in values.items()}
    cpu, gpu = random_state(_device(module))
    for kind, own in (("cpu", cpu), ("gpu", gpu)):
        if own is not None:
            states = team.collect(own)
            tensors |= {_random(kind, rank): state for rank, state in enumerate(states)}
    return State(progress=progress, data=data, scaler=scaler.state_dict(), tensors=tensors)


def restore(
    state: State,
    module: nn.Module,
    adam: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    team: Alone,
) -> None:
    """Put everything back, random state included; ``RunError`` where the parts are not those of the run."""
    before = sum(name.startswith("random.cpu") for name in state.tensors)
    if before != team.size:
        raise RunError(
            f"the run had {before} processes and would now have {team.size}: each draws a dropout of its own, so it "
            "would not go on as if it had never stopped",
            f"Resume where {before} processes can run, or start a new run from checkpoints/last.",
        )
    own = _weights(module)
    stored = {
        name.removeprefix("model."): value for name, value in state.tensors.items() if name.startswith("model.")
    }
    if {name: value.shape for name, value in own.items()} != {n: v.shape for n, v in stored.items()}:
        raise RunError(
            "the model is not the one that the run began with: its parameters have other names or shapes",
            "Put back the model that the run was started with, or start a new run.",
        )
    with torch.no_grad():
        for name, value in stored.items():
            own[name].copy_(value)
    kept: dict[int, dict[str, Tensor]] = {}
    for name, value in state.tensors.items():
        if name.startswith("adam."):
            _, number, part = name.split(".")
            kept.setdefault(int(number), {})[part] = value
    adam.load_state_dict({**adam.state_dict(), "state": kept})
    if state.scaler:
        scaler.load_state_dict(state.scaler)
    cpu, gpu = (state.tensors.get(_random(kind, team.rank)) for kind in ("cpu", "gpu"))
    if cpu is not None:
        set_random_state((cpu, gpu), _device(module))


def save(checkpoints: Path, state: State | None, fill: Callable[[Path], None]) -> None:
    """Replace checkpoints/last by what ``fill`` writes into a new folder, and ``state`` (None: that of before).

    Whatever goes wrong leaves the folder of before.
    """
    staged, place, old = checkpoints / _STAGED, checkpoints / LAST, checkpoints / _OLD
    try:
        recover(checkpoints)
        fill(staged)
        if state is not None:
            facts = {"v": VERSION, "data": state.data, "scaler": state.scaler, **asdict(state.progress)}
            tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors.items()}
            save_file(tensors, staged / STATE, {"state": json.dumps(facts)})
        elif (place / STATE).is_file():
            _keep(place / STATE, staged / STATE)
        _make_durable(staged)
        if place.exists():
            place.rename(old)
        staged.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the disk says while ``place`` is written into a ``RunError``."""
    try:
        place.parent.mkdir(exist_ok=True)
        yield
    except (OSError, SafetensorError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise RunError(
            f"{place} cannot be written: {said}",
            "Check free space, quota and permissions; then resume: the checkpoint of before is still there.",
        ) from error


def recover(checkpoints: Path) -> None:
    """Clear what a killed process left: a folder not yet whole goes, one on its way out comes back if it is needed."""
    shutil.rmtree(checkpoints / _STAGED, ignore_errors=True)
    for left, name in [(checkpoints / _OLD, LAST), *((path, BEST) for path in checkpoints.glob(".best.old-*"))]:
        if left.exists() and not (checkpoints / name).exists():
            left.rename(checkpoints / name)
        shutil.rmtree(left, ignore_errors=True)


def discard(checkpoints: Path) -> None:
    """Take away the state of a run that is over; the model stays."""
    (checkpoints / LAST / STATE).unlink(missing_ok=True)


def load(checkpoints: Path) -> State | None:
    """Return the state in checkpoints/last; None where a run ended before its first, ``RunError`` if it is damaged."""
    if not checkpoints.is_dir():
        return None
    recover(checkpoints)
    path = checkpoints / LAST / STATE
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error}", "Start a new run.") from error
    if facts["v"] != VERSION:
        raise RunError(f"{path} has version {facts['v']}, this program knows {VERSION}", "Start a new run.")
    progress = Progress(**{name: facts[name] for name in Progress.__dataclass_fields__})
    return State(progress=progress, data=facts["data"], scaler=facts["scaler"], tensors=tensors)


def _weights(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and lasting buffers by name; shared ones once."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        found.setdefault(id(value), (name, value))
    return dict(found.values())


def _random(kind: str, rank: int) -> str:
    """The name of a generator's state; the first process has that of one alone."""
    return f"random.{kind}.{rank}" if rank else f"random.{kind}"


def _keep(file: Path, copy: Path) -> None:
    try:
        copy.hardlink_to(file)
    except OSError:  # not every file system has links
        shutil.copyfile(file, copy)


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def _make_durable(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
