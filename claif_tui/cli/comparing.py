"""Printing comparisons of two rows, which two commands make. What is compared, and how, is not known here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from claif_tui.cli import output

if TYPE_CHECKING:
    from claif_tui.core.significance import Contest


def show(contests: Sequence[Contest]) -> None:
    """Print each comparison as a table with its notes, or why there is none."""
    from claif_tui.core import significance_formats as formats

    for number, one in enumerate(contests):
        if number:
            output.line()
        output.line(formats.title(one))
        if one.differences:
            output.table(formats.cells(one), head=formats.HEAD, right=formats.RIGHT)
        for note in formats.notes(one):
            output.line(note)
