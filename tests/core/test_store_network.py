"""Projects on network filesystems: found by the mount table, no shared-memory log, one host at a time."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from claif_tui.core.errors import BusyError, StoreError
from claif_tui.core.store import project
from claif_tui.core.store.project import LEASE, network_filesystem
from claif_tui.core.store.store import Store
from tests.core.store_children import finish, said, start

MOUNTS = r"""
/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
server:/export /home nfs4 rw 0 0
/dev/sdb1 /home/local ext4 rw 0 0
//win/share /mnt/my\040share cifs rw 0 0
me@box:/ /mnt/box fuse.sshfs rw 0 0
tmpfs /home2 tmpfs rw 0 0
server:/b /over nfs rw 0 0
/dev/sdc1 /over ext4 rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/anna/project", "nfs4"),
        ("/home", "nfs4"),
        ("/home/local/project", None),
        ("/home2/project", None),
        ("/mnt/my share/p", "cifs"),
        ("/mnt/box/p", "fuse.sshfs"),
        ("/over/p", None),
        ("/elsewhere", None),
    ],
)
def test_the_innermost_mount_decides(folder: str, kind: str | None) -> None:
    assert network_filesystem(Path(folder), MOUNTS) == kind


def test_an_unknown_mount_table_counts_as_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(project, "MOUNTS", tmp_path / "absent")
    assert network_filesystem(tmp_path) is None


def test_the_mount_table_of_macos_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.write_text(
        "#!/bin/sh\n"
        "echo '/dev/disk1s1 on / (apfs, local, journaled)'\n"
        "echo '//me@box/share on /Volumes/My Share (smbfs, nodev, nosuid)'\n"
    )
    mount.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(project, "SYSTEM", "Darwin")
    assert network_filesystem(Path("/Volumes/My Share/p")) == "smbfs"
    assert network_filesystem(Path("/Users/me/p")) is None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project in a folder that the mount table calls NFS."""
    share = tmp_path / "share"
    Store.create(share / "p").close()
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/export {share} nfs rw 0 0\n")
    monkeypatch.setattr(project, "MOUNTS", mounts)
    yield share / "p"


def other_host(folder: Path, age: float = 0.0) -> None:
    """A lease as another host leaves it, last renewed ``age`` seconds ago."""
    lease = folder / LEASE
    lease.write_text(json.dumps({"host": "node7", "pid": 4711, "mark": "x", "since": "2026-01-01T00:00:00Z"}))
    moment = lease.stat().st_mtime - age
    os.utime(lease, (moment, moment))


def journal(store: Store) -> str:
    return store.write(lambda conn: str(conn.execute("PRAGMA journal_mode").fetchone()[0]))


def test_a_rollback_journal_and_a_lease_said_in_one_line(folder: Path) -> None:
    with Store.open(folder) as store:
        assert journal(store) == "delete"
        (notice,) = store.notices
        assert "nfs" in notice
        assert "\n" not in notice
        assert json.loads((folder / LEASE).read_text())["pid"] == os.getpid()
        store.recipes.save("abc", "{}")
        assert store.recipes.get("abc") == "{}"
    assert sorted(path.name for path in folder.iterdir()) == ["claif.db", "exports", "runs", "snapshots"]


def test_a_project_made_there_is_opened_the_same_way(folder: Path) -> None:
    with Store.create(folder.parent / "q") as store:
        assert journal(store) == "delete"
        assert store.notices


def test_another_host_in_the_project_is_named(folder: Path) -> None:
    other_host(folder, age=60)
    with pytest.raises(BusyError, match=r"node7.*4711.*2026-01-01") as caught:
        Store.open(folder)
    assert "one host at a time" in caught.value.hint
    assert json.loads((folder / LEASE).read_text())["host"] == "node7", "its lease is untouched"


@pytest.mark.parametrize("content", [None, "{broken", "[]"])
def test_a_lease_that_was_not_renewed_is_taken_over(folder: Path, content: str | None) -> None:
    other_host(folder)
    if content is not None:
        (folder / LEASE).write_text(content)
    old = (folder / LEASE).stat().st_mtime - 200
    os.utime(folder / LEASE, (old, old))
    with Store.open(folder) as store:
        store.recipes.save("abc", "{}")
        assert json.loads((folder / LEASE).read_text())["pid"] == os.getpid()
    assert not list(folder.glob(f"{LEASE}*"))


def test_processes_of_one_host_share_the_lease(folder: Path) -> None:
    code = (
        "from claif_tui.core.store import project\n"
        "project.MOUNTS = Path(sys.argv[2])\n"
        "with Store.open(folder) as store:\n"
        "    ready('open'); wait()\n"
        "    store.recipes.save('child', '{}')\n"
    )
    with Store.open(folder) as store:
        child = start(folder, code, str(project.MOUNTS))
        assert said(child) == "open"
        store.recipes.save("parent", "{}")
        finish(child)
        store.recipes.save("after", "{}")
        assert {name for name, _, _ in store.recipes.list()} == {"child", "parent", "after"}


def test_a_lost_lease_stops_writing_before_anything_is_changed(folder: Path) -> None:
    with Store.open(folder) as store:
        other_host(folder)
        with pytest.raises(BusyError, match="node7"):
            store.recipes.save("abc", "{}")
        (folder / LEASE).unlink()
        assert store.recipes.get("abc") is None
        store.recipes.save("abc", "{}")
        other_host(folder)
    assert (folder / LEASE).exists(), "another host's lease is not ours to give up"


def test_the_lease_is_renewed_while_in_use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "RENEW_SECONDS", -1.0)
    with Store.open(folder) as store:
        old = (folder / LEASE).stat().st_mtime - 50
        os.utime(folder / LEASE, (old, old))
        store.recipes.save("abc", "{}")
        assert (folder / LEASE).stat().st_mtime > old + 40


def test_a_project_open_elsewhere_with_the_local_journal_is_refused(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "claif.db")) as conn:
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("SELECT count(*) FROM seeds").fetchone()
        with pytest.raises(StoreError, match=r"open in another process|lock"):
            Store.open(folder)
    assert not (folder / LEASE).exists(), "a failed opening gives the lease up"


def test_back_on_a_local_disk_the_fast_journal_returns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(folder).close()
    project.MOUNTS.write_text("/dev/sda1 / ext4 rw 0 0\n")
    with Store.open(folder) as store:
        assert journal(store) == "wal"
        assert store.notices == ()
