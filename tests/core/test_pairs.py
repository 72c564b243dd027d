from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claif_tui.core.errors import InputError
from claif_tui.core.models import STATUSES, Counts, NewScore, Pair, PairQuery, Sort
from claif_tui.core.store import codes, queries
from claif_tui.core.store.bulk import rebuild_search
from claif_tui.core.store.search import read_search
from claif_tui.core.store.store import Store
from tests.core.pair_support import add, fetch, make_source, new_pair, project, scored

WORDS = [
    "red",
    "green",
    "blue",
    "reddish",
    "don't",
    "C++",
    "naïve",
    "東京タワー",
    "🙂",
    "100%",
    "_x_",
    "a\u0301b",
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with project(tmp_path / "p") as store:
        yield store


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two hundred pairs of all sorts, some decided, some with an encoder cosine, some edited."""
    rng = Random(7)
    with project(tmp_path_factory.mktemp("pairs") / "p") as store:
        rows = []
        for number in range(200):
            score = rng.choice([None, 0.0, 0.25, 0.5, 0.75, 1.0])
            rows.append(
                new_pair(
                    number,
                    text_a=" ".join(rng.choices(WORDS, k=3)),
                    generated=" ".join(rng.choices(WORDS, k=rng.randint(1, 6))),
                    rate=rng.choice([None, 0.0, 0.3, 0.8]),
                    score=None if score is None else NewScore(score=score),
                )
            )
        ids = add(store, rows)
        store.pairs.set_encoder([(pair_id, rng.uniform(-0.2, 1.0)) for pair_id in rng.sample(ids, 80)])
        store.decisions.decide(rng.sample(ids, 60), "accept")
        store.decisions.decide(rng.sample(ids, 5), "reject")
        store.decisions.edit(ids[3], "green edited words")
        yield store


def everything(store: Store) -> list[Pair]:
    return store.pairs.many(range(1, store.pairs.newest_id() + 1))


def value(pair: Pair, sort: Sort) -> tuple[float, ...] | None:
    """What a pair is sorted by; None puts it last."""
    if sort == "score":
        return None if pair.score is None else (pair.score,)
    if sort == "rate":
        return None if pair.rate is None else (pair.rate, -1 if pair.score is None else pair.score)
    if sort == "length":
        return (len(pair.text_b.split()),)
    if sort == "disagreement":
        if pair.score is None or pair.encoder is None:
            return None
        return (abs(pair.score - min(1.0, max(0.0, pair.encoder))),)
    return ()


def in_order(pairs: list[Pair], query: PairQuery) -> list[int]:
    """The ids as a query's sort should bring them."""
    down = query.sort == "newest" or (query.descending and query.sort != "oldest")
    keys = {pair.id: value(pair, query.sort) for pair in pairs}
    present = sorted(
        (p for p in pairs if keys[p.id] is not None), key=lambda p: (keys[p.id], p.id), reverse=down
    )
    absent = [p for p in pairs if keys[p.id] is None]
    if query.sort == "rate":
        absent.sort(key=lambda p: (-1 if p.score is None else p.score, p.id), reverse=down)
    else:
        absent.sort(key=lambda p: p.id, reverse=down)
    return [pair.id for pair in present + absent]


SORTS: list[Sort] = ["newest", "oldest", "score", "rate", "length", "disagreement"]
queries_of_all_sorts = st.builds(
    PairQuery,
    filter=st.sampled_from(
        [
            "",
            "status = pending",
            "status = rejected",
            "score > 0.3 and rate < 0.5",
            "not score >= 0",
            "length > 99",
            "status = accepted and score = none",
        ]
    ),
    search=st.sampled_from(["", "red", "blu", "green edited", "東京", "🙂", "blue 🙂", '"red green"', "zzz"]),
    sort=st.sampled_from(SORTS),
    descending=st.booleans(),
)


@pytest.mark.parametrize("way", ["as it comes", "never walk", "everything is common"])
@settings(max_examples=150, deadline=None)
@given(query=queries_of_all_sorts, limit=st.integers(1, 250))
def test_every_way_to_find_a_page_finds_the_same(mixed: Store, way: str, query: PairQuery, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if way == "never walk":
            patch.setattr(queries, "WALK_SECONDS", -1.0)
            patch.setattr(queries, "_PROBE_OPS", 1)
        elif way == "everything is common":
            patch.setattr(queries, "RARE", 0)
            patch.setattr(queries, "WALK_SECONDS", 60.0)
        ids = list(mixed.pairs.ids(query))
        found = mixed.pairs.first(query, limit)
    unsorted = set(mixed.pairs.ids(PairQuery(filter=query.filter, search=query.search, sort="oldest")))
    assert ids == in_order([pair for pair in everything(mixed) if pair.id in unsorted], query)
    assert [pair.id for pair in found] == ids[:limit]
    assert mixed.pairs.count(query) == len(ids)


def test_a_missing_index_only_costs_time(mixed: Store) -> None:
    query = PairQuery(filter="status = pending", sort="score")
    before = [pair.id for pair in mixed.pairs.first(query, 20)]
    statement = mixed.write(
        lambda conn: conn.execute("SELECT sql FROM sqlite_master WHERE name = 'states_score'").fetchone()[0]
    )
    mixed.write(lambda conn: conn.execute("DROP INDEX states_score"))
    try:
        assert [pair.id for pair in mixed.pairs.first(query, 20)] == before
    finally:
        mixed.write(lambda conn: conn.execute(statement))


def test_counts_of_a_queue_leave_the_status_out_of_the_filter(mixed: Store) -> None:
    for search in ("", "red", "🙂"):
        for condition in ("", "score > 0.3"):
            found = mixed.pairs.many(mixed.pairs.ids(PairQuery(filter=condition, search=search)))
            statuses = [pair.status for pair in found]
            expected = Counts(**{status: statuses.count(status) for status in STATUSES})
            narrowed = f"{condition} and status = pending" if condition else "status = pending"
            assert mixed.pairs.counts_like(PairQuery(filter=narrowed, search=search)) == expected
            assert mixed.pairs.counts_of([pair.id for pair in found]) == expected


def test_a_sample_is_seeded_random_and_stays_what_it_is(mixed: Store) -> None:
    query = PairQuery(filter="status = pending", sample=(7, 20))
    ids = list(mixed.pairs.ids(query))
    assert len(set(ids)) == len(ids) == 20 == mixed.pairs.count(query)
    assert list(mixed.pairs.ids(query)) == ids
    assert ids != sorted(ids)
    assert all(fetch(mixed, pair_id).status == "pending" for pair_id in ids)
    other = list(mixed.pairs.ids(PairQuery(filter="status = pending", sample=(8, 20))))
    assert set(other) != set(ids)
    smaller = list(mixed.pairs.ids(PairQuery(filter="status = pending", sample=(7, 5))))
    assert smaller == ids[:5]
    assert [pair.id for pair in mixed.pairs.first(query, 3)] == ids[:3]


def test_a_sample_is_spread_evenly(tmp_path: Path) -> None:
    with project(tmp_path / "p", 1000) as store:
        hits = [0] * 10
        for seed in range(40):
            for pair_id in store.pairs.ids(PairQuery(sample=(seed, 100))):
                hits[(pair_id - 1) // 100] += 1
    assert all(320 < count < 480 for count in hits)


def test_a_pair_comes_back_as_it_went_in(store: Store) -> None:
    source = make_source(store)
    row = new_pair(
        1,
        kind="nli",
        source_id=source,
        line=4,
        run_id=3,
        recipe_id="0123456789ab",
        hard_negative="no",
        rate=0.3,
        occurrence=2,
        masked="a <mask>",
        merged=True,
        answer_class="has_mask",
        model="m",
        generate_key="k1",
        negative_key="k2",
        gold=0.6,
        negative_score=0.1,
        split="dev",
        score=NewScore(score=0.84, raw="4.2", scale="0-5", reason="why", key="s1"),
    )
    (pair_id,) = add(store, [row])
    pair = fetch(store, pair_id)
    for name in (
        *("kind", "system", "source_id", "run_id", "recipe_id", "text_a", "generated", "hard_negative", "rate"),
        *(
            "occurrence",
            "masked",
            "merged",
            "answer_class",
            "model",
            "generate_key",
            "negative_key",
            "gold",
            "negative_score",
            "split",
        ),
    ):
        assert getattr(pair, name) == getattr(row, name)
    assert (pair.score, pair.score_raw, pair.score_scale, pair.reason, pair.score_key) == (
        0.84,
        "4.2",
        "0-5",
        "why",
        "s1",
    )
    assert (pair.status, pair.stale, pair.edited, pair.text_b) == ("pending", False, False, row.generated)
    assert pair.created.endswith("Z")


def test_a_generated_pair_lands_once(store: Store) -> None:
    def twice(conn: sqlite3.Connection) -> list[tuple[int, bool]]:
        row = new_pair(1, generate_key="k", seed_id=5)
        return [store.pairs.add(conn, row), store.pairs.add(conn, row)]

    assert store.write(twice) == [(1, True), (1, False)]
    assert store.pairs.counts() == Counts(pending=1)
    assert [pair.id for pair in store.pairs.of_seed(5)] == [1]


async def test_what_the_pipeline_awaits_is_on_disk(store: Store) -> None:
    assert await store.pairs.add_generated([new_pair(1, generate_key="a"), new_pair(2, generate_key="b")]) == [
        1,
        2,
    ]
    await store.pairs.set_score(1, NewScore(score=0.5, raw="0.5", scale="0-1", key="s"))
    await store.pairs.set_score(1, NewScore(score=0.5, raw="0.5", scale="0-1", key="s"))
    with Store.open(store.folder) as other:
        assert fetch(other, 1).score == 0.5
        lineage = other.pairs.lineage(1)
        assert lineage is not None
        assert [entry.key for entry in lineage.scores] == ["s"]
    assert store.pairs.lineage(9) is None


def test_every_score_a_pair_was_given_is_kept(store: Store) -> None:
    add(store, [scored(1, 0.2)])
    store.write(lambda conn: store.pairs.put_score(conn, 1, score=0.4, key="later", reason="because"))
    store.decisions.set_score(1, 0.6)
    lineage = store.pairs.lineage(1)
    assert lineage is not None
    assert [(entry.number, entry.score) for entry in lineage.scores] == [(0, 0.2), (1, 0.4), (2, 0.6)]
    assert lineage.scores[2].decision_id == lineage.decisions[0].id
    with pytest.raises(ValueError, match=r"0\.\.1"):
        store.write(lambda conn: store.pairs.put_score(conn, 1, score=4.2))


def test_the_histogram_counts_every_score_once(mixed: Store) -> None:
    expected: dict[float | None, list[int]] = {}
    for pair in everything(mixed):
        bins = expected.setdefault(pair.rate, [0] * 4)
        if pair.score is not None:
            bins[min(3, int(pair.score * 4))] += 1
    assert mixed.pairs.histogram(bins=4) == expected


def test_the_encoder_gap_is_kept_beside_the_score(store: Store) -> None:
    add(store, [scored(1, 0.5), scored(2, 0.5), new_pair(3)])
    assert [row[0] for row in store.pairs.without_encoder(10)] == [1, 2, 3]
    store.pairs.set_encoder([(1, -0.7), (2, 0.6), (3, 0.9)])
    by_gap = PairQuery(sort="disagreement", descending=True)
    assert [pair.id for pair in store.pairs.first(by_gap, 9)] == [1, 2, 3]
    assert store.pairs.count(PairQuery(filter="gap = 0.5")) == 1
    store.decisions.set_score(2, 0.0)
    assert [pair.id for pair in store.pairs.first(by_gap, 9)] == [2, 1, 3]
    assert store.pairs.without_encoder(10) == []
    store.decisions.edit(1, "another text")
    assert store.pairs.without_encoder(10) == [(1, "seed 1 sentence .", "another text")]
    assert [pair.id for pair in store.pairs.first(by_gap, 9)] == [2, 3, 1]


def test_flags_are_named_by_whoever_sets_them(store: Store) -> None:
    add(store, [new_pair(1), new_pair(2)])
    store.pairs.flag(1, "odd")
    store.pairs.flag(1, "too long")
    store.pairs.flag(2, "odd")
    store.pairs.flag(2, "odd", on=False)
    assert fetch(store, 1).flags == ("odd", "too long")
    assert fetch(store, 2).flags == ()
    assert store.pairs.count(PairQuery(filter="flag ~ long")) == 1
    assert store.pairs.facets().flags == ("odd", "rescore", "too long")
    with pytest.raises(ValueError, match="decisions"):
        store.pairs.flag(1, codes.RESCORE)
    with pytest.raises(InputError, match="62"):
        for number in range(62):
            store.pairs.flag(1, f"flag {number}")


def test_export_order_does_not_depend_on_the_order_of_answers(tmp_path: Path) -> None:
    texts = []
    for turn in range(2):
        with project(tmp_path / f"p{turn}") as store:
            source = make_source(store)
            rows = [
                new_pair(
                    n, seed_id=n % 5, rate=n % 4 / 10, occurrence=n // 20, generate_key=f"k{n}", recipe_id="r"
                )
                for n in range(40)
            ]
            if turn:
                Random(3).shuffle(rows)
            add(store, rows[:30])
            add(store, [new_pair(100 + line, source_id=source, line=line) for line in range(1, 5)])
            add(store, rows[30:])
            texts.append([pair.text_a for pair in store.pairs.export_rows(PairQuery(sort="score"))])
            narrow = store.pairs.export_rows(PairQuery(filter="rate = 0.1"))
            assert [pair.seed_id for pair in narrow] == sorted(n % 5 for n in range(40) if n % 4 == 1)
    assert texts[0] == texts[1]
    assert texts[0][-4:] == [f"seed {100 + line} sentence ." for line in range(1, 5)]


def test_exporting_leaves_the_store_free(store: Store) -> None:
    add(store, [scored(number, 0.5) for number in range(1200)])
    rows = store.pairs.export_rows(PairQuery())
    first = next(rows)
    store.decisions.decide([first.id], "accept")
    assert sum(1 for _ in rows) == 1199


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("red", {1}),
        ("re", {1, 2}),
        ("re ", set()),
        ("RED", {1}),
        ('"red green"', {1}),
        ('"green red"', set()),
        ("green red", {1}),
        ("naive", {3}),
        ("東京", {4}),
        ("タワー 東", {4}),
        ("🙂", {5}),
        ("C++", {6}),
        ("C", {6}),
        ("100%", {7}),
        ("%", {7}),
        ("_", {8}),
        ("don't", {9}),
        ("", set(range(1, 10))),
        ("   ", set(range(1, 10))),
        ('"', set(range(1, 10))),
        ("red OR blue", set()),
        ("text_a : red", set()),
        ("NEAR(red green)", set()),
        ("red*", {1}),
        ("^red", set()),
        ("-red", {1}),
    ],
)
def test_words_are_words_whatever_they_look_like(store: Store, search: str, found: set[int]) -> None:
    texts = [
        "a red green thing",
        "rest",
        "naïve",
        "看東京タワー",
        "ok 🙂 then",
        "C++ code",
        "100% sure",
        "_",
        "don't go",
    ]
    add(store, [new_pair(number, text_a=text, generated="x") for number, text in enumerate(texts)])
    assert set(store.pairs.ids(PairQuery(search=search))) == found


@settings(deadline=None)
@given(search=st.text() | st.text(alphabet='"*()^:-+{}\\%_\x00 aé東🙂\ud800'))
def test_any_search_text_is_fine(mixed: Store, search: str) -> None:
    ids = mixed.pairs.ids(PairQuery(search=search))
    assert [pair.id for pair in mixed.pairs.first(PairQuery(search=search), 500)] == list(ids)
    if not read_search(search):
        assert len(ids) == 200


def test_the_search_index_can_be_made_anew(mixed: Store) -> None:
    asked = [PairQuery(search=word) for word in ("red", "blu", '"green edited"', "reddish")]
    before = [list(mixed.pairs.ids(query)) for query in asked]
    assert rebuild_search(mixed) == 200
    assert [list(mixed.pairs.ids(query)) for query in asked] == before
    assert before[2]
