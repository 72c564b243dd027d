"""What a report states, read from the project once: no layout, and no figure that is not defined elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claif_tui.core.errors import ClaifError
from claif_tui.core.evaluations import Evaluation, kept
from claif_tui.core.llm.profiles import OFFLINE_MODEL
from claif_tui.core.paper import citations
from claif_tui.core.paper.examples import explained_examples, generated_examples
from claif_tui.core.paper.figure import BINS, Panel
from claif_tui.core.runs import RunRow, list_runs
from claif_tui.core.session import load_recipe
from claif_tui.core.snapshot import Snapshot, find, snapshots
from claif_tui.core.status import Status, status
from claif_tui.core.store import accounts, contributors
from claif_tui.core.store.accounts import Spending

if TYPE_CHECKING:
    from claif_tui.core.paper.examples import Explained, Generated
    from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A part that the report cannot have, why, and the command that would make it."""

    part: str
    why: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A whole snapshot, and whether a stand-in model made its pairs (``demo``); ``models`` as they named themselves."""

    snapshot: Snapshot
    models: tuple[tuple[str, str, int], ...]
    demo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a report is made of. ``summary`` is that of the study, None without one.

    ``unpriced`` holds the (profile, model) that were asked while their price was not known. ``recipes`` are (id, when
    it was stored). ``because`` names the entries of ``citations`` with the reason for each.
    """

    project: str
    standing: Status
    spending: tuple[Spending, ...]
    unpriced: frozenset[tuple[str, str]]
    frozen: tuple[Frozen, ...]
    recipes: tuple[tuple[str, str], ...]
    runs: tuple[RunRow, ...]
    evaluations: tuple[Evaluation, ...]
    panels: tuple[Panel, ...]
    generated: Generated | None
    explained: Explained | None
    summary: Mapping[str, Any] | None
    because: tuple[tuple[str, str], ...]
    missing: tuple[Missing, ...]
    warnings: tuple[str, ...] = field(default=())


def is_demo(model: str | None) -> bool:
    """Whether a model is the built-in stand-in, whose rows are for trying things out alone."""
    return model is not None and (model == OFFLINE_MODEL or model.startswith("claif-offline@"))


def facts(store: Store, study: str | None = None) -> Facts:
    """Read a project; ``study`` names one of several (default: the newest). Blocks: seconds for a large one.

    ``UsageError`` for a study that is not there; whatever else is missing or damaged is told in the facts.
    """
    project = store.folder
    names = store.studies.names()
    chosen = None if study is None and not names else store.studies.get(study or names[0]).name
    with store.read():
        spending = tuple(accounts.spending(store))
        panels = _panels(store)
        generated = generated_examples(store, load_recipe(project).seed)
        explained = explained_examples(store, chosen)
        summary = None if chosen is None else study_summary(store, chosen)
    frozen, warnings = _frozen(store)
    results = kept(project)
    runs = tuple(list_runs(project))
    return Facts(
        project=project.resolve().name,
        standing=status(store, load_recipe(project)),
        spending=spending,
        unpriced=frozenset(
            (one.profile, one.asked) for one in spending if store.runs.unpriced(one.profile, one.asked)
        ),
        frozen=frozen,
        recipes=tuple((version, made) for version, made, _ in store.recipes.list()),
        runs=runs,
        evaluations=results.evaluations,
        panels=panels,
        generated=generated,
        explained=explained,
        summary=summary,
        because=_because(frozen, generated, runs, results.evaluations, summary),
        missing=tuple(
            _missing(store, frozen, panels, generated, explained, summary, runs, results.evaluations)
        ),
        warnings=(*warnings, *(f"left out: {problem}" for problem in results.problems)),
    )


def study_summary(store: Store, name: str) -> Mapping[str, Any]:
    """Return a study in short: its hash, what was asked, and its main figures. Raters are counted, not named."""
    from claif_tui.core.rating.explaining import apart
    from claif_tui.core.rating.report import summary

    data = store.studies.data(name)
    return {**summary(data), "answers": len(data.answers), "explanations_apart": len(apart(store, data.study))}


