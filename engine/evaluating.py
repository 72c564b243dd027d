"""A model by its name, scored on the evaluation tasks or used to write a file of vectors. No arithmetic.

What needs torch is imported where it is called: vectors from a file are scored on STS without it.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine import rundir
from engine.errors import ConfigError, DataError, ModelError
from engine.evaluate import rerank, sts
from engine.evaluate.baselines import whiten_own
from engine.evaluate.files import read_lines
from engine.evaluate.queries import read_queries
from engine.evaluate.vectors import is_vectors, read_vectors
from engine.stats import mean
from engine.tasks import EVERY, RERANK, STS, TRANSFER, select

if TYPE_CHECKING:
    from engine.evaluate.rerank import RerankResult
    from engine.evaluate.transfer import Mode, TransferResult

    Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How a model is loaded and run, where that is not as the model itself says."""

    pooling: str | None = None
    max_seq_length: int | None = None
    precision: str = "fp32"
    own_pooler: bool = False
    allow_pickle: bool = False
    whiten_own: bool = False
    """Whiten the vectors of each STS task with the statistics of its own sentences (the "target" setting)."""
    whiten_dim: int | None = None
    """Axes kept then; None: all."""


def evaluate(
    model: str,
    data: Path,
    tasks: str,
    options: ModelOptions,
    mode: Mode = "full",
    predictions: Path | None = None,
) -> dict[str, Any]:
    """{model, data, tasks: {STS12: {spearman, n, …}, …, MR: {accuracy, n, …}}, avg_sts, avg_transfer}, all x100.

    Reranking stands there as rerank: {map, n, …}. An average is None unless all of its seven tasks were asked for and
    have a figure. ``predictions`` names a .npz file to write: of each task ``TASK.fingerprint``, ``TASK.gold`` and
    ``TASK.predicted`` (n,), similarities in float32 or class numbers in int8, in an order that depends on the data
    alone; of reranking the number of positives and the average precision of each query.
    """
    names = select(tasks)
    spec = resolve(model)
    chosen_sts = [name for name in names if EVERY[name].kind == "sts"]
    chosen_transfer = [name for name in names if EVERY[name].kind == "transfer"]
    queries = read_queries(data) if RERANK in names else None
    found: dict[str, dict[str, object]] = {}
    arrays: Arrays = {}
    cross = is_cross(spec)
    if options.whiten_own and (cross or chosen_transfer or queries):
        raise ConfigError(
            "whitening with a task's own sentences is for vectors on STS tasks, not for "
            f"{spec if cross else next(iter(chosen_transfer), RERANK)}",
            "Choose --tasks sts, or name a corpus.",
        )
    if cross:
        if chosen_transfer:
            raise ConfigError(
                f"tasks: {spec} is a cross-encoder, which gives no vectors for {chosen_transfer[0]}",
                "Choose --tasks sts, or rerank.",
            )
        _no_pooling(spec, options)
        from engine.loading import pair_scorer

        score = pair_scorer(spec, options)
        scored = sts.sts_cross(score, data, chosen_sts) if chosen_sts else {}
        ranked = rerank.rerank_cross(score, queries) if queries else None
    else:
        encode = _encode(spec, options)
        adapt = _whiten_own(options.whiten_dim) if options.whiten_own else None
        scored = sts.sts(encode, data, chosen_sts, adapt=adapt) if chosen_sts else {}
        ranked = rerank.rerank(encode, queries) if queries else None
    for name, one in scored.items():
        found[name] = one.as_json()
        arrays |= _arrays(one, np.float32)
    if chosen_transfer:
        from engine.evaluate import transfer
        from engine.loading import device

        for name in chosen_transfer:
            sorted_out = transfer.transfer(encode, data, name, mode, device().type)
            found[name] = sorted_out.as_json()
            arrays |= _arrays(sorted_out, np.int8)
    if ranked is not None:
        found[RERANK] = ranked.as_json()
        arrays |= _ranked_arrays(ranked)
    if predictions is not None:
        _write_arrays(predictions, arrays)
    return {
        "model": model,
        "data": str(data),
        "scorer": "cross-encoder" if cross else "bi-encoder",
        "tasks": found,
        "avg_sts": _average(found, STS, "spearman"),
        "avg_transfer": _average(found, TRANSFER, "printed"),
        "settings": {"pooling": options.pooling, "precision": options.precision, "mode": mode},
    }


