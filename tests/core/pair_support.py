"""Pairs and stores for the tests of what is reviewed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from claif_tui.core.models import NewPair, NewScore, Pair
from claif_tui.core.store.store import Store


def new_pair(number: int, **fields: object) -> NewPair:
    """A pair that differs from all others, with whatever fields a test cares about."""
    values: dict[str, object] = {
        "system": "claif",
        "text_a": f"seed {number} sentence .",
        "generated": f"generated {number} text .",
    }
    return NewPair(**(values | fields))  # type: ignore[arg-type]


def scored(number: int, score: float, **fields: object) -> NewPair:
    """A pair that comes with a score."""
    return new_pair(number, score=NewScore(score=score, raw=str(score), scale="0-1"), **fields)


def add(store: Store, rows: Iterable[NewPair]) -> list[int]:
    """Store pairs and return their ids."""

    def work(conn: sqlite3.Connection) -> list[int]:
        return [store.pairs.add(conn, row)[0] for row in rows]

    return store.write(work)


def make_source(store: Store, path: str = "data/made-up.csv") -> int:
    """Begin an import of pairs."""
    return store.write(
        lambda conn: store.sources.begin(
            conn, path=path, role="pairs", format="csv", split="train", sha256="0" * 64
        )
    )


def fetch(store: Store, pair_id: int) -> Pair:
    """A pair that must be there."""
    pair = store.pairs.get(pair_id)
    assert pair is not None
    return pair


def project(folder: Path, count: int = 0) -> Store:
    """A new project with ``count`` scored pairs, ids 1 to ``count``."""
    store = Store.create(folder, author="ann")
    add(store, [scored(number, number % 11 / 10, rate=number % 9 / 10) for number in range(1, count + 1)])
    return store
