"""Who is sending requests: one live run at a time, dead ones taken over, requests to stop handed on."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from claif_tui.core.errors import BusyError
from claif_tui.core.models import Run, RunKind, RunState
from claif_tui.core.store.connection import now
from claif_tui.core.store.process import is_alive, own_mark, this_host

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

Ask = Literal["pause", "resume", "stop"]

HEARTBEAT_SECONDS = 90.0
"""A run on another host that did not report for so long counts as dead; report every 30 s."""
BESIDE: frozenset[RunKind] = frozenset({"try", "rescore", "explain"})
"""Kinds that may go on beside a live run."""
_OPEN = ("running", "paused")
_GENERATE = "on the Generate screen"
_PLACES = {"lab": "in the prompt lab (L on Recipe)"}
_GONE = "the process ended without closing it"
_COLUMNS = (
    "id, kind, recipe_id, profile, model, args, state, host, pid, started, heartbeat, ended, totals, message,"
    " pid_started"
)


class RunsRepo:
    """Table ``runs``. Methods block for a moment; an event loop calls them through ``asyncio.to_thread``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def start(
        self, kind: RunKind, recipe_id: str | None, profile: str, model: str, args: Mapping[str, object]
    ) -> Run:
        """Open a run of this process; ``BusyError`` names a live one in the way, dead ones are closed."""

        def work(conn: sqlite3.Connection) -> int:
            _close_dead(conn)
            if kind not in BESIDE:
                _refuse_second(conn)
            at = now()
            cursor = conn.execute(
                "INSERT INTO runs(kind, recipe_id, profile, model, args, state, host, pid,"
                " pid_started, heartbeat, started) VALUES (?, ?, ?, ?, ?, 'running', ?, ?, ?, ?, ?)",
                (
                    kind,
                    recipe_id,
                    profile,
                    model,
                    json.dumps(dict(args)),
                    this_host(),
                    os.getpid(),
                    own_mark(),
                    at,
                    at,
                ),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

        run = self.get(self._store.write(work))
        assert run is not None
        return run

    def heartbeat(self, run_id: int) -> None:
        """Say that the run is alive; to be called every 30 s."""
        self._store.write(
            lambda conn: conn.execute("UPDATE runs SET heartbeat = ? WHERE id = ?", (now(), run_id))
        )

    def set_state(
        self, run_id: int, state: RunState, totals: Mapping[str, object] | None = None, message: str = ""
    ) -> None:
        """Note the state that the run is in now; stopped, finished and failed end it."""
        at = now()
        ended = None if state in _OPEN else at

        def work(conn: sqlite3.Connection) -> None:
            conn.execute(
                "UPDATE runs SET state = ?, message = ?, heartbeat = ?, ended = ? WHERE id = ?",
                (state, message, at, ended, run_id),
            )
            if totals is not None:
                conn.execute("UPDATE runs SET totals = ? WHERE id = ?", (json.dumps(dict(totals)), run_id))

        self._store.write(work)

    def active(self) -> Run | None:
        """The live run that a second one would have to wait for, if there is one."""
        with self._store.read() as conn:
            rows = conn.execute(
                f"SELECT {_COLUMNS} FROM runs WHERE state IN ('running', 'paused') ORDER BY id DESC"
            )
            runs = [_run(row) for row in rows]
        return next((run for run in runs if run.state in _OPEN and run.kind not in BESIDE), None)

    def list(self, limit: int = 50) -> list[Run]:
        """The newest runs first; one whose process is gone shows as stopped."""
        with self._store.read() as conn:
            rows = conn.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return [_run(row) for row in rows]

    def last(self, *kinds: RunKind, profile: str | None = None) -> Run | None:
        """The newest run of one of these kinds, of that endpoint profile if one is named."""
        marks = ", ".join("?" * len(kinds))
        with self._store.read() as conn:
            row = conn.execute(
                f"SELECT {_COLUMNS} FROM runs WHERE kind IN ({marks}) AND profile = coalesce(?, profile)"
                " ORDER BY id DESC LIMIT 1",
                (*kinds, profile),
            ).fetchone()
        return None if row is None else _run(row)

    def asked(self, profile: str) -> bool:
        """Whether any run asked an endpoint of this profile."""
        with self._store.read() as conn:
            row = conn.execute("SELECT 1 FROM runs WHERE profile = ? LIMIT 1", (profile,)).fetchone()
        return row is not None

    def unpriced(self, profile: str, model: str) -> bool:
        """Whether any run asked this model while its price was unknown, so that what it cost was not counted."""
        with self._store.read() as conn:
            row = conn.execute(
                "SELECT 1 FROM runs WHERE profile = ? AND model = ? AND json_type(args, '$.price') = 'null' LIMIT 1",
                (profile, model),
            ).fetchone()
        return row is not None

    def get(self, run_id: int) -> Run | None:
        """One run."""
        with self._store.read() as conn:
            row = conn.execute(f"SELECT {_COLUMNS} FROM runs WHERE id = ?", (run_id,)).fetchone()
        return None if row is None else _run(row)

    def request(self, run_id: int, ask: Ask) -> None:
        """Ask a run, whatever process it is in; it has to look for it. The last word counts."""
        self._store.write(lambda conn: conn.execute("UPDATE runs SET request = ? WHERE id = ?", (ask, run_id)))

    def requested(self, run_id: int) -> Ask | None:
        """What somebody asked of this run since the last call; each request is handed out once."""
        with self._store.read() as conn:
            row = conn.execute("SELECT request FROM runs WHERE id = ?", (run_id,)).fetchone()
        if row is None or row[0] is None:
            return None

        def take(conn: sqlite3.Connection) -> Ask | None:
            (ask,) = conn.execute("SELECT request FROM runs WHERE id = ?", (run_id,)).fetchone()
            conn.execute("UPDATE runs SET request = NULL WHERE id = ?", (run_id,))
            found: Ask | None = ask
            return found

        return self._store.write(take)


def dead_run_ids(conn: sqlite3.Connection) -> list[int]:
    """Runs that are still marked open while their process is gone."""
    rows = conn.execute(
        "SELECT id, host, pid, pid_started, heartbeat FROM runs WHERE state IN ('running', 'paused')"
    )
    return [run_id for run_id, *who in rows.fetchall() if not alive(*who)]


def _close_dead(conn: sqlite3.Connection) -> None:
    conn.executemany(
        "UPDATE runs SET state = 'stopped', message = ?, ended = heartbeat WHERE id = ?",
        [(_GONE, run_id) for run_id in dead_run_ids(conn)],
    )


def _refuse_second(conn: sqlite3.Connection) -> None:
    marks = ", ".join("?" * len(BESIDE))
    row = conn.execute(
        "SELECT id, kind, state, host, pid, started FROM runs WHERE state IN ('running', 'paused')"
        f" AND kind NOT IN ({marks}) LIMIT 1",
        sorted(BESIDE),
    ).fetchone()
    if row is not None:
        run_id, kind, state, host, pid, started = row
        raise BusyError(
            f"This project already has a live run: {kind} {run_id}, {state}, on {host} (process {pid}), "
            f"started {started}",
            f"Wait for it, or stop it there: press x {_PLACES.get(kind, _GENERATE)}, or Ctrl-C where it runs.",
        )


def alive(host: str, pid: int, mark: str, heartbeat: str) -> bool:
    """Whether a process lives that reports every 30 s; on another host its last report decides."""
    if host == this_host():
        return is_alive(pid, mark)
    age = datetime.now(UTC) - datetime.fromisoformat(heartbeat)
    return age.total_seconds() < HEARTBEAT_SECONDS


def _run(row: tuple[object, ...]) -> Run:
    *plain, mark = row
    names = (
        *(
            "id",
            "kind",
            "recipe_id",
            "profile",
            "model",
            "args",
            "state",
            "host",
            "pid",
            "started",
            "heartbeat",
        ),
        *("ended", "totals", "message"),
    )
    fields = dict(zip(names, plain, strict=True))
    fields["args"] = json.loads(str(fields["args"]))
    fields["totals"] = json.loads(str(fields["totals"]))
    if fields["state"] in _OPEN and not alive(
        str(fields["host"]), int(str(fields["pid"])), str(mark), str(fields["heartbeat"])
    ):
        fields.update(state="stopped", message=_GONE, ended=fields["heartbeat"])
    return Run(**fields)  # type: ignore[arg-type]
