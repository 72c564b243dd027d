"""The project folder on disk: what is in it, whether it can be used, and by which host. No SQL."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from claif_tui.core.errors import BusyError, StoreError
from claif_tui.core.store.process import own_mark, this_host

DATABASE = "claif.db"
LEASE = "claif.db.lease"
FOLDERS = ("snapshots", "runs", "exports")

SYSTEM = os.uname().sysname
MOUNTS = Path("/proc/mounts")
NETWORK_FILESYSTEMS = frozenset(
    [
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "ncpfs", "afs", "9p"),
        *("lustre", "gpfs", "beegfs", "ceph", "glusterfs", "orangefs", "pvfs2", "virtiofs", "fuse.sshfs"),
        *("fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.davfs", "fuse.smbnetfs"),
        *("fuse.gcsfuse", "fuse.juicefs", "fuse.mfs", "fuse.beegfs"),
    ]
)

LEASE_SECONDS = 90.0
"""A lease of another host that was not renewed for so long is free to take."""
RENEW_SECONDS = 30.0


def database_in(folder: Path) -> Path:
    """Return the database of an existing project folder that can be written; ``StoreError`` otherwise."""
    try:
        if not folder.exists():
            raise StoreError(f"No such folder: {folder}", f"Make a project with: claif-tui init {folder}")
        if not folder.is_dir():
            raise StoreError(
                f"{folder} is a file, not a project folder", "Name the folder that holds claif.db."
            )
        path = folder / DATABASE
        if not path.exists():
            raise StoreError(
                f"{folder} is not a project: it has no {DATABASE}", f"Make one with: claif-tui init {folder}"
            )
        if not path.is_file():
            raise StoreError(f"{path} is not a file", "Move it away, or choose another folder.")
    except OSError as error:
        raise StoreError(
            f"Cannot look into {folder}: {error.strerror}", "Check the path and its permissions."
        ) from error
    for place in (folder, path):
        if not os.access(place, os.R_OK | os.W_OK):
            raise StoreError(
                f"{place} is read-only for you",
                "Make the folder and its files writable, or copy the project to where you can write.",
            )
    return path


def make_folders(folder: Path) -> None:
    """Make the project folder and those inside it; refuses a folder that already is a project."""
    if (folder / DATABASE).exists():
        raise StoreError(f"{folder} already is a project", f"Open it with: claif-tui -P {folder} …")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FOLDERS:
            (folder / name).mkdir(exist_ok=True)
    except FileExistsError as error:
        raise StoreError(f"{error.filename} is a file, not a folder", "Choose another folder.") from error
    except OSError as error:
        raise StoreError(
            f"Cannot make the project in {folder}: {error.strerror}", "Choose a folder where you may write."
        ) from error


def network_filesystem(folder: Path, mounts: str | None = None) -> str | None:
    """Return the type of the network filesystem that ``folder`` lies on; None for a local one or if unknown.

    ``mounts`` is text in the form of /proc/mounts; by default the system is asked.
    """
    if mounts is None:
        mounts = _mounts()
    place = folder.resolve()
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(_unescape(fields[1]))
        # A later mount on the same point hides an earlier one.
        if len(point.parts) >= best and (place == point or point in place.parents):
            best, kind = len(point.parts), fields[2]
    return kind if kind in NETWORK_FILESYSTEMS else None


def _mounts() -> str:
    """The mount table in the form of /proc/mounts; empty if it cannot be had."""
    if SYSTEM != "Darwin":
        try:
            return MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    try:
        done = subprocess.run(["mount"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = []
    for line in done.stdout.splitlines():  # "//user@host/share on /Volumes/share (smbfs, nodev)"
        where, _, options = line.partition(" on ")[2].rpartition(" (")
        where = where.replace(" ", "\\040")
        lines.append(f"x {where} {options.partition(',')[0].rstrip(')')}")
    return "\n".join(lines)


def _unescape(field: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field


@dataclass(frozen=True, slots=True)
class _Holder:
    host: str
    pid: int
    mark: str
    since: str


class Lease:
    """One host at a time on a network filesystem: a small file with who and when, renewed while in use.

    Processes of one host share it, since locks work between them.
    """

    def __init__(self, folder: Path, since: str) -> None:
        self._path = folder / LEASE
        self._since = since
        self._renewed = time.monotonic()
        self.ensure()

    def ensure(self) -> None:
        """Take or renew the lease; raises ``BusyError`` naming the other host if that one holds it."""
        try:
            self._ensure()
        except OSError as error:
            raise StoreError(
                f"The lease file {self._path} cannot be written: {error.strerror}",
                "Check space and permissions.",
            ) from error

    def release(self) -> None:
        """Give it up if this very process wrote it last."""
        holder = self._read()
        if holder is not None and (holder.host, holder.pid, holder.mark) == (
            this_host(),
            os.getpid(),
            own_mark(),
        ):
            self._path.unlink(missing_ok=True)

    def _ensure(self) -> None:
        holder = self._read()
        if holder is not None and holder.host != this_host():
            if self._age() < LEASE_SECONDS:
                raise BusyError(
                    f"The project is in use on another host: {holder.host} (process {holder.pid}, "
                    f"since {holder.since})",
                    "It lies on a network filesystem: one host at a time may use it. Close it there first.",
                )
            self._set_aside(holder)
            holder = None
        if holder is None:
            self._create()
        elif time.monotonic() - self._renewed > RENEW_SECONDS:
            self._replace()

    def _read(self) -> _Holder | None:
        try:
            return _Holder(**json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return _Holder(host="?", pid=0, mark="", since="?")

    def _text(self) -> str:
        return json.dumps(asdict(_Holder(this_host(), os.getpid(), own_mark(), self._since)))

    def _age(self) -> float:
        """Seconds since the lease was renewed by the clock of the file server, as hosts' clocks may differ."""
        probe = self._path.with_name(f"{LEASE}.{uuid.uuid4().hex}")
        try:
            probe.touch()
            return probe.stat().st_mtime - self._path.stat().st_mtime
        except FileNotFoundError:
            return 0.0  # given up this moment: whoever asks again will find it free
        finally:
            probe.unlink(missing_ok=True)

    def _create(self) -> None:
        """Make the file exclusively: of two hosts one succeeds."""
        try:
            with self._path.open("x", encoding="utf-8") as file:
                file.write(self._text())
            self._renewed = time.monotonic()
        except FileExistsError:
            self._ensure()

    def _replace(self) -> None:
        fresh = self._path.with_name(f"{LEASE}.{uuid.uuid4().hex}")
        fresh.write_text(self._text(), encoding="utf-8")
        fresh.replace(self._path)
        self._renewed = time.monotonic()

    def _set_aside(self, judged: _Holder) -> None:
        """Remove a dead host's lease, unless somebody else was quicker."""
        aside = self._path.with_name(f"{LEASE}.{uuid.uuid4().hex}")
        try:
            self._path.rename(aside)
            text = aside.read_text(encoding="utf-8")
            if _Holder(**json.loads(text)) != judged:
                with self._path.open("x", encoding="utf-8") as file:
                    file.write(text)
        except (FileNotFoundError, FileExistsError, ValueError, TypeError):
            pass
        finally:
            aside.unlink(missing_ok=True)
