"""Every request under the hash of its content, and the money it moves: both change together or not at all.

A call is ``reserved`` before it is sent and becomes ``answered`` or ``failed``. What was said is never
overwritten: a failed try that is repeated leaves its text in ``lost_tries``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING

from claif_tui.core.errors import CallTakenError, StoreError
from claif_tui.core.models import Call, LostTry, NewCall, Totals
from claif_tui.core.store import ledger
from claif_tui.core.store.connection import now
from claif_tui.core.store.runs import dead_run_ids

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

CHUNK = 500
INTERRUPTED = "interrupted"
"""Reason of a call whose process died before the answer: charged at its worst case, to be sent again."""

_FIELDS = (
    *("key", "stage", "recipe_id", "run_id", "seed_id", "pair_id", "rate", "occurrence", "attempt", "profile"),
    *("model", "model_returned", "api", "prompt", "params", "state", "reason", "detail", "raw", "reasoning"),
    *(
        "finish_reason",
        "prompt_tokens",
        "completion_tokens",
        "reserved_nano",
        "cost_nano",
        "tries",
        "latency_ms",
    ),
    *("sent_at", "answered_at"),
)
_SELECT = f"SELECT {', '.join(_FIELDS)} FROM calls"
_NEW = tuple(field.name for field in fields(NewCall) if field.name != "reserve_nano")
_NEW_VALUES = attrgetter(*_NEW, "reserve_nano")
_RESERVE = (
    f"INSERT INTO calls({', '.join(_NEW)}, reserved_nano, sent_at, state)"
    f" VALUES ({', '.join('?' * len(_NEW))}, ?, ?, 'reserved') ON CONFLICT(key) DO NOTHING"
)
_REOPEN = (
    "UPDATE calls SET state = 'reserved', recipe_id = ?, run_id = ?, tries = tries + 1, reserved_nano = ?, sent_at = ?,"
    " answered_at = NULL, reason = NULL, detail = NULL, raw = NULL, reasoning = NULL, finish_reason = NULL"
    " WHERE key = ? AND state = 'failed'"
)
_KEEP_LOST = (
    "INSERT INTO lost_tries(key, tries, reason, detail, raw, cost_nano, at)"
    " SELECT key, tries, coalesce(reason, ''), coalesce(detail, ''), raw,"
    " cost_nano - (SELECT coalesce(sum(cost_nano), 0) FROM lost_tries WHERE key = ?1),"
    " coalesce(answered_at, sent_at) FROM calls WHERE key = ?1 AND state = 'failed' AND reason <> 'budget'"
)
_CLOSE = (
    "UPDATE calls SET state = ?, reason = ?, detail = ?, raw = ?, reasoning = ?, finish_reason = ?,"
    " model_returned = ?, prompt_tokens = ?, completion_tokens = ?, cost_nano = cost_nano + ?,"
    " reserved_nano = 0, latency_ms = ?, answered_at = ? WHERE key = ?"
)


class CallsRepo:
    """Table ``calls`` (and ``lost_tries``). ``cost_nano`` of a call is the sum over all its tries.

    ``recipe_id`` is who asked last. For every recipe the ledger's ``reserved_nano`` is the sum of its calls'
    ``reserved_nano``, and ``spent_nano`` that of their ``cost_nano``, but for tries that another recipe paid
    before: those stay on its own account. Over all recipes both sums are exact.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def reserve(self, new: NewCall, cap_nano: int | None = None) -> bool:
        """Reserve the worst case and note the call as about to be sent.

        False, and nothing written, if a cap forbids it: ``cap_nano`` and the cap in the ledger both hold.
        A failed call is opened again; one that is answered or in flight is refused with ``CallTakenError``,
        so that it can never be paid twice.
        """
        sent_at = now()
        row = (*_NEW_VALUES(new), sent_at)

        def work(conn: sqlite3.Connection) -> bool:
            if not ledger.reserve(conn, new.recipe_id, new.reserve_nano, cap_nano):
                return False
            if conn.execute(_RESERVE, row).rowcount == 1:
                return True
            conn.execute(_KEEP_LOST, (new.key,))
            values = (new.recipe_id, new.run_id, new.reserve_nano, sent_at, new.key)
            again = conn.execute(_REOPEN, values)
            if again.rowcount != 1:
                raise CallTakenError(
                    f"Call {new.key[:12]} is answered or in flight already", "It is not sent again."
                )
            return True

        return await self._store.awrite(work)

    async def answer(
        self,
        key: str,
        *,
        raw: str,
        reasoning: str = "",
        finish_reason: str | None = None,
        model_returned: str | None = None,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        latency_ms: int | None = None,
        cost_nano: int = 0,
    ) -> None:
        """Keep a usable answer: the reservation becomes what it cost."""
        values = (raw, reasoning, finish_reason, model_returned, prompt_tokens, completion_tokens)
        at = now()

        def work(conn: sqlite3.Connection) -> None:
            _close(conn, key, ("answered", None, None, *values), cost_nano, latency_ms, at)

        await self._store.awrite(work)

    async def fail(
        self,
        key: str,
        reason: str,
        detail: str = "",
        *,
        raw: str | None = None,
        reasoning: str = "",
        finish_reason: str | None = None,
        model_returned: str | None = None,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        latency_ms: int | None = None,
        cost_nano: int = 0,
    ) -> None:
        """Give a call up for now, keeping what had arrived; ``cost_nano`` is the charge for the last try."""
        values = (raw, reasoning, finish_reason, model_returned, prompt_tokens, completion_tokens)
        at = now()

        def work(conn: sqlite3.Connection) -> None:
            _close(conn, key, ("failed", reason, detail, *values), cost_nano, latency_ms, at)

        await self._store.awrite(work)

    async def retry(
        self,
        key: str,
        reason: str,
        detail: str = "",
        *,
        reserve_nano: int,
        cap_nano: int | None = None,
        raw: str | None = None,
        cost_nano: int = 0,
    ) -> bool:
        """Charge a lost try with ``cost_nano`` and reserve the next one of the same call.

        If a cap forbids the next try, the call is failed with reason "budget" and False returned.
        """
        at = now()

        def work(conn: sqlite3.Connection) -> bool:
            recipe_id, held, tries = _reserved(conn, key)
            conn.execute(
                "INSERT INTO lost_tries(key, tries, reason, detail, raw, cost_nano, at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, tries, reason, detail, raw, cost_nano, at),
            )
            ledger.settle(conn, recipe_id, held, cost_nano)
            again = ledger.reserve(conn, recipe_id, reserve_nano, cap_nano)
            state = "reserved" if again else "failed"
            conn.execute(
                "UPDATE calls SET state = ?, reason = ?, detail = ?, tries = tries + ?,"
                " cost_nano = cost_nano + ?, reserved_nano = ?, sent_at = ? WHERE key = ?",
                (
                    *(state, None if again else "budget", None if again else f"after {reason}: {detail}"),
                    *(int(again), cost_nano, reserve_nano if again else 0, at, key),
                ),
            )
            return again

        return await self._store.awrite(work)

    def recover(self) -> int:
        """Charge every reservation left open by a run that is over or dead; returns how many there were.

        Such a call may have been computed, so it costs its worst case; it becomes failed/"interrupted".
        """

        def work(conn: sqlite3.Connection) -> int:
            dead = set(dead_run_ids(conn))
            left = conn.execute(
                "SELECT key, recipe_id, reserved_nano, run_id FROM calls WHERE state = 'reserved'"
            ).fetchall()
            open_ = {
                row[0] for row in conn.execute("SELECT id FROM runs WHERE state IN ('running', 'paused')")
            } - dead
            lost = [row for row in left if row[3] not in open_]
            for key, recipe_id, held, _ in lost:
                ledger.settle(conn, recipe_id, held, held)
                conn.execute(
                    "UPDATE calls SET state = 'failed', reason = ?,"
                    " detail = 'its process ended before the answer',"
                    " cost_nano = cost_nano + reserved_nano, reserved_nano = 0, answered_at = ? WHERE key = ?",
                    (INTERRUPTED, now(), key),
                )
            return len(lost)

        return self._store.write(work)

    def get(self, key: str) -> Call | None:
        """One call."""
        return self.known([key]).get(key)

    def of_profile(self, profile: str) -> frozenset[str]:
        """The keys of all calls to an endpoint of this profile. Reads the table; for profiles that are seldom used."""
        with self._store.read() as conn:
            rows = conn.execute("SELECT key FROM calls WHERE profile = ?", (profile,)).fetchall()
        return frozenset(key for (key,) in rows)

    def known(self, keys: Sequence[str]) -> dict[str, Call]:
        """Those of ``keys`` that are in the project; the others are absent."""
        found: dict[str, Call] = {}
        for at in range(0, len(keys), CHUNK):
            some = keys[at : at + CHUNK]
            with self._store.read() as conn:
                for row in conn.execute(f"{_SELECT} WHERE key IN ({', '.join('?' * len(some))})", some):
                    found[row[0]] = _call(row)
        return found

    def failures(
        self, recipe_id: str | None = None, reason: str | None = None, limit: int = 200, after: str = ""
    ) -> list[Call]:
        """Failed calls in key order behind key ``after``; None means any recipe, any reason."""
        with self._store.read() as conn:
            rows = conn.execute(
                f"{_SELECT} WHERE state = 'failed' AND key > ?1 AND (?2 IS NULL OR recipe_id = ?2)"
                " AND (?3 IS NULL OR reason = ?3) ORDER BY key LIMIT ?4",
                (after, recipe_id, reason, limit),
            ).fetchall()
        return [_call(row) for row in rows]

    def failure_counts(self, recipe_id: str | None = None) -> dict[str, int]:
        """How many calls have failed, by reason; None means over all recipes."""
        with self._store.read() as conn:
            return dict(
                conn.execute(
                    "SELECT reason, count(*) FROM calls WHERE state = 'failed'"
                    " AND (?1 IS NULL OR recipe_id = ?1) GROUP BY reason ORDER BY count(*) DESC, reason",
                    (recipe_id,),
                ).fetchall()
            )

    def lost_tries(self, key: str) -> list[LostTry]:
        """The tries of one call that were followed by another, oldest first."""
        with self._store.read() as conn:
            rows = conn.execute(
                "SELECT key, tries, reason, detail, raw, cost_nano, at FROM lost_tries"
                " WHERE key = ? ORDER BY id",
                (key,),
            ).fetchall()
        return [
            LostTry(
                key=row[0], tries=row[1], reason=row[2], detail=row[3], raw=row[4], cost_nano=row[5], at=row[6]
            )
            for row in rows
        ]

    def totals(self, recipe_id: str | None = None) -> Totals:
        """Sums over the calls of one recipe, or of all."""
        with self._store.read() as conn:
            rows = conn.execute(
                "SELECT state, count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),"
                f" sum(cost_nano) FROM calls {_of(recipe_id)} GROUP BY state",
                () if recipe_id is None else (recipe_id,),
            ).fetchall()
        counts = {row[0]: row[1] for row in rows}
        return Totals(
            answered=counts.get("answered", 0),
            failed=counts.get("failed", 0),
            reserved=counts.get("reserved", 0),
            prompt_tokens=sum(row[2] for row in rows),
            completion_tokens=sum(row[3] for row in rows),
            cost_nano=sum(row[4] for row in rows),
        )

    def stage_counts(self, recipe_id: str | None = None) -> dict[tuple[str, str], int]:
        """How many calls by (stage, state), of one recipe or of all."""
        with self._store.read() as conn:
            rows = conn.execute(
                f"SELECT stage, state, count(*) FROM calls {_of(recipe_id)} GROUP BY stage, state",
                () if recipe_id is None else (recipe_id,),
            ).fetchall()
        return {(stage, state): count for stage, state, count in rows}


