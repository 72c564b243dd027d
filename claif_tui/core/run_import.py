"""Bringing a run from elsewhere into a project: a run directory, or a tar archive of one. Nothing of it is executed.

What only the cluster that it ran on could use stays behind; so do the models, if that is asked.
"""

from __future__ import annotations

import secrets
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import engine.rundir as rundir
from claif_tui.core import slurm_queue
from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.runs import FOLDER, LIVE, told
from engine.errors import EngineError
from engine.events import ends_of
from engine.rundir import State

_LEFT = shutil.ignore_patterns("*.part", "*_submitted.pkl", "*_result.pkl", ".submission_file_*")
"""Half-written files, and what submitit keeps for a job."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The run as it is in the project; ``models``: its checkpoints came along."""

    name: str
    path: Path
    state: State
    why: str
    models: bool


def import_run(project: Path, source: Path, name: str = "", *, models: bool = True) -> Imported:
    """Copy a run directory, or a tar archive of one, into the project; ``models`` False leaves its checkpoints out.

    ``ClaifError`` if it is no run, may still be running, holds links, or the name or the run itself is there already.
    """
    (project / FOLDER).mkdir(parents=True, exist_ok=True)
    staged = project / FOLDER / f".importing-{secrets.token_hex(6)}"
    try:
        with _opened(source, staged) as folder:
            return _taken_in(project, folder, name or _plain(source), bool(name), models, staged / "run")
    except (OSError, shutil.Error) as error:
        raise InputError(
            f"{source} cannot be copied to {project / FOLDER}: {_reason(error)}",
            "Check free space and permissions.",
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _taken_in(project: Path, source: Path, name: str, chosen: bool, models: bool, staged: Path) -> Imported:
    with told():
        rundir.read_config(source)
        how = slurm_queue.condition(source)
    if how.state in LIVE:
        raise UsageError(f"{source.name} is {how.state} ({how.why})", "Import it once it has ended.")
    if name.startswith(".") or "/" in name:
        raise UsageError(f"{name!r} cannot be the name of a run", "Choose a plain name.")
    target = project / FOLDER / name
    if not chosen and (same := _same(project, source)):
        raise UsageError(
            f"the project has this run already: {same}",
            f"--name keeps both; to take the new copy instead, delete {project / FOLDER / same} first.",
        )
    if target.exists():
        raise UsageError(f"the project has a run {name} already", "Give the import another name: --name.")
    _only_plain(source)
    left = _LEFT if models else _without_models
    shutil.copytree(source, staged, ignore=left, symlinks=True)
    staged.rename(target)
    kept = (target / rundir.CHECKPOINTS).is_dir()
    return Imported(name=name, path=target, state=how.state, why=how.why, models=kept)


def _without_models(folder: str, names: list[str]) -> set[str]:
    return {*_LEFT(folder, names), *(name for name in names if name == rundir.CHECKPOINTS)}


def _only_plain(source: Path) -> None:
    passed = {str(path) for path in source.rglob(".submission_file_*")}
    for entry in source.rglob("*"):
        if str(entry) not in passed and (entry.is_symlink() or not (entry.is_file() or entry.is_dir())):
            raise InputError(
                f"{entry} is no plain file", "Copy the run with its links resolved, then import that."
            )


def _same(project: Path, source: Path) -> str:
    """Return the name of the run in the project that began with the same event as this one, "" if there is none."""
    first = _first(source)
    for path in sorted((project / FOLDER).iterdir()) if first else ():
        if not path.name.startswith(".") and _first(path) == first:
            return path.name
    return ""


def _first(path: Path) -> object:
    try:
        events = ends_of(path / rundir.EVENTS)
    except EngineError:
        return None
    return (events[0].get("t"), events[0].get("config"), events[0]["kind"]) if events else None


# Archives


@contextmanager
def _opened(source: Path, staged: Path) -> Iterator[Path]:
    """Yield the run directory: ``source`` itself, or what its archive holds."""
    if source.is_dir():
        staged.mkdir()
        yield source
        return
    if not source.exists():
        raise InputError(f"{source} does not exist", "Name a run directory, or a tar archive of one.")
    try:
        with tarfile.open(source) as archive:
            (staged / "unpacked").mkdir(parents=True)
            _unpack(archive, source, staged / "unpacked")
    except (tarfile.TarError, EOFError) as error:
        raise InputError(
            f"{source} is neither a run directory nor a whole tar archive of one ({error})",
            "Pack it with tar czf NAME.tgz NAME, and copy it whole.",
        ) from error
    found = [file.parent for file in (staged / "unpacked").glob("**/" + rundir.CONFIG)]
    found = [folder for folder in found if (folder / rundir.EVENTS).exists()]
    if len(found) != 1:
        raise InputError(
            f"{source} holds {len(found)} run directories, expected one", "Pack one run an archive."
        )
    yield found[0]


def _unpack(archive: tarfile.TarFile, source: Path, target: Path) -> None:
    """Write the archive's files and nothing else: no link, no device, nothing outside ``target``."""
    for member in archive:
        place = PurePosixPath(member.name)
        if member.isdir() or ".submission_file_" in member.name:
            continue
        if not member.isfile() or place.is_absolute() or ".." in place.parts:
            raise InputError(
                f"{source}: {member.name} is no plain file inside it",
                "Pack the run's own folder, links resolved.",
            )
        content = archive.extractfile(member)
        assert content is not None  # it is a file
        path = target / place
        path.parent.mkdir(parents=True, exist_ok=True)
        with content, path.open("xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)


def _plain(source: Path) -> str:
    """The run's name by that of its folder or archive."""
    name = source.resolve().name
    if source.is_file():
        for ending in (".tar.gz", ".tar.xz", ".tar.bz2", ".tgz", ".tar"):
            name = name.removesuffix(ending)
    return name


def _reason(error: OSError | shutil.Error) -> str:
    """Name the cause; ``shutil`` gathers many errors into one without a number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error.args[0][0][2]) if error.args and isinstance(error.args[0], list) else str(error)
