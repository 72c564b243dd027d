"""The dialog of an evaluation: which model, which data and tasks, what is stated of it. Nothing is scored here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

import engine.rundir as rundir
from claif_tui.core.errors import UsageError
from claif_tui.core.evaluating import TARGET, EvaluationWish
from claif_tui.core.provenance import API, VECTORS, is_api
from claif_tui.core.reference import SUPERVISION
from claif_tui.core.runs import LIVE, RunRow, list_runs
from claif_tui.core.settings import load, parse, setting_of
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.projects import as_folder
from claif_tui.ui.widgets.fields import Field, FormInput, Picker
from claif_tui.ui.widgets.paths import PathSuggester
from engine.config import FIELDS
from engine.errors import EngineError
from engine.tasks import EVERY, RERANK, select

MINILM, FOLDER, FILE, REMOTE = (
    "minilm (packaged)",
    "folder or hub name",
    "vectors from a file",
    "an API's model",
)
AS_KNOWN = "as known"
BY_NAME = "by the model's name"
_PATHS = {
    FOLDER: ("folder", "~/models/claif-bert"),
    FILE: ("file", "vectors.npz, or vectors.npy beside vectors.txt"),
    REMOTE: ("model name", "as in text-embedding-3-small"),
}
"""What the second field is called, and what it may hold, by the choice in the first."""
OWN, NONE, CORPUS = "the model's own", "none", "a corpus"
ABOUT = {
    "model": "A run's best checkpoint, the packaged encoder, a folder, a file of vectors, or an API's model.",
    "path": "▸ completes the path.",
    "endpoint": "Where the model runs: a profile of Settings. By name: OpenAI's, or the one that has the model.",
    "budget": "A cap on all that is ever spent on this model's vectors, in every project.",
    "data": "SentEval's layout (claif-tui data check DIR says what is there); of rerank a .jsonl file. ▸ completes it.",
    "tasks": "sts (seconds to minutes), transfer (minutes to an hour on a CPU), all, rerank, or names.",
    "mode": "Papers report full; fast is for a first look and has no average.",
    "pooling": "How token states become a vector. Change it for untrained baselines, as avg_first_last.",
    "max_seq_length": "Tokens kept of a sentence. Empty: as the model has it.",
    "precision": "Arithmetic of the encoder. bf16 and fp16 are faster on some machines and move figures a little.",
    "whitening": "Makes the dimensions of the vectors alike, without training: by a corpus, or by the test sentences.",
    "corpus": "Sentences to take the statistics from: any file that training reads, as NLI. ▸ completes the path.",
    "whitening_dim": "Dimensions kept, as 256. Empty: all.",
    "name": "What the row is called. Empty: the run's or the folder's name, and how it was used.",
    "backbone": "Decides what the row is compared with. State it where it cannot be known.",
    "supervision": "Decides what the row is compared with. State it where it cannot be known.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the dialog gives: the model as ``evaluate`` names it, its name for the top line, and how to score it."""

    model: str
    title: str
    wish: EvaluationWish
    endpoint: str | None = None
    """Of an API's model: the endpoint profile, None where the model's name tells."""
    budget: float | None = None
    """Of an API's model, in dollars; None keeps what there is."""

    @property
    def more(self) -> list[str]:
        """What the command is told beyond the wish; the question was asked before."""
        if not is_api(self.model):
            return []
        found = ["--yes"]
        found += [] if self.endpoint is None else ["--profile", self.endpoint]
        return found + ([] if self.budget is None else ["--budget", str(self.budget)])


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


