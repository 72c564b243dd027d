"""How keys become the values of a scale, and how values are written. Pure functions; no widget."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claif_tui.core.rating.models import SCALES

if TYPE_CHECKING:
    from claif_tui.core.rating.models import ScaleKind

AT_ONCE: dict[ScaleKind, dict[str, float]] = {
    "yesno": {"y": 1.0, "n": 0.0},
    "ordinal": {f"{value:g}": value for value in SCALES["ordinal"]},
    "tenths": {},
}
"""Keys that answer by themselves, by scale."""
TYPED = "0123456789."
"""Keys of a score in tenths; what they come to is shown, and enter takes it."""
_READS = re.compile(r"10|1\.0?|0?\.\d?|\d")


def typed(before: str, key: str) -> str:
    """Return what stands there after one more key: what cannot be read as a score begins anew."""
    return next((text for text in (before + key, key) if _READS.fullmatch(text)), before)


def read(text: str) -> float | None:
    """Return the score that a text means: ``7``, ``.7`` and ``0.7`` are 0.7, ``10`` and ``1.0`` are 1.0."""
    if not _READS.fullmatch(text) or text == ".":
        return None
    if "." in text:
        return round(float(f"0{text}" if text.startswith(".") else text), 1)
    return int(text) / 10


def stepped(text: str, by: int) -> str:
    """Return the text of the next higher or lower score; from nothing, the end that one comes from."""
    value = read(text)
    tenths = (0 if by > 0 else 10) if value is None else round(value * 10) + by
    return f"{min(10, max(0, tenths)) / 10:.1f}"


def written(scale: ScaleKind, value: float) -> str:
    """Return a value as people write it."""
    if scale == "yesno":
        return "yes" if value else "no"
    return f"{value:.1f}" if scale == "tenths" else f"{value:g}"
