"""Triplets in the store: both sides are edited, scored, found and taken back, and old projects keep theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from claif_tui.core.errors import InputError
from claif_tui.core.history import describe
from claif_tui.core.models import NewScore, PairQuery, Stage
from claif_tui.core.store.bulk import rebuild_search
from claif_tui.core.store.connection import connect
from claif_tui.core.store.migrations import MIGRATIONS, migrate
from claif_tui.core.store.project import DATABASE, make_folders
from claif_tui.core.store.store import Store
from claif_tui.ui.screens.review_lineage import lineage_rows
from tests.core.pair_support import add, fetch, make_source, new_pair, project, scored
from tests.core.store_children import new_call

OLD = """
INSERT INTO pairs (id, kind, system, source_id, text_a, generated, hard_negative, occurrence, merged, class,
    negative_score, length, split, created) VALUES
    (1, 3, 0, 1, 'a man .', 'a person .', 'no man .', 0, 0, 0, 0.25, 3, 0, 0),
    (2, 3, 0, 1, 'a cat .', 'a feline .', 'a dog .', 0, 0, 0, NULL, 3, 0, 0),
    (3, 0, 0, NULL, 'a car .', 'a vehicle .', NULL, 0, 0, 0, NULL, 3, 0, 0),
    (4, 3, 0, 2, 'cut .', 'off .', 'early .', 0, 0, 0, NULL, 3, 0, 0),
    (5, 3, 0, 2, 'cut .', 'off .', 'later .', 0, 0, 0, NULL, 3, 0, 0);
INSERT INTO names VALUES ('system', 0, 'nli');
INSERT INTO scores (pair_id, n, score, after) VALUES (1, 0, 0.75, 0), (2, 0, 0.5, 0), (3, 0, 0.5, 0);
INSERT INTO states (pair_id, status, score, length, stale, flags, system, class, kind, source_id, split, edited,
    score_n) VALUES (1, 0, 0.75, 3, 0, 0, 0, 0, 3, 1, 0, 0, 0), (2, 0, 0.5, 1, 1, 0, 0, 0, 3, 1, 0, 1, 0),
    (3, 0, 0.5, 3, 0, 0, 0, 0, 0, NULL, 0, 0, 0);
INSERT INTO decisions (at, author, action, pair_id, count, payload)
    VALUES ('2026-01-01', 'ann', 'edit', 2, 1, '{"text": "tabby", "before": "a feline ."}');
INSERT INTO edits VALUES (2, 'tabby', 1);
INSERT INTO pairs_fts (rowid, text_a, text_b) VALUES (1, 'a man .', 'a person .'), (2, 'a cat .', 'tabby'),
    (3, 'a car .', 'a vehicle .'), (4, 'cut .', 'off .');
