"""Scoring a model in a child process. What a score is, the engine knows; where results are kept, ``evaluations``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from claif_tui.core import predictions as predicting
from claif_tui.core.engine_child import ask, require_train
from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.evaluations import Evaluation
from claif_tui.core.provenance import VECTORS, provenance
from claif_tui.core.runs import told
from engine.tasks import EVERY, RERANK, select

TARGET = "target"
"""Whitening with the sentences of each STS task itself, which the literature calls so."""
Progress = Callable[[int, int, str], None]
"""Parts done, parts in all, and what is being scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationWish:
    """How a model is scored; None leaves it to the model. ``backbone`` and ``supervision`` state what is not known.

    ``whitening`` is a corpus of sentences (a file or folder that training reads), or ``TARGET``; ``whitening_dim`` says
    how many dimensions it keeps (None: all), and ``save`` names a folder for the model whitened with a corpus.
    """

    data: Path
    tasks: str = "all"
    mode: str = "full"
    pooling: str | None = None
    max_seq_length: int | None = None
    precision: str = "fp32"
    own_pooler: bool = False
    allow_pickle: bool = False
    whitening: str | None = None
    whitening_dim: int | None = None
    save: Path | None = None
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

    The STS tasks are one part, each transfer task and reranking another; ``partial`` gets the result so far after each.
    Raises ``ClaifError``: an unknown task, data that are missing or incomplete, a model that cannot be read.
    """
    with told():
        names = select(wish.tasks)
    _check_data(wish.data, names)
    check_whitening(model, wish)
    require(model, names)
    known = provenance(model)
    parts = _parts(names)
    corpus = wish.whitening if wish.whitening != TARGET else None
    steps = len(parts) + (corpus is not None)
    facts: dict[str, Any] = {}
    words = _words(model, wish)
    found: dict[str, Any] = {}
    predictions: dict[str, predicting.Predictions] = {}
    result: Evaluation | None = None
    with tempfile.TemporaryDirectory(prefix="claif-tui-") as place:
        if corpus is not None:
            if progress is not None:
                progress(0, steps, "whitening")
            out = Path(place) / "whitened" if wish.save is None else wish.save.absolute()
            facts = ask("engine", ["whiten", *_whiten_words(corpus, wish, out), *words])
            words = _words(
                str(out), EvaluationWish(data=wish.data, precision=wish.precision, threads=wish.threads)
            )
        settings = _settings(wish, facts)
        for number, part in enumerate(parts, steps - len(parts)):
            if progress is not None:
                progress(number, steps, ", ".join(part))
            arrays = Path(place) / f"part-{number}{predicting.SUFFIX}"
            answer = ask("engine", ["evaluate", "--predictions", str(arrays), *_task_words(wish, part), *words])
            found |= answer["tasks"]
            predictions |= predicting.read(arrays)
            result = Evaluation(
                model=model,
                data=str(wish.data.absolute()),
                tasks={name: found[name] for name in EVERY if name in found},
                identity=known.identity,
                name=wish.name or _label(known.name, wish),
                backbone=wish.backbone or known.backbone,
                supervision=wish.supervision or known.supervision,
                scorer=answer["scorer"],
                demo=known.demo,
                made=datetime.now(UTC).isoformat(timespec="seconds"),
                notes=_notes(wish, known.notes, settings),
                settings=settings,
                predictions=dict(predictions),
            )
            if partial is not None:
                partial(result)
    if result is None:
        raise ValueError("no task was chosen")
    return result


def require(model: str, tasks: Sequence[str]) -> None:
    """Raise ``MissingExtraError`` unless what the evaluation needs is installed.

    Vectors from a file need no torch for STS and reranking; the classifier of the transfer tasks does.
    """
    if not model.startswith(VECTORS):
        require_train("evaluating a model")
    elif any(EVERY[task].kind == "transfer" for task in tasks):
        require_train("scoring vectors on the transfer tasks (all others do without)")


def _parts(names: Sequence[str]) -> list[list[str]]:
    sts = [name for name in names if EVERY[name].kind == "sts"]
    return [*([sts] if sts else []), *([name] for name in names if EVERY[name].kind != "sts")]


def _check_data(data: Path, names: Sequence[str]) -> None:
    """Raise ``InputError`` unless the data can be there: a folder, of reranking alone also a file."""
    if data.is_dir() or (tuple(names) == (RERANK,) and data.is_file()):
        return
    if RERANK in names and data.is_file():
        raise InputError(f"{data} is no folder, which other tasks than {RERANK} need", f"Use --tasks {RERANK}.")
    raise InputError(f"{data} is no folder", "Name the folder of the evaluation data: --data DIR")


def check_whitening(model: str, wish: EvaluationWish) -> None:
    """Raise ``ClaifError`` where what is wished of the whitening does not go together."""
    if wish.whitening is None:
        for name in ("whitening_dim", "save"):
            if getattr(wish, name) is not None:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} is of a whitening, and none is asked for", "Add --whitening CORPUS.")
        return
    if wish.whitening == TARGET:
        if wish.save is not None:
            raise UsageError(
                "a whitening with each task's own sentences is no model to save",
                "Name a corpus: --whitening FILE",
            )
    elif model.startswith(VECTORS):
        raise UsageError(
            "vectors from a file cannot be whitened with a corpus: its sentences have none",
            f"Use --whitening {TARGET}, or name a model.",
        )
    elif not Path(wish.whitening).expanduser().exists():
        raise InputError(
            f"{wish.whitening} is not there", f"Name a file of sentences, or {TARGET} for the tasks' own."
        )


def _task_words(wish: EvaluationWish, tasks: Sequence[str]) -> list[str]:
    words = ["--data", str(wish.data.absolute()), "--tasks", ",".join(tasks), "--mode", wish.mode]
    if wish.whitening == TARGET:
        words += ["--whiten-own", *_number("--whiten-dim", wish.whitening_dim)]
    return words


def _whiten_words(corpus: str, wish: EvaluationWish, out: Path) -> list[str]:
    place = str(Path(corpus).expanduser().absolute())
    return ["--corpus", place, "--out", str(out), *_number("--dim", wish.whitening_dim)]


def _number(flag: str, value: int | None) -> list[str]:
    return [] if value is None else [flag, str(value)]


def _words(model: str, wish: EvaluationWish) -> list[str]:
    """The words by which a model is loaded; its name comes last."""
    spec = model
    if model.startswith(VECTORS):
        spec = VECTORS + str(Path(model.removeprefix(VECTORS)).expanduser().absolute())
    elif (folder := Path(model).expanduser()).is_dir():
        spec = str(folder.absolute())
    words = ["--precision", wish.precision, "--threads", str(wish.threads)]
    if wish.pooling is not None:
        words += ["--pooling", wish.pooling]
    words += _number("--max-seq-length", wish.max_seq_length)
    words += ["--own-pooler"] * wish.own_pooler + ["--allow-pickle"] * wish.allow_pickle
    return [*words, "--", spec]


def _settings(wish: EvaluationWish, whitened: Mapping[str, Any]) -> dict[str, Any]:
    """What of the wish changes a figure, where it is not the model's own way; ``whitened`` says with what."""
    own = EvaluationWish(data=wish.data)
    names = ("pooling", "max_seq_length", "precision", "own_pooler", "whitening", "whitening_dim")
    found = {name: getattr(wish, name) for name in names if getattr(wish, name) != getattr(own, name)}
    if whitened:
        found["whitening"] = (
            f"{whitened['corpus']} {whitened['fingerprint']}, {whitened['sentences']:,} sentences"
        )
    return found


def _label(name: str, wish: EvaluationWish) -> str:
    """A model's name with what makes another row of it: ``minilm (whitening 256, avg_first_last)``."""
    said = []
    if wish.whitening is not None:
        own = f" on {TARGET}" if wish.whitening == TARGET else ""
        said.append(f"whitening{'' if wish.whitening_dim is None else f' {wish.whitening_dim}'}{own}")
    if wish.pooling is not None:
        said.append(wish.pooling)
    return f"{name} ({', '.join(said)})" if said else name


def _notes(wish: EvaluationWish, notes: tuple[str, ...], settings: Mapping[str, Any]) -> tuple[str, ...]:
    said = [name for name in ("backbone", "supervision") if getattr(wish, name) is not None]
    used = ", ".join(f"{name} {value}" for name, value in settings.items())
    return (
        *notes,
        *([f"Its {' and '.join(said)} as whoever evaluated it stated."] if said else []),
        *([f"Evaluated with {used}."] if used else []),
    )
