"""Seeds: the sentences everything starts from, where each came from, and importing more after a look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, Static

from claif_tui.core.models import Seed, Source, Split
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifScreen
from claif_tui.ui.jobs import LIVE, Job
from claif_tui.ui.widgets.row_list import RowList
from claif_tui.ui.widgets.seed_list import SeedList, SeedSource

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store
    from claif_tui.ui.screens.import_job import ImportJob

SPLITS: tuple[Split | None, ...] = (None, "train", "dev", "test")
FOUND = 2_000
"""Most hits that a search shows."""
BAR = 20


class SeedsScreen(ClaifScreen):
    """The list, the seed under the cursor, and the imports."""

    place = "seeds"
    CSS_PATH = "seeds.tcss"
    HELP_TEXT = (
        "Seeds are the original sentences. Each is unique within its split; ×3 says that it stood three times in the "
        "files. Only the train split is generated from: dev and test stay apart.\n\n"
        "i imports a file after a preview: how it is read, its first rows, and what will be left out and why. "
        "Nothing is written before you say so, and a stopped import leaves nothing behind. "
        "x stops a running import; w shows which rows the imports left out."
    )
    BINDINGS = [
        Binding("i", "import", "Import", id="seeds.import", tooltip="Import a file, after a preview"),
        Binding(
            "slash", "search", "Search", key_display="/", id="seeds.search", tooltip="Find seeds by their text"
        ),
        Binding("s", "split", "Split", id="seeds.split", tooltip="Show all, train, dev or test"),
        Binding("w", "issues", "Left out", id="seeds.issues", tooltip="Rows that imports left out or merged"),
        Binding(
            "x", "stop", "Stop import", id="seeds.stop", tooltip="Stop the running import; nothing of it stays"
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._split: Split | None = None
        self._needle = ""
        self._sources: dict[int, Source] = {}
        self._counts: dict[Split, int] = {}
        self._shown: tuple[object, ...] = ()

    def body(self) -> ComposeResult:
        """The list; beside it the card and the imports; the search field when asked for."""
        with Vertical(classes="panel", id="list-panel"):
            yield Static("", id="progress", markup=False)
            yield Input(
                placeholder="part of a sentence; enter keeps it, esc shows all", id="search", compact=True
            )
            yield SeedList(empty="No seeds yet: press i to import a file of sentences.", id="list")
        with Horizontal(id="side"):
            with VerticalScroll(classes="panel", id="card", can_focus=False):
                yield Static("", id="card-text", markup=False)
            with VerticalScroll(classes="panel", id="imports", can_focus=False) as panel:
                panel.border_title = "Imports"
                yield Static("", id="imports-text", markup=False)

    def rest(self) -> Widget | None:
        """The list has the focus when nothing else has."""
        return self.query_one(SeedList)

    def on_mount(self) -> None:
        """Follow imports, whoever looks."""
        super().on_mount()
        self.shell.jobs.listen(self._job_changed)
        self.query_one(SeedList).focus()
        job = self._job()
        if job is not None:
            self._job_changed(job)

    # -- data --------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read counts and imports; read the list again only when it can have changed."""
        store = self.store
        if store is None:
            return
        self._sources, self._counts = await self.shell.db(_facts)
        key = (
            self.shell.revision[0],
            self._split,
            self._needle,
            tuple(self._counts.items()),
            len(self._sources),
        )
        if key != self._shown:
            fresh = self._shown[:3] != key[:3]
            self._shown = key
            await self._fill(store, fresh=fresh)
        self._show_titles()

    async def _fill(self, store: Store, *, fresh: bool) -> None:
        seeds = self.query_one(SeedList)
        if self._needle:
            from array import array

            found = await self.shell.db(lambda open_store: open_store.seeds.search(self._needle, FOUND))
            found = [seed for seed in found if self._split in (None, seed.split)]
            seeds.show(array("q", [seed.id for seed in found]), found, source=SeedSource(store, self._split))
        elif fresh:
            seeds.load(SeedSource(store, self._split))
        else:
            seeds.forget()
            seeds.reload()

    def _show_titles(self) -> None:
        seeds = self.query_one(SeedList)
        parts = [f"{count:,} {split}" for split, count in self._counts.items()] or ["Seeds"]
        if self._split is not None:
            parts = [f"{self._counts.get(self._split, 0):,} {self._split}"]
        if self._needle:
            more = "+" if seeds.count >= FOUND else ""
            parts.append(f"{seeds.count:,}{more} with “{self._needle}”")
        self.query_one("#list-panel").border_title = safe.line(
            "Seeds · " + " · ".join(parts) if self._counts else "Seeds"
        )
        self.query_one("#imports-text", Static).update(safe.lines(*_imports(list(self._sources.values()))))
        self._show_card(seeds.current)

    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        self._show_card(cast("Seed | None", event.row))

    @on(RowList.Loaded)
    def _loaded(self) -> None:
        self._show_titles()

    @on(RowList.Failed)
    def _failed(self, event: RowList.Failed) -> None:
        self.shell.show_error(event.error)

    def _show_card(self, seed: Seed | None) -> None:
        card = self.query_one("#card")
        card.border_title = "Seed" if seed is None else safe.line(f"Seed {seed.id:,}")
        self.query_one("#card-text", Static).update(
            safe.line("Nothing under the cursor.", "$text-muted")
            if seed is None
            else safe.lines(*self._card(seed))
        )

    def _card(self, seed: Seed) -> list[safe.Part]:
        source = self._sources.get(seed.source_id)
        times = "once" if seed.count == 1 else f"{seed.count:,} times ({seed.count - 1:,} duplicates merged)"
        return [
            safe.block(seed.text),
            "",
            safe.join(
                ("from    ", "$text-muted"), f"{source.path}, {source.place(seed.line)}" if source else "?"
            ),
            safe.join(("split   ", "$text-muted"), seed.split),
            safe.join(("stood   ", "$text-muted"), times),
        ]

    # -- search and split --------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Open the search field."""
        field = self.query_one("#search", Input)
        field.add_class("-on")
        field.focus()

    @on(Input.Changed, "#search")
    def _searching(self, event: Input.Changed) -> None:
        event.stop()
        self._needle = event.value
        self.reload()

    @on(Input.Submitted, "#search")
    def _searched(self, event: Input.Submitted) -> None:
        event.stop()
        if not event.value:
            self._close_search()
        self.query_one(SeedList).focus()

    def action_leave_field(self) -> None:
        """Leave the search and show everything again."""
        self._close_search()
        super().action_leave_field()

    def _close_search(self) -> None:
        field = self.query_one("#search", Input)
        field.remove_class("-on")
        field.value = ""

    def action_split(self) -> None:
        """Show the next split that has seeds, or all."""
        held = [split for split in SPLITS if split is None or self._counts.get(split)]
        at = held.index(self._split) if self._split in held else 0
        self._split = held[(at + 1) % len(held)]
        self.reload()

    # -- importing ---------------------------------------------------------------------------------------

    def action_import(self) -> None:
        """Choose a file, look at what would happen, import."""
        self.ask(self._import, description="import seeds")

    async def _import(self) -> None:
        from claif_tui.core.importing.types import ImportOptions
        from claif_tui.ui.screens.choose_file import ChooseFileModal
        from claif_tui.ui.screens.import_job import ImportJob
        from claif_tui.ui.screens.import_preview import ImportPreviewModal, ImportWish

        store = self.store
        if store is None:
            self.shell.say("No project is open: press 1 to open or make one.", severity="warning")
            return
        if self._job() is not None:
            self.shell.say("An import is running: wait for it, or x stops it.", severity="warning")
            return
        path: Path | None = await self.app.push_screen_wait(ChooseFileModal())
        if path is None:
            return
        wish: ImportWish | None = await self.app.push_screen_wait(
            ImportPreviewModal(store, path, ImportOptions())
        )
        if wish is not None:
            self.shell.jobs.start(ImportJob(store, wish.path, wish.options))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Stopping is offered while an import runs."""
        if action == "stop":
            return self._job() is not None
        return super().check_action(action, parameters)

    def action_stop(self) -> None:
        """Stop the running import."""
        job = self._job()
        if job is None:
            self.shell.say("No import is running.")
        else:
            job.stop()

    def _job(self) -> ImportJob | None:
        live = self.shell.jobs.live("import")
        return cast("ImportJob", live[0]) if live else None

    def _job_changed(self, job: Job) -> None:
        if job.kind != "import" or not self.is_attached:
            return
        running = job.state in LIVE
        line = self.query_one("#progress", Static)
        if running != line.has_class("-on"):
            line.set_class(running, "-on")
            self.refresh_bindings()
        if running:
            line.update(_progress(cast("ImportJob", job)))
        elif job.state == "done" and job.message:
            self.shell.say(job.message)

    def action_issues(self) -> None:
        """Show the rows that imports left out."""
        self.ask(self._issues, description="rows left out")

    async def _issues(self) -> None:
        from claif_tui.ui.screens.left_out import show_left_out

        if self.store is not None:
            await show_left_out(self, self.store, list(self._sources.values()))

    def copy_target(self) -> tuple[str, str] | None:
        """The seed under the cursor."""
        seed = self.query_one(SeedList).current
        return None if seed is None else (f"seed {seed.id:,}", seed.text)


def _facts(store: Store) -> tuple[dict[int, Source], dict[Split, int]]:
    return {source.id: source for source in store.sources.list()}, store.seeds.by_splits()


def _imports(sources: list[Source]) -> list[safe.Part]:
    if not sources:
        return [("None yet: press i.", "$text-muted")]
    out: list[safe.Part] = []
    for source in reversed(sources):
        what = "sentences" if source.role == "seeds" else source.role
        out.append(safe.join((source.name, "bold"), (f"  {source.format}, {source.split}", "$text-muted")))
        left = {"duplicates": source.duplicates, "empty": source.empty, **source.dropped}
        said = ", ".join(f"{count:,} {name}" for name, count in left.items() if count)
        out.append(
            safe.join(
                f"  {source.unique:,} {what} of {source.rows:,} rows",
                (f"  {said}" if said else "", "$text-muted"),
            )
        )
    return out


def _progress(job: ImportJob) -> safe.Content:
    progress = job.progress
    percent = progress.percent or 0
    filled = BAR * percent // 100
    eta = progress.eta_seconds
    left = f"  ETA {int(eta) // 60:02d}:{int(eta) % 60:02d}" if eta else ""
    return safe.join(
        f"{job.stage} ",
        ("█" * filled, "$primary"),
        ("░" * (BAR - filled), "$text-muted"),
        f" {percent:>3} %{left}",
        ("  x stops  ", "$text-primary"),
        (f"{progress.done:,} of {progress.total or 0:,} {progress.unit}", "$text-muted"),
    )
