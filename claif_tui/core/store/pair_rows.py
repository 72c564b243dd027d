"""Rows of the database as ``Pair`` and ``ScoreEntry``. Reads only."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from claif_tui.core.models import STATUSES, Pair, ScoreEntry
from claif_tui.core.store.codes import CLASSES, KINDS, SCALES, SPLITS, names_of
from claif_tui.core.store.states import NEGATIVE

# Only asked of a stale triplet: which of its two scores it is.
_NEGATIVE_STALE = f"""CASE WHEN s.stale AND s.triplet THEN coalesce(
    ({NEGATIVE.format(what="n.negative_text IS NOT e.negative", pair="s.pair_id")}),
    p.negative_score IS NOT NULL AND e.negative IS NOT NULL) ELSE 0 END"""

PAIR_SQL = f"""SELECT p.id, p.kind, p.system, p.seed_id, p.source_id, p.run_id, p.recipe_id, p.text_a,
    coalesce(e.text, p.generated), p.generated, coalesce(e.negative, p.hard_negative), p.rate, p.occurrence, p.masked,
    p.merged, p.class, p.model, s.score, c.raw, c.scale, c.reason, p.gold, s.negative, s.encoder, s.stale, s.flags,
    s.status, s.author, p.split, p.generate_key, c.key, p.created, p.hard_negative, p.negative_key,
    c.n IS NOT NULL AND c.text IS NOT e.text, {_NEGATIVE_STALE}
    FROM states s JOIN pairs p ON p.id = s.pair_id LEFT JOIN edits e ON e.pair_id = s.pair_id
    LEFT JOIN scores c ON c.pair_id = s.pair_id AND c.n = s.score_n"""


class Names:
    """Names by kind and number, kept between reads: a number never changes its name, so only new ones are fetched."""

    def __init__(self) -> None:
        self._known: dict[str, dict[int, str]] = {}
        self._conn: sqlite3.Connection | None = None

    def within(self, conn: sqlite3.Connection) -> Names:
        """The same, fetching what is missing through ``conn``."""
        self._conn = conn
        return self

    def name(self, kind: str, code: int) -> str:
        """The name behind a number."""
        found = self._known.get(kind, {}).get(code)
        if found is None:
            assert self._conn is not None
            self._known[kind] = names_of(self._conn, kind)
            found = self._known[kind][code]
        return found

    def flags(self, bits: int) -> tuple[str, ...]:
        """The names of the set bits."""
        return tuple(self.name("flag", bit) for bit in range(bits.bit_length()) if bits >> bit & 1)


def pair_of(row: Sequence[Any], names: Names) -> Pair:
    """Build a ``Pair`` from a row of ``PAIR_SQL``."""
    return Pair(
        id=row[0],
        kind=KINDS[row[1]],
        system=names.name("system", row[2]),
        seed_id=row[3],
        source_id=row[4],
        run_id=row[5],
        recipe_id=row[6],
        text_a=row[7],
        text_b=row[8],
        generated=row[9],
        hard_negative=row[10],
        generated_negative=row[32],
        rate=row[11],
        occurrence=row[12],
        masked=row[13],
        merged=bool(row[14]),
        answer_class=CLASSES[row[15]],
        model=None if row[16] is None else names.name("model", row[16]),
        score=row[17],
        score_raw=row[18],
        score_scale=None if row[19] is None else SCALES[row[19]],
        reason=row[20],
        gold=row[21],
        negative_score=row[22],
        encoder=row[23],
        stale=bool(row[24]),
        text_stale=bool(row[34]),
        negative_stale=bool(row[35]),
        flags=names.flags(row[25]) if row[25] else (),
        status=STATUSES[row[26]],
        author=None if row[27] is None else names.name("author", row[27]),
        split=SPLITS[row[28]],
        generate_key=row[29],
        negative_key=row[33],
        score_key=row[30],
        created=iso(row[31]),
    )


def iso(milliseconds: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def score_entries(conn: sqlite3.Connection, pair_id: int) -> tuple[ScoreEntry, ...]:
    """Every score a pair was given, oldest first."""
    rows = conn.execute(
        "SELECT c.n, c.score, c.raw, c.scale, c.reason, c.key, coalesce(c.text, p.generated), c.decision_id,"
        " c.negative, c.negative_raw, c.negative_key, coalesce(c.negative_text, p.hard_negative)"
        " FROM scores c JOIN pairs p ON p.id = c.pair_id WHERE c.pair_id = ? ORDER BY c.n",
        (pair_id,),
    ).fetchall()
    return tuple(
        ScoreEntry(
            number=row[0],
            score=row[1],
            raw=row[2],
            scale=None if row[3] is None else SCALES[row[3]],
            reason=row[4],
            key=row[5],
            text_b=row[6],
            decision_id=row[7],
            negative=row[8],
            negative_raw=row[9],
            negative_key=row[10],
            negative_text=None if row[8] is None else row[11],
        )
        for row in rows
    )
