from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from claif_tui.core.models import Counts, NewPair, PairQuery
from claif_tui.core.store import bulk
from claif_tui.core.store.bulk import BulkLoader
from claif_tui.core.store.store import Store
from tests.core.pair_support import add, fetch, make_source, new_pair, project, scored

INDEXES = {"states_status", "states_score", "states_rate", "states_length", "states_gap", "states_marked"}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few hundred pairs be many."""
    monkeypatch.setattr(bulk, "SMALL", 50)
    monkeypatch.setattr(bulk, "CHUNK", 40)
    monkeypatch.setattr(bulk, "SEARCH_CHUNK", 30)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with project(tmp_path / "p", 10) as store:
        yield store


def rows(count: int) -> Iterator[NewPair]:
    for number in range(1, count + 1):
        fields: dict[str, object] = {"line": number, "rate": number % 3 / 10, "model": f"m{number % 2}"}
        if number % 4 == 0:
            fields |= {"hard_negative": f"opposite {number} text .", "negative_score": number % 3 / 10 or None}
        yield scored(number, number % 7 / 10, **fields) if number % 5 else new_pair(number, gold=0.5, **fields)


def indexes(store: Store) -> set[str]:
    with store.read() as conn:
        return {
            row[0]
            for row in conn.execute("SELECT name FROM sqlite_master WHERE name LIKE 'states\\_%' ESCAPE '\\'")
        }


def indexed(store: Store) -> int:
    """How many pairs the search index itself holds, visible or not."""
    with store.read() as conn:
        return int(
            conn.execute("SELECT count(*) FROM pairs_fts WHERE pairs_fts MATCH 'generated'").fetchone()[0]
        )


def stored(store: Store) -> list[tuple[object, ...]]:
    """All pairs but for ids and times."""
    return [
        (
            p.text_a,
            p.text_b,
            p.hard_negative,
            p.negative_score,
            p.score,
            p.score_raw,
            p.rate,
            p.model,
            p.gold,
            p.status,
            p.stale,
            p.source_id,
            p.split,
        )
        for p in store.pairs.many(store.pairs.ids(PairQuery(sort="oldest")))
    ]


def test_a_large_load_is_the_same_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for large in (True, False):
        monkeypatch.setattr(bulk, "SMALL", 50 if large else 5000)
        with project(tmp_path / str(large), 10) as store:
            assert BulkLoader(store).load(make_source(store), rows(203)) == 203
            assert store.pairs.counts() == Counts(pending=213)
            assert store.pairs.count(PairQuery(search='"generated 77"')) == 1
            assert store.pairs.count(PairQuery(search='"opposite 76"', filter="triplet = yes")) == 1
            assert store.pairs.count(PairQuery(search='"text . opposite"')) == 0
            assert (
                len(store.pairs.first(PairQuery(filter="status = pending and score > 0.4", sort="score"), 500))
                > 0
            )
            assert indexes(store) >= INDEXES
            assert store.decisions.verify() == 0
            found.append(stored(store))
    assert found[0] == found[1]


def test_a_small_share_keeps_the_indexes(tmp_path: Path) -> None:
    with project(tmp_path / "p", 400) as store:
        BulkLoader(store).load(make_source(store), rows(60))
        assert store.pairs.counts().total == 460
        assert indexes(store) >= INDEXES


def test_nobody_sees_a_load_before_it_is_whole_and_everybody_can_work(store: Store) -> None:
    seen: list[tuple[str, int]] = []
    with Store.open(store.folder, author="bob") as other:

        def watch(stage: str, done: int) -> None:
            seen.append((stage, done))
            if stage == "indexes":
                return
            assert other.pairs.counts().total == 10 + len(added)
            assert other.pairs.count(PairQuery(search='"generated 77"')) == 0
            assert len(other.pairs.first(PairQuery(sort="score"), 99)) == 10 + len(added)
            if stage == "rows":
                added.extend(add(other, [new_pair(1000 + done)]))
                other.decisions.decide([1 + len(added)], "accept")

        added: list[int] = []
        BulkLoader(store, watch).load(make_source(store), rows(203))
        assert other.pairs.counts().total == 213 + len(added)
        assert other.pairs.counts().accepted == len(added) == 6
        assert all(fetch(other, pair_id).source_id is None for pair_id in added)
    assert [done for stage, done in seen if stage == "rows"] == [40, 80, 120, 160, 200, 203]
    assert [done for stage, done in seen if stage == "search"][-1] == 203
    assert store.decisions.verify() == 0


@pytest.mark.parametrize("fault", ["rows", "score", "search"])
def test_a_load_that_fails_leaves_nothing(store: Store, fault: str) -> None:
    def faulty() -> Iterator[NewPair]:
        yield from rows(150)
        if fault == "rows":
            raise KeyboardInterrupt
        if fault == "score":
            yield scored(151, 80.0)

    def watch(stage: str, done: int) -> None:
        if stage == fault == "search" and done > 60:
            raise KeyboardInterrupt

    before = stored(store)
    source = make_source(store)
    with pytest.raises((KeyboardInterrupt, ValueError)):
        BulkLoader(store, watch).load(source, faulty())
    assert stored(store) == before
    assert store.pairs.count(PairQuery(search='"generated 77"')) == 0
    with store.read() as conn:
        for table, expected in (("pairs", 10), ("scores", 10), ("loads", 0)):
            assert conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == expected
    assert indexed(store) == 10
    BulkLoader(store).load(source, rows(150))
    assert store.pairs.count(PairQuery(search='"generated 77"')) == 1
    assert store.pairs.counts().total == 160


CHILD = """
import os, signal, sys
from pathlib import Path
from claif_tui.core.store import bulk
from claif_tui.core.store.store import Store
from tests.core.pair_support import make_source
from tests.core.test_bulk import rows
bulk.SMALL, bulk.CHUNK, bulk.SEARCH_CHUNK = 50, 40, 30
def watch(stage, done):
    if (stage, done) == (sys.argv[2], int(sys.argv[3])):
        os.kill(os.getpid(), signal.SIGKILL)
