"""The pairs: how they come in, how they stand, and how they are found again. What people decide is in ``decisions``."""

from __future__ import annotations

import sqlite3
import time
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from claif_tui.core.models import (
    STATUSES,
    AnswerClass,
    Counts,
    Facets,
    Lineage,
    NewPair,
    NewScore,
    Pair,
    PairQuery,
    Scale,
    Status,
)
from claif_tui.core.store import filters, queries
from claif_tui.core.store.codes import CLASSES, KINDS, RESCORE, SPLITS, code_of, names_of
from claif_tui.core.store.pair_rows import PAIR_SQL, Names, pair_of, score_entries
from claif_tui.core.store.states import (
    GAP,
    append_score,
    checked,
    index_text,
    last_decision,
    next_score_number,
    refresh_score,
    second_text,
    word_count,
)
from claif_tui.core.store.wishes import RESCORE_BIT

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

_PAGE = 500

_INSERT = """INSERT INTO pairs (kind, system, seed_id, source_id, line, run_id, recipe_id, text_a, generated,
    hard_negative, rate, occurrence, masked, merged, class, model, generate_key, gold, negative_score, length, split,
    created, negative_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING RETURNING id"""

_KNOWN = """SELECT id FROM pairs WHERE generate_key = ?1 AND coalesce(seed_id, 0) = coalesce(?2, 0)
    AND coalesce(rate, -1) = coalesce(?3, -1) AND coalesce(negative_key, '') = coalesce(?4, '')"""

# Generated before imported; then the order of the seeds or of the file. Never the order in which answers landed.
_EXPORT_ORDER = """p.source_id IS NOT NULL, p.source_id, coalesce(p.seed_id, p.line), p.rate, p.occurrence,
    p.recipe_id, p.generate_key, p.negative_key, p.id"""