def _of(recipe_id: str | None) -> str:
    return "INDEXED BY calls_totals" if recipe_id is None else "INDEXED BY calls_totals WHERE recipe_id = ?"


def _reserved(conn: sqlite3.Connection, key: str) -> tuple[str | None, int, int]:
    """(recipe, reservation, tries) of a call in flight; ``StoreError`` if it is not."""
    row: tuple[str | None, int, int, str] | None = conn.execute(
        "SELECT recipe_id, reserved_nano, tries, state FROM calls WHERE key = ?", (key,)
    ).fetchone()
    if row is None or row[3] != "reserved":
        raise StoreError(f"Call {key[:12]} is not in flight", "Reserve it first.")
    return row[:3]


def _close(
    conn: sqlite3.Connection, key: str, values: tuple[object, ...], cost: int, latency_ms: int | None, at: str
) -> None:
    """End a call. One that was charged as interrupted meanwhile keeps that charge, and takes the answer."""
    row = conn.execute(
        "SELECT recipe_id, reserved_nano, state, reason FROM calls WHERE key = ?", (key,)
    ).fetchone()
    if row is None or not (row[2] == "reserved" or (row[2] == "failed" and row[3] == INTERRUPTED)):
        raise StoreError(f"Call {key[:12]} is not in flight", "Reserve it first.")
    if row[2] == "failed":
        cost = 0
    else:
        ledger.settle(conn, row[0], row[1], cost)
    conn.execute(_CLOSE, (*values, cost, latency_ms, at, key))


def _call(row: tuple[object, ...]) -> Call:
    return Call(**dict(zip(_FIELDS, row, strict=True)))  # type: ignore[arg-type]