INSERT INTO loads (source_id, first_id, last_id, searched_id, host, pid, mark) VALUES (2, 4, 5, 4, 'gone', 1, '');
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Pair 1 is a triplet whose sides are both scored; pair 2 is none."""
    with project(tmp_path / "p") as store:
        first = scored(1, 0.75, hard_negative="opposite 1 text .", negative_score=0.25, negative_key="n1")
        add(store, [first, scored(2, 0.5)])
        yield store


def found(store: Store, search: str) -> list[int]:
    return list(store.pairs.ids(PairQuery(search=search, sort="oldest")))


def test_a_project_of_before_triplets_keeps_them_and_they_can_be_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folders(tmp_path / "p")
    path = tmp_path / "p" / DATABASE
    path.touch()
    with closing(connect(path, writer=True)) as old:
        migrate(old, path, fresh=True, steps=MIGRATIONS[:2])
        old.executescript(OLD)
    monkeypatch.setattr("claif_tui.core.store.bulk.this_host", lambda: "gone")
    with Store.open(tmp_path / "p", author="ann") as store:
        assert ".bak-v2-" in store.notices[0]
        assert "taken back" in store.notices[1]
        assert store.decisions.verify() == 0
        one, two, three = (fetch(store, number) for number in (1, 2, 3))
        assert (one.hard_negative, one.generated_negative, one.negative_score) == ("no man .", "no man .", 0.25)
        assert (one.score, one.stale, one.edited) == (0.75, False, False)
        assert (two.text_b, two.stale, two.negative_score) == ("tabby", True, None)
        assert (three.hard_negative, three.text_b) == (None, "a vehicle .")
        assert list(store.pairs.ids(PairQuery(filter="triplet = yes", sort="oldest"))) == [1, 2]
        assert list(store.pairs.ids(PairQuery(filter="negative < 0.5"))) == [1]
        assert [found(store, word) for word in ("dog", "tabby", "vehicle")] == [[2], [2], [3]]
        with store.read() as conn:  # what was cut off left no word behind, whichever side it was on
            sql = "SELECT rowid FROM pairs_fts WHERE pairs_fts MATCH 'cut OR off OR early OR later'"
            assert conn.execute(sql).fetchall() == []
        store.decisions.edit(2, negative="a wolf .")
        assert [found(store, word) for word in ("dog", "wolf", "tabby")] == [[], [2], [2]]
        store.decisions.undo()
        store.decisions.undo()
        assert fetch(store, 2).text_b == "a feline ."
        assert store.decisions.verify() == 0


def test_either_side_is_edited_and_each_is_taken_back_by_itself(store: Store) -> None:
    before = fetch(store, 1)
    store.decisions.edit(1, negative="  quite\tanother ")
    assert store.decisions.list()[0].payload == {
        "negative": "quite another",
        "negative_before": "opposite 1 text .",
    }
    pair = fetch(store, 1)
    assert (pair.hard_negative, pair.generated_negative) == ("quite another", "opposite 1 text .")
    assert (pair.text_b, pair.edited, pair.negative_edited, pair.text_edited) == (
        before.text_b,
        True,
        True,
        False,
    )
    assert (pair.stale, pair.score, pair.negative_score) == (True, 0.75, 0.25)
    assert list(store.pairs.ids(PairQuery(filter="edited = yes and stale = yes"))) == [1]
    store.decisions.edit(1, "a positive", negative="a negative")
    store.decisions.edit(1, "a positive again")
    store.decisions.undo()
    assert (fetch(store, 1).text_b, fetch(store, 1).hard_negative) == ("a positive", "a negative")
    store.decisions.undo()
    assert fetch(store, 1) == pair
    store.decisions.redo()
    assert (fetch(store, 1).text_b, fetch(store, 1).hard_negative) == ("a positive", "a negative")
    assert [found(store, word) for word in ("quite", "negative", '"positive a"', '"opposite 1"')] == [
        [],
        [1],
        [],
        [],
    ]
    assert rebuild_search(store) == 2
    assert found(store, "negative") == [1]
    for _ in range(2):
        store.decisions.undo()
    assert fetch(store, 1) == before
    assert found(store, '"opposite 1"') == [1]


def test_one_entry_scores_both_sides_and_says_of_which_texts(store: Store) -> None:
    store.decisions.edit(1, negative="new")

    def score(key: str, **of: str) -> None:
        texts: dict[str, object] = {"negative": 0.125, "negative_raw": "1", "negative_key": f"{key}n", **of}
        store.write(lambda conn: store.pairs.put_score(conn, 1, score=0.5, key=key, **texts))  # type: ignore[arg-type]

    score("k1")
    assert (fetch(store, 1).negative_score, fetch(store, 1).stale) == (0.125, True), (
        "it scored the generated one"
    )
    score("k2", negative_text="new")
    score("k2", negative_text="new")
    assert (fetch(store, 1).negative_score, fetch(store, 1).stale) == (0.125, False)
    lineage = store.pairs.lineage(1)
    assert lineage is not None
    assert [
        (entry.key, entry.negative_key, entry.negative, entry.negative_text) for entry in lineage.scores
    ] == [
        (None, None, None, None),
        ("k1", "k1n", 0.125, "opposite 1 text ."),
        ("k2", "k2n", 0.125, "new"),
    ]
    store.decisions.set_score(1, 1.0)
    assert (fetch(store, 1).score, fetch(store, 1).negative_score) == (1.0, 0.125), (
        "the other side keeps its own"
    )
    store.decisions.set_score(1, 1.0, negative=0.0)
    assert (fetch(store, 1).negative_score, fetch(store, 1).stale) == (0.0, False)
    store.decisions.undo()
    assert fetch(store, 1).negative_score == 0.125
    store.decisions.undo()
    store.decisions.undo()
    assert (fetch(store, 1).hard_negative, fetch(store, 1).stale) == ("opposite 1 text .", True)
    assert store.decisions.verify() == 0


def test_a_hard_negative_without_a_score_leaves_the_other_score_fresh(store: Store) -> None:
    (pair_id,) = add(store, [scored(3, 0.5, hard_negative="opposite 3 text .")])
    store.decisions.edit(pair_id, negative="else")
    assert (fetch(store, pair_id).stale, fetch(store, pair_id).edited) == (False, True)
    store.decisions.edit(pair_id, "else too")
    assert fetch(store, pair_id).stale
    assert store.decisions.verify() == 0


def test_a_score_that_arrives_with_its_triplet_covers_both_sides(store: Store) -> None:
    both = NewScore(score=0.5, key="k", text_b="generated 4 text .", negative=0.25, negative_text="other")
    (pair_id,) = add(store, [new_pair(4, hard_negative="opposite 4 text .", score=both)])
    assert (fetch(store, pair_id).negative_score, fetch(store, pair_id).stale) == (0.25, True)
    assert store.decisions.verify() == 0


def test_a_pair_has_no_hard_negative_to_edit_or_score(store: Store) -> None:
    with pytest.raises(InputError, match="no hard negative"):
        store.decisions.edit(2, "changed", negative="n")
    with pytest.raises(InputError, match="no hard negative"):
        store.decisions.set_score(2, 0.5, negative=0.5)
    with pytest.raises(ValueError, match="without one"):
        store.write(lambda conn: store.pairs.put_score(conn, 2, score=0.5, negative=0.5))
    with pytest.raises(InputError, match="cannot be empty"):
        store.decisions.edit(1, negative=" ")
    with pytest.raises(ValueError, match=r"0\.\.1"):
        store.write(lambda conn: store.pairs.put_score(conn, 1, score=0.5, negative=5.0))
    assert store.decisions.edit(1, "generated 1 text .", negative="opposite 1 text .").id == 0
    assert store.decisions.list() == []
    assert found(store, "changed") == []


def test_signs_in_a_hard_negative_are_found_too(store: Store) -> None:
    source = make_source(store)
    (pair_id,) = add(store, [new_pair(5, hard_negative="東京 🙂", source_id=source)])
    assert found(store, "東") == [pair_id]
    assert found(store, "🙂") == [pair_id]


def test_an_off_label_answer_keeps_its_class(store: Store) -> None:
    (pair_id,) = add(store, [new_pair(6, answer_class="off_label")])
    assert fetch(store, pair_id).answer_class == "off_label"
    assert list(store.pairs.ids(PairQuery(filter="class = off_label"))) == [pair_id]


async def test_the_lineage_of_a_triplet_has_the_calls_of_both_sides(store: Store) -> None:
    keys = ("pos", "neg", "score pos", "score neg")
    run = store.runs.start("generate", None, "p", "m", {})
    for key in keys:
        stage: Stage = "score" if key.startswith("score") else "generate"
        assert await store.calls.reserve(replace(new_call(key, run.id), stage=stage))
        await store.calls.answer(key, raw=f"said {key}")
    scores = NewScore(score=0.5, key="score pos", negative=0.25, negative_key="score neg")
    made = new_pair(7, generate_key="pos", negative_key="neg", hard_negative="opposite 7 text .", score=scores)
    (pair_id,) = add(store, [made])
    store.decisions.edit(pair_id, negative="else")
    lineage = store.pairs.lineage(pair_id)
    assert lineage is not None
    assert lineage.generate_call is not None and lineage.generate_call.key == "pos"
    assert lineage.negative_call is not None and lineage.negative_call.raw == "said neg"
    assert {call.key for call in lineage.score_calls} == {"score pos", "score neg"}
    shown = lineage_rows(lineage)
    said = [(label, text) for label, text in shown if not text or label in ("raw answer", "negative")]
    assert said[1:5] == [
        ("Generation", ""),
        ("raw answer", "said pos"),
        ("Hard negative", ""),
        ("raw answer", "said neg"),
    ]
    for heading, answer in (("Scoring", "said score pos"), ("Scoring of the hard negative", "said score neg")):
        assert said[said.index((heading, "")) + 1] == ("raw answer", answer)
    assert ("0.5", "imported; hard negative 0.25, for: opposite 7 text .") in shown
    assert describe(lineage.decisions[0]) == f"edited the hard negative of pair {pair_id}"