class PairsRepo:
    """Tables ``pairs``, ``scores``, ``states`` and the search index. Scores are in 0..1 everywhere."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names = Names()

    @staticmethod
    def add(conn: sqlite3.Connection, row: NewPair) -> tuple[int, bool]:
        """Store one pair inside ``Store.write``; return its id and whether it is new.

        A pair with a known ``generate_key`` (and ``negative_key``) is not stored again for the same seed and rate:
        another seed that got the same answer makes a pair of its own. Texts must have passed ``storable_text``.
        """
        model = None if row.model is None else code_of(conn, "model", row.model)
        system = code_of(conn, "system", row.system)
        values = pair_values(row, system, model, round(time.time() * 1000))
        inserted = conn.execute(_INSERT, values).fetchone()
        if inserted is None:
            known = conn.execute(_KNOWN, (row.generate_key, row.seed_id, row.rate, row.negative_key)).fetchone()
            return int(known[0]), False
        pair_id = int(inserted[0])
        score = row.score
        if score is not None:
            score = checked(score, row.generated, row.hard_negative)
            append_score(conn, pair_id, score, n=0, after=last_decision(conn))
        stale = int(score is not None and (score.text_b is not None or score.negative_text is not None))
        negative = row.negative_score if score is None or score.negative is None else score.negative
        conn.execute(
            "INSERT INTO states (pair_id, status, score, rate, length, stale, flags, system, model, class, kind,"
            " source_id, split, edited, score_n, gold, triplet, negative)"
            " VALUES (?, 0, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
            (
                pair_id,
                None if score is None else score.score,
                row.rate,
                word_count(row.generated),
                stale,
                system,
                model,
                CLASSES.index(row.answer_class),
                KINDS.index(row.kind),
                row.source_id,
                SPLITS.index(row.split),
                None if score is None else 0,
                row.gold,
                int(row.hard_negative is not None),
                negative,
            ),
        )
        index_text(conn, pair_id, row.text_a, second_text(row.generated, row.hard_negative))
        return pair_id, True

    async def add_generated(self, rows: Sequence[NewPair]) -> list[int]:
        """Store pairs as their answers land, idempotent as ``add`` is; returns their ids once on disk."""
        return await self._store.awrite(lambda conn: [self.add(conn, row)[0] for row in rows])

    @staticmethod
    def put_score(
        conn: sqlite3.Connection,
        pair_id: int,
        *,
        score: float,
        raw: str | None = None,
        scale: Scale | None = None,
        reason: str | None = None,
        key: str | None = None,
        text: str | None = None,
        negative: float | None = None,
        negative_raw: str | None = None,
        negative_key: str | None = None,
        negative_text: str | None = None,
    ) -> None:
        """Give a pair a score inside ``Store.write``; ``text`` is the text_b that was scored (None: the generated one).

        ``negative`` and its parts say the same of the anchor and the hard negative; both sides make one entry.
        Earlier scores are kept; a wish for a rescore is fulfilled. The same answers (``key`` and ``negative_key``)
        count once.
        """
        generated, hard_negative, *last_keys = conn.execute(
            "SELECT p.generated, p.hard_negative, c.key, c.negative_key FROM states s JOIN pairs p ON p.id = s.pair_id"
            " LEFT JOIN scores c ON c.pair_id = s.pair_id AND c.n = s.score_n WHERE s.pair_id = ?",
            (pair_id,),
        ).fetchone()
        if key is not None and [key, negative_key] == last_keys:
            return
        new = NewScore(
            score=score,
            raw=raw,
            scale=scale,
            reason=reason,
            key=key,
            text_b=text,
            negative=negative,
            negative_raw=negative_raw,
            negative_key=negative_key,
            negative_text=negative_text,
        )
        new = checked(new, generated, hard_negative)
        append_score(conn, pair_id, new, n=next_score_number(conn, pair_id), after=last_decision(conn))
        refresh_score(conn, pair_id)

    @classmethod
    def put_label(cls, conn: sqlite3.Connection, pair_id: int, label: float) -> None:
        """Give a pair without a score the label that its prompt fixed (0..1), inside ``Store.write``."""
        (score,) = conn.execute("SELECT score FROM states WHERE pair_id = ?", (pair_id,)).fetchone()
        if score is None:
            cls.put_score(conn, pair_id, score=label)

    @staticmethod
    def put_class(conn: sqlite3.Connection, pair_id: int, answer_class: AnswerClass) -> None:
        """Class a pair anew inside ``Store.write``: what a check of its label says of it."""
        code = CLASSES.index(answer_class)
        conn.execute("UPDATE pairs SET class = ? WHERE id = ?", (code, pair_id))
        conn.execute("UPDATE states SET class = ? WHERE pair_id = ?", (code, pair_id))

    async def set_score(self, pair_id: int, score: NewScore) -> None:
        """Give a pair the score that an answer holds; returns once it is on disk."""

        def work(conn: sqlite3.Connection) -> None:
            self.put_score(
                conn,
                pair_id,
                score=score.score,
                raw=score.raw,
                scale=score.scale,
                reason=score.reason,
                key=score.key,
                text=score.text_b,
                negative=score.negative,
                negative_raw=score.negative_raw,
                negative_key=score.negative_key,
                negative_text=score.negative_text,
            )

        await self._store.awrite(work)

    def get(self, pair_id: int) -> Pair | None:
        """Return one pair as it stands now."""
        found = self.many([pair_id])
        return found[0] if found else None

    def many(self, ids: Sequence[int]) -> list[Pair]:
        """Return pairs in the order of ``ids``; unknown ids are left out."""
        with self._store.read() as conn:
            return self._many(conn, ids)

    def _many(self, conn: sqlite3.Connection, ids: Sequence[int]) -> list[Pair]:
        found: dict[int, Pair] = {}
        for start in range(0, len(ids), _PAGE):
            chunk = tuple(ids[start : start + _PAGE])
            rows = conn.execute(
                f"{PAIR_SQL} WHERE s.pair_id IN ({','.join('?' * len(chunk))})", chunk
            ).fetchall()
            for row in rows:
                found[row[0]] = pair_of(row, self._names.within(conn))
        return [found[pair_id] for pair_id in ids if pair_id in found]

    def counts(self) -> Counts:
        """How many pairs stand in each status."""
        with self._store.read() as conn:
            numbers = dict(conn.execute("SELECT status, n FROM tallies"))
        return Counts(pending=numbers[0], accepted=numbers[1], rejected=numbers[2])

    def counts_like(self, query: PairQuery) -> Counts:
        """How all pairs stand that a query would find if it did not ask for a status."""
        with self._store.read() as conn:
            return Counts(**dict(zip(STATUSES, queries.counts_like(conn, query), strict=True)))

    def counts_of(self, ids: Sequence[int]) -> Counts:
        """How the pairs of a list stand."""
        found = [0] * len(STATUSES)
        with self._store.read() as conn:
            for start in range(0, len(ids), _PAGE):
                chunk = tuple(ids[start : start + _PAGE])
                marks = ",".join("?" * len(chunk))
                sql = f"SELECT status, count(*) FROM states WHERE pair_id IN ({marks}) GROUP BY status"
                for status, number in conn.execute(sql, chunk):
                    found[status] += number
        return Counts(**dict(zip(STATUSES, found, strict=True)))

    def count(self, query: PairQuery) -> int:
        """How many pairs a query has."""
        with self._store.read() as conn:
            return queries.count(conn, query)

    def ids(self, query: PairQuery) -> array[int]:
        """All ids of a query in its order: 8 bytes each, to be loaded in the background."""
        with self._store.read() as conn:
            return queries.all_ids(conn, query)

    def first(self, query: PairQuery, limit: int) -> list[Pair]:
        """The first ``limit`` pairs of a query: what to show while ``ids`` loads."""
        with self._store.read() as conn:
            return self._many(conn, queries.first_ids(conn, query, limit))

    def newest_id(self) -> int:
        """The highest id of a visible pair; 0 if there is none."""
        with self._store.read() as conn:
            return int(conn.execute("SELECT coalesce(max(pair_id), 0) FROM states").fetchone()[0])

    def histogram(self, bins: int = 10) -> dict[float | None, list[int]]:
        """How many scores fall into each of ``bins`` equal parts of 0..1, by mask rate (None: pairs without one)."""
        edges = [index / bins for index in range(bins)]
        with self._store.read() as conn:
            result: dict[float | None, list[int]] = {}
            for rate in _rates(conn):
                # 1.0 belongs to the last bin. Each count is a range of one index.
                found = []
                for index, low in enumerate(edges):
                    below = "AND score < ?" if index + 1 < bins else ""
                    sql = f"SELECT count(*) FROM states WHERE rate IS ? AND score >= ? {below}"
                    values = (rate, low, *edges[index + 1 : index + 2])
                    found.append(int(conn.execute(sql, values).fetchone()[0]))
                result[rate] = found
        return result

    def score_bins(self, expression: str, *, bins: int = 10, negative: bool = False) -> list[int]:
        """How many scores (of the hard negative: ``negative``) of the pairs that a filter matches fall into each of
        ``bins`` equal parts of 0..1.
        """
        where, values = filters.parse(expression).sql()
        column = "s.negative" if negative else "s.score"
        sql = (
            f"SELECT min(?, CAST({column} * ? AS INTEGER)), count(*) FROM states s"
            f" WHERE {column} IS NOT NULL AND ({where}) GROUP BY 1"
        )
        with self._store.read() as conn:
            found = dict(conn.execute(sql, (bins - 1, bins, *values)).fetchall())
        return [found.get(index, 0) for index in range(bins)]

    def facets(self) -> Facets:
        """The models, systems, authors and flags that occur, for menus."""
        with self._store.read() as conn:
            models, systems, authors, flags = (
                tuple(sorted(names_of(conn, kind).values())) for kind in ("model", "system", "author", "flag")
            )
        return Facets(models=models, systems=systems, authors=authors, flags=flags)

    def export_rows(self, query: PairQuery) -> Iterator[Pair]:
        """Yield a query's pairs in export order, whatever its sort: the same for every order of answers.

        Memory is bounded (16 bytes a pair). Each call starts anew; the ids are those of its start.
        """
        with self._store.read() as conn:
            wanted = queries.all_ids(
                conn, PairQuery(filter=query.filter, search=query.search, sample=query.sample)
            )
            ids = _in_export_order(conn, wanted)
        for start in range(0, len(ids), _PAGE):
            yield from self.many(ids[start : start + _PAGE])

    def set_encoder(self, rows: Sequence[tuple[int, float]]) -> None:
        """Record (pair id, cosine of the packaged encoder, -1..1) for the pairs' current texts."""

        def work(conn: sqlite3.Connection) -> None:
            conn.executemany(
                "UPDATE states SET encoder = ? WHERE pair_id = ?",
                [(cosine, pair_id) for pair_id, cosine in rows],
            )
            conn.executemany(
                f"UPDATE states SET gap = {GAP} WHERE pair_id = ?", [(pair_id,) for pair_id, _ in rows]
            )

        self._store.write(work)

    def without_encoder(self, limit: int, after: int = 0) -> list[tuple[int, str, str]]:
        """Return (id, text_a, current text_b) of pairs with an id above ``after`` whose cosine is not known yet."""
        with self._store.read() as conn:
            return conn.execute(
                "SELECT p.id, p.text_a, coalesce(e.text, p.generated) FROM states s JOIN pairs p ON p.id = s.pair_id"
                " LEFT JOIN edits e ON e.pair_id = p.id WHERE s.pair_id > ? AND s.encoder IS NULL"
                " ORDER BY s.pair_id LIMIT ?",
                (after, limit),
            ).fetchall()

    def flag(self, pair_id: int, flag: str, on: bool = True) -> None:
        """Set or clear a flag on one pair. ``rescore`` is asked for through the journal instead."""
        if flag == RESCORE:
            raise ValueError("a rescore is asked for with decisions.rescore")

        def work(conn: sqlite3.Connection) -> None:
            bit = 1 << code_of(conn, "flag", flag)
            change = "flags | ?" if on else "flags & ~?"
            conn.execute(f"UPDATE states SET flags = {change} WHERE pair_id = ?", (bit, pair_id))

        self._store.write(work)

    def to_rescore(self, limit: int, after: int = 0) -> list[Pair]:
        """Return pairs with an id above ``after`` for which a person asked for a new score, by id."""
        with self._store.read() as conn:
            rows = conn.execute(
                "SELECT pair_id FROM states WHERE flags <> 0 AND flags & ? AND pair_id > ? ORDER BY pair_id LIMIT ?",
                (RESCORE_BIT, after, limit),
            ).fetchall()
            return self._many(conn, [row[0] for row in rows])

    def of_seed(self, seed_id: int) -> list[Pair]:
        """Return the pairs generated from one seed, by rate and occurrence."""
        with self._store.read() as conn:
            rows = conn.execute(
                "SELECT id FROM pairs WHERE seed_id = ? ORDER BY rate, occurrence, id", (seed_id,)
            ).fetchall()
            return self._many(conn, [row[0] for row in rows])

    def statuses_of(self, generate_keys: Sequence[str]) -> dict[tuple[str, int, float | None], Status]:
        """How the pairs made of these answers stand, by (content address, seed, rate)."""
        found: dict[tuple[str, int, float | None], Status] = {}
        with self._store.read() as conn:
            for start in range(0, len(generate_keys), _PAGE):
                some = tuple(generate_keys[start : start + _PAGE])
                rows = conn.execute(
                    "SELECT p.generate_key, p.seed_id, p.rate, s.status FROM pairs p JOIN states s ON s.pair_id = p.id"
                    f" WHERE p.generate_key IN ({','.join('?' * len(some))}) AND p.seed_id IS NOT NULL",
                    some,
                )
                found.update({(key, seed, rate): STATUSES[status] for key, seed, rate, status in rows})
        return found

    def lineage(self, pair_id: int) -> Lineage | None:
        """Return all that a pair came from and went through; None for an unknown pair."""
        store = self._store
        pair = self.get(pair_id)
        if pair is None:
            return None
        with store.read() as conn:
            scores = score_entries(conn, pair_id)
            asked = [row[0] for row in conn.execute("SELECT key FROM calls WHERE pair_id = ?", (pair_id,))]
        scored = [key for entry in scores for key in (entry.key, entry.negative_key) if key]
        keys = list(dict.fromkeys(scored + asked))
        calls = store.calls.known(keys)
        score_calls = [
            call
            for call in calls.values()
            if call.key not in (pair.generate_key, pair.negative_key) and call.stage != "generate"
        ]
        seed = None if pair.seed_id is None else store.seeds.get(pair.seed_id)
        source_id = seed.source_id if pair.source_id is None and seed is not None else pair.source_id
        return Lineage(
            pair=pair,
            seed=seed,
            source=None if source_id is None else store.sources.get(source_id),
            generate_call=None if pair.generate_key is None else store.calls.get(pair.generate_key),
            negative_call=None if pair.negative_key is None else store.calls.get(pair.negative_key),
            score_calls=tuple(sorted(score_calls, key=lambda call: (call.sent_at, call.key))),
            scores=scores,
            decisions=tuple(store.decisions.list(pair_id=pair_id)),
            recipe=None if pair.recipe_id is None else store.recipes.get(pair.recipe_id),
        )


