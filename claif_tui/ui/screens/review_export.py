"""Export from the app: format, file, status; then the funnel, and behind each rule the pairs it dropped."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Input, OptionList, Select, Static
from textual.widgets.option_list import Option

from claif_tui.core.models import Pair, PairQuery, Status
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.dialogs import ConfirmModal, TextModal
from claif_tui.ui.screens.review_source import pair_words
from claif_tui.ui.widgets.pair_list import score_text

if TYPE_CHECKING:
    from claif_tui.core.export import ExportFormat, ExportResult
    from claif_tui.core.postprocess import Funnel, Processed
    from claif_tui.core.store.store import Store
    from claif_tui.ui.screens.review import ReviewScreen

FORMATS: dict[str, tuple[str, str]] = {
    "jsonl": ("JSON Lines, all fields", "jsonl"),
    "csv": ("CSV, formulas neutralised", "csv"),
    "parquet": ("Parquet", "parquet"),
    "dino": ("official text_a / text_b / label, no triplets", "jsonl"),
    "sentence-transformers": ("sentence-transformers columns", "jsonl"),
}
STATUSES: dict[str, tuple[str, tuple[Status, ...] | None]] = {
    "accepted": ("accepted only", ("accepted",)),
    "not-rejected": ("all but rejected", ("accepted", "pending")),
    "all": ("all", None),
}
DROPPED_SHOWN = 500
"""Dropped rows that are listed; the file beside the export has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be exported, as chosen in the dialog."""

    form: str
    path: Path
    statuses: tuple[Status, ...] | None


class ExportModal(ClaifModal[Wish | None]):
    """Three choices with sensible answers, and what they would give."""

    nothing = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "write", "Write", id="export.write", tooltip="Write the file"),
    ]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._suggested = ""

    def compose(self) -> ComposeResult:
        """Format, status, file."""
        with Vertical(classes="dialog") as box:
            box.border_title = safe.line("Export")
            with Horizontal(classes="row"):
                yield Static("format")
                options = [(safe.line(f"{name} · {words}"), name) for name, (words, _) in FORMATS.items()]
                yield Select(options, value="jsonl", allow_blank=False, id="export-format", compact=True)
            with Horizontal(classes="row"):
                yield Static("pairs")
                kinds = [(safe.line(words), name) for name, (words, _) in STATUSES.items()]
                yield Select(kinds, value="accepted", allow_blank=False, id="export-status", compact=True)
            with Horizontal(classes="row"):
                yield Static("file")
                yield Input("", id="export-file", compact=True)
            yield Static("", classes="problem")
            yield Static(
                "Post-processing follows the recipe (3): drops, smoothing, cap, zero pairs. A manifest and the dropped "
                "rows are written beside the file. enter in the file field, or ctrl+s, writes.",
                classes="hint",
            )
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Suggest a file name; it follows the format until it is changed."""
        self._suggest()
        self.query_one("#export-file", Input).focus()

    def on_select_changed(self, event: Select.Changed) -> None:
        """Follow the format with the suggested name."""
        event.stop()
        self._suggest()

    def _suggest(self) -> None:
        field = self.query_one("#export-file", Input)
        form, status = self._chosen()
        name = "pairs" if status == "accepted" else f"pairs-{status}"
        extra = "" if form in ("jsonl", "csv", "parquet") else f"-{form}"
        suggestion = str(self._folder / f"{name}{extra}.{FORMATS[form][1]}")
        if field.value in ("", self._suggested):
            field.value = suggestion
        self._suggested = suggestion

    def _chosen(self) -> tuple[str, str]:
        form = self.query_one("#export-format", Select).value
        status = self.query_one("#export-status", Select).value
        return str(form), str(status)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Write."""
        event.stop()
        self.action_write()

    def action_write(self) -> None:
        """Take the choices if there is a file to write."""
        text = self.query_one("#export-file", Input).value.strip()
        if not text:
            self.query_one(".problem", Static).update(safe.line("✗ Name a file.", "$text-error"))
            return
        form, status = self._chosen()
        path = Path(text).expanduser()
        path = path if path.is_absolute() else self._folder / path
        self.dismiss(Wish(form=form, path=path, statuses=STATUSES[status][1]))


class FunnelModal(ClaifModal[None]):
    """How pairs became rows, rule by rule; enter on a rule shows what it dropped."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy path", id="funnel.copy", tooltip="Copy the path of the file"),
        Binding("j", "move(1)", "Next", show=False, id="funnel.next"),
        Binding("k", "move(-1)", "Previous", show=False, id="funnel.previous"),
        Binding("q", "walk_away", "Close", show=False, id="funnel.close"),
    ]

    def __init__(self, result: ExportResult, processed: Processed) -> None:
        super().__init__()
        self._result, self._processed = result, processed

    def compose(self) -> ComposeResult:
        """The funnel as a list."""
        funnel = self._processed.funnel
        with Vertical(classes="dialog") as box:
            box.border_title = safe.line(f"✓ {self._result.rows:,} rows written")
            yield Static(safe.line(str(self._result.path)))
            yield Static(safe.line(f"sha256 {self._result.sha256[:16]}…", "$text-muted"), classes="hint")
            yield OptionList(*funnel_options(funnel), id="funnel-rows", markup=False, compact=True)
            yield Static("enter shows what a rule dropped", classes="hint")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Put the cursor on the first rule that dropped something."""
        self.query_one(OptionList).focus()
        self.query_one(OptionList).action_first()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        rows = self.query_one(OptionList)
        rows.action_cursor_down() if by > 0 else rows.action_cursor_up()

    def action_copy(self) -> None:
        """Copy where the file is."""
        self.shell.copy(str(self._result.path), "the path")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Show the pairs a rule dropped."""
        event.stop()
        rule = event.option_id
        if rule is not None:
            self.run_worker(self._show(rule), group="dropped", exit_on_error=False, description="dropped rows")

    async def _show(self, rule: str) -> None:
        from claif_tui.core.postprocess import RULES, Rule

        def read() -> list[Pair]:
            hits = (item.pair for item in self._processed.dropped() if item.rule == rule)
            return list(islice(hits, DROPPED_SHOWN))

        found = await self.shell.background(read)
        rows: list[safe.Part] = []
        for pair in found:
            rows.append(safe.join((f"{score_text(pair.score)}  ", "bold"), (pair.text_a, "$text-muted")))
            rows.append(safe.join("      ", pair.text_b))
            if pair.hard_negative is not None:
                rows.append(safe.join(f"{score_text(pair.negative_score)}  ", pair.hard_negative))
        total = self._processed.funnel.drops[cast("Rule", rule)]
        more = f", the first {len(found):,}" if total > len(found) else ""
        plain = "\n".join(map(pair_words, found))
        title = f"{rule}: {RULES[cast('Rule', rule)]} · {total:,}{more}"
        self.app.push_screen(TextModal(title, safe.lines(*rows), plain=plain, what="the rows", wide=True))