def endpoints() -> list[str]:
    """Return the endpoint profiles that may have embeddings. Blocks."""
    return [name for name, profile in load().profiles.items() if profile.kind == "openai"]


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

    def __init__(self, offered: list[Offer], data: str, endpoints: Sequence[str] = ()) -> None:
        super().__init__()
        self._endpoints = (BY_NAME, *endpoints)
        self._offers = {offer.label: offer for offer in offered}
        self._data = data

    def compose(self) -> ComposeResult:
        """One field under the other."""
        with VerticalScroll(classes="dialog", can_focus=False) as box:
            box.border_title = "Evaluate"
            yield Field("model", "model", options=(*self._offers, FOLDER, REMOTE, FILE))
            yield Field("path", "", placeholder="")
            yield Field("endpoint", "endpoint", options=self._endpoints)
            yield Field("budget", "budget", placeholder="dollars for this model's vectors; empty: as it is")
            yield Field("data", "data", placeholder="folder of the evaluation data, in SentEval's layout")
            yield Field("tasks", "tasks", placeholder="sts, transfer, all, or as in STS12,MR")
            yield Field("mode", "transfer mode", options=("full", "fast"))
            yield Field("pooling", "pooling", options=(OWN, *FIELDS["pooling"].choices))
            yield Field("max_seq_length", "max length", placeholder="the model's own")
            yield Field("precision", "precision", options=FIELDS["precision"].choices)
            yield Field("whitening", "whitening", options=(NONE, CORPUS, TARGET))
            yield Field("corpus", "corpus", placeholder="a file of sentences")
            yield Field("whitening_dim", "dimensions", placeholder="all")
            yield Field("name", "name", placeholder="the run's or the folder's")
            yield Field("backbone", "backbone", placeholder="as known; else as in bert-base")
            yield Field("supervision", "supervision", options=(AS_KNOWN, *SUPERVISION))
            yield Static("", classes="problem", id="evaluate-problem", markup=False)
            yield Static("", classes="hint", id="evaluate-about", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin with the newest run, or the packaged encoder, and the data of last time."""
        values = {"data": self._data, "tasks": "sts", "mode": "full", "supervision": AS_KNOWN}
        values |= {"model": next(iter(self._offers)), "endpoint": BY_NAME}
        values |= {"pooling": OWN, "precision": "fp32", "whitening": NONE}
        for key, value in values.items():
            self._field(key).show(safe.editable(value))
        self._field("data").query_one(FormInput).suggester = PathSuggester(folders=True)
        for key in ("path", "corpus"):
            self._field(key).query_one(FormInput).suggester = PathSuggester()
        self._follow()
        self._field("model").query_one(Picker).focus()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Explain the field that has the focus."""
        field = next((node for node in event.widget.ancestors_with_self if isinstance(node, Field)), None)
        if field is not None:
            self.query_one("#evaluate-about", Static).update(safe.line(ABOUT[field.key]))

    @on(Field.Edited)
    def _edited(self, event: Field.Edited) -> None:
        event.stop()
        event.field.problem("")
        self.query_one("#evaluate-problem", Static).update(safe.line(""))
        if event.key in ("model", "tasks", "whitening"):
            self._follow()

    def _follow(self) -> None:
        """Show the fields that the choices made need."""
        path, kind = self._field("path"), self._field("model").text
        label, placeholder = _PATHS.get(kind, ("", ""))
        path.display = bool(label)
        path.relabel(label)
        path.query_one(FormInput).placeholder = placeholder
        for key in ("endpoint", "budget"):
            self._field(key).display = kind == REMOTE
        try:
            chosen = select(self._field("tasks").text)
        except EngineError:
            chosen = ()
        for key in ("pooling", "max_seq_length", "precision"):
            self._field(key).display = kind not in (FILE, REMOTE)
        self._field("corpus").display = self._text("whitening") == CORPUS
        self._field("whitening_dim").display = self._text("whitening") != NONE
        self._field("mode").display = any(EVERY[task].kind == "transfer" for task in chosen)

    def action_start(self) -> None:
        """Take the choices, or say at the field what is wrong with it."""
        checked = ("path", "budget", "data", "tasks", "max_seq_length", "whitening", "corpus", "whitening_dim")
        problems = {key: said for key in checked if self._field(key).display and (said := self._problem(key))}
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
            pooling=None if self._shown("pooling") in ("", OWN) else self._text("pooling"),
            max_seq_length=int(self._shown("max_seq_length") or 0) or None,
            precision=self._shown("precision") or "fp32",
            whitening=self._whitening(),
            whitening_dim=int(self._shown("whitening_dim") or 0) or None,
            name=self._text("name") or None,
            backbone=self._text("backbone") or None,
            supervision=None if self._text("supervision") == AS_KNOWN else self._text("supervision"),
        )
        api = is_api(model)
        endpoint = self._text("endpoint") if api and self._text("endpoint") != BY_NAME else None
        budget = self._budget() if api else None
        title = wish.name or title
        self.dismiss(Asked(model=model, title=title, wish=wish, endpoint=endpoint, budget=budget))

    def _budget(self) -> float | None:
        """Return the cap in dollars, None for none given; ``UsageError`` if it is no sum."""
        text = self._text("budget")
        value = parse(setting_of("budget"), text)
        return value if isinstance(value, float) else None

    def _whitening(self) -> str | None:
        chosen = self._text("whitening")
        return None if chosen == NONE else TARGET if chosen == TARGET else str(as_folder(self._text("corpus")))

    def _model(self) -> tuple[str, str]:
        offer = self._offers.get(self._field("model").text)
        if offer is not None:
            return offer.model, offer.title
        text = self._text("path")
        if self._field("model").text == FILE:
            path = as_folder(text)
            return f"{VECTORS}{path}", path.stem
        if self._field("model").text == REMOTE or is_api(text):
            name = text.removeprefix(API)
            return f"{API}{name}", name
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
        if key == "budget":
            try:
                self._budget()
            except UsageError:
                return "dollars, 0 or more, or nothing"
            return ""
        if key in ("max_seq_length", "whitening_dim"):
            least = 3 if key == "max_seq_length" else 1
            good = not text or (text.isascii() and text.isdigit() and int(text) >= least)
            return "" if good else f"a whole number from {least} on, or nothing"
        if key == "whitening":
            return "vectors alone are whitened with target only" if text == CORPUS and self._bare else ""
        if key == "corpus":
            return "" if text and as_folder(text).exists() else "no such file" if text else "name a file"
        if key == "data":
            if not text:
                return "name the folder of the evaluation data"
            ranked = self._text("tasks").strip().lower() == RERANK and as_folder(text).is_file()
            return "" if as_folder(text).is_dir() or ranked else "no such folder"
        return self._path_problem(text)

    def _path_problem(self, text: str) -> str:
        kind = self._field("model").text
        if kind == FILE:
            return "" if text and as_folder(text).is_file() else "no such file" if text else "name a file"
        if kind == REMOTE:
            return "" if text.removeprefix(API) else "name a model of the endpoint"
        if kind != FOLDER or is_api(text):
            return ""
        if not text:
            return "name a folder, or a model of the hub"
        named = not text.startswith(("/", "~", ".")) and text.count("/") <= 1
        return "" if named or as_folder(text).is_dir() else "no such folder"

    @property
    def _bare(self) -> bool:
        """Whether there are vectors and no encoder."""
        return self._field("model").text in (FILE, REMOTE)

    def _shown(self, key: str) -> str:
        """What stands in a field that is used; nothing of one that is hidden."""
        return self._text(key) if self._field(key).display else ""

    def _text(self, key: str) -> str:
        return self._field(key).text.strip()

    def _field(self, key: str) -> Field:
        return next(field for field in self.query(Field) if field.key == key)
