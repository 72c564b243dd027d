"""Scoring tasks on vectors that an API gave: through files that the engine reads, and under the API's name.

Nothing is fetched here. A task of which a sentence has no vector is not scored, and told.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from claif_tui.core.embeddings import EmbeddingPlan
from claif_tui.core.errors import ClaifError
from claif_tui.core.evaluating import EvaluationWish, Progress, evaluate
from claif_tui.core.evaluations import Evaluation
from claif_tui.core.models import NANO
from claif_tui.core.provenance import FROM_FILE, VECTORS
from claif_tui.core.store.embeddings import Bought, EmbeddingStore, text_key
from claif_tui.core.store.process import start_mark

_FOLDER = "vectors-"
_STEM = "vectors"
"""What the file is called, and with it the result at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The figures, None where no task is complete; the tasks that are not, with their numbers of missing vectors."""

    evaluation: Evaluation | None
    incomplete: Mapping[str, int]
    bought: Bought


def score(
    store: EmbeddingStore,
    planned: EmbeddingPlan,
    wish: EvaluationWish,
    *,
    progress: Progress | None = None,
    partial: Callable[[Evaluation], object] | None = None,
) -> Scored:
    """Score the tasks of the plan whose vectors are all there; blocks for minutes, like ``evaluating.evaluate``.

    Raises ``ClaifError`` when the vectors are of two models, which cannot be compared.
    """
    have = store.keys(planned.account.id)
    lacking = [bool(text) and text_key(text) not in have for text in planned.needed.sentences]
    counts = {name: sum(lacking[place] for place in places) for name, places in planned.needed.tasks.items()}
    incomplete = {name: count for name, count in counts.items() if count}
    complete = [name for name in planned.needed.tasks if name not in incomplete]
    used = sorted({place for name in complete for place in planned.needed.tasks[name]})
    texts = [planned.needed.sentences[place] for place in used]
    bought = store.bought(planned.account.id, [text_key(text) for text in texts if text])
    if len(bought.models) > 1:
        by = " and ".join(f"{count:,} by {model}" for model, count in bought.models.items())
        raise _failed(
            f"{planned.spec}: its sentences were answered {by}, and vectors of two models do not compare",
            "Add --anew to ask for all of them again.",
        )
    if not complete:
        return Scored(evaluation=None, incomplete=incomplete, bought=bought)

    def named(one: Evaluation) -> Evaluation:
        return _named(one, planned, wish, bought)

    with _folder(store.path.parent) as folder:
        file = _write(store, planned, used, folder)
        found = evaluate(
            f"{VECTORS}{file}",
            replace(wish, tasks=",".join(complete)),
            progress=progress,
            partial=None if partial is None else lambda one: partial(named(one)),
        )
    return Scored(evaluation=named(found), incomplete=incomplete, bought=bought)


def _named(one: Evaluation, planned: EmbeddingPlan, wish: EvaluationWish, bought: Bought) -> Evaluation:
    """Give a result on a file the name of the API's model, and say where the vectors come from."""
    returned = next(iter(bought.models), planned.model)
    # The content of an API's model is not to be had: its names stand for it.
    identity = f"api {planned.profile.name} {planned.model} {returned}"
    notes = (note for note in one.notes if note != FROM_FILE)
    return replace(
        one,
        model=planned.spec,
        identity=hashlib.sha256(identity.encode()).hexdigest(),
        name=wish.name or returned + one.name.removeprefix(_STEM),
        notes=(origin(planned, bought), *notes),
    )


def origin(planned: EmbeddingPlan, bought: Bought) -> str:
    """Say in a sentence which model gave the vectors, where, when, and for how much."""
    returned = next(iter(bought.models), planned.model)
    alias = f" (asked for as {planned.model})" if returned != planned.model else ""
    profile = planned.profile
    where = profile.name if profile.name.startswith(profile.host) else f"{profile.name} ({profile.host})"
    days = bought.first if bought.first == bought.last else f"{bought.first} to {bought.last}"
    parts = [f"{sum(bought.models.values()):,} sentences"]
    if bought.tokens is not None:
        parts.append(f"{bought.tokens:,} tokens")
    parts.append("no price known" if bought.cost_nano is None else f"${bought.cost_nano / NANO:.4f}")
    empty = sum(not text for text in planned.needed.sentences)
    zeros = " An empty sentence counts as zeros; no API embeds it." if empty else ""
    return f"Vectors of {returned}{alias} from {where}, {days}: {', '.join(parts)}.{zeros}"


def _write(store: EmbeddingStore, planned: EmbeddingPlan, places: Sequence[int], folder: Path) -> Path:
    """Write the vectors of some sentences as ``vectors:FILE`` reads them, one at a time: they may be a gigabyte."""
    import numpy as np

    texts = [planned.needed.sentences[place] for place in places]
    dimension = store.money(planned.account.id).dimension or 0
    zeros = bytes(4 * dimension)
    path = folder / f"{_STEM}.npy"
    try:
        path.with_suffix(".txt").write_bytes("".join(f"{text}\n" for text in texts).encode())
        with path.open("wb") as file:
            head = {"descr": "<f4", "fortran_order": False, "shape": (len(texts), dimension)}
            np.lib.format.write_array_header_1_0(file, head)
            for vector in store.vectors(planned.account.id, [text_key(text) for text in texts]):
                file.write(zeros if vector is None else vector)
    except OSError as error:
        raise _failed(
            f"{path} cannot be written: {error.strerror or error}", "Check the folder and its space."
        ) from error
    return path


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    """Yield a folder for the files of this process; what killed ones left is removed."""
    for old in parent.glob(f"{_FOLDER}*"):
        pid = old.name.removeprefix(_FOLDER).partition("-")[0]
        if pid.isdigit() and start_mark(int(pid)) is None:
            shutil.rmtree(old, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _failed(message: str, hint: str) -> ClaifError:
    error = ClaifError(message, hint)
    error.exit_code = 1
    return error
