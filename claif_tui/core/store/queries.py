"""A ``PairQuery`` as SQL that stays quick on a million pairs, whatever is asked.

The first page walks an index in the order wanted and gives up after a moment; then the narrow table is read as a
whole, which takes under a tenth of a second per million. Nothing here writes.
"""

from __future__ import annotations

import sqlite3
import time
from array import array
from dataclasses import dataclass, replace

from claif_tui.core.models import STATUSES, PairQuery
from claif_tui.core.store import filters
from claif_tui.core.store.search import Search, read_search

WALK_SECONDS = 0.02
"""How long a walk along an index may look for one page before the table is read as a whole."""
RARE = 20_000
"""Search hits that are simply fetched and sorted."""
_PROBE_OPS = 1000
_SPLIT_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class _Order:
    """A sort: its index, its columns without the id, and the column whose absence puts a pair last."""

    index: str
    columns: tuple[str, ...] = ()
    optional: str = ""


_ORDERS: dict[str, _Order] = {
    "newest": _Order("states_status"),
    "oldest": _Order("states_status"),
    "score": _Order("states_score", ("score",), "score"),
    "rate": _Order("states_rate", ("rate", "score"), "rate"),
    "length": _Order("states_length", ("length",)),
    "disagreement": _Order("states_gap", ("gap",), "gap"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A query taken apart: conditions on ``s``, their values, the search, and how many conditions there are."""

    where: str
    values: tuple[object, ...]
    search: Search
    terms: int
    status: int | None
    order: _Order
    down: bool

    @property
    def by_id(self) -> bool:
        """Whether the order is that of the ids."""
        return not self.order.columns

    def ordering(self) -> str:
        """The ORDER BY list; the id decides between equals, and who lacks the sorted value comes last."""
        last = f"s.{self.order.optional} IS NULL, " if self.order.optional else ""
        return last + self.ordering_within()

    def ordering_within(self) -> str:
        """The ORDER BY list among those with, or those without, the sorted value."""
        way = " DESC" if self.down else ""
        return ", ".join(f"s.{column}{way}" for column in (*self.order.columns, "pair_id"))

    def halves(self) -> tuple[str, ...]:
        """Conditions that split the pairs into those with the sorted value and those without."""
        optional = self.order.optional
        return (f" AND s.{optional} IS NOT NULL", f" AND s.{optional} IS NULL") if optional else ("",)


def plan(query: PairQuery, extra: tuple[str, tuple[object, ...]] | None = None) -> Plan:
    """Read a query; ``extra`` is one more condition on ``s``. ``FilterError`` for a filter that cannot be read."""
    parsed = filters.parse(query.filter)
    status = next((word for word in STATUSES if word == parsed.fixed("status")), None)
    where, values = parsed.sql()
    search = read_search(query.search)
    if extra is not None:
        where, values = f"{where} AND {extra[0]}", [*values, *extra[1]]
    for pattern in search.patterns:
        where += (
            " AND EXISTS (SELECT 1 FROM pairs p LEFT JOIN edits e ON e.pair_id = p.id WHERE p.id = s.pair_id"
            " AND (p.text_a LIKE ? ESCAPE '\\' OR coalesce(e.text, p.generated) LIKE ? ESCAPE '\\'"
            " OR coalesce(e.negative, p.hard_negative) LIKE ? ESCAPE '\\'))"
        )
        values = [*values, pattern, pattern, pattern]
    return Plan(
        where=where,
        values=tuple(values),
        search=search,
        terms=len(parsed.conjuncts()) + (extra is not None) + len(search.patterns),
        status=None if status is None else STATUSES.index(status),
        order=_ORDERS[query.sort],
        down=query.descending if _ORDERS[query.sort].columns else query.sort == "newest",
    )


def first_ids(connection: sqlite3.Connection, query: PairQuery, limit: int) -> list[int]:
    """The ids of the first ``limit`` pairs of a query, in its order."""
    if query.sample is not None:
        return list(all_ids(connection, query)[:limit])
    wanted = plan(query)
    if wanted.search.match:
        return _search_page(connection, wanted, limit)
    if wanted.status is not None and wanted.order.columns and _is_rare(connection, wanted.status):
        hint = "INDEXED BY states_status"
    else:
        walked = _walk_page(connection, wanted, limit)
        if walked is not None:
            return walked
        hint = "NOT INDEXED"
    sql = f"SELECT s.pair_id FROM states s {hint} WHERE {wanted.where} ORDER BY {wanted.ordering()} LIMIT ?"
    return _column(connection, sql, (*wanted.values, limit))


def _is_rare(connection: sqlite3.Connection, status: int) -> bool:
    """Whether so few pairs have a status that they are simply fetched and sorted."""
    return bool(connection.execute("SELECT n FROM tallies WHERE status = ?", (status,)).fetchone()[0] <= RARE)


def _walk_page(connection: sqlite3.Connection, plan: Plan, limit: int) -> list[int] | None:
    """Walk the index of the order: first those with the sorted value, then those without. None if it takes long."""
    if plan.by_id and plan.status is None:
        return None  # the table itself has this order
    deadline = time.monotonic() + WALK_SECONDS
    ids: list[int] = []
    for absent in plan.halves():
        if absent.endswith("IS NULL") and plan.order.index == "states_gap":
            return None  # a partial index, which leaves them out
        sql = (
            f"SELECT s.pair_id FROM states s INDEXED BY {plan.order.index}"
            f" WHERE {plan.where}{absent} ORDER BY {plan.ordering_within()} LIMIT ?"
        )
        walked = _until(connection, deadline, sql, (*plan.values, limit - len(ids)))
        if walked is None:
            return None
        ids += walked
        if len(ids) == limit:
            break
    return ids


def _search_page(connection: sqlite3.Connection, plan: Plan, limit: int) -> list[int]:
    """One page of a search. Rare words: fetch all hits and sort. Common ones: walk the order and ask the index."""
    match = plan.search.match
    order = plan.ordering()
    if plan.by_id:
        order = order.replace("s.pair_id", "f.rowid")
    else:
        (found,) = connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM pairs_fts WHERE pairs_fts MATCH ? LIMIT ?)", (match, RARE + 1)
        ).fetchone()
        if found > RARE:
            walked = _search_walk(connection, plan, limit)
            if walked is not None and len(walked) == limit:
                return walked
    hits = (
        "SELECT s.pair_id FROM pairs_fts f CROSS JOIN states s ON s.pair_id = f.rowid"
        f" WHERE pairs_fts MATCH ? AND {plan.where} ORDER BY {order} LIMIT ?"
    )
    return _column(connection, hits, (match, *plan.values, limit))


def _search_walk(connection: sqlite3.Connection, plan: Plan, limit: int) -> list[int] | None:
    """Walk an order and keep what a search for common words hits; None if it takes long."""
    match = plan.search.match
    walk = f"SELECT s.pair_id FROM states s INDEXED BY {plan.order.index} WHERE {plan.where}{plan.halves()[0]}"
    if not match.endswith("*"):
        sql = (
            f"{walk} AND EXISTS (SELECT 1 FROM pairs_fts WHERE pairs_fts MATCH ? AND rowid = s.pair_id)"
            f" ORDER BY {plan.ordering_within()} LIMIT ?"
        )
        return _until(connection, time.monotonic() + WALK_SECONDS, sql, (*plan.values, match, limit))
    # Asking for the beginning of a word costs as much as all its hits, so ask once.
    import numpy as np

    joined = connection.execute("SELECT group_concat(rowid) FROM pairs_fts WHERE pairs_fts MATCH ?", (match,))
    hits = np.sort(np.asarray(parse_ids(joined.fetchone()[0])))
    deadline = time.monotonic() + WALK_SECONDS
    ids: list[int] = []
    cursor = connection.execute(f"{walk} ORDER BY {plan.ordering_within()}", plan.values)
    while time.monotonic() < deadline and len(ids) < limit:
        page = np.array([row[0] for row in cursor.fetchmany(1000)], dtype=np.int64)
        if not len(page):
            break
        places = np.minimum(np.searchsorted(hits, page), len(hits) - 1)
        ids += page[hits[places] == page].tolist()
    cursor.close()
    return ids[:limit]


def _until(
    connection: sqlite3.Connection, deadline: float, sql: str, values: tuple[object, ...]
) -> list[int] | None:
    """Run a query that may turn out slow; None if it took too long or the index is being made."""
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _PROBE_OPS)
    try:
        return _column(connection, sql, values)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_INTERRUPT" or "no such index" in str(error):
            return None
        raise
    finally:
        connection.set_progress_handler(None, 0)


def _column(connection: sqlite3.Connection, sql: str, values: tuple[object, ...]) -> list[int]:
    return [row[0] for row in connection.execute(sql, values)]


def all_ids(
    connection: sqlite3.Connection, query: PairQuery, extra: tuple[str, tuple[object, ...]] | None = None
) -> array[int]:
    """All ids of a query in its order (8 bytes each); of a sample in the sample's order."""
    wanted = plan(query, extra)
    if query.sample is not None:
        seed, size = query.sample
        return _sample(_joined_ids(connection, wanted, ""), seed, size)
    ids = array("q")
    for half in wanted.halves():
        ids.extend(_joined_ids(connection, wanted, half))
    return ids


def _joined_ids(connection: sqlite3.Connection, plan: Plan, absent: str) -> array[int]:
    """Let SQLite write the ids into one text: a million rows without a million steps through Python."""
    values = plan.values
    if plan.search.match:
        source = (
            "pairs_fts f CROSS JOIN states s ON s.pair_id = f.rowid WHERE pairs_fts MATCH ? AND "
            f"{plan.where}{absent} ORDER BY {plan.ordering_within()}"
        )
        values = (plan.search.match, *values)
    else:
        # With at most one condition the planner finds the best index; with more, it guesses badly.
        hint = "" if plan.terms <= 1 else "NOT INDEXED"
        source = f"states s {hint} WHERE {plan.where}{absent} ORDER BY {plan.ordering_within()}"
    sql = f"SELECT group_concat(id) FROM (SELECT s.pair_id AS id FROM {source})"
    (joined,) = connection.execute(sql, values).fetchone()
    return parse_ids(joined)


def parse_ids(joined: str | None) -> array[int]:
    """Read comma-separated ids."""
    if not joined:
        return array("q")
    if len(joined) < 100_000:
        return array("q", map(int, joined.split(",")))
    import numpy as np

    return array("q", np.fromstring(joined, dtype=np.int64, sep=",").tobytes())


def _sample(ids: array[int], seed: int, size: int) -> array[int]:
    """A random sample in random order that depends on ``seed`` and the set of ids alone, on every machine."""
    import numpy as np

    values = np.asarray(ids, dtype=np.int64)
    with np.errstate(over="ignore"):
        keys = values.astype(np.uint64) + np.uint64(((seed + 1) * _SPLIT_MIX[0]) & 0xFFFFFFFFFFFFFFFF)
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(_SPLIT_MIX[1])
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(_SPLIT_MIX[2])
        keys ^= keys >> np.uint64(31)
    order = np.lexsort((values, keys))[: max(0, size)]
    return array("q", values[order].tobytes())


def counts_like(connection: sqlite3.Connection, query: PairQuery) -> tuple[int, ...]:
    """How many pairs in each status a query would find if it did not ask for a status."""
    wanted = plan(replace(query, filter=str(filters.parse(query.filter).without("status")), sample=None))
    if not wanted.terms and not wanted.search:
        return tuple(row[0] for row in connection.execute("SELECT n FROM tallies ORDER BY status"))
    source, values = "states s NOT INDEXED WHERE ", wanted.values
    if wanted.search.match:
        source = "pairs_fts f CROSS JOIN states s ON s.pair_id = f.rowid WHERE pairs_fts MATCH ? AND "
        values = (wanted.search.match, *values)
    sums = ", ".join(f"coalesce(sum(s.status = {code}), 0)" for code in range(len(STATUSES)))
    return tuple(connection.execute(f"SELECT {sums} FROM {source}{wanted.where}", values).fetchone())


def count(connection: sqlite3.Connection, query: PairQuery) -> int:
    """How many pairs a query has."""
    wanted = plan(query)
    values = wanted.values
    if wanted.search.match:
        source = "pairs_fts f CROSS JOIN states s ON s.pair_id = f.rowid WHERE pairs_fts MATCH ? AND "
        values = (wanted.search.match, *values)
    else:
        source = "states s WHERE " if wanted.terms <= 1 else "states s NOT INDEXED WHERE "
    (found,) = connection.execute(f"SELECT count(*) FROM {source}{wanted.where}", values).fetchone()
    return int(found) if query.sample is None else min(int(found), max(0, query.sample[1]))
