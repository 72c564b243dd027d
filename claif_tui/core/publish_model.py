"""The best checkpoint of a run as a model of the Hugging Face Hub, with a card that says what it was trained on."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import engine.rundir as rundir
from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.evaluations import Evaluation, kept
from claif_tui.core.provenance import backbone_of, provenance
from claif_tui.core.publish_text import (
    CITATION,
    code,
    fenced,
    licence_lines,
    quoted,
    sealed,
    table,
    without_path,
)
from claif_tui.core.runs import told
from engine.config import ABOUT, DEFAULTS, TrainConfig, digest, to_mapping
from engine.tasks import EVERY, TASKS

_PATHS = ("data", "dev", "out")
_LOCAL_KEYS = ("_name_or_path", "name_or_path")
_HUB_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_PACKAGED = "sentence-transformers/all-MiniLM-L6-v2"
_ALWAYS = (
    "system",
    "objective",
    "model",
    "pooling",
    "epochs",
    "batch_size",
    "lr",
    "max_seq_length",
    "precision",
    "seed",
)


DEMO = (
    "A demo: the training data hold answers of claif-tui's offline model, which stands in for a language model. The "
    "figures say nothing about the method."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A run whose best model is published; ``dataset`` is the repository of its data set, if that is published too."""

    name: str
    licence: str
    project: Path
    run: Path
    dataset: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    task: str
    value: float
    evaluation: Evaluation


def best_of(run: Path) -> Path:
    """Return the folder of a run's best checkpoint; raises ``UsageError`` where there is none, or it may yet change."""
    with told():
        how = rundir.condition(run)
        rundir.read_config(run)
    if how.state in ("running", "stopping"):
        raise UsageError(f"run {run.name} is {how.state} ({how.why})", "Publish it once it has ended.")
    best = run / rundir.CHECKPOINTS / "best"
    if not (best / "modules.json").is_file() and not (best / "config.json").is_file():
        raise UsageError(
            f"run {run.name} has no best checkpoint ({how.state})",
            "It ended before its first dev evaluation. Name another with --run, or train on: claif-tui train --resume",
        )
    return best


def write(facts: ModelFacts, folder: Path) -> list[str]:
    """Fill a new folder with the best model and its card; return what is to be said."""
    best = best_of(facts.run)
    _copy(best, folder)
    with told():
        config, info, metrics = (
            rundir.read_config(facts.run),
            rundir.read_info(facts.run),
            rundir.read_metrics(facts.run),
        )
    found = info.facts.get("data") if info is not None else None
    data = found if isinstance(found, dict) else {}
    results, notes = _results(facts)
    card = _card(facts, config, data, metrics, results)
    (folder / "README.md").write_text(sealed(card), "utf-8")
    return notes


def _copy(best: Path, folder: Path) -> None:
    """Copy what a model consists of; places on this disk that its settings name go down to their last part."""
    for source in sorted(best.rglob("*")):
        name = source.relative_to(best)
        if source.is_symlink():
            raise InputError(f"{source} is a link", "Put the file itself there.")
        if (
            source.is_dir()
            or source.name.startswith(".")
            or source.name in ("README.md", "training.safetensors")
        ):
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".json" and source.name != "tokenizer.json":
            try:
                values = json.loads(source.read_bytes())
            except ValueError:
                raise InputError(
                    f"{source} is damaged: it is not JSON", "Train again, or publish another run."
                ) from None
            if isinstance(values, dict) and any(key in values for key in _LOCAL_KEYS):
                values |= {key: without_path(str(values[key])) for key in _LOCAL_KEYS if key in values}
                (folder / name).write_text(json.dumps(values, indent=2) + "\n", "utf-8")
                continue
        shutil.copyfile(source, folder / name)


