"""A model by its name, scored on the evaluation tasks or used to write a file of vectors. No arithmetic."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine import backbone, rundir
from engine.encoder import CrossEncoder, Encoder, load, load_cross
from engine.errors import ConfigError, DataError, ModelError
from engine.evaluate import sts, transfer
from engine.evaluate.files import read_lines
from engine.evaluate.vectors import VectorFile, is_vectors, read_vectors
from engine.resume import BEST
from engine.stats import mean
from engine.tasks import STS, TASKS, TRANSFER, select


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How a model is loaded and run, where that is not as the model itself says."""

    pooling: str | None = None
    max_seq_length: int | None = None
    precision: str = "fp32"
    own_pooler: bool = False
    allow_pickle: bool = False


def evaluate(
    model: str, data: Path, tasks: str, options: ModelOptions, mode: transfer.Mode = "full"
) -> dict[str, Any]:
    """{model, data, tasks: {STS12: {spearman, n, …}, …, MR: {accuracy, n, …}}, avg_sts, avg_transfer}, all x100.

    An average is None unless all of its seven tasks were asked for and have a figure.
    """
    names = select(tasks)
    spec = resolve(model)
    chosen_sts = [name for name in names if TASKS[name].kind == "sts"]
    chosen_transfer = [name for name in names if TASKS[name].kind == "transfer"]
    found: dict[str, dict[str, object]] = {}
    if is_cross(spec):
        if chosen_transfer:
            raise ConfigError(
                f"tasks: {spec} is a cross-encoder, which gives no vectors for {chosen_transfer[0]}",
                "Choose --tasks sts.",
            )
        _no_pooling(spec, options)
        cross = _load_cross(spec, options)
        score = sts.sts_cross(lambda a, b: cross.predict(a, b, precision=options.precision), data, chosen_sts)
        found = {name: result.as_json() for name, result in score.items()}
    else:
        encode = _encode(spec, options)
        if chosen_sts:
            found = {name: one.as_json() for name, one in sts.sts(encode, data, chosen_sts).items()}
        for name in chosen_transfer:
            found[name] = transfer.transfer(encode, data, name, mode, _device().type).as_json()
    return {
        "model": model,
        "data": str(data),
        "scorer": "cross-encoder" if is_cross(spec) else "bi-encoder",
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
    _write_vectors(out, lines, vectors)
    return {"model": model, "out": str(out), "rows": len(vectors), "dimension": int(vectors.shape[1])}


def resolve(model: str) -> str:
    """The model that a name means: of a run directory its best checkpoint, otherwise the name itself."""
    folder = Path(model).expanduser()
    if not (folder / rundir.RUN).is_file():
        return model
    best = folder / rundir.CHECKPOINTS / BEST
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
    source = backbone.resolve(spec)
    if backbone.read_json(source, "modules.json") is not None:
        return False
    config = backbone.read_json(source, "config.json") or {}
    return any(str(name).endswith("ForSequenceClassification") for name in config.get("architectures") or ())


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _load_cross(spec: str, options: ModelOptions) -> CrossEncoder:
    cross = load_cross(spec, max_seq_length=options.max_seq_length, allow_pickle=options.allow_pickle)
    cross.to(_device())
    return cross


def _encode(spec: str, options: ModelOptions) -> sts.Encode:
    if is_vectors(spec):
        _no_pooling(spec, options)
        vectors: VectorFile = read_vectors(spec)
        return vectors
    encoder: Encoder = load(
        spec,
        pooling=options.pooling,
        max_seq_length=options.max_seq_length,
        allow_pickle=options.allow_pickle,
        own_pooler=options.own_pooler,
    ).to(_device())

    def encode(texts: list[str]) -> NDArray[np.float32]:
        return encoder.encode(texts, precision=options.precision)

    return encode


def _no_pooling(spec: str, options: ModelOptions) -> None:
    if options.pooling is not None:
        raise ConfigError(f"pooling is {options.pooling}, but {spec} pools nothing", "Leave --pooling out.")


def _average(found: dict[str, dict[str, object]], names: tuple[str, ...], figure: str) -> float | None:
    values = [found[name].get(figure) for name in names if name in found]
    known = [value for value in values if isinstance(value, float)]
    return mean(known) if len(known) == len(names) else None


def _write_vectors(out: Path, texts: list[str], vectors: NDArray[np.float32]) -> None:
    staged = out.with_name(f".{out.stem}.{secrets.token_hex(6)}.part.npz")
    try:
        with staged.open("xb") as file:
            np.savez(file, texts=np.array(texts), vectors=vectors)
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
