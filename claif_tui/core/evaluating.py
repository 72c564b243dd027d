"""Scoring a model in a child process. What a score is, the engine knows; where results are kept, ``evaluations``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from claif_tui.core import predictions as predicting
from claif_tui.core.engine_child import ask, require_train
from claif_tui.core.errors import InputError
from claif_tui.core.evaluations import Evaluation
from claif_tui.core.provenance import VECTORS, provenance
from claif_tui.core.runs import told
from engine.tasks import TASKS, select

Progress = Callable[[int, int, str], None]
"""Parts done, parts in all, and what is being scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationWish:
    """How a model is scored; None leaves it to the model. ``backbone`` and ``supervision`` state what is not known."""

    data: Path
    tasks: str = "all"
    mode: str = "full"
    pooling: str | None = None
    max_seq_length: int | None = None
    precision: str = "fp32"
    own_pooler: bool = False
    allow_pickle: bool = False
    threads: int = 0
    name: str | None = None
    backbone: str | None = None
    supervision: str | None = None


def evaluate(
    model: str,
    wish: EvaluationWish,
    *,
    progress: Progress | None = None,
    partial: Callable[[Evaluation], object] | None = None,
) -> Evaluation:
    """Score one model (a folder, a run directory, a name, ``vectors:FILE``); blocks for minutes.

    The STS tasks are one part and each transfer task another; ``partial`` gets the result so far after each of them.
    Raises ``ClaifError``: an unknown task, data that are missing or incomplete, a model that cannot be read.
    """
    with told():
        names = select(wish.tasks)
    if not wish.data.is_dir():
        raise InputError(f"{wish.data} is no folder", "Name the folder of the evaluation data: --data DIR")
    require(model, names)
    known = provenance(model)
    parts = _parts(names)
    found: dict[str, Any] = {}
    predictions: dict[str, predicting.Predictions] = {}
    result: Evaluation | None = None
    with tempfile.TemporaryDirectory(prefix="claif-tui-") as place:
        for number, part in enumerate(parts):
            if progress is not None:
                progress(number, len(parts), ", ".join(part))
            arrays = Path(place) / f"part-{number}{predicting.SUFFIX}"
            answer = ask("engine", ["evaluate", "--predictions", str(arrays), *_words(model, wish, part)])
            found |= answer["tasks"]
            predictions |= predicting.read(arrays)
            result = Evaluation(
                model=model,
                data=str(wish.data.absolute()),
                tasks={name: found[name] for name in TASKS if name in found},
                identity=known.identity,
                name=wish.name or known.name,
                backbone=wish.backbone or known.backbone,
                supervision=wish.supervision or known.supervision,
                scorer=answer["scorer"],
                made=datetime.now(UTC).isoformat(timespec="seconds"),
                notes=_notes(wish, known.notes),
                settings=_settings(wish),
                predictions=dict(predictions),
            )
            if partial is not None:
                partial(result)
    if result is None:
        raise ValueError("no task was chosen")
    return result


def require(model: str, tasks: Sequence[str]) -> None:
    """Raise ``MissingExtraError`` unless what the evaluation needs is installed.

    Vectors from a file need no torch for STS; the classifier of the transfer tasks does.
    """
    if not model.startswith(VECTORS):
        require_train("evaluating a model")
    elif any(TASKS[task].kind == "transfer" for task in tasks):
        require_train("scoring vectors on the transfer tasks (the STS tasks do without)")


def _parts(names: Sequence[str]) -> list[list[str]]:
    sts = [name for name in names if TASKS[name].kind == "sts"]
    return [*([sts] if sts else []), *([name] for name in names if TASKS[name].kind == "transfer")]


def _words(model: str, wish: EvaluationWish, tasks: Sequence[str]) -> list[str]:
    spec = model
    if model.startswith(VECTORS):
        spec = VECTORS + str(Path(model.removeprefix(VECTORS)).expanduser().absolute())
    elif (folder := Path(model).expanduser()).is_dir():
        spec = str(folder.absolute())
    words = ["--data", str(wish.data.absolute()), "--tasks", ",".join(tasks), "--mode", wish.mode]
    words += ["--precision", wish.precision, "--threads", str(wish.threads)]
    if wish.pooling is not None:
        words += ["--pooling", wish.pooling]
    if wish.max_seq_length is not None:
        words += ["--max-seq-length", str(wish.max_seq_length)]
    words += ["--own-pooler"] * wish.own_pooler + ["--allow-pickle"] * wish.allow_pickle
    return [*words, "--", spec]


def _settings(wish: EvaluationWish) -> dict[str, Any]:
    """What of the wish changes a figure, where it is not the model's own way."""
    own = EvaluationWish(data=wish.data)
    names = ("pooling", "max_seq_length", "precision", "own_pooler")
    return {name: getattr(wish, name) for name in names if getattr(wish, name) != getattr(own, name)}


def _notes(wish: EvaluationWish, notes: tuple[str, ...]) -> tuple[str, ...]:
    said = [name for name in ("backbone", "supervision") if getattr(wish, name) is not None]
    settings = ", ".join(f"{name} {value}" for name, value in _settings(wish).items())
    return (
        *notes,
        *([f"Its {' and '.join(said)} as whoever evaluated it stated."] if said else []),
        *([f"Evaluated with {settings}."] if settings else []),
    )
