"""Bringing a project up to date: a backup first, all or nothing, and only one of two processes does it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claif_tui.core.errors import StoreError
from claif_tui.core.store import store as store_module
from claif_tui.core.store.migrations import MIGRATIONS, Migration, version
from claif_tui.core.store.store import Store
from tests.core.store_children import finish, said, start

if TYPE_CHECKING:
    from sqlite_utils import Database

NOW = len(MIGRATIONS)


def _next(db: Database) -> None:
    db.execute("ALTER TABLE recipes ADD COLUMN note TEXT NOT NULL DEFAULT 'new'")


def _broken(db: Database) -> None:
    db.execute("DELETE FROM recipes")
    db.execute("ALTER TABLE recipes ADD COLUMN key TEXT PRIMARY KEY")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "p") as store:
        store.recipes.save("abc", "{}")
    return tmp_path / "p"


def backups(folder: Path) -> list[Path]:
    return sorted(folder.glob("claif.db.bak-*"))


def test_a_migration_leaves_a_readable_backup_of_the_old_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MIGRATIONS", (*MIGRATIONS, Migration("next", _next)))
    with Store.open(folder) as store:
        with store.read() as conn:
            assert version(conn) == NOW + 1
            assert conn.execute("SELECT id, note FROM recipes").fetchall() == [("abc", "new")]
        (backup,) = backups(folder)
        assert backup.name in store.notices[0]
    assert backup.name.startswith(f"claif.db.bak-v{NOW}-")
    with closing(sqlite3.connect(backup)) as old:
        assert version(old) == NOW
        assert old.execute("SELECT id, json FROM recipes").fetchall() == [("abc", "{}")]
        assert old.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with Store.open(folder) as store:
        assert store.notices == (), "what is up to date is left alone"
    assert len(backups(folder)) == 1


def test_the_backup_holds_what_only_the_log_of_another_process_has(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MIGRATIONS", (*MIGRATIONS, Migration("next", _next)))
    child = start(
        folder,
        "store = Store.open(folder)\nstore.recipes.save('late', '{}')\nready('saved')\nwait()\nos._exit(0)\n",
    )
    assert said(child) == "saved"
    Store.open(folder).close()
    finish(child)
    with closing(sqlite3.connect(backups(folder)[0])) as old:
        assert [row[0] for row in old.execute("SELECT id FROM recipes ORDER BY id")] == ["abc", "late"]


def test_a_failed_migration_changes_nothing_and_keeps_the_backup(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (*MIGRATIONS, Migration("next", _next), Migration("broken", _broken))
    monkeypatch.setattr(store_module, "MIGRATIONS", steps)
    with pytest.raises(sqlite3.OperationalError):
        Store.open(folder)
    assert len(backups(folder)) == 1
    monkeypatch.undo()
    with Store.open(folder) as store:
        assert store.recipes.get("abc") == "{}"
        with store.read() as conn:
            assert version(conn) == NOW
            columns = [row[1] for row in conn.execute("PRAGMA table_info(recipes)")]
    assert "note" not in columns


def test_no_backup_no_migration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MIGRATIONS", (*MIGRATIONS, Migration("next", _next)))
    monkeypatch.setattr(
        "claif_tui.core.store.migrations.backup_path", lambda path, found: folder / "missing" / "claif.db.bak"
    )
    with pytest.raises(StoreError, match="No backup could be written"):
        Store.open(folder)
    monkeypatch.undo()
    with Store.open(folder) as store, store.read() as conn:
        assert version(conn) == NOW


def test_of_two_processes_one_migrates(folder: Path) -> None:
    code = (
        "from claif_tui.core.store import store as module\n"
        "from claif_tui.core.store.migrations import MIGRATIONS\n"
        "from tests.core.test_store_migrations import Migration, _next\n"
        "module.MIGRATIONS = (*MIGRATIONS, Migration('next', _next))\n"
        "import sqlite_utils\n"
        "ready('set')\nwait()\n"
        "with Store.open(folder) as store:\n    ready(len(store.notices), store.recipes.get('abc'))\n"
    )
    children = [start(folder, code) for _ in range(2)]
    for child in children:
        assert said(child) == "set"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert sorted(finish(child).strip() for child in children) == ["0 {}", "1 {}"]
    assert len(backups(folder)) == 1
