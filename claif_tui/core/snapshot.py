"""Snapshots: training rows frozen in a folder named by what is in it. Which rows, and what is done to them: exporting.

The same project, recipe and wish give the same bytes and the same id; no times, no host, no author is written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import tomllib
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from claif_tui.core.atomic import replacing, sync_folder
from claif_tui.core.errors import ClaifError, UsageError
from claif_tui.core.export import manifest_of, write_rows
from claif_tui.core.exporting import RAW, ExportWish, process, recipe_of, stands_in, why_nothing
from claif_tui.core.models import Counts, PairQuery, Status
from claif_tui.core.postprocess import Example, Funnel
from claif_tui.core.recipes import Recipe
from claif_tui.core.store.filters import And, Comparison, Filter, Node, Or, parse
from claif_tui.core.store.store import Store

FOLDER = "snapshots"
EXAMPLES = "examples.jsonl"
MANIFEST = "manifest.json"
ID_LENGTH = 12

_NO_TIME = (1980, 1, 1, 0, 0, 0)
_MAX_MANIFEST = 16 << 20


class SnapshotError(ClaifError):
    """A snapshot could not be written, or is not what it was when it was frozen."""

    exit_code = 1
    title = "Snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotWish:
    """What to freeze. ``preset`` None follows the project's recipe; ``filter`` is in the filter language.

    ``edited_only`` takes only pairs whose text a person changed.
    """

    statuses: tuple[Status, ...] = ("accepted",)
    preset: str | None = None
    filter: str = ""
    edited_only: bool = False

    def expression(self) -> str:
        """Return the whole filter in its one spelling; raises ``FilterError``."""
        edited = Filter(Comparison("edited", "=", True)) if self.edited_only else Filter()
        return str(_both(parse(self.filter), edited))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot on disk. ``made_ns`` is from the file system; ``problem`` is empty if all is well."""

    id: str
    path: Path
    made_ns: int
    manifest: dict[str, Any]
    problem: str = ""

    @property
    def made(self) -> str:
        """When it was made here, as an ISO time in UTC."""
        return datetime.fromtimestamp(self.made_ns / 1e9, UTC).isoformat(timespec="seconds")

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return int(self.manifest.get("rows", 0))

    @property
    def system(self) -> str:
        """The system of the recipe that it was made by; "" where none is stated."""
        recipe = self.manifest.get("recipe")
        text = recipe.get("toml") if isinstance(recipe, dict) else None
        try:
            return str(tomllib.loads(text).get("system", "")) if isinstance(text, str) else ""
        except (ValueError, RecursionError):
            return ""

    @property
    def derived(self) -> str:
        """What was left out of another snapshot or file to make it, in a few words; "" if it is made of pairs."""
        steps = self.manifest.get("overlap_removed") or []
        return "; ".join(
            f"{one['from'][:ID_LENGTH]} without {one['rows']:,} rows that overlap ({one['rule']}) with test sets"
            for one in steps
        )

    @property
    def mixed(self) -> bool:
        """Whether it holds both pairs and triplets, of which a training run takes one."""
        return 0 < int(self.manifest.get("triplets", 0)) < self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What ``create`` did: the snapshot, its funnel, and whether it was there already."""

    snapshot: Snapshot
    funnel: Funnel
    existed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An archive: where it is, its SHA-256, its size in bytes."""

    path: Path
    sha256: str
    bytes: int


def create(store: Store, recipe: Recipe, wish: SnapshotWish) -> Created:
    """Freeze what the wish names into ``snapshots/<id>/``, which appears whole or not at all. Blocks.

    The id is a hash of the manifest, which holds the hash of the rows: of data and provenance together. Raises
    ``UsageError`` when no row is left, ``SnapshotError`` for the disk, and what a wrong filter or preset raises.
    """
    expression = wish.expression()
    asked = ExportWish(statuses=wish.statuses, preset=wish.preset, filter=expression)
    folder = store.folder / FOLDER
    with store.read(), _staging(folder) as staged:
        processed, options = process(store, recipe, asked)
        if not processed.funnel.rows:
            raise _nothing(processed.funnel, expression)
        facts: dict[str, Any] = manifest_of(
            processed.funnel,
            options,
            recipe=None if wish.preset == RAW else recipe_of(recipe, asked),
            preset=wish.preset,
            made_with=processed.recipes,
            stand_in=stands_in(store, processed),
        )
        facts["filter"] = expression
        facts["review"] = _review(store, expression, wish.statuses)
        if rating := _rating(store):
            facts["rating"] = rating
        tally = _Tally()
        with replacing(staged / EXAMPLES) as file:
            facts["rows"], facts["sha256"] = write_rows(tally.counted(processed.rows()), file)
            facts["bytes"] = file.tell()
        facts |= {
            "splits": tally.splits(),
            "kinds": dict(sorted(tally.kinds.items())),
            "triplets": tally.triplets,
        }
        snapshot, existed = _freeze(staged, folder, facts)
    return Created(snapshot=snapshot, funnel=processed.funnel, existed=existed)


