"""The overlap of training data with evaluation sets on the Train screen: looking, showing, choosing what is left out.

It never holds up a start: what is found later is left with the run. Counting and words are ``core.overlap``'s.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from claif_tui.core import overlap, runs
from claif_tui.core.errors import ClaifError, InputError
from claif_tui.core.overlap import Count, Overlap
from claif_tui.core.overlap_removal import Removal, Rule, clean
from claif_tui.core.text import cell_width
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.dialogs import InputModal
from claif_tui.ui.projects import as_folder
from engine.rundir import read_config

if TYPE_CHECKING:
    from textual.worker import Worker

    from claif_tui.ui.app import ClaifApp
    from claif_tui.ui.screens.train import TrainScreen
    from engine.config import TrainConfig

Answer = Literal["", "all", "exact", "near"]
"""What is trained on: all rows, those without the exact, without the exact and the near; "" leaves it as it is."""

_NAME, _NUMBER, _SHARE = 20, 14, 7
_HEAD = ("evaluation set", "training", "", "seen", "same pairs")


async def compare(app: ClaifApp, project: Path, config: TrainConfig, folder: Path) -> Overlap:
    """Compare in a process that ends when nobody waits for it any more; raises ``ClaifError``."""
    children: list[Popen[bytes]] = []
    try:
        return await app.background(
            partial(overlap.check, config, folder, project=project, started=children.append)
        )
    except asyncio.CancelledError:
        for child in children:
            child.terminate()
        raise


async def leave_out(app: ClaifApp, project: Path, config: TrainConfig, rule: Rule) -> TrainConfig:
    """Freeze the rows that stay and return the settings on them; raises ``ClaifError``."""
    folder = await app.background(partial(overlap.known_folder, project, config))
    if folder is None:
        raise InputError(
            "it is not known any more where the evaluation data are, so nothing could be left out",
            "Open the form again; ctrl+o names them.",
        )
    children: list[Popen[bytes]] = []
    try:
        done = await app.background(
            partial(
                clean,
                config,
                folder,
                Removal(rule=rule),
                project=project,
                place=project,
                started=children.append,
            )
        )
    except asyncio.CancelledError:
        for child in children:
            child.terminate()
        raise
    app.say(f"{done.words()}.")
    return done.config


def watch(screen: TrainScreen, project: Path, run: Path, config: TrainConfig) -> Worker[None]:
    """Look beside a run that has started, and leave with it what is found."""
    return screen.run_worker(
        _beside(screen, project, run, config),
        group="overlap",
        exit_on_error=False,
        description="compare with evaluation sets",
    )


async def _beside(screen: TrainScreen, project: Path, run: Path, config: TrainConfig) -> None:
    app = screen.shell
    try:
        folder = await app.background(partial(overlap.known_folder, project, config))
        if folder is None:
            return
        found = await compare(app, project, config, folder)
        await app.background(partial(overlap.note, run, found))
    except ClaifError as error:
        app.say(f"{run.name} was not compared with evaluation sets: {error.message}", severity="warning")
        return
    for said in overlap.warnings(found)[:1]:
        app.say(f"{run.name}: {said}. c shows which.", severity="warning")


async def show(screen: TrainScreen) -> None:
    """Show what the data of the run under the cursor have in common with the evaluation sets."""
    await screen.loaded()
    row, store, app = screen.current, screen.store, screen.shell
    if row is None or store is None:
        app.say("There is no run to look at. In the form of a new one (enter) ctrl+o looks before the start.")
        return
    found = await app.background(partial(overlap.noted, row.path))
    if found is None:
        config = await app.background(partial(config_of, row.path))
        folder = await app.background(partial(overlap.known_folder, store.folder, config))
        if folder is None and (folder := await ask_folder(app)) is None:
            return
        app.say("Comparing the training sentences with the evaluation sets …")
        found = await compare(app, store.folder, config, folder)
        if not await app.background(partial(overlap.fits, row.path, found)):
            app.say(
                f"The data of {row.name} were changed since: this is of what they are now.", severity="warning"
            )
        else:
            await app.background(partial(overlap.note, row.path, found))
    await app.push_screen_wait(OverlapModal(found, f"Overlap of {row.name}"))


def config_of(run: Path) -> TrainConfig:
    """Return the settings of a run; raises ``ClaifError``. Blocks."""
    with runs.told():
        return read_config(run)


COMPARES = "Training sentences are compared with every evaluation set in it."


async def ask_folder(app: ClaifApp, *, why: str = COMPARES) -> Path | None:
    """Ask where the evaluation data are and remember it for good; None where that is not told."""
    text = await app.push_screen_wait(FolderModal(why))
    if not text:
        return None
    folder = as_folder(text)
    await app.background(partial(_remember, folder))
    return folder


def _remember(folder: Path) -> None:
    from claif_tui.core import settings

    settings.remember(overlap.SETTING, str(folder))


class FolderModal(InputModal):
    """Asks for the folder of the evaluation data."""

    def __init__(self, why: str = COMPARES) -> None:
        super().__init__(
            "Evaluation data",
            placeholder="folder in SentEval's layout",
            hint=f"{why} It is remembered as the setting evaluation_data. Enter accepts.",
        )

    def check(self, value: str) -> str:
        """It must be there."""
        if not value.strip() or "\x00" in value:
            return "name a folder"
        return "" if as_folder(value).is_dir() else "no such folder"


class OverlapModal(ClaifModal[Answer]):
    """What was found, set by set; in front of a run also the choice to train without it."""

    nothing = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "choose('exact')", "Without exact", id="overlap.exact", tooltip="Leave out what is the same"),
        Binding("n", "choose('near')", "Without near", id="overlap.near", tooltip="Leave out what is nearly so, too"),
        Binding("a", "choose('all')", "All rows", id="overlap.all", tooltip="Train on all rows"),
        Binding("y", "copy", "Copy", id="overlap.copy", tooltip="Copy the table"),
        Binding("j", "scroll(1)", "Down", show=False, id="overlap.down"),
        Binding("k", "scroll(-1)", "Up", show=False, id="overlap.up"),
        Binding("ctrl+d", "scroll(10)", "Page down", show=False, id="overlap.pagedown"),
        Binding("ctrl+u", "scroll(-10)", "Page up", show=False, id="overlap.pageup"),
    ]  # fmt: skip

    def __init__(self, found: Overlap, title: str, *, choose: bool = False) -> None:
        super().__init__()
        self._found, self._title, self._choose = found, title, choose

    def compose(self) -> ComposeResult:
        """The table in a box that scrolls."""
        with VerticalScroll(classes="dialog overlap", can_focus=True) as box:
            box.border_title = safe.line(self._title)
            yield Static(report(self._found, choose=self._choose))
        yield Footer(show_command_palette=False, compact=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is a choice only in front of a run."""
        return self._choose if action == "choose" else True

    def action_choose(self, answer: Answer) -> None:
        """Take a choice."""
        self.dismiss(answer)

    def action_copy(self) -> None:
        """Copy the text."""
        self.shell.copy(report(self._found, choose=False).plain, "the overlap")

    def action_scroll(self, rows: int) -> None:
        """Scroll by rows."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)


def report(found: Overlap, *, choose: bool) -> Content:
    """Return warnings, table, examples and what the figures mean."""
    rows: list[safe.Part] = [(f"! {said}", "$text-warning") for said in overlap.warnings(found)]
    if not rows:
        rows.append((f"✓ {overlap.all_clear(found)}", "$text-success"))
    if choose and found.groups["all"][1].all:
        touched = found.groups["all"][1]
        rows += [
            "",
            f"Of {found.rows:,} rows {touched.exact:,} hold a sentence of a test set, {touched.near:,} more nearly.",
            ("e trains without the first, n without both, a on all rows.", "bold $text-primary"),
        ]
    hit = [one for one in found.compared if one.sentences.all or one.seen.all]
    clear = [one.name for one in found.compared if one not in hit]
    if hit:
        rows += ["", (_cells(_HEAD), "bold")]
        rows += [
            _line(one.name, one.sentences, one.seen, one.same_pair, muted=one.split != "test") for one in hit
        ]
        titles = {"STS12-16": "STS12-16 together", "sts": "all STS tests", "all": "all tests"}
        rows += [_line(titles[name], found.groups[name][0], None, None) for name in titles]
    if hit and clear:
        rows += ["", safe.block(f"None in {', '.join(clear)}.", "$text-muted")]
    near = [(one.name, example) for one in hit for example in one.examples if example.rule == "near"]
    if near:
        rows += ["", ("Nearly the same, for instance:", "bold")]
        for name, example in near[:6]:
            rows += [
                (f"{name}, {example.similarity:.2f}", "$text-muted"),
                f"  {example.training}",
                f"  {example.evaluation}",
            ]
    rows += [
        safe.block(f"! {one.name} was not compared: {one.problem}", "$text-warning") for one in found.broken
    ]
    about = (
        f"training: of {found.sentences:,} different sentences, the same + nearly the same as one of the set. seen: "
        "the share of the set's sentences. same pairs: pairs of the set that are pairs of the training data. The same "
        "is equal letters and digits; nearly is a Jaccard similarity of the words of 0.8 or more."
    )
    return safe.lines(*rows, "", (about, "$text-muted"))


def _line(
    name: str, sentences: Count, seen: Count | None, pairs: Count | None, *, muted: bool = False
) -> safe.Part:
    cells = (
        name,
        _both(sentences),
        overlap.percent(sentences),
        "" if seen is None else overlap.percent(seen),
        "" if pairs is None else _both(pairs),
    )
    return (_cells(cells), "$text-muted" if muted else "")


def _both(count: Count) -> str:
    return f"{count.exact:,} + {count.near:,}" if count.near else f"{count.exact:,}"


def _cells(cells: tuple[str, ...]) -> str:
    widths = (_NUMBER, _SHARE, _SHARE, _NUMBER)
    name = cells[0] + " " * (_NAME - cell_width(cells[0]))
    return name + "".join(f" {cell:>{width}}" for cell, width in zip(cells[1:], widths, strict=True))


def status(found: Overlap | None, *, known: bool, without: Rule | None) -> Content:
    """Return what the form says below its plan: what was found, or that it is looked for, and the key for more."""
    key = ("  ctrl+o shows which", "bold $text-primary")
    if not known:
        return safe.join(
            ("overlap with evaluation sets: not checked", "$text-muted"), ("  ctrl+o names them", key[1])
        )
    if found is None:
        return safe.line("comparing with the evaluation sets … (a start does not wait for it)", "$text-muted")
    if without is not None:
        touched = found.groups["all"][1]
        count = touched.exact if without == "exact" else touched.all
        words = (
            f"✓ {count:,} of {found.rows:,} rows overlap ({without}) and are left out; steps above count all"
        )
        return safe.join((words, "$text-success"), key)
    words = overlap.short(found, counts=True)
    rows = [safe.join((f"! {words}", "$text-warning"), key)] if words else []
    if found.left_out:
        rows.append(safe.line(f"! {overlap.warnings(found)[-1]}", "$text-warning"))
    return safe.lines(*rows) if rows else safe.join((f"✓ {overlap.all_clear(found)}", "$text-muted"), key)
