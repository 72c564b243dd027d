"""Vectors that embedding APIs were asked for, one file for all projects: what is paid for once serves every one.

Not in a project's database: the sentences are those of public evaluation sets, the same everywhere, and a gigabyte of
vectors would go into every backup of it. Money and vectors move in one transaction, on disk before they count.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from claif_tui.core.errors import BusyError, StoreError
from claif_tui.core.store.connection import connect, explained, now
from claif_tui.core.store.process import is_alive, own_mark, this_host
from claif_tui.core.store.project import Lease, network_filesystem
from claif_tui.core.store.writer import Writer

T = TypeVar("T")

FILE = "embeddings.db"
APPLICATION_ID = 0x434C4145
"""Marks the file as ours ("CLAE")."""
CHUNK = 500

# An account is one model at one endpoint profile; a batch is one request with all its tries. Money in nano-dollars.
_SCHEMA = (
    """CREATE TABLE accounts (
        id INTEGER PRIMARY KEY, profile TEXT NOT NULL, model TEXT NOT NULL, dimension INTEGER,
        cap_nano INTEGER, spent_nano INTEGER NOT NULL DEFAULT 0, reserved_nano INTEGER NOT NULL DEFAULT 0,
        host TEXT, pid INTEGER, pid_started TEXT, UNIQUE (profile, model)) STRICT""",
    """CREATE TABLE batches (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, account_id INTEGER NOT NULL REFERENCES accounts(id),
        texts INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT, detail TEXT, tries INTEGER NOT NULL,
        priced INTEGER NOT NULL, reserved_nano INTEGER NOT NULL, cost_nano INTEGER NOT NULL DEFAULT 0,
        tokens INTEGER, model_returned TEXT, sent_at TEXT NOT NULL, answered_at TEXT) STRICT""",
    "CREATE INDEX batches_open ON batches(account_id) WHERE state = 'reserved'",
    """CREATE TABLE vectors (
        id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts(id), key BLOB NOT NULL,
        batch_id INTEGER NOT NULL REFERENCES batches(id), vector BLOB NOT NULL,
        UNIQUE (account_id, key)) STRICT""",
)
_MIGRATIONS = (_SCHEMA,)
"""Step by step, what brings a file up to date; its ``user_version`` counts the steps taken."""


def text_key(text: str) -> bytes:
    """Return the content address of a text within its account."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:20]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One model at one endpoint profile: its money, and the dimension of its vectors once there is one."""

    id: int
    profile: str
    model: str
    dimension: int | None
    cap_nano: int | None
    spent_nano: int
    reserved_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """Where some vectors come from: models as returned with their numbers of texts, days, and their share of the money.

    ``tokens`` and ``cost_nano`` are None where a server did not count, or no price was known.
    """

    models: Mapping[str, int]
    first: str
    last: str
    tokens: int | None
    cost_nano: int | None


