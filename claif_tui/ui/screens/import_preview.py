"""Look before importing: how a file is read, its first rows, what will be left out and why; then yes or no."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Footer, Static

from claif_tui.core.errors import ClaifError
from claif_tui.core.importing.types import FORMATS, REASONS, ROLES, Format, ImportOptions, Preview, Role
from claif_tui.core.models import Scale, Split
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.widgets.fields import Field

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

AUTO = "auto"
CELL = 36
"""Characters of a cell that the table of first rows shows."""


@dataclass(frozen=True, slots=True)
class ImportWish:
    """What the user confirmed."""

    path: Path
    options: ImportOptions


class ImportPreviewModal(ClaifModal[ImportWish | None]):
    """Shows what would happen; the options on top change it at once."""

    AUTO_FOCUS = "#import-preview"
    BINDINGS = [
        Binding("ctrl+s", "accept", "Import", id="import.accept", tooltip="Import as shown"),
        Binding("enter", "accept", "Import", show=False, id="import.accept.enter", tooltip="Import as shown"),
        Binding("ctrl+d", "scroll(8)", "Down", show=False, id="import.down"),
        Binding("ctrl+u", "scroll(-8)", "Up", show=False, id="import.up"),
    ]

    def __init__(self, store: Store, path: Path, options: ImportOptions) -> None:
        super().__init__()
        self._store, self._path, self._options = store, path, options
        self._preview: Preview | None = None

    def compose(self) -> ComposeResult:
        """Options, then the preview."""
        with Vertical(classes="dialog reading import") as box:
            box.border_title = safe.line(f"Import {self._path.name}")
            with Horizontal(classes="row"):
                yield Field("as", "as", options=ROLES)
                yield Field("format", "format", options=(AUTO, *FORMATS))
            with Horizontal(classes="row"):
                yield Field("split", "split", options=(AUTO, "train", "dev", "test"))
                yield Field("test", "held-out too", options=("no", "yes"))
            with Horizontal(classes="row"):
                yield Field("columns", "columns", placeholder="guessed; names or a=…, b=…")
                yield Field("scale", "score scale", options=(AUTO, "0-1", "0-5"))
            with VerticalScroll(id="import-preview", can_focus=True):
                yield Static("", id="import-text", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the options as they are, and look."""
        options = self._options
        texts = {
            "as": options.role,
            "format": options.format or AUTO,
            "split": options.split or AUTO,
            "test": "yes" if options.allow_test else "no",
            "columns": ", ".join(options.columns),
            "scale": options.score_scale or AUTO,
        }
        for field in self.query(Field):
            field.show(texts[field.key])
        self._look()

    @on(Field.Edited)
    def _edited(self, event: Field.Edited) -> None:
        event.stop()
        self._options = change(self._options, event.key, event.text)
        self._look()

    def _look(self) -> None:
        self._preview = None
        self._show(safe.line("Reading …", "$text-muted"))
        self.run_worker(
            self._read(), group="preview", exclusive=True, exit_on_error=False, description="preview"
        )

    async def _read(self) -> None:
        from claif_tui.core.importing.plan import preview

        options = self._options

        def look() -> Preview:
            return preview(self._path, options, self._store.sources.list())

        try:
            found = await self.shell.background(look)
        except ClaifError as error:
            if options == self._options:
                hint = [safe.block(error.hint)] if error.hint else []
                self._show(safe.lines(safe.join(("✗ ", "$text-error"), safe.block(error.message)), *hint))
            return
        if options == self._options:
            self._preview = found
            self._show(describe(found))

    def _show(self, content: safe.Content) -> None:
        self.query_one("#import-text", Static).update(content)

    def action_accept(self) -> None:
        """Import as shown, unless it would be refused."""
        if self._preview is None:
            self.shell.say("Still reading, or nothing to import.")
        elif self._preview.refusal:
            self.shell.say(self._preview.refusal, severity="error")
        else:
            self.dismiss(ImportWish(self._path, self._options))

    def action_scroll(self, rows: int) -> None:
        """Scroll the preview."""
        self.query_one("#import-preview", VerticalScroll).scroll_relative(y=rows, animate=False)


def change(options: ImportOptions, key: str, text: str) -> ImportOptions:
    """Return ``options`` with one of the modal's fields set."""
    given = None if text == AUTO else text
    if key == "as":
        return replace(options, role=cast(Role, text))
    if key == "format":
        return replace(options, format=cast(Format | None, given))
    if key == "split":
        return replace(options, split=cast(Split | None, given))
    if key == "test":
        return replace(options, allow_test=text == "yes")
    if key == "scale":
        return replace(options, score_scale=cast(Scale | None, given))
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    return replace(options, columns=names)


def describe(preview: Preview) -> safe.Content:
    """Everything a person should know before saying yes."""
    rows: list[safe.Part] = []
    if preview.refusal:
        rows += [
            safe.join(("✗ ", "$text-error"), safe.block(preview.refusal)),
            safe.block(_in_app(preview.refusal_hint)),
            "",
        ]
    rows += [
        _fact("format", f"{preview.format}: {preview.format_reason}"),
        _fact("encoding", preview.encoding),
        _fact("split", f"{preview.split}: {preview.split_reason}"),
        _fact("columns", ", ".join(f"{name} → {what}" for what, name in preview.used) or "-"),
    ]
    rows += [
        safe.join(("! ", "$text-warning"), note) for note in preview.notes if not note.startswith("columns:")
    ]
    rows += ["", *_tally(preview), "", ("First rows", "bold $primary")]
    rows += [_row(line, cells) for line, cells in preview.rows]
    if preview.issues:
        rows += ["", ("Left out or merged, the first ones", "bold $primary")]
        rows += [
            safe.join(
                (f"{issue.line:>8,}  ", "$text-muted"),
                (f"{issue.reason:<18}", "$text-warning"),
                safe.clip(issue.detail, 80),
            )
            for issue in preview.issues[:40]
        ]
    return safe.lines(*rows)


def _tally(preview: Preview) -> list[safe.Part]:
    tally = preview.tally
    what = "sentences" if preview.role == "seeds" else "pairs"
    share = "" if preview.exact else f"   (the first {preview.share:.0%} of the file)"
    rows: list[safe.Part] = [
        safe.join(
            (f"{tally.unique:,} {what}", "bold $success"), f" of {tally.rows:,} rows", (share, "$text-muted")
        )
    ]
    left = {"duplicate": tally.duplicates, "empty": tally.empty, **tally.dropped}
    for reason, count in left.items():
        if count:
            rows.append(
                safe.join(
                    (f"{count:>10,}  {reason:<18}", "$text-warning"), (REASONS.get(reason, ""), "$text-muted")
                )
            )
    if tally.replaced:
        rows.append(
            safe.line(f"{tally.replaced:>10,}  NULs or lone surrogates will be replaced", "$text-warning")
        )
    return rows


def _row(line: int, cells: tuple[str, ...]) -> safe.Content:
    parts: list[safe.Part] = [(f"{line:>8,}  ", "$text-muted")]
    for place, cell in enumerate(cells[:12]):
        parts += [("" if not place else " │ ", "$text-muted"), safe.clip(cell, CELL)]
    return safe.join(*parts)


def _fact(name: str, value: str) -> safe.Content:
    return safe.join((f"{name:<10}", "$text-muted"), value)


def _in_app(hint: str) -> str:
    """A hint in the words of this screen: its fields instead of the command line's flags."""
    return (
        hint.replace("--split ", "split ")
        .replace("--allow-test", "held-out too: yes")
        .replace("--column", "columns")
        .replace("--format", "format")
    )
