"""``Store``: one open project with its writer, readers and repositories. No SQL of any one table here."""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from claif_tui.core.errors import StoreError
from claif_tui.core.store.calls import CallsRepo
from claif_tui.core.store.connection import connect, explained, now
from claif_tui.core.store.endpoints import EndpointsRepo
from claif_tui.core.store.items import ItemsRepo
from claif_tui.core.store.ledger import LedgerRepo
from claif_tui.core.store.migrations import MIGRATIONS, migrate
from claif_tui.core.store.project import DATABASE, Lease, database_in, make_folders, network_filesystem
from claif_tui.core.store.recipes import RecipesRepo
from claif_tui.core.store.runs import RunsRepo
from claif_tui.core.store.seeds import SeedsRepo
from claif_tui.core.store.sources import SourcesRepo
from claif_tui.core.store.writer import Writer

if TYPE_CHECKING:
    from claif_tui.core.store.decisions import DecisionsRepo
    from claif_tui.core.store.pairs import PairsRepo
    from claif_tui.core.store.ratings import RatingsRepo
    from claif_tui.core.store.returned import ReturnedRepo
    from claif_tui.core.store.studies import StudiesRepo
    from claif_tui.core.store.triplets import TripletsRepo

T = TypeVar("T")

OLDEST_SQLITE = (3, 37, 0)
"""STRICT tables need it."""
CLOSE_TRIES = 100
"""How often closing interrupts a read that is under way, 0.05 s apart, before it leaves it alone."""


