"""Studies as frozen, and what happened to them since. Nothing a rater may see passes here: that is in ``ratings``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from claif_tui.core.errors import UsageError
from claif_tui.core.models import STATUSES
from claif_tui.core.rating.models import (
    Answer,
    Assignment,
    Comment,
    Criterion,
    Exclusion,
    GoldRange,
    Item,
    Protocol,
    Study,
    StudyData,
    StudyEvent,
)
from claif_tui.core.store.connection import now

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

_STUDY = "SELECT id, hash, created, author, protocol FROM studies"
_ANSWERS = """SELECT a.rater, a.item, a.occurrence, r.criterion, r.value, r.comment, r.elapsed_ms, r.at, r.source
    FROM assignments a JOIN ratings r ON r.token = a.token
    WHERE a.study_id = ? AND r.id = (SELECT max(l.id) FROM ratings l
        WHERE l.token = r.token AND l.criterion IS r.criterion)
    ORDER BY a.rater, a.position, r.id"""


class StudiesRepo:
    """Tables ``studies``, ``study_items``, ``assignments`` and ``study_events``. Methods block for a moment."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def names(self) -> list[str]:
        """Return the names of all studies, newest first."""
        with self._store.read() as conn:
            return [row[0] for row in conn.execute("SELECT name FROM studies ORDER BY id DESC")]

    def has(self, name: str) -> bool:
        """Whether a study of that name exists."""
        return name in self.names()

    def get(self, name: str | None = None) -> Study:
        """Return one study; without a name the only one. ``UsageError`` where that is none or not clear."""
        with self._store.read() as conn:
            if name is None:
                rows = conn.execute(f"{_STUDY} ORDER BY id DESC").fetchall()
            else:
                rows = conn.execute(f"{_STUDY} WHERE name = ?", (name,)).fetchall()
        if len(rows) == 1:
            return _study(rows[0])
        names = self.names()
        if not names:
            raise UsageError("this project has no study", "Make one: claif-tui rate new")
        listed = ", ".join(names)
        if name is None:
            raise UsageError("this project has several studies", f"Name one of them: {listed}")
        raise UsageError(f"there is no study {name!r}", f"Studies here: {listed}")

    def add(
        self,
        protocol: Protocol,
        digest: str,
        items: Sequence[Item],
        assignments: Sequence[Assignment],
        drawn: Mapping[str, object],
    ) -> Study:
        """Store a frozen study in one transaction; ``drawn`` tells how the population came about."""

        def work(conn: sqlite3.Connection) -> int:
            if conn.execute("SELECT 1 FROM studies WHERE name = ?", (protocol.name,)).fetchone():
                raise UsageError(f"there is a study {protocol.name!r} already")
            cursor = conn.execute(
                "INSERT INTO studies (name, hash, created, author, protocol, left_out, shows_score,"
                " shows_explanation) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    protocol.name,
                    digest,
                    now(),
                    self._store.author,
                    json.dumps(asdict(protocol)),
                    json.dumps(dict(drawn)),
                    int(protocol.shows_score),
                    int(protocol.shows_explanation),
                ),
            )
            study_id = cursor.lastrowid
            assert study_id is not None
            conn.executemany(
                "INSERT INTO study_items (study_id, n, role, pair_id, text_a, text_b, score, explanation, rate,"
                " system, model, recipe_id, status, gold) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(study_id, *_item_values(item)) for item in items],
            )
            conn.executemany(
                "INSERT INTO assignments (token, study_id, rater, position, item, occurrence)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(a.token, study_id, a.rater, a.position, a.item, a.occurrence) for a in assignments],
            )
            return study_id

        self._store.write(work)
        return self.get(protocol.name)

    def drawn(self, study_id: int) -> dict[str, Any]:
        """Return how the population came about: its size, and the pairs left out by reason."""
        with self._store.read() as conn:
            (text,) = conn.execute("SELECT left_out FROM studies WHERE id = ?", (study_id,)).fetchone()
        found: dict[str, Any] = json.loads(text)
        return found

    def begun(self, study_id: int) -> bool:
        """Whether anybody has answered anything yet."""
        with self._store.read() as conn:
            return _begun(conn, study_id)

    def set_explanation(self, study_id: int, n: int, text: str, key: str | None) -> None:
        """Give an item its explanation, once; ``key`` is the call it came from. After the first rating of the
        study this is a deviation, and an item that somebody rated keeps what it had (``UsageError``)."""

        def work(conn: sqlite3.Connection) -> None:
            rated = conn.execute(
                "SELECT 1 FROM assignments a JOIN ratings r ON r.token = a.token"
                " WHERE a.study_id = ? AND a.item = ? AND r.criterion IS NOT NULL LIMIT 1",
                (study_id, n),
            ).fetchone()
            if rated:
                raise UsageError(f"item {n} was rated already, so its explanation stays as it was")
            conn.execute(
                "UPDATE study_items SET explanation = ?, explanation_key = ? WHERE study_id = ? AND n = ?",
                (text, key, study_id, n),
            )

        self._store.write(work)

    def explanation_keys(self, study_id: int) -> dict[int, str]:
        """Return the calls behind explanations, by item."""
        with self._store.read() as conn:
            rows = conn.execute(
                "SELECT n, explanation_key FROM study_items WHERE study_id = ? AND explanation_key IS NOT NULL",
                (study_id,),
            )
            return dict(rows.fetchall())

    def add_event(self, study_id: int, kind: str, detail: str, *, deviation: bool | None = None) -> None:
        """Note something that happened to a study; without ``deviation`` it is one if ratings had begun."""

        def work(conn: sqlite3.Connection) -> None:
            departs = _begun(conn, study_id) if deviation is None else deviation
            add_event(conn, study_id, self._store.author, kind, detail, deviation=departs)

        self._store.write(work)

    def items(self, study_id: int) -> tuple[Item, ...]:
        """Return every item as frozen, with its explanation, in order."""
        with self._store.read() as conn:
            return _items(conn, study_id)

    def data(self, name: str | None = None) -> StudyData:
        """Return all of one study in one view of the database. For reports; never for a rater."""
        with self._store.read() as conn:
            study = self.get(name)
            items = _items(conn, study.id)
            assignments = tuple(
                Assignment(token=token, rater=rater, position=position, item=item, occurrence=occurrence)
                for token, rater, position, item, occurrence in conn.execute(
                    "SELECT token, rater, position, item, occurrence FROM assignments WHERE study_id = ?"
                    " ORDER BY rater, position",
                    (study.id,),
                )
            )
            answers: list[Answer] = []
            comments: list[Comment] = []
            for rater, item, occurrence, criterion, value, comment, elapsed, at, source in conn.execute(
                _ANSWERS, (study.id,)
            ):
                if criterion is None:
                    if comment:
                        comments.append(
                            Comment(rater=rater, item=item, occurrence=occurrence, text=comment, at=at)
                        )
                elif value is not None:
                    answers.append(
                        Answer(
                            rater=rater,
                            item=item,
                            occurrence=occurrence,
                            criterion=criterion,
                            value=value,
                            elapsed=None if elapsed is None else elapsed / 1000,
                            at=at,
                            source=source,
                        )
                    )
            events = tuple(
                StudyEvent(at=at, author=author, kind=kind, detail=detail, deviation=bool(deviation))
                for at, author, kind, detail, deviation in conn.execute(
                    "SELECT at, author, kind, detail, deviation FROM study_events WHERE study_id = ? ORDER BY id",
                    (study.id,),
                )
            )
            changed = _changed(conn, study.id)
        return StudyData(
            study=study,
            items=items,
            assignments=assignments,
            answers=tuple(answers),
            comments=tuple(comments),
            events=events,
            changed=changed,
        )