def funnel_options(funnel: Funnel) -> list[Option]:
    """Return the funnel as lines; only rules that dropped something can be chosen."""
    from claif_tui.core.postprocess import RULES

    rows = [Option(safe.line(f"{'pairs looked at':<50}{funnel.pairs:>10,}"), disabled=True)]
    for rule, count in funnel.drops.items():
        text = safe.line(f"− {RULES[rule]:<48.48}{count:>10,}", "" if count else "$text-muted")
        rows.append(Option(text, id=rule, disabled=not count))
    if funnel.split:
        more = safe.line(f"{'+ of triplets, which give two pairs each':<50}{funnel.split:>10,}")
        rows.insert(1, Option(more, disabled=True))
    ends = [("kept", funnel.kept), ("+ zero pairs", funnel.zero_pairs), ("rows", funnel.rows)]
    if funnel.swapped:
        ends.insert(1, ("  of these with swapped roles", funnel.swapped))
    for name, count in ends:
        rows.append(Option(safe.line(f"{name:<50}{count:>10,}"), disabled=True))
    return rows


async def open_export(screen: ReviewScreen) -> None:
    """Ask, write, show the funnel."""
    store = screen.store
    if store is None:
        return
    wish = await screen.shell.push_screen_wait(ExportModal(store.folder / "exports"))
    if wish is None:
        return
    exists = await screen.shell.background(wish.path.exists)
    question = f"{wish.path.name} exists already. Replace it, its manifest and its dropped rows?"
    if exists and not await screen.shell.push_screen_wait(ConfirmModal("Export", question, yes="Replace")):
        return
    screen.working(f"exporting to {wish.path.name} …")
    try:
        result, processed = await screen.shell.background(partial(write, store, wish))
    finally:
        screen.working("")
    screen.shell.changed()
    await screen.shell.push_screen_wait(FunnelModal(result, processed))


def write(store: Store, wish: Wish) -> tuple[ExportResult, Processed]:
    """Post-process by the project's recipe and write the file; raises ``ClaifError``."""
    from claif_tui.core.errors import RecipeError
    from claif_tui.core.export import manifest_of, write_export
    from claif_tui.core.postprocess import options_of, postprocess
    from claif_tui.ui.recipe_files import read_recipe

    found = read_recipe(store, path=store.folder / "recipe.toml")
    if found.recipe is None:
        raise RecipeError(found.problem)
    options = options_of(found.recipe, wish.statuses)
    processed = postprocess(partial(store.pairs.export_rows, PairQuery()), options)
    manifest = manifest_of(processed.funnel, options, recipe=found.recipe, preset=found.recipe.preset)
    with suppress(OSError):  # write_export says what is wrong with the place
        (store.folder / "exports").mkdir(exist_ok=True)
    form = cast("ExportFormat", wish.form)
    return write_export(processed.rows(), wish.path, form, manifest, processed.dropped()), processed
