"""Preparing folders for the Hugging Face Hub: a data set from a snapshot, a model from a run. Nothing is sent here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from claif_tui.core import publish_dataset, publish_model, runs
from claif_tui.core.atomic import replacing_folder
from claif_tui.core.data_fetch import disk_error
from claif_tui.core.errors import ClaifError, UsageError
from claif_tui.core.publish_text import edited, repo_name
from claif_tui.core.runs import list_runs
from claif_tui.core.snapshot import Snapshot, SnapshotError, find, snapshots
from claif_tui.core.store import contributors
from claif_tui.core.store.store import Store

FOLDER = "exports/publish"
CARD = "README.md"
RepoType = Literal["dataset", "model"]
_OWN = {CARD, "recipe.toml", "data/train.jsonl", "data/validation.jsonl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishWish:
    """What to prepare. Neither ``snapshot`` nor ``run`` means the newest of each; one of them means it alone.

    ``repo`` is where it will go, OWNER/NAME, for the links between the cards; ``names`` shows the reviewers' names.
    """

    snapshot: str | None = None
    run: str | None = None
    licence: str | None = None
    name: str | None = None
    out: Path | None = None
    repo: str | None = None
    names: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One folder: its kind, the files in it with their bytes, and whether its card is one that was edited by hand."""

    type: RepoType
    source: str
    path: Path
    files: tuple[tuple[str, int], ...]
    card_kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What was prepared, under which name; ``notes`` are to be said, ``warnings`` to be minded before sending."""

    name: str
    licence: str
    folders: tuple[Prepared, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def prepare(store: Store, wish: PublishWish) -> Publication:
    """Write the folders, each whole or not at all; blocks. Raises ``ClaifError`` for what cannot be published.

    A card that somebody edited since it was written stays as it is; everything else is written anew.
    """
    snapshot, run, notes = _chosen(store, wish)
    licence = (wish.licence or "").strip() or "unknown"
    warnings = []
    if licence == "unknown":
        warnings.append(
            "no licence is stated, and the card says unknown: nobody may use it then. State one: --licence ID"
        )
    name = repo_name(wish.name or store.folder.resolve().name)
    out = wish.out or store.folder / FOLDER
    dataset = wish.repo if wish.repo is not None and "/" in wish.repo and snapshot is not None else None
    folders = []
    if snapshot is not None:
        data = _data_facts(store, snapshot, name, licence, wish.names)
        place = out / f"dataset-{repo_name(snapshot.id)}"
        folders.append(_put("dataset", snapshot.id, place, lambda at: publish_dataset.write(data, at), notes))
        if not wish.names and data.reviewers:
            notes.append("reviewers are numbered in the card; --with-names shows their names")
    if run is not None:
        model = publish_model.ModelFacts(
            name=name, licence=licence, project=store.folder, run=run, dataset=dataset
        )
        place = out / f"model-{repo_name(run.name)}"
        folders.append(_put("model", run.name, place, lambda at: publish_model.write(model, at), notes))
    return Publication(
        name=name, licence=licence, folders=tuple(folders), notes=tuple(notes), warnings=tuple(warnings)
    )


def _chosen(store: Store, wish: PublishWish) -> tuple[Snapshot | None, Path | None, list[str]]:
    project, notes = store.folder, list[str]()
    snapshot: Snapshot | None = None
    run: Path | None = None
    if wish.snapshot is not None:
        snapshot = find(project, wish.snapshot)
    if wish.run is not None:
        run = runs.find(project, wish.run)
        publish_model.best_of(run)
    if wish.snapshot is None and wish.run is None:
        made = snapshots(project)
        snapshot = find(project, made[-1].id) if made else None
        for row in list_runs(project):
            try:
                publish_model.best_of(row.path)
            except ClaifError as error:
                notes.append(f"passed over: {error.message}")
                continue
            run = row.path
            break
        if snapshot is None and run is None:
            raise UsageError(
                "there is nothing to publish: no snapshot, and no run with a best model",
                "Make a snapshot first: claif-tui snapshot create",
            )
    if snapshot is not None and snapshot.problem:
        raise SnapshotError(
            f"snapshot {snapshot.id}: {snapshot.problem}; what was reviewed is not what would be published",
            "Make it again, or restore it from a copy.",
        )
    return snapshot, run, notes


def _data_facts(
    store: Store, snapshot: Snapshot, name: str, licence: str, names: bool
) -> publish_dataset.DataFacts:
    found = contributors.reviewers(store)
    known = {one.author: one.author if names else f"reviewer-{number}" for number, one in enumerate(found, 1)}
    manifest = dict(snapshot.manifest)
    if manifest.get("filter"):
        manifest["filter"] = publish_dataset.shown_filter(str(manifest["filter"]), None if names else known)
    made_with = manifest.get("made_with")
    recipes = [str(one) for one in made_with] if isinstance(made_with, dict) else []
    return publish_dataset.DataFacts(
        name=name,
        licence=licence,
        snapshot=replace(snapshot, manifest=manifest),
        models=tuple(contributors.models(store, recipes)) if recipes else (),
        reviewers=tuple(replace(one, author=known[one.author]) for one in found),
        anonymous=not names,
    )


def _put(
    kind: RepoType, source: str, place: Path, fill: Callable[[Path], list[str]], notes: list[str]
) -> Prepared:
    """Fill a folder beside its place and rename it into it; a card that was edited by hand is carried over."""
    keeps = edited(place / CARD)
    try:
        with replacing_folder(place) as staged:
            notes += fill(staged)
            if keeps:
                shutil.copyfile(place / CARD, staged / CARD)
                notes.append(f"{place / CARD} was edited by hand and is kept; delete it to have a new one")
            files = _files(staged)
            _refuse_others(place, {name for name, _ in files})
    except OSError as error:
        raise disk_error(place, error) from error
    return Prepared(type=kind, source=source, path=place, files=files, card_kept=keeps)


def _files(folder: Path) -> tuple[tuple[str, int], ...]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return tuple((str(path.relative_to(folder)), path.stat().st_size) for path in found)


def _refuse_others(place: Path, own: set[str]) -> None:
    """Refuse to replace a folder that holds what publishing did not write."""
    if place.is_file():
        raise UsageError(f"{place} is a file", "Choose another folder with --out.")
    others = sorted({name for name, _ in _files(place)} - own - _OWN) if place.is_dir() else []
    if others:
        raise UsageError(
            f"{place} holds {others[0]}, which publishing did not write", "Move it away, or use another --out."
        )
