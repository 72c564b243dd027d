"""The report on a study as a window. Until the report's own module is here: progress and deviations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claif_tui.ui.dialogs import TextModal
from claif_tui.ui.screens import rate_text

if TYPE_CHECKING:
    from claif_tui.core.rating.models import StudyData


def report_modal(data: StudyData) -> TextModal:
    """Return the window that tells of a study."""
    content = rate_text.study(data)
    return TextModal(f"Report · {data.study.name}", content, plain=content.plain, what="the report", wide=True)
