"""Where is the project, or where shall it be: a path with completion, and the projects that were open lately."""

from __future__ import annotations

from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.projects import as_folder, is_project
from claif_tui.ui.widgets.paths import PathSuggester


class ChooseProjectModal(ClaifModal[Path | None]):
    """Gives the folder to open, or (``new``) the folder to make a project in; None to walk away."""

    BINDINGS = [
        Binding("down", "to_list", "Recent projects", show=False, id="choose-project.list"),
        Binding("right", "take", "Complete the path", show=False, id="choose-project.take"),
    ]

    def __init__(self, *, new: bool, recent: list[Path], start: str = "") -> None:
        super().__init__()
        self._new, self._recent, self._start = new, recent, start

    def compose(self) -> ComposeResult:
        """The path, what is wrong with it, and the recent ones."""
        with Vertical(classes="dialog") as box:
            box.border_title = "New project" if self._new else "Open a project"
            what = "a folder for it; made if need be" if self._new else "the folder that holds claif.db"
            yield Static(safe.line(f"Path: {what}. ▸ completes, enter accepts."), classes="hint")
            yield Input(
                safe.plain(self._start), suggester=PathSuggester(folders=True), placeholder="~/data/my-project"
            )
            yield Static("", classes="problem", markup=False)
            if self._recent and not self._new:
                yield Static("Recent", classes="hint")
                options = [Option(safe.line(str(path))) for path in self._recent]
                yield OptionList(*options, markup=False, compact=True)
        yield Footer(show_command_palette=False)

    def on_input_changed(self) -> None:
        """A complaint goes away as soon as the path changes."""
        self.query_one(".problem", Static).update(Content(""))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Accept, or say what is wrong."""
        event.stop()
        problem = self._check(event.value)
        if problem:
            self.query_one(".problem", Static).update(safe.line(f"✗ {problem}"))
        else:
            self.dismiss(as_folder(event.value))

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._recent[event.option_index])

    def action_to_list(self) -> None:
        """Go from the path to the recent projects."""
        for options in self.query(OptionList):
            options.focus()

    def action_take(self) -> None:
        """Stands in the help; the field itself does it."""

    def _check(self, value: str) -> str:
        if not value.strip():
            return "type a path"
        if "\x00" in value:
            return "a path holds no NUL"
        folder = as_folder(value)
        if self._new:
            if is_project(folder):
                return "there is a project already: esc, then o opens it"
            return "that is a file, not a folder" if folder.is_file() else ""
        if folder.is_file():
            return "that is a file; name the folder that holds claif.db"
        if not folder.exists():
            return "no such folder"
        return "" if is_project(folder) else "no project there: it has no claif.db (esc, then n makes one)"
