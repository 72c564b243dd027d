"""The one thread of a process that writes; what is queued goes into one transaction. No tables here.

One commit costs a disk flush however much is in it, so the queue is drained before each commit, and whoever
waits hears of it after the commit.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

from claif_tui.core.errors import BusyError, StoreError
from claif_tui.core.store.connection import explain

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], object]

MAX_BATCH = 512
"""Items in one transaction at most, so that other processes get their turn."""
BEAT_SECONDS = 30.0
"""How often an idle writer renews the lease (network filesystems only)."""


class Guard(Protocol):
    """Something that must hold before each transaction: the lease on a network filesystem."""

    def ensure(self) -> None:
        """Raise ``StoreError`` if this process may not write now."""


class _Item:
    """One piece of work and who waits for it: an asyncio future with its loop, or a thread's future."""

    __slots__ = ("error", "loop", "result", "waiter", "work")

    def __init__(
        self,
        work: Work,
        waiter: asyncio.Future[object] | Future[object],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self.work = work
        self.waiter = waiter
        self.loop = loop
        self.result: object = None
        self.error: BaseException | None = None


class Writer:
    """Runs work items on its own connection and thread.

    An item that raises is rolled back alone. When SQLite gives up a whole transaction (a full disk), its
    items are repeated one by one, so an item may run twice but takes effect once: items must only touch
    the database. A waiter that is cancelled does not stop its item.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, guard: Guard | None = None) -> None:
        self._connection = connection
        self._path = path
        self._guard = guard
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="claif-writer", daemon=True)
        self._thread.start()

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in a transaction and return its result after the commit; blocks the calling thread."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a work item must not wait for another one: pass the connection on instead")
        waiter: Future[T] = Future()
        self._submit(_Item(work, waiter, None))  # type: ignore[arg-type]
        return waiter.result()

    async def awrite(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Like ``write``, awaited. Cancelling the await does not take the work back."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        self._submit(_Item(work, waiter, loop))  # type: ignore[arg-type]
        return await waiter

    def close(self) -> None:
        """Finish what is queued, fold the log into the database, close the connection. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _submit(self, item: _Item) -> None:
        with self._lock:
            if self._closed:
                raise StoreError("The project is closed", "Open it again.")
            self._queue.put(item)

    def _run(self) -> None:
        open_ = True
        while open_:
            batch, open_ = self._next_batch()
            if batch:
                self._commit(batch)
                _deliver(batch)
            elif open_ and self._guard is not None:
                self._beat()
        with suppress(sqlite3.Error):  # another process still reads; the last to leave folds the log in
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def _next_batch(self) -> tuple[list[_Item], bool]:
        """Wait for work and take all there is; the flag is False once the queue was closed."""
        try:
            item = self._queue.get(timeout=BEAT_SECONDS if self._guard is not None else None)
        except Empty:
            return [], True
        batch: list[_Item] = []
        while item is not None:
            batch.append(item)
            if len(batch) == MAX_BATCH:
                return batch, True
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _beat(self) -> None:
        assert self._guard is not None
        with suppress(StoreError):  # nobody waits for this one; the next write says it
            self._guard.ensure()

    def _commit(self, batch: list[_Item]) -> None:
        """Run all items in one transaction; if it dies as a whole, each item gets one of its own."""
        error = self._transact(batch)
        if error is None:
            return
        if len(batch) > 1 and not isinstance(error, StoreError):
            for item in batch:
                self._commit([item])
            return
        for item in batch:
            item.result, item.error = None, self._explained(error)

    def _transact(self, batch: list[_Item]) -> Exception | None:
        """Run ``batch`` in one transaction. An error: nothing was kept; a StoreError: it never began."""
        connection = self._connection
        try:
            if self._guard is not None:
                self._guard.ensure()
            connection.execute("BEGIN IMMEDIATE")
        except (StoreError, sqlite3.Error) as error:
            return self._explained(error)
        try:
            if len(batch) == 1:
                batch[0].result = batch[0].work(connection)
            else:
                for item in batch:
                    self._run_alone(item)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the thread boundary: whoever waits gets the error
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            told = self._explained(error)
            return told if isinstance(told, BusyError) else error
        return None

    def _run_alone(self, item: _Item) -> None:
        """Run one item of a batch under a savepoint; raises only if the whole transaction is gone."""
        connection = self._connection
        item.error = None
        connection.execute("SAVEPOINT item")
        try:
            item.result = item.work(connection)
        except Exception as error:
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO item")
            item.result, item.error = None, self._explained(error)
        connection.execute("RELEASE item")

    def _explained(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error):
            return explain(error, self._path, "write to") or error
        return error


def _deliver(batch: list[_Item]) -> None:
    """Hand results to their waiters: one wake-up per event loop, however many of its tasks wait."""
    loops: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
    for item in batch:
        if item.loop is not None:
            loops.setdefault(item.loop, []).append(item)
        else:
            _settle(item)
    for loop, items in loops.items():
        with suppress(RuntimeError):  # that loop has ended; the work is on disk all the same
            loop.call_soon_threadsafe(_settle_all, items)


def _settle_all(items: list[_Item]) -> None:
    for item in items:
        _settle(item)


def _settle(item: _Item) -> None:
    waiter = item.waiter
    if waiter.done():
        return
    if item.error is not None:
        waiter.set_exception(item.error)
    else:
        waiter.set_result(item.result)
