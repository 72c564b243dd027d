from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from claif_tui.core.history import describe
from claif_tui.core.models import Counts, PairQuery
from claif_tui.core.review import ReviewQueue, per_hour, sample_query
from claif_tui.core.store.store import Store
from tests.core.pair_support import add, project, scored

PENDING = PairQuery(filter="status = pending")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with project(tmp_path / "p", 60) as store:
        yield store


def test_i_return_to_where_i_was(store: Store) -> None:
    queue = ReviewQueue.open(store, PENDING)
    assert [pair.id for pair in queue.first(3)] == [60, 59, 58]
    queue.load()
    assert queue.position() == 0
    queue.remember(57)
    ReviewQueue.open(store, PairQuery(sort="score"), "bob").remember(3)
    folder = store.folder
    store.close()
    with Store.open(folder, author="ann") as again:
        resumed = ReviewQueue.resume(again)
        assert resumed is not None
        assert resumed.query == PENDING
        resumed.load()
        assert resumed.ids[resumed.position()] == 57
        bobs = ReviewQueue.resume(again, "bob")
        assert bobs is not None
        assert (bobs.query.sort, bobs.pair_id) == ("score", 3)
        assert ReviewQueue.resume(again, "carl") is None


def test_a_place_that_left_the_queue_is_its_neighbour(store: Store) -> None:
    queue = ReviewQueue.open(store, PENDING)
    queue.remember(40)
    store.decisions.decide([40, 41], "accept")
    queue.load()
    assert queue.ids[queue.position()] == 39
    oldest = ReviewQueue.open(store, PairQuery(filter="status = pending", sort="oldest"))
    oldest.remember(40)
    oldest.load()
    assert oldest.ids[oldest.position()] == 42


def test_a_sample_stays_the_same_sample_while_it_is_decided(store: Store) -> None:
    query = sample_query(PENDING, 3, 20)
    queue = ReviewQueue.open(store, query)
    assert len(queue.ids) == 20
    store.decisions.decide(list(queue.ids[:5]), "accept")
    add(store, [scored(number, 0.5) for number in range(100, 150)])
    again = ReviewQueue.open(store, query)
    assert again.ids == queue.ids == again.load()
    assert [pair.id for pair in again.first(4)] == list(queue.ids[:4])
    assert again.figures().queue == Counts(pending=15, accepted=5)
    assert again.elsewhere() == Counts(pending=90)
    assert ReviewQueue.open(store, query, "bob").ids != queue.ids


def test_the_figures_of_a_sample_tell_when_to_stop(tmp_path: Path) -> None:
    with project(tmp_path / "p", 1200) as store:
        queue = ReviewQueue.open(store, sample_query(PairQuery(), 1, 1150))
        fresh = queue.figures()
        assert fresh.stop is not None
        assert (fresh.keep, fresh.stop.reached, fresh.stop.more, fresh.stop.beyond) == (None, False, 1064, 0)
        store.decisions.decide(list(queue.ids[:90]), "accept")
        store.decisions.decide(list(queue.ids[90:100]), "reject")
        some = queue.figures()
        assert some.keep is not None
        assert some.stop is not None
        assert some.keep.value == 0.9
        assert (round(some.keep.low, 4), round(some.keep.high, 4)) == (0.8256, 0.9448)
        assert not some.stop.reached
        assert 250 < some.stop.more < 400
        loose = queue.figures(precision=0.06).stop
        assert loose is not None
        assert (loose.reached, loose.more) == (True, 0)
        store.decisions.decide(list(queue.ids[100:1000]), "accept")
        done = queue.figures()
        assert done.stop is not None
        assert done.stop.reached
        assert done.decided == 1000


def test_a_sample_that_is_too_small_says_how_many_are_missing(store: Store) -> None:
    stop = ReviewQueue.open(store, sample_query(PENDING, 1, 50)).figures().stop
    assert stop is not None
    assert (stop.more, stop.beyond) == (1064, 1014)


def test_a_queue_that_is_no_sample_makes_no_promise(store: Store) -> None:
    store.decisions.decide(list(range(1, 21)), "accept")
    store.decisions.decide([21, 22], "reject")
    figures = ReviewQueue.open(store, PairQuery(filter="status = pending and id <= 40")).figures()
    assert (figures.random, figures.stop) == (False, None)
    assert figures.queue == Counts(pending=18, accepted=20, rejected=2)
    assert figures.keep is not None
    assert figures.decided == 22


def test_the_pace_leaves_breaks_out() -> None:
    times = [
        f"2026-01-01T10:{minute:02}:{second:02}.000Z" for minute in range(3) for second in range(0, 60, 10)
    ]
    steady = per_hour(times[::-1])
    assert steady == pytest.approx(360)
    assert per_hour(["2026-01-01T12:00:00.000Z", *times[::-1], "2026-01-01T02:00:00.000Z"]) == pytest.approx(
        360
    )
    assert per_hour(times[:4][::-1]) is None
    assert per_hour([times[0]] * 20) is None
    assert per_hour([]) is None


def test_the_eta_follows_from_the_pace(store: Store) -> None:
    for pair_id in range(1, 11):
        store.decisions.decide([pair_id], "accept")
    figures = ReviewQueue.open(store, PENDING).figures()
    assert figures.per_hour is not None
    assert figures.eta_seconds == pytest.approx(figures.queue.pending / figures.per_hour * 3600)
    assert ReviewQueue.open(store, PENDING, "bob").figures().eta_seconds is None


def test_an_empty_queue_has_figures_too(tmp_path: Path) -> None:
    with project(tmp_path / "p") as store:
        for query in (PENDING, sample_query(PENDING, 1, 10)):
            queue = ReviewQueue.open(store, query)
            assert queue.load() == array("q")
            assert queue.position() == 0
            assert queue.first(5) == []
            assert queue.figures().queue == Counts()


def test_decisions_in_words(store: Store) -> None:
    decisions = store.decisions
    assert describe(decisions.decide([3], "accept")) == "accepted pair 3"
    assert describe(decisions.decide(PairQuery(filter="id <= 10"), "accept")) == (
        "accepted 9 pairs where id <= 10 (1 were so already)"
    )
    undone = decisions.undo()
    assert undone is not None
    assert describe(undone) == "undid: accepted 9 pairs"
    assert describe(decisions.set_score(3, 0.5)) == "scored by hand pair 3 at 0.5"
    assert describe(decisions.rescore([3])) == "asked for a new score of pair 3"