with Store.open(Path(sys.argv[1])) as store:
    bulk.BulkLoader(store, watch).load(make_source(store), rows(203))
"""


def killed(store: Store, stage: str, done: int) -> None:
    root = Path(__file__).resolve().parents[2]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(store.folder), stage, str(done)], cwd=root, check=False
    )
    assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("stage", "done"), [("rows", 40), ("rows", 203), ("search", 30)])
def test_a_killed_load_is_taken_back_at_the_next_start(store: Store, stage: str, done: int) -> None:
    killed(store, stage, done)
    assert store.pairs.counts().total == 10
    (later,) = add(store, [new_pair(900)])
    with Store.open(store.folder) as again:
        (notice,) = again.notices
        assert "made-up.csv" in notice
        assert "taken back" in notice
        assert again.pairs.counts().total == 11
        assert again.sources.list() == []
        assert indexed(again) == 11
        assert fetch(again, later).text_a == "seed 900 sentence ."
        assert again.pairs.count(PairQuery(search='"generated 77"')) == 0
        assert again.pairs.count(PairQuery(search='"seed 900"')) == 1
        BulkLoader(again).load(make_source(again), rows(203))
        assert again.pairs.counts().total == 214
        assert again.pairs.count(PairQuery(search='"generated 77"')) == 1
    with Store.open(store.folder) as once_more:
        assert once_more.notices == ()


def test_a_load_killed_when_it_was_whole_is_finished_at_the_next_start(store: Store) -> None:
    killed(store, "indexes", 2)
    assert not indexes(store) >= INDEXES
    assert len(store.pairs.first(PairQuery(sort="length"), 300)) == 213
    with Store.open(store.folder) as again:
        assert again.notices == ()
        assert indexes(again) >= INDEXES
        assert again.pairs.counts().total == 213
        assert again.decisions.verify() == 0


def test_a_load_that_still_runs_is_left_alone(store: Store) -> None:
    opened: list[int] = []

    def watch(stage: str, done: int) -> None:
        if stage == "rows" and not opened:
            with Store.open(store.folder) as other:
                assert other.notices == ()
                opened.append(other.pairs.counts().total)

    BulkLoader(store, watch).load(make_source(store), rows(203))
    assert opened == [10]
    assert store.pairs.counts().total == 213
