"""The results that a project keeps: a JSON file a model and data, below ``evaluations/``. Nothing is scored here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from claif_tui.core import predictions as predicting
from claif_tui.core.atomic import replacing
from claif_tui.core.errors import ClaifError, InputError
from claif_tui.core.predictions import SUFFIX, Predictions
from engine.stats import mean, paper_mean
from engine.tasks import EVERY, STS, TRANSFER

FOLDER = "evaluations"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One model's figures on some tasks, x100, and what a comparison has to know about it.

    ``tasks`` holds for each task at least ``spearman``, ``accuracy`` or ``map``, ``n`` and the ``fingerprint`` of its
    data. ``identity`` stands for the model's content. None is what is not known; ``made`` is an ISO time in UTC.
    ``predictions`` holds what was predicted for each sample while it is at hand; files keep it apart (``predicted``).
    """

    model: str
    data: str
    tasks: Mapping[str, Mapping[str, Any]]
    identity: str
    name: str
    backbone: str | None
    supervision: str | None
    scorer: str | None
    demo: bool = False
    """Its training data hold answers of the offline model: the figures are shown and never compared."""
    made: str = ""
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    predictions: Mapping[str, Predictions] = field(default_factory=dict, compare=False, repr=False)

    def value(self, task: str) -> float | None:
        """Return a task's figure, x100; of a transfer task as the official script prints it."""
        about = self.tasks.get(task, {})
        found = about.get("printed", about.get(EVERY[task].metric))
        return float(found) if isinstance(found, int | float) else None

    @property
    def modes(self) -> frozenset[str]:
        """How its transfer tasks were run: "full" as in the papers, or "fast"."""
        found = [about for task, about in self.tasks.items() if task in TRANSFER]
        return frozenset(str(about.get("mode", "full")) for about in found)

    def average(self, tasks: tuple[str, ...], *, rounded: bool = True) -> float | None:
        """Return the mean over all of ``tasks``, of figures rounded to two decimals as the papers do, or of exact ones.

        None unless every task has a figure: an average over fewer is another number.
        """
        values = [value for task in tasks if (value := self.value(task)) is not None]
        if len(values) < len(tasks):
            return None
        return paper_mean(values) if rounded else mean(values)

    def document(self) -> dict[str, Any]:
        """Return the promised shape: {model, data, tasks, avg_sts, avg_transfer} and what else is known."""
        facts = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "predictions"}
        first = {name: facts.pop(name) for name in ("model", "data", "tasks")}
        averages = {
            "avg_sts": self.average(STS, rounded=False),
            "avg_transfer": self.average(TRANSFER, rounded=False),
            "avg_sts_paper": self.average(STS),
            "avg_transfer_paper": self.average(TRANSFER),
        }
        return {**first, **averages, **facts, "notes": list(self.notes), "v": VERSION}

    @property
    def file_name(self) -> str:
        """The name of its file: readable, and a hash over the model, how it was used, and the data of each task."""
        facts = {
            "identity": self.identity,
            "settings": dict(self.settings),
            "data": {task: about.get("fingerprint") for task, about in self.tasks.items()},
            "modes": sorted(self.modes),
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", self.name).strip("-.")[:60]
        return f"{plain or 'model'}-{digest}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a project holds: the results, newest first, and in words which files are none."""

    evaluations: tuple[Evaluation, ...]
    problems: tuple[str, ...]


def save(project: Path, evaluation: Evaluation) -> Path:
    """Keep a result in the project and return its file, which holds what is known of that model on that data.

    A task that was scored before is replaced; other tasks of an earlier result stay beside the new ones. Predictions
    lie in a file of the same name that ends in ``.npz``.
    """
    folder = project / FOLDER
    before = [(path, one) for path, one in _files(project) if isinstance(one, Evaluation)]
    absorbed = []
    for path, one in before:
        if _same_work(one, evaluation):
            earlier = {task: about for task, about in _beside(path).items() if task not in evaluation.tasks}
            tasks = {**one.tasks, **evaluation.tasks}
            ordered = {name: tasks[name] for name in EVERY if name in tasks}
            evaluation = replace(evaluation, tasks=ordered, predictions={**earlier, **evaluation.predictions})
            absorbed.append(path)
    path = folder / evaluation.file_name
    try:
        folder.mkdir(exist_ok=True)
        if evaluation.predictions:
            predicting.write(path.with_suffix(SUFFIX), evaluation.predictions)
        else:
            path.with_suffix(SUFFIX).unlink(missing_ok=True)
        with replacing(path) as file:
            text = json.dumps(evaluation.document(), ensure_ascii=False, indent=2, allow_nan=False)
            file.write(text.encode("utf-8", "backslashreplace") + b"\n")
        for old in absorbed:
            if old != path:
                old.unlink(missing_ok=True)
                old.with_suffix(SUFFIX).unlink(missing_ok=True)
    except OSError as error:
        told = ClaifError(
            f"the result cannot be kept in {path}: {error.strerror or error}",
            "Check free space and permissions.",
        )
        told.exit_code = 1
        raise told from error
    return path


def kept(project: Path) -> Kept:
    """Read every result of a project. A damaged file stops nothing; it is named in ``problems``."""
    found = [one for _, one in _files(project)]
    good = [one for one in found if isinstance(one, Evaluation)]
    good.sort(key=lambda one: (one.made, one.name), reverse=True)
    return Kept(evaluations=tuple(good), problems=tuple(one for one in found if isinstance(one, str)))


def predicted(project: Path | None, evaluation: Evaluation) -> Mapping[str, Predictions]:
    """Return what a result's model predicted, at hand or as the project keeps it; ``InputError`` if damaged."""
    if evaluation.predictions or project is None:
        return evaluation.predictions
    return predicting.read((project / FOLDER / evaluation.file_name).with_suffix(SUFFIX))


def _beside(path: Path) -> Mapping[str, Predictions]:
    """The predictions of an earlier result; damaged ones are none, as the figures stand without them."""
    try:
        return predicting.read(path.with_suffix(SUFFIX))
    except InputError:
        return {}


def _files(project: Path) -> Iterator[tuple[Path, Evaluation | str]]:
    """Yield each file with its result, or with what is wrong with it."""
    for path in sorted((project / FOLDER).glob("*.json")):
        try:
            yield path, _read(json.loads(path.read_bytes()))
        except OSError as error:
            yield path, f"{path} cannot be read: {error.strerror or error}"
        except (ValueError, RecursionError) as error:
            yield path, f"{path} is no result of an evaluation: {error}"


def _same_work(first: Evaluation, second: Evaluation) -> bool:
    """Whether two results are of one model, used in one way, and agree about the data of the tasks they share."""
    if (first.identity, dict(first.settings)) != (second.identity, dict(second.settings)):
        return False
    shared = first.tasks.keys() & second.tasks.keys()
    same_data = all(
        first.tasks[task].get("fingerprint") == second.tasks[task].get("fingerprint") for task in shared
    )
    alike = same_data and len(first.modes | second.modes) <= 1
    return alike and (bool(shared) or first.data == second.data)


def _read(values: object) -> Evaluation:
    """Take a file's content; ``ValueError`` says what is wrong with it."""
    if not isinstance(values, dict):
        raise ValueError("it holds no object")
    if values.get("v") != VERSION:
        raise ValueError(f"its version is {values.get('v')!r}, expected {VERSION}")
    for name in ("model", "data", "identity", "name", "made"):
        if not isinstance(values.get(name), str):
            raise ValueError(f"{name} is no text")
    for name in ("backbone", "supervision", "scorer"):
        if not isinstance(values.get(name, 0), str | None):  # null says "not known"; to say nothing is damage
            raise ValueError(f"{name} is neither a text nor null")
    if not isinstance(values.get("demo", False), bool):
        raise ValueError("demo is neither true nor false")
    tasks, notes, settings = values.get("tasks"), values.get("notes", []), values.get("settings", {})
    if not isinstance(tasks, dict) or not all(isinstance(about, dict) for about in tasks.values()):
        raise ValueError("tasks is no object of tasks")
    if unknown := [name for name in tasks if name not in EVERY]:
        raise ValueError(f"there is no task {unknown[0]!r}")
    if not isinstance(notes, list) or not isinstance(settings, dict):
        raise ValueError("notes is no list, or settings no object")
    return Evaluation(
        model=values["model"],
        data=values["data"],
        tasks=tasks,
        identity=values["identity"],
        name=values["name"],
        backbone=values["backbone"],
        supervision=values["supervision"],
        scorer=values["scorer"],
        demo=values.get("demo", False),
        made=values["made"],
        notes=tuple(map(str, notes)),
        settings=settings,
    )
