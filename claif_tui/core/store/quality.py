"""The AI's scores beside all that they are held against, as columns for statistics. Reads only; no figures here."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from claif_tui.core.models import PairQuery
from claif_tui.core.store import filters, queries
from claif_tui.core.store.codes import KINDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from claif_tui.core.store.store import Store

_ABSENT = "9e999"
"""What stands for a missing number on its way out of SQL: infinity, which no column can hold."""
_RATE = f"coalesce(s.rate, {_ABSENT})"
_GOLD = f"iif(s.edited, {_ABSENT}, coalesce(s.gold, {_ABSENT}))"

# Read as a whole: a million rows of the narrow table take less time than any index over all that is asked.
_SCORED = f"""SELECT s.score, {_RATE}, iif(s.stale, {_ABSENT}, coalesce(s.encoder, {_ABSENT})), {_GOLD}, {_ABSENT},
    s.status, s.edited FROM states s NOT INDEXED WHERE s.score IS NOT NULL AND {{where}}"""

# The current score is a person's. The AI's is its last one; cosine and the person's score are on the current text,
# so they are comparable only if the AI judged that one too.
_BY_HAND = f"""SELECT c.score, {_RATE}, iif({{same}}, coalesce(s.encoder, {_ABSENT}), {_ABSENT}), {_GOLD},
    iif({{same}}, s.score, {_ABSENT}), s.status, 1
    FROM states s JOIN scores c ON c.pair_id = s.pair_id AND c.n =
    (SELECT max(n) FROM scores a WHERE a.pair_id = s.pair_id AND a.decision_id IS NULL)
    WHERE s.pair_id IN (SELECT value FROM json_each(?)) AND {{where}}""".replace(
    "{same}", "c.text IS (SELECT text FROM edits WHERE pair_id = s.pair_id)"
)

_HAND_SCORED = """SELECT s.pair_id FROM states s JOIN scores c ON c.pair_id = s.pair_id AND c.n = s.score_n
    WHERE c.decision_id IS NOT NULL AND s.pair_id IN (SELECT pair_id FROM decisions WHERE action = 'set-score')"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreColumns:
    """One entry for each pair that the AI scored, arrays of equal length (n,); nan where a value is missing.

    ``score`` is the AI's, 0..1, also where a person set another since: that one is ``by_hand``. ``encoder`` is a
    cosine (-1..1), ``gold`` a human label on 0..1; both are missing where a person changed the text that the AI
    scored, ``by_hand`` too. ``status`` is a position in ``STATUSES``; ``changed``: a person changed text or score.
    ``unscored`` counts matching pairs without an AI score, ``unencoded`` scored ones whose cosine was never worked
    out. Zero pairs and those of Dino, whose score is a label that no AI gave, are nowhere.
    """

    score: NDArray[np.float64]
    rate: NDArray[np.float64]
    encoder: NDArray[np.float64]
    gold: NDArray[np.float64]
    by_hand: NDArray[np.float64]
    status: NDArray[np.int8]
    changed: NDArray[np.bool_]
    unscored: int
    unencoded: int


def score_columns(store: Store, query: PairQuery, ids: Sequence[int] | None = None) -> ScoreColumns:
    """Read what a query finds, whatever status it asks for; its order is of no account.

    ``ids`` are the pairs of a sample that was drawn before. ``FilterError`` for a filter that cannot be read.
    """
    with store.read() as conn:
        where, values = _condition(conn, query, ids)
        hand = json.dumps([row[0] for row in conn.execute(_HAND_SCORED)])
        more: tuple[object, ...] = () if hand == "[]" else (hand,)
        others = " AND s.pair_id NOT IN (SELECT value FROM json_each(?))" if more else ""
        parts = [_fetched(conn, _SCORED.format(where=where + others), (*values, *more))]
        if more:
            parts.append(_fetched(conn, _BY_HAND.format(where=where), (hand, *values)))
        matching, unencoded = conn.execute(
            "SELECT count(*), coalesce(sum(s.score IS NOT NULL AND s.encoder IS NULL), 0)"
            f" FROM states s NOT INDEXED WHERE {where}",
            values,
        ).fetchone()
    import numpy as np

    rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
    numbers = {name: rows[name] for name in ("score", "rate", "encoder", "gold", "by_hand")}
    return ScoreColumns(
        **{name: np.where(np.isinf(found), np.nan, found) for name, found in numbers.items()},
        status=rows["status"],
        changed=rows["changed"],
        unscored=matching - len(rows),
        unencoded=unencoded,
    )


def _condition(
    conn: sqlite3.Connection, query: PairQuery, ids: Sequence[int] | None
) -> tuple[str, tuple[object, ...]]:
    """The condition on ``s`` that a query means here, and its bound values."""
    labelled, names = filters.parse("not system = dino").sql()
    zero = f"s.kind <> {KINDS.index('zero')} AND {labelled}"
    if query.sample is not None:
        drawn = queries.all_ids(conn, query) if ids is None else ids
        return f"{zero} AND s.pair_id IN (SELECT value FROM json_each(?))", (*names, json.dumps(list(drawn)))
    wanted = queries.plan(replace(query, filter=str(filters.parse(query.filter).without("status"))))
    where, values = f"{zero} AND {wanted.where}", (*names, *wanted.values)
    if wanted.search.match:
        where += " AND s.pair_id IN (SELECT rowid FROM pairs_fts WHERE pairs_fts MATCH ?)"
        values = (*values, wanted.search.match)
    return where, values


def _fetched(conn: sqlite3.Connection, sql: str, values: tuple[object, ...]) -> NDArray[np.void]:
    import numpy as np

    kinds = [(name, np.float64) for name in ("score", "rate", "encoder", "gold", "by_hand")]
    return np.fromiter(conn.execute(sql, values), dtype=[*kinds, ("status", np.int8), ("changed", np.bool_)])