def pair_values(row: NewPair, system: int, model: int | None, created: int) -> tuple[object, ...]:
    """The values of a ``pairs`` row without its id, in column order."""
    return (
        KINDS.index(row.kind),
        system,
        row.seed_id,
        row.source_id,
        row.line,
        row.run_id,
        row.recipe_id,
        row.text_a,
        row.generated,
        row.hard_negative,
        row.rate,
        row.occurrence,
        row.masked,
        int(row.merged),
        CLASSES.index(row.answer_class),
        model,
        row.generate_key,
        row.gold,
        row.negative_score,
        word_count(row.generated),
        SPLITS.index(row.split),
        created,
        row.negative_key,
    )


def _rates(conn: sqlite3.Connection) -> list[float | None]:
    """The mask rates that occur, None last: one index seek each."""
    rates: list[float | None] = []
    (rate,) = conn.execute("SELECT min(rate) FROM states").fetchone()
    while rate is not None:
        rates.append(float(rate))
        (rate,) = conn.execute("SELECT min(rate) FROM states WHERE rate > ?", (rate,)).fetchone()
    if conn.execute("SELECT 1 FROM states WHERE rate IS NULL LIMIT 1").fetchone():
        rates.append(None)
    return rates


def _in_export_order(conn: sqlite3.Connection, ids: array[int]) -> array[int]:
    """Put ids in export order. Only keys are sorted, so that a million wide rows never sit in memory."""
    import json

    everything = conn.execute("SELECT count(*) FROM states").fetchone()[0] == len(ids)
    chosen = "states s" if everything else "(SELECT value AS pair_id FROM json_each(?)) s"
    values = () if everything else (json.dumps(ids.tolist()),)
    (joined,) = conn.execute(
        "SELECT group_concat(id) FROM"
        f" (SELECT p.id AS id FROM {chosen} JOIN pairs p ON p.id = s.pair_id ORDER BY {_EXPORT_ORDER})",
        values,
    ).fetchone()
    return queries.parse_ids(joined)
