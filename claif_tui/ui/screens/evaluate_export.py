"""Writing the table as it is shown, as Markdown, CSV or LaTeX, into the project's exports. No widget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from claif_tui.core import leaderboard_formats as formats
from claif_tui.core.atomic import replacing
from claif_tui.core.errors import ClaifError
from claif_tui.core.leaderboard import Board

FORMS: dict[str, tuple[str, Callable[[Board], str]]] = {
    "md": ("Markdown", formats.markdown),
    "csv": ("CSV, formulas neutralised", lambda board: formats.csv_text([board])),
    "tex": ("LaTeX (booktabs)", formats.latex),
}


def target(project: Path, board: Board, backbone: str | None, form: str) -> Path:
    """Where an export goes: ``exports/leaderboard-sts.md``, with the backbone if only its rows are shown."""
    part = "" if backbone is None else f"-{backbone.replace('/', '-')}"
    return project / "exports" / f"leaderboard-{board.kind}{part}.{form}"


def write(board: Board, path: Path, form: str) -> None:
    """Write the rows in their order; raises ``ClaifError``. Blocks."""
    text = FORMS[form][1](board)
    try:
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        told = ClaifError(
            f"{path} cannot be written: {error.strerror or error}", "Check free space and permissions."
        )
        told.exit_code = 1
        raise told from error