def add_event(
    conn: sqlite3.Connection, study_id: int, author: str, kind: str, detail: str, *, deviation: bool
) -> None:
    """Note an event inside ``Store.write``."""
    conn.execute(
        "INSERT INTO study_events (study_id, at, author, kind, detail, deviation) VALUES (?, ?, ?, ?, ?, ?)",
        (study_id, now(), author, kind, detail, int(deviation)),
    )


def _begun(conn: sqlite3.Connection, study_id: int) -> bool:
    found = conn.execute(
        "SELECT 1 FROM assignments a JOIN ratings r ON r.token = a.token WHERE a.study_id = ? LIMIT 1",
        (study_id,),
    )
    return found.fetchone() is not None


def _changed(conn: sqlite3.Connection, study_id: int) -> dict[int, str]:
    """Items whose pair has another text, score or status now, in words."""
    rows = conn.execute(
        "SELECT i.n, i.text_b <> coalesce(e.text, p.generated), i.score IS NOT s.score, i.status, s.status"
        " FROM study_items i JOIN states s ON s.pair_id = i.pair_id JOIN pairs p ON p.id = i.pair_id"
        " LEFT JOIN edits e ON e.pair_id = i.pair_id WHERE i.study_id = ? ORDER BY i.n",
        (study_id,),
    )
    found: dict[int, str] = {}
    for n, text, score, was, code in rows:
        said = [word for word, differs in (("edited", text), ("scored anew", score)) if differs]
        if STATUSES[code] == "rejected" and was != "rejected":
            said.append("rejected")
        if said:
            found[n] = ", ".join(said)
    return found


def _item_values(item: Item) -> tuple[object, ...]:
    return (
        item.n,
        item.role,
        item.pair_id,
        item.text_a,
        item.text_b,
        item.score,
        item.explanation,
        item.rate,
        item.system,
        item.model,
        item.recipe_id,
        item.status,
        json.dumps([asdict(gold) for gold in item.gold]),
    )


def _items(conn: sqlite3.Connection, study_id: int) -> tuple[Item, ...]:
    rows = conn.execute(
        "SELECT n, role, pair_id, text_a, text_b, score, explanation, rate, system, model, recipe_id, status, gold"
        " FROM study_items WHERE study_id = ? ORDER BY n",
        (study_id,),
    )
    names = [name for name in Item.__dataclass_fields__ if name != "gold"]
    return tuple(
        Item(
            **dict(zip(names, row[:-1], strict=True)),
            gold=tuple(GoldRange(**gold) for gold in json.loads(row[-1])),
        )
        for row in rows
    )


def _study(row: Sequence[Any]) -> Study:
    study_id, digest, created, author, text = row
    return Study(
        id=study_id, hash=digest, created=created, author=author, protocol=protocol_from(json.loads(text))
    )


def protocol_from(stored: dict[str, Any]) -> Protocol:
    """Return a protocol from its JSON."""
    fields = dict(stored)
    fields["criteria"] = tuple(Criterion(**criterion) for criterion in fields["criteria"])
    fields["exclusion"] = Exclusion(**fields["exclusion"])
    fields["stratify"] = tuple(fields["stratify"])
    fields["raters"] = tuple(fields["raters"])
    return Protocol(**fields)