def _results(facts: ModelFacts) -> tuple[list[_Result], list[str]]:
    """The newest figure of each task of this very model, used in its own way."""
    identity, other = provenance(str(facts.run)).identity, 0
    found: dict[str, _Result] = {}
    for one in kept(facts.project).evaluations:
        if one.identity != identity:
            continue
        if one.settings:
            other += 1
            continue
        for task in one.tasks:
            value = one.value(task)
            if value is not None and task not in found:
                found[task] = _Result(task=task, value=value, evaluation=one)
    notes = []
    if other:
        notes.append(
            f"{other:,} results of {facts.run.name} with other settings than its own are left out of its card"
        )
    if not found:
        notes.append(
            f"{facts.run.name} has no evaluation results; claif-tui evaluate {facts.run.name} makes them"
        )
    return [found[task] for task in EVERY if task in found], notes


def _base(config: TrainConfig) -> str | None:
    """The Hub's name of the model that training began with, if it has one."""
    if config.model.partition(":")[0] == "minilm":
        return _PACKAGED
    named = _HUB_NAME.fullmatch(config.model) and not Path(config.model).exists()
    return config.model if named else None


def _card(
    facts: ModelFacts,
    config: TrainConfig,
    data: Mapping[str, Any],
    metrics: Mapping[str, Any],
    results: Sequence[_Result],
) -> str:
    cross, prompt = config.objective == "cross", config.pooling == "prompt"
    parts = [
        *_front(facts, config, results, cross),
        f"# {code(facts.name)}",
        f"A {'cross-encoder' if cross else 'sentence encoder'} trained with claif-tui, run {code(facts.run.name)}: "
        f"{ABOUT[config.system]}. It began with {code(_start(config))}.",
        *_usage(cross, prompt),
        *_training(config),
        *_dev(metrics),
        *_evaluation(results),
        *_data(facts, data),
        "## Licence",
        "Unknown: whoever published this did not state one. Ask before you use it."
        if facts.licence == "unknown"
        else f"{code(facts.licence)}, as stated by whoever published this. "
        "The model it began with and the training data may stand under terms of their own.",
        "## Citation",
        "The method is CLAIF:"
        if config.system.startswith("claif")
        else "The tool follows CLAIF and its relatives:",
        fenced(CITATION, "bibtex"),
    ]
    return "\n\n".join(parts) + "\n"


def _start(config: TrainConfig) -> str:
    if config.model.partition(":")[0] == "minilm":
        return f"{_PACKAGED} ({backbone_of(config.model)})"
    return without_path(config.model)


def _front(facts: ModelFacts, config: TrainConfig, results: Sequence[_Result], cross: bool) -> list[str]:
    lines = ["---", *licence_lines(facts.licence), "library_name: sentence-transformers"]
    lines += [f"pipeline_tag: {'text-ranking' if cross else 'sentence-similarity'}"]
    base = _base(config)
    if base is not None:
        lines.append(f"base_model: {quoted(base)}")
    if facts.dataset is not None:
        lines += ["datasets:", f"- {quoted(facts.dataset)}"]
    lines += ["tags:", "- sentence-transformers", "- cross-encoder" if cross else "- feature-extraction"]
    lines += ["- sentence-similarity", "- claif", "- claif-tui"]
    results = [one for one in results if one.task in TASKS]  # what one's own queries are is not known
    if results:
        lines += ["model-index:", f"- name: {quoted(facts.name)}", "  results:"]
    for one in results:
        task = TASKS[one.task]
        kind, words = (
            ("sentence-similarity", "Semantic textual similarity")
            if task.kind == "sts"
            else ("text-classification", "Classification of frozen vectors")
        )
        lines += ["  - task:", f"      type: {kind}", f"      name: {words}"]
        lines += [
            "    dataset:",
            f"      type: {one.task.lower()}",
            f"      name: {one.task}",
            "      split: test",
        ]
        lines += ["    metrics:", f"    - type: {task.metric}", f"      value: {one.value:.2f}"]
        lines += [f"      name: {task.metric.capitalize()} x100"]
    return ["\n".join([*lines, "---"])]


