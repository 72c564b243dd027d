"""The report on a study as a window: the same text that ``rate report`` prints. No figures are made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claif_tui.core.rating import report_formats
from claif_tui.core.rating.report import report
from claif_tui.ui import safe
from claif_tui.ui.dialogs import TextModal

if TYPE_CHECKING:
    from claif_tui.core.rating.models import StudyData


def report_text(data: StudyData) -> str:
    """Return the report; intervals are drawn by resampling, which takes seconds: ask in a worker."""
    return report_formats.text(report(data))


def report_modal(name: str, text: str) -> TextModal:
    """Return the window that shows a report."""
    return TextModal(f"Report · {name}", safe.block(text), plain=text, what="the report", wide=True)
