"""What a rater wrote, read as a value of a question's scale. No files, no storage."""

from __future__ import annotations

from claif_tui.core.rating.models import SCALES, Criterion

_WORDS = {
    **dict.fromkeys(("yes", "y", "true", "t"), 1.0),
    **dict.fromkeys(("no", "n", "false", "f"), 0.0),
}
_CLOSE = 1e-9


def expected(criterion: Criterion) -> str:
    """Return in words which answers a question takes."""
    if criterion.scale == "yesno":
        return "yes or no"
    values = [f"{value:g}" for value in SCALES[criterion.scale]]
    if criterion.scale == "tenths":
        return f"a number from {values[0]} to {values[-1]} in steps of 0.1"
    return f"{', '.join(values[:-1])} or {values[-1]}"


def read_value(text: str, criterion: Criterion) -> float:
    """Return the value on the scale that ``text`` means; ``ValueError`` if it means none.

    Yes/no also as y, n, true, false, 1, 0; numbers with a point or a decimal comma.
    """
    word = text.strip().casefold()
    if criterion.scale == "yesno" and word in _WORDS:
        return _WORDS[word]
    number = float(word.replace(",", ".", 1).replace("_", " "))
    return on_scale(number, criterion)


def on_scale(number: float, criterion: Criterion) -> float:
    """Return the value of the scale that ``number`` is, but for rounding; ``ValueError`` if it is none."""
    for value in SCALES[criterion.scale]:
        if abs(value - number) < _CLOSE:
            return value
    raise ValueError(number)