def _usage(cross: bool, prompt: bool) -> list[str]:
    if cross:
        words = 'model = CrossEncoder("path/or/name")\nscores = model.predict([("A sentence.", "Another.")])'
        return ["## Use", fenced(f"from sentence_transformers import CrossEncoder\n\n{words}", "python")]
    trust = ", trust_remote_code=True" if prompt else ""
    words = f'model = SentenceTransformer("path/or/name"{trust})\nvectors = model.encode(["A sentence."])'
    return [
        "## Use",
        fenced(f"from sentence_transformers import SentenceTransformer\n\n{words}", "python"),
        *(
            ["The folder carries a Python file of its own that puts sentences into its template."]
            if prompt
            else []
        ),
    ]


def _training(config: TrainConfig) -> list[str]:
    rows = []
    for name, value in to_mapping(config).items():
        if name in _PATHS or (value == _default(name) and name not in _ALWAYS):
            continue
        shown = without_path(value) if isinstance(value, str) else json.dumps(value)
        rows.append((name, code(shown)))
    return [
        "## Training",
        f"Settings (digest {code(digest(config))}; all others are the defaults):",
        table(("setting", "value"), rows),
    ]


def _default(name: str) -> object:
    """The default of a setting in the form in which ``to_mapping`` gives it."""
    value = DEFAULTS[name]
    return list(value) if isinstance(value, tuple) else value


def _dev(metrics: Mapping[str, Any]) -> list[str]:
    best = metrics.get("best")
    if not isinstance(best, dict):
        return ["## Dev results", "None were recorded."]
    rows = [(code(str(name)), f"{value:.2f}") for name, value in best.items() if isinstance(value, float)]
    return [
        "## Dev results",
        f"The checkpoint of step {int(best.get('step', 0)):,} of {int(metrics.get('total_steps', 0)):,}, "
        "chosen by its dev score (Spearman x100). Dev scores chose the checkpoint: they are no test results.",
        table(("dev", "value"), rows),
    ]


def _evaluation(results: Sequence[_Result]) -> list[str]:
    if not results:
        return ["## Evaluation", "None yet."]
    rows = []
    for one in results:
        about = one.evaluation.tasks[one.task]
        low, high = (*about.get("interval", ()), None, None)[:2]
        interval = f"{low:.2f} to {high:.2f}" if isinstance(low, float) and isinstance(high, float) else ""
        mode = f", {about['mode']} mode" if about.get("mode") in ("fast", "full") else ""
        rows.append(
            (
                one.task,
                f"{EVERY[one.task].metric}{mode}",
                f"{one.value:.2f}",
                interval,
                f"{int(about.get('n', 0)):,}",
                code(str(about.get("fingerprint", ""))[:16]),
            )
        )
    return [
        "## Evaluation",
        'Figures x100; STS over all pairs of a task at once (the "all" setting), transfer by SentEval\'s protocol.',
        *([DEMO] if any(one.evaluation.demo for one in results) else []),
        table(("task", "figure", "value", "95 % interval", "n", "fingerprint of the data"), rows),
    ]


def _data(facts: ModelFacts, data: Mapping[str, Any]) -> list[str]:
    names = ("format", "rows", "sha256", "fingerprint", "snapshot", "smoothing", "dropped")
    rows = [
        (name, code(value if isinstance(value, str) else json.dumps(value)))
        for name in names
        if (value := data.get(name)) not in (None, {}, [])
    ]
    parts = ["## Training data"]
    if facts.dataset is not None:
        parts.append(f"Published as {code(facts.dataset)}.")
    parts.append(table(("", ""), rows) if rows else "What it was trained on was not recorded.")
    lineage = data.get("lineage")
    if isinstance(lineage, dict):
        review = lineage.get("review")
        project = review.get("project") if isinstance(review, dict) else None
        shown = {
            "rows by kind": lineage.get("kinds"),
            "funnel": lineage.get("funnel"),
            "made with recipes (pairs)": lineage.get("made_with"),
            "pairs of the project when it was frozen": project,
        }
        lines = [(name, code(_counts(values))) for name, values in shown.items() if isinstance(values, dict)]
        parts += ["Where the rows come from:", table(("", ""), lines)]
    return parts


def _counts(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in values.items() if count)
