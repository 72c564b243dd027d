"""Which files are held out, so that a test split cannot be trained or selected on by accident (methods 15, item 12)."""

from __future__ import annotations

import re
from pathlib import Path

from engine.datafiles.records import SPLITS, word_split
from engine.errors import DataError

STSB_TEST_ROWS = 1379
"""An STS-B file of that many rows is its test split, whatever it is called."""

_TOKEN = re.compile(r"[a-z]+")


def named_split(path: Path) -> tuple[str, str] | None:
    """Return the split that a file's name or its folder's last word says, and the reason in words."""
    words = {split: word for word in _TOKEN.findall(path.name.casefold()) if (split := word_split(word))}
    for split in reversed(SPLITS):  # the most careful reading of "train_test.csv" wins
        if split in words:
            return split, f"its name says {words[split]!r}"
    folder = _TOKEN.findall(path.absolute().parent.name.casefold())
    found = word_split(folder[-1]) if folder else None
    if found in ("dev", "test"):
        return found, f"its folder's name says {folder[-1]!r}"
    return None


def refusal(name: str, why: str) -> DataError:
    """Return the error for test data that nobody asked for as such."""
    return DataError(
        f"{name}: is test data ({why}): neither training nor selection may see it",
        "Name a train or dev file; to score a model on test data: evaluate. If the name misleads, rename it.",
    )
