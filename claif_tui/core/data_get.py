"""Getting public data into a folder in SentEval's layout: fetched, held against hashes, unpacked, checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from claif_tui.core.atomic import replacing
from claif_tui.core.data_fetch import Progress, digest, disk_error, fetch, refuse
from claif_tui.core.data_sources import SETS, Archive, wanted
from claif_tui.core.data_unpack import unpack
from claif_tui.core.datasets import SetState, check
from claif_tui.core.errors import InputError

DOWNLOADS = "downloads"
RECORD = "record.json"
Trust = Literal["published hash", "recorded hash", "first use"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Had:
    """An archive that is there: ``fetched`` now or before, and what its content was held against."""

    name: str
    path: Path
    sha256: str
    bytes: int
    trust: Trust
    fetched: bool
    resumed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What came of it: the archives, the files they gave, what is to be said, and the state of each evaluation set."""

    data: Path
    archives: tuple[Had, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...]
    sets: tuple[SetState, ...]

    @property
    def complete(self) -> bool:
        """Whether every evaluation set that was asked for is whole and in English."""
        return all(one.state == "complete" for one in self.sets)


def get(
    groups: Sequence[str], out: Path, *, base_url: str | None = None, progress: Progress | None = None
) -> Got:
    """Fetch the archives of the groups to ``out/downloads`` where they are missing, and unpack what is wanted. Blocks.

    An archive without a published hash is recorded as it first came, and held against that from then on. Raises
    ``ClaifError``; what was fetched until then is kept.
    """
    downloads = out / DOWNLOADS
    try:
        downloads.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(downloads, error) from error
    archives: list[Had] = []
    files: list[str] = []
    notes: list[str] = []
    for one in wanted(groups, base_url):
        had = _have(one.archive, downloads, progress)
        archives.append(had)
        found = unpack(had.path, one, out)
        files += found.files
        notes += found.notes
        if found.left:
            notes.append(f"{had.name}: {found.left:,} other files were left in it")
    names = {name for group in groups for name in SETS[group]}
    sets = tuple(one for one in check(out).sets if one.name in names) if names else ()
    return Got(data=out, archives=tuple(archives), files=tuple(files), notes=tuple(notes), sets=sets)


def _have(archive: Archive, downloads: Path, progress: Progress | None) -> Had:
    path, record = downloads / archive.name, _record(downloads)
    known = record.get(archive.name, {}).get("sha256")
    expected = archive.sha256 or known
    fetched, resumed_at = not path.exists(), 0
    try:
        if fetched:
            done = fetch(archive.url, path, sha256=expected, limit=archive.limit, progress=progress)
            found, resumed_at = done.sha256, done.resumed_at
        else:
            found = digest(path)
            if expected is not None and found != expected:
                raise refuse(path, path, found, expected)
        size = path.stat().st_size
        if known != found:
            when = datetime.now(UTC).isoformat(timespec="seconds")
            source = archive.url if fetched else "found in this folder"
            record[archive.name] = {"sha256": found, "bytes": size, "from": source, "recorded": when}
            with replacing(downloads / RECORD) as file:
                file.write(json.dumps(record, indent=2).encode() + b"\n")
    except OSError as error:
        raise disk_error(path, error) from error
    trust: Trust = "published hash" if archive.sha256 else "recorded hash" if known else "first use"
    return Had(
        name=archive.name,
        path=path,
        sha256=found,
        bytes=size,
        trust=trust,
        fetched=fetched,
        resumed_at=resumed_at,
    )


def _record(downloads: Path) -> dict[str, Any]:
    """Return what was recorded of earlier downloads."""
    path = downloads / RECORD
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise disk_error(path, error) from error
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(about, dict) for about in found.values()):
        raise InputError(f"{path} is not the record of downloads", "Restore it, or move it away to begin anew.")
    return found
