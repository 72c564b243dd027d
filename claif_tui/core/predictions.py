"""What a model predicted for each sample of a task: the file beside its result. What is made of it is elsewhere."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claif_tui.core.atomic import replacing
from claif_tui.core.errors import InputError
from engine.tasks import EVERY

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIX = ".npz"
_PARTS = ("fingerprint", "gold", "predicted")


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """One task's samples (n,), in an order that depends on the data alone, whose ``fingerprint`` stands beside them.

    STS: gold scores and predicted similarities in float32; transfer: true and predicted class numbers in int8;
    reranking: the number of positives and the average precision of each query, in float32.
    """

    fingerprint: str
    gold: NDArray[Any]
    predicted: NDArray[Any]


def read(path: Path) -> dict[str, Predictions]:
    """Read the predictions of each task; none where there is no file. ``InputError`` when it is damaged."""
    import numpy as np

    found: dict[str, Predictions] = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for task in EVERY:
                if f"{task}.gold" not in file.files:
                    continue
                fingerprint, gold, predicted = (file[f"{task}.{part}"] for part in _PARTS)
                if gold.ndim != 1 or gold.shape != predicted.shape or gold.dtype.kind not in "fi":
                    raise ValueError(f"the arrays of {task} do not belong together")
                found[task] = Predictions(str(fingerprint), gold, predicted)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} holds no predictions: {error}", "Remove it, and evaluate the model again."
        ) from error
    return found


def write(path: Path, predictions: Mapping[str, Predictions]) -> None:
    """Write the predictions of each task, compressed, in the place of what was there. ``OSError`` passes through."""
    import numpy as np

    arrays: dict[str, NDArray[Any]] = {}
    for task, one in predictions.items():
        parts = (np.array(one.fingerprint), one.gold, one.predicted)
        arrays |= {f"{task}.{part}": values for part, values in zip(_PARTS, parts, strict=True)}
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
