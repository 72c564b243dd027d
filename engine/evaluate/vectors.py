"""Vectors computed elsewhere (an embedding API, another program) as a source for evaluation. No model runs here."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from engine.evaluate.files import read_lines, tidy

PREFIX = "vectors:"
_FORMATS = "Known: .npz with the arrays texts (n,) and vectors (n, d), or .npy (n, d) beside a .txt of n lines."


class VectorFile:
    """Sentences looked up in a file: called like an encoder."""

    def __init__(self, path: Path, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """``vectors`` (n, d) of ``texts``; blanks are evened out. DataError when one sentence has two vectors."""
        self.path, self.vectors = path, vectors
        self.rows: dict[str, int] = {}
        for row, text in enumerate(map(tidy, texts)):
            first = self.rows.setdefault(text, row)
            if not np.array_equal(vectors[first], vectors[row], equal_nan=True):
                raise DataError(
                    f"{path}: entries {first + 1} and {row + 1} give different vectors for {text[:60]!r}.",
                    "Keep one of them.",
                )

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        """Vectors (n, d) of ``texts``; DataError names a sentence that the file does not hold."""
        missing = [text for text in texts if tidy(text) not in self.rows]
        if missing:
            raise DataError(
                f"{self.path}: {len(missing):,} of {len(texts):,} sentences have no vector, such as {missing[0]!r}.",
                "Embed every sentence of the chosen tasks, as the evaluation files have it.",
            )
        found: NDArray[np.float32] = self.vectors[[self.rows[tidy(text)] for text in texts]]
        return found


def is_vectors(spec: str) -> bool:
    """Whether a model is named as ``vectors:FILE``."""
    return spec.startswith(PREFIX)


def read_vectors(spec: str) -> VectorFile:
    """Open ``vectors:FILE`` (or a bare file name). DataError when it is missing, cut, or of another form."""
    path = Path(spec.removeprefix(PREFIX))
    if path.suffix not in (".npz", ".npy"):
        raise DataError(f"{path}: no vector file.", _FORMATS)
    try:
        # An .npy file stays on disk: a task reads the rows that it needs.
        loaded = np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
        if path.suffix == ".npz":
            with loaded:
                texts, vectors = loaded["texts"].tolist(), loaded["vectors"]
        else:
            texts, vectors = read_lines(path.with_suffix(".txt")), loaded
    except FileNotFoundError:
        raise DataError(f"{path} is missing.", _FORMATS) from None
    except KeyError as error:
        raise DataError(f"{path}: {str(error).strip(chr(39))}.", _FORMATS) from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}.", _FORMATS) from error
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise DataError(
            f"{path}: vectors of shape {vectors.shape} and type {vectors.dtype}, (n, d) of floats expected.",
            _FORMATS,
        )
    if len(texts) != len(vectors) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{path}: {len(texts):,} texts, {len(vectors):,} vectors.", _FORMATS)
    return VectorFile(path, texts, vectors.astype(np.float32, copy=False))