def embed(model: str, texts: Path, out: Path, options: ModelOptions) -> dict[str, Any]:
    """Write ``out`` (.npz: texts (n,), vectors (n, d) in float32) of the lines of ``texts``; return what it holds."""
    if out.suffix != ".npz":
        raise DataError(f"{out}: vectors are written as .npz", "Name a file that ends in .npz.")
    lines = read_lines(texts)
    if not lines:
        raise DataError(f"{texts} is empty", "One sentence a line.")
    spec = resolve(model)
    if is_cross(spec):
        raise ConfigError(f"{spec} is a cross-encoder, which gives no vectors", "Name a sentence encoder.")
    vectors = _encode(spec, options)(lines)
    _write_arrays(out, {"texts": np.array(lines), "vectors": vectors})
    return {"model": model, "out": str(out), "rows": len(vectors), "dimension": int(vectors.shape[1])}


def resolve(model: str) -> str:
    """The model that a name means: of a run directory its best checkpoint, otherwise the name itself."""
    folder = Path(model).expanduser()
    if not (folder / rundir.RUN).is_file():
        return model
    best = folder / rundir.CHECKPOINTS / "best"
    if not best.is_dir():
        raise ModelError(
            f"{model}: the run has no best checkpoint yet",
            "Wait for its first dev score, or name another folder below checkpoints/.",
        )
    return str(best)


def is_cross(spec: str) -> bool:
    """Whether a model is a sequence classifier rather than a sentence encoder."""
    if is_vectors(spec):
        return False
    from engine import loading

    return loading.is_cross(spec)


def _encode(spec: str, options: ModelOptions) -> sts.Encode:
    if is_vectors(spec):
        _no_pooling(spec, options)
        return read_vectors(spec)
    from engine.loading import sentence_encoder

    return sentence_encoder(spec, options)


def _whiten_own(k: int | None) -> sts.Adapt:
    def adapt(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return whiten_own(vectors, k)
        except ValueError as problem:
            raise ConfigError(f"whitening: {problem}", "Choose fewer dimensions, or no whitening.") from problem

    return adapt


def _no_pooling(spec: str, options: ModelOptions) -> None:
    if options.pooling is not None:
        raise ConfigError(f"pooling is {options.pooling}, but {spec} pools nothing", "Leave --pooling out.")


def _average(found: dict[str, dict[str, object]], names: tuple[str, ...], figure: str) -> float | None:
    values = [found[name].get(figure) for name in names if name in found]
    known = [value for value in values if isinstance(value, float)]
    return mean(known) if len(known) == len(names) else None


def _arrays(one: sts.StsResult | TransferResult, kind: type[np.generic]) -> Arrays:
    return {
        f"{one.task}.fingerprint": np.array(one.fingerprint),
        f"{one.task}.gold": one.gold.astype(kind),
        f"{one.task}.predicted": one.predictions.astype(kind),
    }


def _ranked_arrays(one: RerankResult) -> Arrays:
    return {
        f"{RERANK}.fingerprint": np.array(one.fingerprint),
        f"{RERANK}.gold": one.relevant.astype(np.float32),
        f"{RERANK}.predicted": one.precisions.astype(np.float32),
    }


def _write_arrays(out: Path, arrays: Arrays) -> None:
    staged = out.with_name(f".{out.stem}.{secrets.token_hex(6)}.part.npz")
    try:
        with staged.open("xb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        staged.replace(out)
    except OSError as error:
        raise DataError(
            f"{out} cannot be written: {error.strerror}", "Check the folder and its space."
        ) from error
    finally:
        with suppress(OSError):
            staged.unlink()