class Store:
    """An open project, safe to use from many threads; what is not ``async`` may block for a disk flush.

    Made by ``create`` or ``open``; to be closed (it is a context manager). Errors of the environment (disk,
    locks, damage) come as ``StoreError``.
    """

    def __init__(
        self, path: Path, author: str, writer: Writer, lease: Lease | None, notices: tuple[str, ...]
    ) -> None:
        self.path = path
        self.folder = path.parent
        self.author = author
        self.notices = notices
        """Lines that the user should see once, e.g. that the project lies on a network filesystem."""
        self._writer = writer
        self._lease = lease
        self._local = threading.local()
        self._readers: weakref.WeakSet[sqlite3.Connection] = weakref.WeakSet()
        self._readers_lock = threading.Condition()
        self._reading = 0
        self._watch: sqlite3.Connection | None = None
        self._closed = False
        self.seeds = SeedsRepo(self)
        self.sources = SourcesRepo(self)
        self.recipes = RecipesRepo(self)
        self.endpoints = EndpointsRepo(self)
        self.calls = CallsRepo(self)
        self.items = ItemsRepo(self)
        self.ledger = LedgerRepo(self)
        self.runs = RunsRepo(self)

    @cached_property
    def pairs(self) -> PairsRepo:
        """The pairs and how they stand."""
        from claif_tui.core.store.pairs import PairsRepo

        return PairsRepo(self)

    @cached_property
    def triplets(self) -> TripletsRepo:
        """Imported triplets that are to be scored."""
        from claif_tui.core.store.triplets import TripletsRepo

        return TripletsRepo(self)

    @cached_property
    def decisions(self) -> DecisionsRepo:
        """The journal of what people decided."""
        from claif_tui.core.store.decisions import DecisionsRepo

        return DecisionsRepo(self)

    @cached_property
    def studies(self) -> StudiesRepo:
        """Human evaluation as a whole: for those who run it."""
        from claif_tui.core.store.studies import StudiesRepo

        return StudiesRepo(self)

    @cached_property
    def ratings(self) -> RatingsRepo:
        """Human evaluation as one rater sees it."""
        from claif_tui.core.store.ratings import RatingsRepo

        return RatingsRepo(self)

    @cached_property
    def returned(self) -> ReturnedRepo:
        """What raters answered elsewhere."""
        from claif_tui.core.store.returned import ReturnedRepo

        return ReturnedRepo(self)

    @classmethod
    def create(cls, folder: Path, *, author: str | None = None) -> Self:
        """Make a new project in ``folder`` (made if need be) and open it; refuses one that exists."""
        _check_sqlite()
        make_folders(folder)
        path = folder / DATABASE
        # Built under another name and linked into place, so that a half-made project never has the real name.
        fresh = folder / f"{DATABASE}.new-{uuid.uuid4().hex}"
        try:
            fresh.open("xb").close()
            with explained(path, "make"), closing(connect(fresh, writer=True, wal=False)) as connection:
                migrate(connection, fresh, fresh=True)
            _put_in_place(fresh, path)
        except OSError as error:
            raise StoreError(
                f"Cannot make the project in {folder}: {error.strerror}", "Choose a folder where you may write."
            ) from error
        finally:
            fresh.unlink(missing_ok=True)
        return cls.open(folder, author=author)

    @classmethod
    def open(cls, folder: Path, *, author: str | None = None) -> Self:
        """Open the project in ``folder``, migrating it if need be (with a backup beside it)."""
        _check_sqlite()
        path = database_in(folder)
        network = network_filesystem(folder)
        lease = Lease(folder, now()) if network else None
        notices: list[str] = []
        if network:
            notices.append(
                f"Network filesystem ({network}): slower, safe journal; only one host at a time may work here."
            )
        try:
            with explained(path, "open"):
                connection = _open_writer(path, wal=not network)
                try:
                    backup = migrate(connection, path, steps=MIGRATIONS)
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            if lease is not None:
                lease.release()
            raise
        if backup is not None:
            notices.append(f"The project was brought up to date; the old database is kept as {backup.name}.")
        store = cls(path, author or default_author(), Writer(connection, path, lease), lease, tuple(notices))
        store._mend_loads()
        return store

    def _mend_loads(self) -> None:
        """Finish or take back bulk imports that were cut off."""
        with self.read() as connection:
            cut_off = connection.execute("SELECT 1 FROM loads LIMIT 1").fetchone()
        if cut_off is not None:
            from claif_tui.core.store.bulk import mend

            self.notices += mend(self)

    def close(self) -> None:
        """Finish what is queued and close all connections. Idempotent."""
        with self._readers_lock:
            if self._closed:
                return
            self._closed = True
            # A connection must not be closed under the hands of a thread that reads from it. Interrupting
            # reaches only a statement that runs already, so it is repeated.
            for _ in range(CLOSE_TRIES):
                for reader in self._readers:
                    reader.interrupt()
                if self._readers_lock.wait_for(lambda: self._reading == 0, timeout=0.05):
                    for reader in list(self._readers):
                        reader.close()
                    break
            if self._watch is not None:
                self._watch.close()
        self._writer.close()
        if self._lease is not None:
            self._lease.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` on the writer thread; its result, once on disk. It must only touch the database."""
        return self._writer.write(work)

    async def awrite(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Like ``write``, awaited; cancelling the await does not take the work back."""
        return await self._writer.awrite(work)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """This thread's reader, within one consistent view of the data. Keep it short: the log waits for it."""
        connection = self._reader()
        if connection.in_transaction:  # nested in another read of this thread: the same view
            yield connection
            return
        with self._counted(), explained(self.path, "read"):
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count a read while it lasts; one that ``close`` cuts off says so."""
        with self._readers_lock:
            if self._closed:
                raise _closed()
            self._reading += 1
        try:
            yield
        except sqlite3.OperationalError as error:
            if not self._closed:
                raise
            raise _closed() from error
        finally:
            with self._readers_lock:
                self._reading -= 1
                self._readers_lock.notify_all()

    def data_version(self) -> int:
        """A number that changes whenever any process commits to this project."""
        with self._readers_lock, explained(self.path, "read"):
            if self._closed:
                raise _closed()
            if self._watch is None:
                self._watch = connect(self.path, writer=False)
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def _reader(self) -> sqlite3.Connection:
        reader: sqlite3.Connection | None = getattr(self._local, "reader", None)
        if self._closed:
            raise _closed()
        if reader is None:
            with explained(self.path, "read"):
                reader = connect(self.path, writer=False)
            self._local.reader = reader
            with self._readers_lock:
                self._readers.add(reader)
        return reader


def _closed() -> StoreError:
    return StoreError("The project is closed", "Open it again.")


def default_author() -> str:
    """Whose decisions these are: $CLAIF_TUI_AUTHOR, else the login name."""
    named = os.environ.get("CLAIF_TUI_AUTHOR", "").strip()
    if named:
        return named
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no entry for this user number, as in some containers
        return f"user-{os.getuid()}"


def _open_writer(path: Path, *, wal: bool) -> sqlite3.Connection:
    """Open for writing, but look before the journal mode is touched: a foreign file must stay as it is."""
    from claif_tui.core.store.migrations import check

    with closing(connect(path, writer=False)) as looking:
        check(looking, path, MIGRATIONS)
    return connect(path, writer=True, wal=wal)


def _put_in_place(fresh: Path, path: Path) -> None:
    """Give the finished file its name unless a project appeared there meanwhile."""
    try:
        os.link(fresh, path)
    except FileExistsError as error:
        raise StoreError(
            f"{path.parent} already is a project", f"Open it with: claif-tui -P {path.parent} …"
        ) from error
    except OSError:  # a filesystem without hard links
        fresh.rename(path)


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(
            f"This Python carries SQLite {sqlite3.sqlite_version}; {wanted} or newer is needed",
            "Use a newer Python, e.g. from python.org, conda or uv.",
        )
