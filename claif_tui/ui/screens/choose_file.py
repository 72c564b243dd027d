"""Which file to import: a path with completion."""

from __future__ import annotations

from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Footer, Input, Static

from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.projects import as_folder
from claif_tui.ui.widgets.paths import PathSuggester


class ChooseFileModal(ClaifModal[Path | None]):
    """Gives the path of a file that exists; what is in it the preview says."""

    def compose(self) -> ComposeResult:
        """The path and what is wrong with it."""
        with Vertical(classes="dialog") as box:
            box.border_title = "Import"
            yield Static(
                "Text, CSV, TSV, JSONL, Parquet, STS-B or NLI. ▸ completes, enter looks at it.", classes="hint"
            )
            yield Input(suggester=PathSuggester(), placeholder="~/data/sentences.txt")
            yield Static("", classes="problem", markup=False)
        yield Footer(show_command_palette=False)

    def on_input_changed(self) -> None:
        """A complaint goes away as soon as the path changes."""
        self.query_one(".problem", Static).update(Content(""))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Accept, or say what is wrong."""
        event.stop()
        problem = _check(event.value)
        if problem:
            self.query_one(".problem", Static).update(safe.line(f"✗ {problem}"))
        else:
            self.dismiss(as_folder(event.value))


def _check(value: str) -> str:
    if not value.strip():
        return "type a path"
    if "\x00" in value:
        return "a path holds no NUL"
    path = as_folder(value)
    if path.is_dir():
        return "that is a folder; name a file in it"
    return "" if path.exists() else "no such file"
