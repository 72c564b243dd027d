"""Snapshots as files: a folder or a packed one, found, opened and held against their own hashes. No rows here."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.datafiles.source import ByteFile
from engine.errors import DataError

EXAMPLES = "examples.jsonl"
MANIFEST = "manifest.json"
VERSION = 1
ID_LENGTH = 12

_MAX_MANIFEST = 16 << 20
_AGAIN = "Take a fresh copy of it, or make it again: claif-tui snapshot create."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An open snapshot. ``manifest`` is as written; its id is checked, the rows' hash only once they were read."""

    name: str
    file: ByteFile
    manifest: dict[str, Any]

    @property
    def id(self) -> str:
        """The snapshot's id."""
        return str(self.manifest["id"])

    @property
    def smoothing(self) -> float | None:
        """The epsilon that its labels were smoothed with, 0 for none, None where it does not say (files elsewhere)."""
        found = self.manifest.get("smoothing")
        if not isinstance(found, dict):
            return None
        return float(found.get("epsilon", 0.0)) if found.get("applied") else 0.0

    def verify(self) -> None:
        """Raise ``DataError`` unless the rows, read to their end, are those that were frozen."""
        if self.file.sha256 != self.manifest.get("sha256"):
            raise DataError(
                f"{self.name}: {EXAMPLES} is not what was frozen: its hash differs from the manifest's", _AGAIN
            )


def content_id(manifest: dict[str, Any]) -> str:
    """Return the id that a manifest must have: SHA-256 over all it states, the rows' hash included, but the id."""
    facts = {name: value for name, value in manifest.items() if name != "id"}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:ID_LENGTH]


def find_snapshot(path: Path) -> Snapshot | None:
    """Open ``path`` if it is a snapshot's folder, its examples.jsonl, or a packed snapshot; else return None.

    Raises ``DataError`` for one that is incomplete or was altered.
    """
    if path.is_dir() and (path / MANIFEST).is_file():
        folder = path
    elif path.name in (EXAMPLES, MANIFEST) and (path.parent / MANIFEST).is_file():
        folder = path.parent
    elif path.is_file() and zipfile.is_zipfile(path):
        return _open_packed(path)
    else:
        return None
    name = str(folder)
    manifest = _manifest(name, (folder / MANIFEST).read_bytes())
    return Snapshot(name, ByteFile.open(folder / EXAMPLES), manifest)


def _open_packed(path: Path) -> Snapshot:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {Path(info.filename).name: info for info in archive.infolist()}
            if not {EXAMPLES, MANIFEST} <= set(members):
                raise DataError(
                    f"{path}: is a zip archive without {EXAMPLES} and {MANIFEST}: no packed snapshot",
                    "Unpack it, and name the data file.",
                )
            if members[MANIFEST].file_size > _MAX_MANIFEST:
                raise DataError(f"{path}: its {MANIFEST} is too large to be one", _AGAIN)
            manifest = _manifest(str(path), archive.read(members[MANIFEST]))
            if members[EXAMPLES].file_size != manifest.get("bytes"):
                raise DataError(f"{path}: {EXAMPLES} has another size than the manifest says", _AGAIN)
            # A file without a name: gone with this process, however it ends.
            rows = tempfile.TemporaryFile(prefix="claif-snapshot-")  # noqa: SIM115  (the examples hold it)
            try:
                with archive.open(members[EXAMPLES]) as packed:
                    shutil.copyfileobj(packed, rows, 1 << 20)
                rows.flush()
            except OSError as error:
                rows.close()
                raise DataError(
                    f"{path}: cannot be unpacked to {tempfile.gettempdir()} ({error.strerror or error})",
                    "Make room there, or name another place: TMPDIR=/place",
                ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: is a damaged zip archive ({error})", _AGAIN) from None
    return Snapshot(str(path), ByteFile(rows, f"{path}:{EXAMPLES}"), manifest)


def _manifest(name: str, raw: bytes) -> dict[str, Any]:
    try:
        manifest: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: {MANIFEST} is not JSON ({error})", _AGAIN) from None
    version = manifest.get("manifest_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int) or not isinstance(manifest.get("sha256"), str):
        raise DataError(f"{name}: {MANIFEST} is not that of a snapshot", _AGAIN)
    if version > VERSION:
        raise DataError(
            f"{name}: was made by a newer version ({manifest.get('made_by')})",
            "Upgrade: pip install -U claif-tui",
        )
    facts: dict[str, Any] = manifest
    if facts.get("id") != content_id(facts):
        raise DataError(f"{name}: {MANIFEST} was altered: it does not match its id {facts.get('id')}", _AGAIN)
    return facts
