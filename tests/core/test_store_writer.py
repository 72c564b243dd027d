"""The writing thread: one commit for many, a failing item alone, nothing confirmed that is not on disk."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from claif_tui.core.errors import StoreError
from claif_tui.core.store.store import Store
from tests.core.store_children import finish, said, start


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as opened:
        yield opened


def put(conn: sqlite3.Connection, name: str, size: int = 2) -> None:
    conn.execute("INSERT INTO recipes VALUES (?, ?, '', '')", (name, "x" * size))


def putting(name: str, size: int = 2) -> Callable[[sqlite3.Connection], None]:
    return lambda conn: put(conn, name, size)


def waiting(gate: threading.Event) -> Callable[[sqlite3.Connection], None]:
    """An item that holds the writer until the gate opens, so that the next ones queue up behind it."""

    def work(conn: sqlite3.Connection) -> None:
        gate.wait()

    return work


def names(store: Store) -> list[str]:
    return sorted(name for name, _, _ in store.recipes.list())


async def test_what_waits_is_committed_together(store: Store) -> None:
    statements: list[str] = []
    store.write(lambda conn: conn.set_trace_callback(statements.append))
    gate = threading.Event()
    first = asyncio.create_task(store.awrite(waiting(gate)))
    rest = [asyncio.create_task(store.awrite(putting(f"{n:03}"))) for n in range(300)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *rest)
    assert statements.count("COMMIT") <= 3, "300 items are not 300 commits"
    assert len(names(store)) == 300


async def test_a_failing_item_is_rolled_back_alone(store: Store) -> None:
    def bad(conn: sqlite3.Connection) -> None:
        put(conn, "half")
        raise ValueError("no")

    gate = threading.Event()
    held = asyncio.create_task(store.awrite(waiting(gate)))
    tasks = [asyncio.create_task(store.awrite(work)) for work in (putting("a"), bad, putting("b"))]
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.gather(held, *tasks, return_exceptions=True)
    assert isinstance(results[2], ValueError)
    assert [results[1], results[3]] == [None, None]
    assert names(store) == ["a", "b"]


async def test_a_broken_rule_of_the_schema_reaches_the_caller_as_such(store: Store) -> None:
    await store.awrite(putting("a"))
    with pytest.raises(sqlite3.IntegrityError):
        await store.awrite(putting("a"))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        store.write(lambda conn: conn.execute("SELECT * FROM absent"))


def test_a_rule_checked_only_at_the_commit_fails_its_item_alone(store: Store) -> None:
    def orphan(conn: sqlite3.Connection) -> None:
        conn.execute("PRAGMA defer_foreign_keys=ON")
        conn.execute("INSERT INTO import_issues VALUES (1, 99, 1, 'x', '')")

    async def both() -> list[object]:
        gate = threading.Event()
        tasks = [asyncio.create_task(store.awrite(waiting(gate)))]
        tasks.append(asyncio.create_task(store.awrite(orphan)))
        tasks.append(asyncio.create_task(store.awrite(putting("good"))))
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(both())
    assert isinstance(results[1], sqlite3.IntegrityError)
    assert results[2] is None
    assert names(store) == ["good"]


async def test_a_cancelled_wait_does_not_take_the_work_back(store: Store) -> None:
    gate = threading.Event()
    held = asyncio.create_task(store.awrite(waiting(gate)))
    task = asyncio.create_task(store.awrite(putting("kept")))
    await asyncio.sleep(0)
    task.cancel()
    gate.set()
    await held
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.awrite(lambda conn: None)
    assert names(store) == ["kept"]


def test_an_item_that_waits_for_another_is_told_instead_of_hanging(store: Store) -> None:
    with pytest.raises(RuntimeError, match="pass the connection on"):
        store.write(lambda conn: store.write(lambda inner: None))


def test_threads_and_loops_write_side_by_side(store: Store) -> None:
    async def many(prefix: str) -> None:
        await asyncio.gather(*(store.awrite(putting(f"{prefix}{n:02}")) for n in range(50)))

    def some(prefix: str) -> None:
        for n in range(50):
            store.write(putting(f"{prefix}{n:02}"))

    threads = [threading.Thread(target=asyncio.run, args=(many(p),)) for p in "ab"]
    threads += [threading.Thread(target=some, args=(p,)) for p in "cd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(store)) == 200


def test_two_processes_write_side_by_side(store: Store) -> None:
    code = (
        "with Store.open(folder) as store:\n"
        "    ready('open'); wait()\n"
        "    for n in range(100):\n"
        "        store.recipes.save(f'b{n}', '{}')\n"
    )
    child = start(store.folder, code)
    assert said(child) == "open"
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    for n in range(100):
        store.write(putting(f"a{n}"))
    finish(child)
    assert len(names(store)) == 200


def test_what_was_confirmed_survives_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    Store.create(folder).close()
    code = (
        "store = Store.open(folder)\n"
        "for n in range(10_000):\n"
        "    store.recipes.save(f'{n:05}', '{}')\n"
        "    ready(n)\n"
    )
    child = start(folder, code)
    for _ in range(20):
        last = int(said(child))
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    confirmed = [int(line) for line in rest.splitlines() if line] or [last]
    with Store.open(folder) as store:
        saved = names(store)
    assert len(saved) >= confirmed[-1] + 1
    assert saved == [f"{n:05}" for n in range(len(saved))]


async def test_a_full_disk_fails_what_does_not_fit_and_keeps_the_rest(store: Store) -> None:
    store.write(putting("before"))
    pages = store.write(lambda conn: int(conn.execute("PRAGMA page_count").fetchone()[0]))
    store.write(lambda conn: conn.execute(f"PRAGMA max_page_count={pages + 8}"))
    gate = threading.Event()
    held = asyncio.create_task(store.awrite(waiting(gate)))
    tasks = [
        asyncio.create_task(store.awrite(putting(name, size)))
        for name, size in (("small1", 10), ("huge", 4_000_000), ("small2", 10))
    ]
    await asyncio.sleep(0)
    gate.set()
    _, one, huge, two = await asyncio.gather(held, *tasks, return_exceptions=True)
    assert (one, two) == (None, None), "the answers that fit are kept"
    assert isinstance(huge, StoreError)
    assert "the disk is full" in huge.message
    assert "Free some space" in huge.hint
    assert names(store) == ["before", "small1", "small2"]
    store.write(lambda conn: conn.execute("PRAGMA max_page_count=1073741823"))
    store.write(putting("huge", 4_000_000))
    assert names(store) == ["before", "huge", "small1", "small2"]


def test_a_file_that_may_not_grow_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    Store.create(folder).close()
    code = (
        "import resource\n"
        "store = Store.open(folder)\n"
        "store.recipes.save('before', '{}')\n"
        "limit = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))\n"
        "try:\n    store.recipes.save('huge', 'x' * 3_000_000)\n"
        "except StoreError as error:\n    ready(error.message)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limit)\n"
        "store.recipes.save('after', '{}')\n"
        "store.close()\n"
    )
    child = start(folder, code)
    message = said(child)
    finish(child)
    assert "full" in message
    assert "claif.db" in message
    with Store.open(folder) as store:
        assert names(store) == ["after", "before"]
