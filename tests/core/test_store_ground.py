"""Making and opening projects: what is refused, in which words, and that a refused file stays as it was."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from claif_tui.core.errors import BusyError, StoreError
from claif_tui.core.store import connection
from claif_tui.core.store.migrations import APPLICATION_ID
from claif_tui.core.store.store import Store
from tests.core.store_children import finish, said, start


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Store.create(tmp_path / "p").close()
    return tmp_path / "p"


def add_source(store: Store, path: str = "a.txt") -> int:
    return store.write(
        lambda conn: store.sources.begin(
            conn, path=path, role="seeds", format="text", split="train", sha256="0"
        )
    )


def test_a_new_project_has_its_folders_and_opens_again_with_what_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "p"
    with Store.create(folder) as store:
        assert store.author == "tester"
        assert store.notices == ()
        add_source(store)
    assert sorted(path.name for path in folder.iterdir()) == ["claif.db", "exports", "runs", "snapshots"]
    with Store.open(folder, author="anna") as store:
        assert store.author == "anna"
        assert [source.path for source in store.sources.list()] == ["a.txt"]


def test_the_file_is_marked_as_ours_and_written_durably(folder: Path) -> None:
    with Store.open(folder) as store:
        settings = store.write(
            lambda conn: [
                conn.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("application_id", "journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        )
    assert settings == [APPLICATION_ID, "wal", 2, 1, 5000]


def test_every_table_is_strict_but_the_search_index(folder: Path) -> None:
    with Store.open(folder) as store, store.read() as conn:
        loose = conn.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict"
            " AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%_fts%' AND name NOT LIKE '_sqlite_%'"
        ).fetchall()
    assert loose == []


def test_a_project_is_not_made_over_another(folder: Path) -> None:
    before = (folder / "claif.db").read_bytes()
    with pytest.raises(StoreError, match="already is a project"):
        Store.create(folder)
    assert (folder / "claif.db").read_bytes() == before


def test_a_project_is_not_made_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("a file")
    with pytest.raises(StoreError, match=r"not a folder|Not a directory"):
        Store.create(tmp_path / "p")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "No such folder"),
        (lambda folder: folder.write_text("x"), "is a file, not a project folder"),
        (lambda folder: folder.mkdir(), "is not a project: it has no claif.db"),
        (lambda folder: (folder / "claif.db").mkdir(parents=True), "is not a file"),
    ],
)
def test_what_is_no_project_is_named(tmp_path: Path, make: Callable[[Path], object], words: str) -> None:
    folder = tmp_path / "p"
    make(folder)
    with pytest.raises(StoreError, match=words) as caught:
        Store.open(folder)
    assert caught.value.hint
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to look like one" * 40])
def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "claif.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"not a claif-tui project database|not a SQLite database"):
        Store.open(tmp_path)
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["claif.db"]


def test_the_database_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "claif.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE notes(text)")
        conn.execute("PRAGMA user_version=1")
        conn.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a claif-tui project database"):
        Store.open(tmp_path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_untouched(folder: Path) -> None:
    path = folder / "claif.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA journal_mode=DELETE")
        conn.execute("PRAGMA user_version=99")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer claif-tui .schema 99") as caught:
        Store.open(folder)
    assert "Upgrade" in caught.value.hint
    assert path.read_bytes() == before


def test_a_damaged_database_says_so_when_it_is_read(folder: Path) -> None:
    with Store.open(folder) as store:
        source = add_source(store)
        rows = [(f"sentence {n} " * 40, n) for n in range(400)]
        store.write(lambda conn: store.seeds.add_batch(conn, source, "train", rows))
    path = folder / "claif.db"
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = b"\xff" * (len(data) - half)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged") as caught, Store.open(folder) as store:
        list(store.seeds.iter())
    assert "backup" in caught.value.hint


def test_a_database_that_another_process_locks_is_named_as_busy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = start(
        folder,
        "import sqlite3\n"
        "conn = sqlite3.connect(folder / 'claif.db', isolation_level=None)\n"
        "conn.execute('BEGIN IMMEDIATE')\n"
        "ready('locked')\n"
        "wait()\n",
    )
    assert said(child) == "locked"
    monkeypatch.setattr(connection, "BUSY_MS", 50)
    with Store.open(folder) as store:
        assert store.seeds.count() == 0, "reading goes on beside a writer"
        with pytest.raises(BusyError, match="another process holds a lock"):
            add_source(store)
        finish(child)
        assert add_source(store) == 1


@pytest.mark.parametrize("target", ["folder", "file"])
def test_a_read_only_project_is_named(target: str) -> None:
    code = (
        "if os.getuid() == 0:\n    os.setgid(65534); os.setuid(65534)\n"
        "try:\n    Store.open(folder)\nexcept StoreError as error:\n    ready(error.message)\n"
    )
    # Not in tmp_path: its parents are closed to the user that a test run by root becomes.
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "p"
        Store.create(folder).close()
        folder.chmod(0o555 if target == "folder" else 0o777)
        (folder / "claif.db").chmod(0o444)
        child = start(folder, code)
        message = said(child)
        finish(child)
        folder.chmod(0o755)
    assert f"{'p' if target == 'folder' else 'claif.db'} is read-only for you" in message


def test_an_up_to_date_project_opens_without_the_migration_library(folder: Path) -> None:
    code = "import sys; store = Store.open(folder); store.close(); ready('sqlite_utils' in sys.modules)"
    child = start(folder, code)
    assert said(child) == "False"
    finish(child)


def test_data_version_sees_own_commits_and_those_of_other_processes(folder: Path) -> None:
    with Store.open(folder) as store:
        first = store.data_version()
        assert store.data_version() == first
        add_source(store)
        second = store.data_version()
        assert second != first
        child = start(
            folder,
            "with Store.open(folder) as store:\n"
            "    store.recipes.save('abc', '{}')\n"
            "    ready('saved')\n"
            "    wait()\n",
        )
        assert said(child) == "saved"
        assert store.data_version() != second
        assert store.recipes.get("abc") == "{}"
        finish(child)


def test_a_reader_sees_one_state_within_a_read_and_cannot_write(folder: Path) -> None:
    with Store.open(folder) as store:
        with store.read() as conn:
            assert conn.execute("SELECT count(*) FROM sources").fetchone() == (0,)
            writer = threading.Thread(target=add_source, args=(store,))
            writer.start()
            writer.join()
            assert conn.execute("SELECT count(*) FROM sources").fetchone() == (0,)
            with store.read() as nested:
                assert nested.execute("SELECT count(*) FROM sources").fetchone() == (0,)
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                conn.execute("DELETE FROM sources")
        assert len(store.sources.list()) == 1


def test_a_closed_project_says_so_and_closing_twice_is_fine(folder: Path) -> None:
    store = Store.open(folder)
    store.close()
    store.close()
    for use in (store.seeds.count, store.data_version, lambda: add_source(store)):
        with pytest.raises(StoreError, match="closed"):
            use()


def test_closing_cuts_off_a_long_read_in_another_thread(folder: Path) -> None:
    store = Store.open(folder)
    reading = threading.Event()
    caught: list[BaseException] = []

    def read() -> None:
        try:
            with store.read() as conn:
                conn.execute("SELECT 1").fetchall()
                reading.set()
                conn.execute(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
                ).fetchall()
        except StoreError as error:
            caught.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    reading.wait()
    store.close()
    thread.join()
    assert "closed" in str(caught[0])


def test_closing_folds_the_log_into_the_database(folder: Path) -> None:
    with Store.open(folder) as store:
        add_source(store)
        assert (folder / "claif.db-wal").stat().st_size > 0
    assert not (folder / "claif.db-wal").exists()


def test_the_author_is_the_login_name_unless_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAIF_TUI_AUTHOR")
    monkeypatch.setenv("LOGNAME", "berta")
    with Store.open(folder) as store:
        assert store.author == "berta"


def test_importing_the_store_loads_nothing_heavy() -> None:
    code = (
        "import sys; import claif_tui.core.store.store; "
        "print([name for name in ('sqlite_utils', 'numpy', 'aiohttp', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