def freeze_rows(folder: Path, fill: Callable[[Path], dict[str, Any]]) -> Snapshot:
    """Freeze rows made elsewhere into ``folder/<id>/``: ``fill`` writes them to a new file and returns the manifest.

    Raises ``SnapshotError`` for the disk, and what ``fill`` raises.
    """
    with _disk(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with _staging(folder) as staged:
        facts = fill(staged / EXAMPLES)
        with (staged / EXAMPLES).open("rb") as file:
            os.fsync(file.fileno())
        return _freeze(staged, folder, facts)[0]


def content_id(manifest: dict[str, Any]) -> str:
    """Return the id of a manifest: SHA-256 over everything it states but the id itself, in one canonical form."""
    facts = {name: value for name, value in manifest.items() if name != "id"}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:ID_LENGTH]


def snapshots(project: Path) -> list[Snapshot]:
    """Return the project's snapshots, oldest first. Manifests are checked, rows are not read."""
    folder = project / FOLDER
    if not folder.is_dir():
        return []
    found = [_load(path) for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(found, key=lambda one: (one.made_ns, one.id))


def find(project: Path, word: str) -> Snapshot:
    """Return the one snapshot whose id begins with ``word``, held against its hashes; raises ``UsageError``."""
    known = snapshots(project)
    hits = [one for one in known if one.id == word] or [
        one for one in known if word and one.id.startswith(word)
    ]
    if len(hits) != 1:
        what = f"several snapshots begin with {word!r}" if hits else f"there is no snapshot {word!r}"
        listed = ", ".join(one.id for one in (hits or known)[-10:])
        raise UsageError(what, f"Known: {listed}." if listed else "Make one: claif-tui snapshot create")
    return _verified(hits[0])


def pack(project: Path, word: str, out: Path | None = None) -> Packed:
    """Write a snapshot as one zip archive (default: ``exports/<id>.zip``); the same snapshot gives the same bytes.

    Raises ``SnapshotError`` for one that was altered, and for the disk; ``UsageError`` for a place that is none.
    """
    snapshot = find(project, word)
    if snapshot.problem:
        raise SnapshotError(
            f"snapshot {snapshot.id}: {snapshot.problem}", "Make it again, or restore it from a copy."
        )
    if out is None:
        out = project / "exports" / f"{snapshot.id}.zip"
        out.parent.mkdir(exist_ok=True)
    if out.is_dir():
        raise UsageError(f"{out} is a folder", f"Name a file in it: {out / f'{snapshot.id}.zip'}")
    if not out.parent.is_dir():
        raise UsageError(f"the folder {out.parent} does not exist", "Make it first, or name another file.")
    with _disk(out), replacing(out) as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name in (EXAMPLES, MANIFEST):
                _put_member(archive, snapshot, name)
        file.seek(0)
        return Packed(path=out, sha256=hashlib.file_digest(file, "sha256").hexdigest(), bytes=file.tell())


def _put_member(archive: zipfile.ZipFile, snapshot: Snapshot, name: str) -> None:
    source = snapshot.path / name
    info = zipfile.ZipInfo(f"{snapshot.id}/{name}", _NO_TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # Unix, whatever this one is: the bytes are the same
    info.external_attr = 0o644 << 16
    info.file_size = source.stat().st_size
    with source.open("rb") as rows, archive.open(info, "w") as member:
        shutil.copyfileobj(rows, member, 1 << 20)


def _both(first: Filter, second: Filter) -> Filter:
    nodes = (*first.conjuncts(), *second.conjuncts())
    if not nodes:
        return Filter()
    return Filter(nodes[0] if len(nodes) == 1 else And(nodes))


def _review(store: Store, expression: str, statuses: tuple[Status, ...]) -> dict[str, object]:
    """Count the decisions behind a snapshot: over the project, over what the filter matches, and the edits."""
    wanted: tuple[Node, ...] = tuple(Comparison("status", "=", status) for status in statuses)
    chosen = _both(parse(expression), Filter(wanted[0] if len(wanted) == 1 else Or(wanted)))
    edited = _both(chosen, Filter(Comparison("edited", "=", True)))
    return {
        "project": _counts(store.pairs.counts()),
        "matching": _counts(store.pairs.counts_like(PairQuery(filter=expression))),
        "chosen": store.pairs.count(PairQuery(filter=str(chosen))),
        "edited": store.pairs.count(PairQuery(filter=str(edited))),
    }


def _rating(store: Store) -> list[dict[str, Any]]:
    """What people said in the project's studies so far, in short and without their names."""
    from claif_tui.core.rating.report import summary

    studies = [store.studies.data(name) for name in store.studies.names()]
    return [summary(study) for study in studies if study.answers]


def _counts(counts: Counts) -> dict[str, int]:
    return {"pending": counts.pending, "accepted": counts.accepted, "rejected": counts.rejected}


def _freeze(staged: Path, folder: Path, facts: dict[str, Any]) -> tuple[Snapshot, bool]:
    """Write the manifest and give the folder its name; returns the snapshot and whether it was there already."""
    manifest = {"id": content_id(facts), **facts}
    with replacing(staged / MANIFEST) as file:
        file.write(json.dumps(manifest, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace"))
        file.write(b"\n")
    place = folder / str(manifest["id"])
    existed = not _put(staged, place)
    return _verified(_load(place)), existed


class _Tally:
    """Counts the rows that pass, by split, kind and number of sentences."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.triplets = 0
        self._splits: Counter[str] = Counter()

    def counted(self, rows: Iterable[Example]) -> Iterator[Example]:
        for row in rows:
            self.kinds[row.kind] += 1
            self.triplets += row.hard_negative is not None
            self._splits[row.split] += 1
            yield row

    def splits(self) -> dict[str, int]:
        return {split: self._splits[split] for split in ("train", "dev", "test") if self._splits[split]}


def _nothing(funnel: Funnel, expression: str) -> UsageError:
    drops = ", ".join(f"{rule} {count:,}" for rule, count in funnel.drops.items() if count)
    told = f" ({funnel.pairs:,} pairs; {drops})" if drops else ""
    return UsageError(f"no row is left to freeze{told}", why_nothing(funnel, expression))


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside the snapshots that vanishes at the end, unless it was put into its place."""
    staged = folder / f".{secrets.token_hex(6)}.part"
    with _disk(folder):
        folder.mkdir(exist_ok=True)
        staged.mkdir()
        try:
            yield staged
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _put(staged: Path, place: Path) -> bool:
    """Give a finished folder its name; return False when that snapshot is there already."""
    for name in (EXAMPLES, MANIFEST):
        (staged / name).chmod(0o444)
    try:
        staged.rename(place)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        problem = _verified(_load(place)).problem
        if problem:
            raise SnapshotError(
                f"snapshot {place.name} is there already, but {problem}",
                f"Move it away, then make it again: {place}",
            ) from None
        return False
    sync_folder(place.parent)
    return True


@contextmanager
def _disk(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "Make room on that disk.",
            errno.EDQUOT: "Make room within your quota.",
            errno.EACCES: "Check its permissions with: ls -ld",
            errno.EROFS: "That file system is read-only.",
        }
        raise SnapshotError(
            f"cannot write {place}: {error.strerror or error}",
            hints.get(error.errno or 0, "") or "What was there before is as it was.",
        ) from error


def _load(folder: Path) -> Snapshot:
    """Read a snapshot's manifest and hold it against its id and the folder's name."""
    manifest: Any = {}
    made_ns = 0
    problem = ""
    path = folder / MANIFEST
    try:
        made_ns = path.stat().st_mtime_ns
        with path.open("rb") as file:
            manifest = json.loads(file.read(_MAX_MANIFEST))
    except OSError as error:
        problem = f"its {MANIFEST} cannot be read ({error.strerror or error})"
    except (ValueError, RecursionError):
        problem = f"its {MANIFEST} is not JSON"
    if not isinstance(manifest, dict):
        manifest, problem = {}, f"its {MANIFEST} is not that of a snapshot"
    if not problem and not (content_id(manifest) == manifest.get("id") == folder.name):
        problem = f"its {MANIFEST} was altered, or the folder was renamed"
    return Snapshot(id=folder.name, path=folder, made_ns=made_ns, manifest=manifest, problem=problem)


def _verified(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with its rows held against their hash."""
    if snapshot.problem:
        return snapshot
    problem = ""
    try:
        with (snapshot.path / EXAMPLES).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != snapshot.manifest.get("sha256"):
                problem = f"its {EXAMPLES} was altered: the hash differs from the manifest's"
    except OSError as error:
        problem = f"its {EXAMPLES} cannot be read ({error.strerror or error})"
    return replace(snapshot, problem=problem)
