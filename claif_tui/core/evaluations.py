"""The results that a project keeps: a JSON file a model and data, below ``evaluations/``. Nothing is scored here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from claif_tui.core.atomic import replacing
from claif_tui.core.errors import ClaifError
from engine.stats import mean, paper_mean
from engine.tasks import STS, TASKS, TRANSFER

FOLDER = "evaluations"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One model's figures on some tasks, x100, and what a comparison has to know about it.

    ``tasks`` holds for each task at least ``spearman`` or ``accuracy``, ``n`` and the ``fingerprint`` of its data.
    ``identity`` stands for the model's content. None is what is not known; ``made`` is an ISO time in UTC.
    """

    model: str
    data: str
    tasks: Mapping[str, Mapping[str, Any]]
    identity: str
    name: str
    backbone: str | None
    supervision: str | None
    scorer: str | None
    made: str = ""
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def value(self, task: str) -> float | None:
        """Return a task's figure, x100."""
        found = self.tasks.get(task, {}).get(TASKS[task].metric)
        return float(found) if isinstance(found, int | float) else None

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
        facts = asdict(self)
        first = {name: facts.pop(name) for name in ("model", "data", "tasks")}
        averages = {"avg_sts": self.average(STS), "avg_transfer": self.average(TRANSFER)}
        exact = {
            "avg_sts_exact": self.average(STS, rounded=False),
            "avg_transfer_exact": self.average(TRANSFER, rounded=False),
        }
        return {**first, **averages, **exact, **facts, "notes": list(self.notes), "v": VERSION}

    @property
    def file_name(self) -> str:
        """The name of its file: readable, and a hash over the model, how it was used, and the data of each task."""
        facts = {
            "identity": self.identity,
            "settings": dict(self.settings),
            "data": {task: about.get("fingerprint") for task, about in self.tasks.items()},
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
    """Keep a result in the project, in place of one of the same model on the same data; returns its file."""
    folder = project / FOLDER
    path = folder / evaluation.file_name
    try:
        folder.mkdir(exist_ok=True)
        with replacing(path) as file:
            text = json.dumps(evaluation.document(), ensure_ascii=False, indent=2, allow_nan=False)
            file.write(text.encode("utf-8", "backslashreplace") + b"\n")
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
    found: list[Evaluation] = []
    problems: list[str] = []
    for path in sorted((project / FOLDER).glob("*.json")):
        try:
            found.append(_read(json.loads(path.read_bytes())))
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror or error}")
        except (ValueError, RecursionError) as error:
            problems.append(f"{path} is no result of an evaluation: {error}")
    found.sort(key=lambda one: (one.made, one.name), reverse=True)
    return Kept(evaluations=tuple(found), problems=tuple(problems))


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
        if not isinstance(values.get(name), str | None):
            raise ValueError(f"{name} is neither a text nor null")
    tasks, notes, settings = values.get("tasks"), values.get("notes", []), values.get("settings", {})
    if not isinstance(tasks, dict) or not all(isinstance(about, dict) for about in tasks.values()):
        raise ValueError("tasks is no object of tasks")
    if unknown := [name for name in tasks if name not in TASKS]:
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
        made=values["made"],
        notes=tuple(map(str, notes)),
        settings=settings,
    )