def _panels(store: Store) -> tuple[Panel, ...]:
    means = accounts.mean_scores(store)
    found = store.pairs.histogram(BINS)
    rates = sorted(rate for rate in found if rate is not None and any(found[rate]))
    last: list[float | None] = [None] if any(found.get(None, ())) else []
    return tuple(
        Panel(rate=rate, counts=tuple(found[rate]), n=means[rate][0], mean=means[rate][1])
        for rate in [*rates, *last]
    )


def _frozen(store: Store) -> tuple[tuple[Frozen, ...], tuple[str, ...]]:
    """Return the snapshots that are what they were, oldest first, and in words those that are not."""
    whole, warnings = [], []
    for one in snapshots(store.folder):
        try:
            snapshot = find(store.folder, one.id)
        except ClaifError as error:
            warnings.append(f"snapshot {one.id} is left out: {error.message}")
            continue
        if snapshot.problem:
            warnings.append(f"snapshot {snapshot.id} is left out: {snapshot.problem}")
            continue
        made_with = snapshot.manifest.get("made_with")
        recipes = list(map(str, made_with)) if isinstance(made_with, dict) else []
        models = tuple(contributors.models(store, recipes)) if recipes else ()
        whole.append(
            Frozen(snapshot=snapshot, models=models, demo=any(is_demo(model) for _, model, _ in models))
        )
    return tuple(whole), tuple(warnings)


def _because(
    frozen: tuple[Frozen, ...],
    generated: Generated | None,
    runs: tuple[RunRow, ...],
    results: tuple[Evaluation, ...],
    summary: Mapping[str, Any] | None,
) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    if frozen or generated is not None:
        found["claif"] = "how the pairs were made, scored and post-processed"
    for run in runs:
        for name in citations.of_system(run.system):
            found.setdefault(name, f"the training system {run.system}")
        for name in citations.of_backbone(Path(run.model).name):
            found.setdefault(name, f"the backbone {Path(run.model).name}")
    if runs:
        found["sbert"] = "the format of the trained models, and the protocol of their training"
        found["transformers"] = "the library under the training"
    for result in results:
        for task in result.tasks:
            if task in citations.ENTRIES:
                found.setdefault(task, f"the evaluation data {task}")
        if result.settings.get("whitening"):
            found.setdefault("whitening", "whitened vectors")
    if results:
        found["senteval"] = "the evaluation's data and protocol"
    if summary is not None:
        found["wilson"] = "the intervals of the human evaluation's shares"
        found["alpha"] = "Krippendorff's alpha between raters"
        found["gwet"] = "AC1 and AC2 between raters"
    return tuple(found.items())


def _missing(
    store: Store,
    frozen: tuple[Frozen, ...],
    panels: tuple[Panel, ...],
    generated: Generated | None,
    explained: Explained | None,
    summary: Mapping[str, Any] | None,
    runs: tuple[RunRow, ...],
    results: tuple[Evaluation, ...],
) -> list[Missing]:
    pairs = store.pairs.counts()
    found: list[tuple[bool, str, str, str]] = [
        (bool(frozen), "Table 2", "no snapshot is frozen", "claif-tui snapshot create"),
        (
            generated is not None,
            "Table 9",
            "no original has a scored pair at each mask rate",
            "claif-tui generate",
        ),
        (
            explained is not None,
            "Table 10",
            "no score has an explanation",
            "claif-tui rate new --preset paper, then claif-tui rate explain",
        ),
        (bool(panels), "Figure 2", "no pair has a score", "claif-tui generate"),
        (summary is not None, "Human evaluation", "there is no study", "claif-tui rate new"),
        (
            summary is None or bool(summary["answers"]),
            "Human evaluation",
            "nobody has rated anything yet",
            "claif-tui rate take",
        ),
        (bool(runs), "Training", "no model was trained", "claif-tui train --follow"),
        (bool(results), "Results", "no model was evaluated", "claif-tui evaluate MODEL"),
    ]
    missing = [Missing(part=part, why=why, command=command) for there, part, why, command in found if not there]
    if not pairs.total:
        command = "claif-tui generate" if store.seeds.count("train") else "claif-tui import FILE"
        missing.insert(0, Missing(part="Pairs", why="the project has none", command=command))
    return missing
