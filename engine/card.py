"""The model card: what a saved model was trained on, how, and what it scored, so that its figures can be traced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.config import DEFAULTS, TrainConfig, digest, to_mapping
from engine.data import Examples
from engine.datafiles.snapshots import find_snapshot
from engine.presets import ABOUT


def lineage(config: TrainConfig, examples: Examples) -> dict[str, Any]:
    """What is known of the data: file, hashes, rows, what was left out, and the facts of its snapshot."""
    report = examples.report
    facts: dict[str, Any] = {
        "file": Path(report.path).name,
        "format": report.format,
        "rows": report.rows,
        "sha256": report.sha256,
        "fingerprint": examples.fingerprint,
        "dropped": report.dropped,
        "guesses": list(report.guesses),
        "smoothing": report.smoothing,
        "snapshot": report.snapshot,
    }
    snapshot = find_snapshot(Path(config.data)) if report.snapshot else None
    if snapshot is not None:
        facts["lineage"] = snapshot.manifest
    return facts


STAND_IN = (
    "A demo: its training data hold answers of the offline model, which stands in for a language model. Its figures "
    "say nothing about the method."
)


def stand_in(data: Mapping[str, Any]) -> bool:
    """Whether a run's data, as ``lineage`` has them, say that they rest on the offline model; unsaid is False."""
    manifest = data.get("lineage")
    return isinstance(manifest, dict) and manifest.get("stand_in") is True


def card(
    config: TrainConfig,
    data: Mapping[str, Any],
    results: Mapping[str, Any],
    remarks: tuple[str, ...],
    overlap: Mapping[str, Any] | None = None,
) -> str:
    """The card's text below the lines on loading: Markdown, without paths of the machine it was trained on.

    Nor has it names of people or of endpoints: models are handed on. ``overlap`` is what was noted with the run about
    evaluation sets, see ``engine.overlap``.
    """
    if stand_in(data):
        remarks = (*remarks, STAND_IN)
    settings = {
        name: value
        for name, value in to_mapping(config).items()
        if name not in ("data", "dev", "out") and (getattr(config, name) != DEFAULTS[name] or name in _ALWAYS)
    }
    for name in ("model", "mask_model"):
        if (place := settings.get(name)) and Path(place).is_absolute():
            settings[name] = Path(place).name
            remarks = tuple(remark.replace(place, settings[name]) for remark in remarks)
    lines = [
        "## Training",
        "",
        f"{ABOUT[config.system]}.",
        *(f"\n{remark}" for remark in remarks),
        "",
        f"Settings (digest `{digest(config)}`):",
        "",
        *_table(settings),
        "",
        "## Results",
        "",
        *_table(results),
        "",
        "## Data",
        "",
        *_table(
            {name: value for name, value in data.items() if name != "lineage" and value not in (None, {}, [])}
        ),
    ]
    with suppress(
        AttributeError, KeyError, TypeError, ValueError
    ):  # a note that does not read costs no checkpoint
        lines += _overlap(overlap)
    if "lineage" in data:
        shown = json.dumps(_public(data["lineage"]), indent=2, ensure_ascii=False).replace("```", "'''")
        lines += ["", "Where the rows come from:", "", "```json", shown, "```"]
    return "\n".join(lines) + "\n"


_PUBLIC = (
    "id",
    "made_by",
    "preset",
    "made_with",
    "stand_in",
    "smoothing",
    "post_processing",
    "funnel",
    "rules",
    "rows",
    "sha256",
    "splits",
    "kinds",
    "triplets",
    "review",
    "source",
    "overlap_removed",
)


def _public(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What of a manifest a reader needs: not the filter, which may name reviewers, nor the recipe's text.

    That one names an endpoint's profile; its id stays.
    """
    shown = {name: manifest[name] for name in _PUBLIC if manifest.get(name) is not None}
    recipe = manifest.get("recipe")
    return shown | ({"recipe": recipe["id"]} if isinstance(recipe, dict) and "id" in recipe else {})


def _overlap(found: Mapping[str, Any] | None) -> list[str]:
    """The test sets that hold training sentences; nothing where nobody looked."""
    if found is None:
        return []
    sentences = found.get("sentences") or 0
    rows = []
    for one in found.get("sets", ()):
        if one.get("split") == "test" and one.get("state") == "complete":
            counts, seen = one["sentences"], one["seen"]
            if counts["exact"] or counts["near"]:
                rows.append(
                    f"| {one['task']} | {counts['exact']:,} | {counts['near']:,} | "
                    f"{seen['exact'] + seen['near']:,} of {seen['of']:,} |"
                )
    if not rows:
        return [
            "",
            f"None of the {sentences:,} training sentences stands in a test set that was compared.",
        ]
    return [
        "",
        f"Of the {sentences:,} training sentences so many stand in test sets, the same or nearly the same "
        "(bags of words with a Jaccard similarity of 0.8 or more):",
        "",
        "| test set | the same | nearly | sentences of the set that were seen |",
        "|---|---|---|---|",
        *rows,
    ]


_ALWAYS = (
    "system",
    "objective",
    "model",
    "pooling",
    "epochs",
    "batch_size",
    "lr",
    "warmup",
    "weight_decay",
    "clip",
    "dropout",
    "max_seq_length",
    "precision",
    "select",
    "seed",
)


def _table(values: Mapping[str, Any]) -> list[str]:
    rows = [f"| {name} | {_cell(value)} |" for name, value in values.items()]
    return ["| | |", "|---|---|", *rows]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("|", "\\|").replace("\n", " ")
