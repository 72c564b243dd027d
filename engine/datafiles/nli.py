"""Rows with an NLI label each, for the objective that learns labels: words to class numbers. No triplets, no scores."""

from __future__ import annotations

from engine.datafiles.records import Malformed

LABELS = ("contradiction", "entailment", "neutral")
"""The classes, by number."""
NAMES = ("gold_label", "label", "labels", "nli_label")
"""Columns that a label may stand in; the first that a file has counts."""

_CODES = {label: float(code) for code, label in enumerate(LABELS)}
_NONE = ("", "-", "none", "null")


def label_code(cell: object) -> float | None:
    """Return the class number of a label as written, None where its annotators agreed on none; raises ``Malformed``."""
    word = cell.strip().casefold() if isinstance(cell, str) else cell
    if word is None or word in _NONE:
        return None
    code = _CODES.get(word) if isinstance(word, str) else None
    if code is None:
        raise Malformed(
            f"the label is {str(cell)[:40]!r}, expected {', '.join(LABELS)}",
            "",
            "Write labels as words: the same number means different things in different copies of NLI data.",
        )
    return code