class EmbeddingStore:
    """The file, open. Many threads may read; all writing goes through one thread. Close it (a context manager)."""

    def __init__(self, path: Path, writer: Writer, lease: Lease | None) -> None:
        self.path = path
        self._writer = writer
        self._lease = lease
        self._reader = connect(path, writer=False)
        self._reading = threading.Lock()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the file in ``folder``, made if need be. ``StoreError`` where that cannot be."""
        path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
        except OSError as error:
            raise StoreError(
                f"Cannot make {path}: {error.strerror}", "Make the folder writable for you."
            ) from error
        network = network_filesystem(folder)
        lease = Lease(folder, now()) if network else None
        try:
            with explained(path, "open"):
                connection = connect(path, writer=True, wal=not network)
                try:
                    _bring_up_to_date(connection, path)
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            if lease is not None:
                lease.release()
            raise
        return cls(path, Writer(connection, path, lease), lease)

    def close(self) -> None:
        """Finish what is queued and close. Idempotent."""
        self._writer.close()
        self._reader.close()
        if self._lease is not None:
            self._lease.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading, explained(self.path, "read"):
            yield self._reader

    # -- accounts ------------------------------------------------------------------------------------------

    def account(self, profile: str, model: str) -> Account:
        """Return the account of a model at a profile, opened if it is new."""
        self._writer.write(
            lambda conn: conn.execute(
                "INSERT INTO accounts(profile, model) VALUES (?, ?) ON CONFLICT DO NOTHING", (profile, model)
            )
        )
        with self._read() as conn:
            return _account(conn, "profile = ? AND model = ?", (profile, model))

    def money(self, account_id: int) -> Account:
        """Return the account as it stands now."""
        with self._read() as conn:
            return _account(conn, "id = ?", (account_id,))

    def begin(self, account_id: int, cap_nano: int | None) -> int:
        """Take the account for this process and set its cap; return how many batches of a dead one were charged.

        Such a batch may have been computed, so it costs its worst case.
        ``BusyError`` names a live process that has it: two could buy one sentence twice.
        """

        def work(conn: sqlite3.Connection) -> int:
            (host, pid, mark) = conn.execute(
                "SELECT host, pid, pid_started FROM accounts WHERE id = ?", (account_id,)
            ).fetchone()
            if host == this_host() and pid != os.getpid() and is_alive(pid, mark):
                raise BusyError(
                    f"Process {pid} is fetching vectors of this model already",
                    "Wait for it, or stop it there; what it fetches is stored for all.",
                )
            lost = conn.execute(
                "SELECT id, reserved_nano FROM batches WHERE account_id = ? AND state = 'reserved'",
                (account_id,),
            ).fetchall()
            for batch, held in lost:
                _settle(conn, account_id, held, held)
                conn.execute(
                    "UPDATE batches SET state = 'failed', reason = 'interrupted',"
                    " cost_nano = cost_nano + reserved_nano, reserved_nano = 0, answered_at = ? WHERE id = ?",
                    (now(), batch),
                )
            conn.execute(
                "UPDATE accounts SET cap_nano = ?, host = ?, pid = ?, pid_started = ? WHERE id = ?",
                (cap_nano, this_host(), os.getpid(), own_mark(), account_id),
            )
            return len(lost)

        return self._writer.write(work)

    def end(self, account_id: int) -> None:
        """Give the account up."""
        self._writer.write(
            lambda conn: conn.execute("UPDATE accounts SET host = NULL WHERE id = ?", (account_id,))
        )

    # -- batches -------------------------------------------------------------------------------------------

    async def reserve(
        self, account_id: int, key: str, *, texts: int, nano: int, tries: int, priced: bool
    ) -> bool:
        """Put ``nano`` aside for a try of a batch; False, and nothing written, if the account's cap forbids it."""

        def work(conn: sqlite3.Connection) -> bool:
            taken = conn.execute(
                "UPDATE accounts SET reserved_nano = reserved_nano + ?2 WHERE id = ?1"
                " AND (cap_nano IS NULL OR spent_nano + reserved_nano + ?2 <= cap_nano)",
                (account_id, nano),
            )
            if taken.rowcount != 1:
                return False
            conn.execute(
                "INSERT INTO batches(key, account_id, texts, state, tries, priced, reserved_nano, sent_at)"
                " VALUES (?, ?, ?, 'reserved', ?, ?, ?, ?) ON CONFLICT(key) DO UPDATE SET state = 'reserved',"
                " reason = NULL, tries = excluded.tries, reserved_nano = excluded.reserved_nano,"
                " sent_at = excluded.sent_at",
                (key, account_id, texts, tries, int(priced), nano, now()),
            )
            return True

        return await self._writer.awrite(work)

    async def answer(
        self,
        key: str,
        vectors: Sequence[tuple[bytes, bytes]],
        *,
        model_returned: str | None,
        tokens: int | None,
        cost_nano: int,
        anew: bool = False,
    ) -> None:
        """Keep the vectors of a batch, as (``text_key``, vector), and book what they cost.

        ``anew`` forgets all the account had: not before this, lest what was paid for is lost and nothing had for it.
        """

        def work(conn: sqlite3.Connection) -> None:
            batch, account_id = _close(conn, key, "answered", cost_nano)
            if anew:
                conn.execute("DELETE FROM vectors WHERE account_id = ?", (account_id,))
            conn.execute(
                "UPDATE batches SET tokens = ?, model_returned = ? WHERE id = ?",
                (tokens, model_returned, batch),
            )
            conn.execute(
                "UPDATE accounts SET dimension = ? WHERE id = ?", (len(vectors[0][1]) // 4, account_id)
            )
            conn.executemany(
                "INSERT INTO vectors(account_id, key, batch_id, vector) VALUES (?, ?, ?, ?)"
                " ON CONFLICT(account_id, key) DO NOTHING",
                [(account_id, text, batch, vector) for text, vector in vectors],
            )

        await self._writer.awrite(work)

    async def fail(self, key: str, reason: str, detail: str, *, cost_nano: int) -> None:
        """Book a try of a batch that gave no vectors."""

        def work(conn: sqlite3.Connection) -> None:
            batch, _ = _close(conn, key, "failed", cost_nano)
            conn.execute("UPDATE batches SET reason = ?, detail = ? WHERE id = ?", (reason, detail, batch))

        await self._writer.awrite(work)

    # -- vectors -------------------------------------------------------------------------------------------

    def keys(self, account_id: int) -> set[bytes]:
        """The content addresses of all texts with a vector."""
        with self._read() as conn:
            rows = conn.execute("SELECT key FROM vectors WHERE account_id = ?", (account_id,))
            return {row[0] for row in rows}

    def answered_as(self, account_id: int) -> str | None:
        """Return the model that the newest vector's answer named, the account's own where it named none."""
        with self._read() as conn:
            row = conn.execute(
                "SELECT coalesce(b.model_returned, a.model) FROM vectors v JOIN batches b ON b.id = v.batch_id"
                " JOIN accounts a ON a.id = v.account_id"
                " WHERE v.id = (SELECT max(id) FROM vectors WHERE account_id = ?)",
                (account_id,),
            ).fetchone()
        return None if row is None else str(row[0])

    def vectors(self, account_id: int, keys: Sequence[bytes]) -> Iterator[bytes | None]:
        """Yield the vector of each of ``keys`` in their order; None for one that is not there."""
        for some in _chunks(keys):
            with self._read() as conn:
                found = dict(
                    conn.execute(
                        f"SELECT key, vector FROM vectors WHERE account_id = ? AND key IN ({_marks(some)})",
                        (account_id, *some),
                    ).fetchall()
                )
            yield from (found.get(key) for key in some)

    def bought(self, account_id: int, keys: Sequence[bytes]) -> Bought:
        """Say where the vectors of ``keys`` come from; a batch's money is shared evenly among its texts."""
        counts: Counter[int] = Counter()
        for some in _chunks(keys):
            with self._read() as conn:
                counts.update(
                    dict(
                        conn.execute(
                            "SELECT batch_id, count(*) FROM vectors WHERE account_id = ?"
                            f" AND key IN ({_marks(some)}) GROUP BY batch_id",
                            (account_id, *some),
                        ).fetchall()
                    )
                )
        with self._read() as conn:
            rows = conn.execute(
                "SELECT id, texts, priced, cost_nano, tokens, model_returned, answered_at FROM batches"
                " WHERE account_id = ? AND state = 'answered'",
                (account_id,),
            ).fetchall()
            named = _account(conn, "id = ?", (account_id,)).model
        models: Counter[str] = Counter()
        tokens, nano, counted, priced = 0.0, 0.0, True, True
        days = []
        for batch, texts, has_price, cost, used, model, at in rows:
            if not (mine := counts[batch]):
                continue
            models[model or named] += mine
            nano += cost * mine / texts
            tokens += (used or 0) * mine / texts
            counted, priced = counted and used is not None, priced and bool(has_price)
            days.append(at[:10])
        return Bought(
            models=models,
            first=min(days, default=""),
            last=max(days, default=""),
            tokens=round(tokens) if counted else None,
            cost_nano=round(nano) if priced else None,
        )


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    def state() -> tuple[int, int]:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        return mark, found

    connection.execute("BEGIN IMMEDIATE")
    try:
        mark, found = state()
        empty = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        if mark != APPLICATION_ID and not empty:
            raise StoreError(f"{path} belongs to another program", "Move it away; it was not touched.")
        if found > len(_MIGRATIONS):
            raise StoreError(f"{path} was made by a newer claif-tui", "Upgrade claif-tui; it was not touched.")
        for step in _MIGRATIONS[found:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={len(_MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _account(conn: sqlite3.Connection, where: str, values: tuple[object, ...]) -> Account:
    row = conn.execute(
        f"SELECT id, profile, model, dimension, cap_nano, spent_nano, reserved_nano FROM accounts WHERE {where}",
        values,
    ).fetchone()
    names = ("id", "profile", "model", "dimension", "cap_nano", "spent_nano", "reserved_nano")
    return Account(**dict(zip(names, row, strict=True)))


def _settle(conn: sqlite3.Connection, account_id: int, released: int, spent: int) -> None:
    conn.execute(
        "UPDATE accounts SET reserved_nano = reserved_nano - ?, spent_nano = spent_nano + ? WHERE id = ?",
        (released, spent, account_id),
    )


def _close(conn: sqlite3.Connection, key: str, state: str, cost: int) -> tuple[int, int]:
    """End a try: (batch, account). Its reservation becomes what it cost."""
    row = conn.execute(
        "SELECT id, account_id, reserved_nano FROM batches WHERE key = ? AND state = 'reserved'", (key,)
    ).fetchone()
    if row is None:
        raise StoreError(f"Batch {key} is not in flight", "Reserve it first.")
    batch, account_id, held = row
    _settle(conn, account_id, held, cost)
    conn.execute(
        "UPDATE batches SET state = ?, reserved_nano = 0, cost_nano = cost_nano + ?, answered_at = ? WHERE id = ?",
        (state, cost, now(), batch),
    )
    return batch, account_id


def _chunks(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (keys[at : at + CHUNK] for at in range(0, len(keys), CHUNK))


def _marks(some: Sequence[object]) -> str:
    return ", ".join("?" * len(some))
