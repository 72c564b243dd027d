"""The dialog of an evaluation: which model, which data and tasks, what is stated of it. Nothing is scored here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

import engine.rundir as rundir
from claif_tui.core.evaluating import EvaluationWish
from claif_tui.core.provenance import VECTORS
from claif_tui.core.reference import SUPERVISION
from claif_tui.core.runs import LIVE, RunRow, list_runs
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.projects import as_folder
from claif_tui.ui.widgets.fields import Field, FormInput, Picker
from claif_tui.ui.widgets.paths import PathSuggester
from engine.errors import EngineError
from engine.tasks import TASKS, select

MINILM, FOLDER, FILE = "minilm (packaged)", "folder or hub name", "vectors from a file"
AS_KNOWN = "as known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the dialog gives: the model as ``evaluate`` names it, its name for the top line, and how to score it."""

    model: str
    title: str
    wish: EvaluationWish


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that is at hand: what the dialog calls it, and how ``evaluate`` names it."""

    label: str
    model: str
    title: str


def offers(project: Path) -> list[Offer]:
    """Return the project's runs with a best checkpoint, the newest first, and the packaged encoder. Blocks."""
    found = [_offer(row) for row in list_runs(project) if _has_best(row)]
    return [*found, Offer(MINILM, "minilm", "minilm")]


def _has_best(row: RunRow) -> bool:
    """Whether a run has ended and left a checkpoint; one that is at work would put another in its place meanwhile."""
    return row.state not in LIVE and (row.path / rundir.CHECKPOINTS / "best").is_dir()


def _offer(row: RunRow) -> Offer:
    dev = "" if row.best_dev is None else f" · dev {row.best_dev:.2f}"
    state = "" if row.state == "finished" else f" · {row.state}"
    return Offer(f"run {row.name}{dev}{state}", str(row.path), row.name)


class EvaluateModal(ClaifModal[Asked | None]):
    """Gives what is to be evaluated, or None."""

    nothing = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Evaluate", id="evaluate.start", tooltip="Start the evaluation"),
    ]

    def __init__(self, offered: list[Offer], data: str) -> None:
        super().__init__()
        self._offers = {offer.label: offer for offer in offered}
        self._data = data

    def compose(self) -> ComposeResult:
        """One field under the other."""
        with VerticalScroll(classes="dialog", can_focus=False) as box:
            box.border_title = "Evaluate"
            yield Field("model", "model", options=(*self._offers, FOLDER, FILE))
            yield Field("path", "", placeholder="")
            yield Field("data", "data", placeholder="folder of the evaluation data, in SentEval's layout")
            yield Field("tasks", "tasks", placeholder="sts, transfer, all, or as in STS12,MR")
            yield Field("mode", "transfer mode", options=("full", "fast"))
            yield Field("name", "name", placeholder="the run's or the folder's")
            yield Field("backbone", "backbone", placeholder="as known; else as in bert-base")
            yield Field("supervision", "supervision", options=(AS_KNOWN, *SUPERVISION))
            yield Static("", classes="problem", id="evaluate-problem", markup=False)
            hint = "◂ ▸ choose, ▸ completes a path, ctrl+s starts. Backbone and supervision decide what is compared."
            yield Static(safe.line(hint), classes="hint")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin with the newest run, or the packaged encoder, and the data of last time."""
        values = {"data": self._data, "tasks": "sts", "mode": "full", "supervision": AS_KNOWN}
        values["model"] = next(iter(self._offers))
        for key, value in values.items():
            self._field(key).show(safe.editable(value))
        self._field("data").query_one(FormInput).suggester = PathSuggester(folders=True)
        self._field("path").query_one(FormInput).suggester = PathSuggester()
        self._follow()
        self._field("model").query_one(Picker).focus()

    @on(Field.Edited)
    def _edited(self, event: Field.Edited) -> None:
        event.stop()
        event.field.problem("")
        self.query_one("#evaluate-problem", Static).update(safe.line(""))
        if event.key in ("model", "tasks"):
            self._follow()

    def _follow(self) -> None:
        """Show the fields that the choices made need."""
        path, kind = self._field("path"), self._field("model").text
        path.display = kind in (FOLDER, FILE)
        path.relabel("file" if kind == FILE else "folder")
        placeholder = (
            "vectors.npz, or vectors.npy beside vectors.txt" if kind == FILE else "~/models/claif-bert"
        )
        path.query_one(FormInput).placeholder = placeholder
        try:
            chosen = select(self._field("tasks").text)
        except EngineError:
            chosen = ()
        self._field("mode").display = any(TASKS[task].kind == "transfer" for task in chosen)

    def action_start(self) -> None:
        """Take the choices, or say at the field what is wrong with it."""
        problems = {key: said for key in ("path", "data", "tasks") if (said := self._problem(key))}
        for key, said in problems.items():
            self._field(key).problem(said)
        if problems:
            self._field(next(iter(problems))).focus_editor()
            return
        model, title = self._model()
        wish = EvaluationWish(
            data=as_folder(self._text("data")),
            tasks=self._text("tasks"),
            mode=self._text("mode"),
            name=self._text("name") or None,
            backbone=self._text("backbone") or None,
            supervision=None if self._text("supervision") == AS_KNOWN else self._text("supervision"),
        )
        self.dismiss(Asked(model=model, title=wish.name or title, wish=wish))

    def _model(self) -> tuple[str, str]:
        offer = self._offers.get(self._field("model").text)
        if offer is not None:
            return offer.model, offer.title
        text = self._text("path")
        if self._field("model").text == FILE:
            path = as_folder(text)
            return f"{VECTORS}{path}", path.stem
        folder = as_folder(text)
        return (str(folder), folder.name) if folder.is_dir() else (text, text)

    def _problem(self, key: str) -> str:
        text = self._text(key)
        if "\x00" in text:
            return "a path holds no NUL"
        if key == "tasks":
            try:
                select(text)
            except EngineError as error:
                return " ".join(filter(None, (error.message.removeprefix("tasks: "), error.hint)))
            return ""
        if key == "data":
            if not text:
                return "name the folder of the evaluation data"
            return "" if as_folder(text).is_dir() else "no such folder"
        return self._path_problem(text)

    def _path_problem(self, text: str) -> str:
        kind = self._field("model").text
        if kind == FILE:
            return "" if text and as_folder(text).is_file() else "no such file" if text else "name a file"
        if kind != FOLDER:
            return ""
        if not text:
            return "name a folder, or a model of the hub"
        named = not text.startswith(("/", "~", ".")) and text.count("/") <= 1
        return "" if named or as_folder(text).is_dir() else "no such folder"

    def _text(self, key: str) -> str:
        return self._field(key).text.strip()

    def _field(self, key: str) -> Field:
        return next(field for field in self.query(Field) if field.key == key)
