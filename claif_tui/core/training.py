"""From what a user wants trained to settings and a plan: files, snapshots, steps. Runs are kept by ``runs``."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claif_tui.core.engine_child import ask, require_train
from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.runs import FOLDER, RESUMABLE, list_runs, told
from claif_tui.core.store.project import DATABASE
from engine.config import PATHS, PRESETS, TrainConfig, from_json, from_mapping, located, read_toml, to_json

if TYPE_CHECKING:
    from claif_tui.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do. ``dev`` is the number of pairs of each dev set; ``remarks`` are sentences for people.

    ``content`` stands for what is in the files, {sha256, dev: {name: {pairs, fingerprint}}}, as a run notes it too.
    """

    rows: int
    steps_per_epoch: int
    total_steps: int
    dev: Mapping[str, int]
    remarks: tuple[str, ...]
    warnings: tuple[str, ...]
    dropped: Mapping[str, int]
    content: Mapping[str, Any]


def configured(
    file: Path | None, options: Mapping[str, object], *, project: Path, base: Path | None = None
) -> TrainConfig:
    """Return the settings of a file (TOML, or the config.json of a run) with ``options`` over them.

    Paths in the file count from its folder, those in ``options`` from ``base`` (default: where this process stands);
    ``data`` may also be the beginning of a snapshot's id. Raises ``ClaifError`` naming the file or the setting.
    """
    here = base or Path.cwd()
    values: dict[str, Any] = {}
    places: dict[str, Path] = {}
    if file is not None:
        values = _read(file)
        places = dict.fromkeys(values, file.absolute().parent)
    values |= options
    places |= dict.fromkeys(options, here)
    for name in PATHS:
        if name != "data" and isinstance(values.get(name), str):
            values[name] = located(name, values[name], places[name])
    with told():
        config = from_mapping(values)
    if not config.data:
        raise UsageError("there is no training data", "Name a file or a snapshot: --data FILE|SNAPSHOT")
    data = find_data(config.data, places["data"], project)
    with told():
        return from_mapping({**values, "data": str(data)})


def find_data(word: str, base: Path, project: Path) -> Path:
    """Return the absolute path of training data: a file or folder, else the snapshot whose id begins with ``word``."""
    path = (base / Path(word).expanduser()).absolute()
    if path.exists():
        return path
    if "/" in word or not (project / DATABASE).is_file():
        raise InputError(f"{path} does not exist", "Name a training file or a snapshot.")
    from claif_tui.core.snapshot import SnapshotError, find

    snapshot = find(project, word)
    if snapshot.problem:
        raise SnapshotError(f"snapshot {snapshot.id}: {snapshot.problem}", "Make it again, or restore it.")
    return snapshot.path.absolute()


def place_for(project: Path, config: TrainConfig) -> Path:
    """Return the folder that a run belongs to; ``UsageError`` where there is neither a project nor ``out``."""
    if (project / DATABASE).is_file():
        return project.absolute()
    if not config.out:
        raise UsageError(
            f"there is no project in {project.absolute()}",
            "Name one with -P, make one with claif-tui init, or say where the run goes: --out DIR",
        )
    return Path.cwd()


def planned(config: TrainConfig) -> Plan:
    """Read the data as the run would, and return what it would do; takes seconds, and raises what it would refuse."""
    require_train("training")
    found = ask("engine.plan", (), given=to_json(config))
    report = found["report"]
    return Plan(
        rows=found["rows"],
        steps_per_epoch=found["steps_per_epoch"],
        total_steps=found["total_steps"],
        dev={name: about["pairs"] for name, about in found["dev"].items()},
        remarks=tuple(report["guesses"]),
        warnings=tuple(report["warnings"]),
        dropped=report["dropped"],
        content={"sha256": report["sha256"], "dev": found["dev"]},
    )


TRAINED_AS: Mapping[str, str] = {"syncse-scratch": "syncse"}
"""Systems of a recipe that train by another one's settings; every other trains by those of its own name."""
OF_TRIPLETS = "simcse-sup"
"""The settings for triplets whose system trains on pairs."""
_PAIRS = ("mse", "cross")


def settings_for(snapshot: Snapshot, system: str) -> str:
    """Return the training system that suits a snapshot: that of the recipe it was made by, else of ``system``.

    Triplets of a system that trains on pairs are trained on as SimCSE trains on NLI.
    """
    made_by = snapshot.system or system
    name = TRAINED_AS.get(made_by, made_by)
    if name not in PRESETS or (_all_triplets(snapshot) and PRESETS[name].objective in _PAIRS):
        return OF_TRIPLETS if _all_triplets(snapshot) else "claif"
    return name


def unfit(project: Path, config: TrainConfig) -> tuple[str, str] | None:
    """Return (what does not go together, what to do) where the data is a snapshot that the system is not meant for.

    None where it fits, and for data from elsewhere, of which the engine judges the columns. Blocks.
    """
    from claif_tui.core.snapshot import snapshots

    here = Path(config.data)
    snapshot = next((one for one in snapshots(project) if one.path.absolute() == here), None)
    if snapshot is None or not snapshot.rows:
        return None
    if config.objective in _PAIRS and _all_triplets(snapshot):
        fitting = ", ".join(name for name in ("syncse", "multicsr", "clhaif", OF_TRIPLETS))
        return (
            f"snapshot {snapshot.id[:12]} holds triplets, and {config.system} trains on scored pairs",
            f"Systems for triplets: {fitting}.",
        )
    contrasts = config.objective in ("infonce", "masked-infonce", "soft-infonce") and not config.twins
    if contrasts and not snapshot.manifest.get("triplets"):
        return (
            f"snapshot {snapshot.id[:12]} holds scored pairs, and {config.system} trains on triplets: "
            "it would take every pair for a positive one",
            "Systems for scored pairs: claif, claif-scaled, dino.",
        )
    return None


def _all_triplets(snapshot: Snapshot) -> bool:
    return 0 < snapshot.rows == int(snapshot.manifest.get("triplets", 0))


def resumable(project: Path) -> Path:
    """Return the newest run of a project that can go on; ``UsageError`` if there is none."""
    rows = list_runs(project)
    for row in rows:
        if row.state in RESUMABLE:
            return row.path
    states = ", ".join(f"{row.name} {row.state}" for row in rows[:5]) or "it has no runs"
    raise UsageError(f"no run in {project / FOLDER} can be resumed ({states})", "Name one: --resume --out DIR")


def _read(file: Path) -> dict[str, Any]:
    """Return the settings that a file names, checked."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}", "Check the name and the permissions."
        ) from None
    with told():
        if file.suffix == ".json":
            from_json(text, str(file))
            found: dict[str, Any] = json.loads(text)
            found.pop("out", None)  # where that run went is its own
            return found
        read_toml(file)
        return tomllib.loads(text.decode())
