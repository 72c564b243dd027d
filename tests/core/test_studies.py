"""Studies: what may be drawn, the draw, the plan, the freeze, and what a rater gets to see."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from claif_tui.core.errors import BusyError, UsageError
from claif_tui.core.models import PairQuery
from claif_tui.core.rating.assigning import share_out
from claif_tui.core.rating.freezing import draft
from claif_tui.core.rating.models import StudyData
from claif_tui.core.rating.presets import protocol_of
from claif_tui.core.rating.progress import deviations, progress
from claif_tui.core.rating.sampling import draw, population, score_bin
from claif_tui.core.rating.session import RaterSession
from claif_tui.core.recipes import Recipe
from claif_tui.core.store.ratings import Given
from claif_tui.core.store.store import Store
from tests.core import pair_support
from tests.core.study_support import project, study


def test_the_draw_does_not_depend_on_the_order_in_which_pairs_came(tmp_path: Path) -> None:
    drawn = []
    for order in (1, -1):
        with project(tmp_path / str(order), 60, order) as store:
            made = draft(store, replace(protocol_of("paper", "s"), sample=20), Recipe())
            drawn.append([(item.text_a, item.text_b, item.score) for item in made.items])
    assert drawn[0] == drawn[1]
    with project(tmp_path / "again", 60) as store:
        other = draft(store, replace(protocol_of("paper", "s"), sample=20, seed=43), Recipe())
    assert {item.text_a for item in other.items} != {first for first, _, _ in drawn[0]}


def test_the_population_counts_what_it_leaves_out(tmp_path: Path) -> None:
    with project(tmp_path / "p", 10) as store:
        ids = pair_support.add(
            store,
            [
                pair_support.new_pair(100),
                pair_support.scored(101, 0.5, kind="human", gold=0.4),
                pair_support.scored(102, 0.5, kind="zero"),
                pair_support.scored(103, 0.5, generated="seed 103 sentence ."),
                pair_support.scored(104, 0.5),
                pair_support.scored(104, 0.6, generate_key="another"),
                pair_support.scored(105, 0.5),
            ],
        )
        store.decisions.decide([ids[-1]], "reject")
        found = population(store, protocol_of("paper", "s"), Recipe())
        assert len(found.items) == 11
        assert found.left_out == {
            "no score": 1,
            "its label is a human one, or it comes from NLI": 1,
            "a zero pair": 1,
            "two of its sentences are the same": 1,
            "the pair is there already": 1,
            "rejected in review": 1,
        }
        wide = replace(protocol_of("paper", "s"), with_rejected=True, with_zero=True, population="score = 0.5")
        widened = population(store, wide, Recipe())
        assert {"seed 105 sentence .", "seed 102 sentence ."} <= {item.text_a for item in widened.items}
        drawn_zero = [item for item in widened.items if item.system == "zero pair" and item.pair_id is None]
        assert drawn_zero
        assert all(item.score == 0.0 for item in drawn_zero)


def test_a_stratified_sample_has_the_shape_of_the_population(tmp_path: Path) -> None:
    protocol = replace(protocol_of("paper", "s"), sample=40, stratify=("score",))
    with project(tmp_path / "p", 120) as store:
        items = population(store, protocol, Recipe()).items
    whole = Counter(score_bin(item.score or 0.0) for item in items)
    drawn = Counter(score_bin(item.score or 0.0) for item in draw(items, protocol)[:40])
    for place, count in whole.items():
        assert abs(drawn[place] - count * 40 / 120) < 1


@pytest.mark.parametrize(("raters", "per_item"), [(4, 1), (5, 3), (3, 3), (6, 2)])
def test_the_plan_is_balanced(raters: int, per_item: int) -> None:
    names = [f"R{n}" for n in range(raters)]
    shares = share_out(range(1, 101), names, per_item)
    loads = [len(items) for items in shares.values()]
    assert max(loads) - min(loads) <= 1
    assert Counter(item for items in shares.values() for item in items) == dict.fromkeys(
        range(1, 101), per_item
    )


def test_rigorous_has_practice_first_gold_and_repeats_among_the_rest(tmp_path: Path) -> None:
    with project(tmp_path / "p", 80) as store:
        made = study(store, "rigorous", sample=30)
        data = store.studies.data("s")
    items = {item.n: item for item in data.items}
    orders = {}
    for rater in made.protocol.raters:
        own = [a for a in data.assignments if a.rater == rater]
        assert [a.position for a in own] == list(range(1, len(own) + 1))
        assert [items[a.item].role for a in own[:5]] == ["practice"] * 5
        roles = Counter(items[a.item].role for a in own)
        assert roles == {"practice": 5, "gold": 8, "sample": 38}
        where = {(a.item, a.occurrence): a.position for a in own}
        repeats = [item for item, occurrence in where if occurrence == 1]
        assert len(repeats) == 8
        assert all(where[item, 1] - where[item, 0] >= len(own) // 8 for item in repeats)
        orders[rater] = [a.item for a in own if items[a.item].role == "sample"]
    assert orders["R1"] != orders["R2"]
    for item in items.values():
        if item.role == "gold":
            assert item.gold
            assert item.pair_id is None


def test_what_cannot_be_is_said_before_anything_is_stored(tmp_path: Path) -> None:
    with project(tmp_path / "p", 10) as store:
        with pytest.raises(UsageError, match=r"needs 100 pairs \(100 to rate\) and the population has 10"):
            study(store)
        with pytest.raises(UsageError, match="two raters are called 'ann'"):
            study(store, raters=("ann", "Ann"), sample=4)
        with pytest.raises(UsageError, match="5 raters an item, of 4"):
            study(store, sample=4, per_item=5)
        with pytest.raises(UsageError, match="judged blind"):
            study(store, "rigorous", sample=4, shows_score=True)
        with pytest.raises(UsageError, match="rater's name"):
            study(store, raters=("evil\x1b[31m",), sample=4)
        with pytest.raises(UsageError, match="only 1 of 8 items can be shown to R1 again"):
            study(store, "rigorous", sample=2, practice=0, gold=0)
        with pytest.raises(UsageError, match="part of file names"):
            study(store, raters=("a/b",), sample=4)
        assert store.studies.names() == []
        study(store, sample=4)
        with pytest.raises(UsageError, match="study 's' already"):
            study(store, sample=4)


def test_one_rater_is_a_study(tmp_path: Path) -> None:
    with project(tmp_path / "p", 10) as store:
        made = study(store, raters=("solo",), sample=8)
        assert [p.total for p in progress(store.studies.data("s"))] == [8]
        assert made.protocol.raters == ("solo",)


def test_answers_are_on_disk_and_the_order_is_the_same_on_return(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    with project(folder, 20) as store:
        study(store, sample=8)
        session = RaterSession(store, "s", "R1")
        first = session.current()
        assert first is not None
        assert first.mine == {}
        session.answer(first.token, "fluent", 1.0)
        half = session.current()
        assert half is not None
        assert (half.token, half.mine) == (first.token, {"fluent": 1.0})
        session.answer(first.token, "consistent", 0.0)
        second = session.current()
        assert second is not None
        assert second.position == 2
        session.comment(second.token, "odd\x00")
        session.close()
    with Store.open(folder, author="ann") as store, RaterSession(store, "s", "R1") as session:
        assert (session.desk.done, session.desk.total) == (1, 2)
        again = session.current()
        assert again is not None
        assert (again.token, again.comment) == (second.token, "odd\ufffd")
        back = session.undo()
        assert back is not None
        assert (back.token, back.mine) == (first.token, {"fluent": 1.0})
        assert session.undo() is not None
        assert session.undo() is None


def test_values_off_the_scale_and_items_of_others_are_refused_as_a_whole(tmp_path: Path) -> None:
    with project(tmp_path / "p", 20) as store:
        made = study(store, sample=8)
        mine, other = (store.ratings.all_shown(made.id, rater)[0].token for rater in ("R1", "R2"))
        for bad, message in (
            (Given(token=mine, criterion="fluent", value=0.5), "expected one of 0, 1"),
            (Given(token=mine, criterion="nice", value=1.0), "no question of this study"),
            (Given(token=other, criterion="fluent", value=1.0), "none of R1's items"),
        ):
            with pytest.raises(UsageError, match=message):
                store.ratings.give(
                    made.id, "R1", [Given(token=mine, criterion="fluent", value=1.0), bad], source="sheet"
                )
        assert store.studies.data("s").answers == ()


def test_a_name_is_one_persons(tmp_path: Path) -> None:
    with project(tmp_path / "p", 20) as store:
        study(store, sample=8)
        session = RaterSession(store, "s", "R1", who="anna@one")
        with pytest.raises(BusyError, match="R1 is rating already: anna@one"):
            RaterSession(store, "s", "R1", who="anna@one")
        shown = session.current()
        assert shown is not None
        session.answer(shown.token, "fluent", 1.0)
        session.close()
        with pytest.raises(UsageError, match="has rated as anna@one so far, and you are bo@two"):
            RaterSession(store, "s", "R1", who="bo@two")
        RaterSession(store, "s", "R1", who="anna@two", same_person=True).close()
        said = deviations(store.studies.data("s"))
        assert len(said) == 1
        assert "R1 goes on as anna@two, after anna@one" in said[0]
        with pytest.raises(UsageError, match="no rater of 's'") as caught:
            RaterSession(store, "s", "r1")
        assert "Did you mean R1?" in caught.value.hint


def test_a_session_whose_process_is_gone_is_no_obstacle(tmp_path: Path) -> None:
    with project(tmp_path / "p", 20) as store:
        study(store, sample=8)
        RaterSession(store, "s", "R1")
        store.write(lambda conn: conn.execute("UPDATE rating_sessions SET mark = 'another start'"))
        RaterSession(store, "s", "R1").close()


def test_pairs_that_change_later_are_rated_as_they_were_and_listed(tmp_path: Path) -> None:
    with project(tmp_path / "p", 20) as store:
        study(store, sample=8)
        before = store.studies.data("s")
        edited, rejected = before.items[0], before.items[1]
        assert edited.pair_id is not None
        assert rejected.pair_id is not None
        store.decisions.edit(edited.pair_id, "quite another text")
        store.decisions.decide([rejected.pair_id], "reject")
        after = store.studies.data("s")
        assert after.items == before.items
        assert after.changed == {edited.n: "edited", rejected.n: "rejected"}
        assert "items 1 (edited), 2 (rejected)" in deviations(after)[0]


def test_a_study_changed_behind_our_back_does_not_match_its_hash(tmp_path: Path) -> None:
    with project(tmp_path / "p", 60) as store:
        study(store, "rigorous", sample=8, repeats=2)
        assert deviations(store.studies.data("s")) == ()
        store.write(lambda conn: conn.execute("UPDATE study_items SET text_b = 'other' WHERE n = 3"))
        assert "does not match its hash" in deviations(store.studies.data("s"))[0]


def test_explanations_come_before_ratings_and_later_ones_are_deviations(tmp_path: Path) -> None:
    with project(tmp_path / "p", 20) as store:
        made = study(store, sample=8)
        store.studies.set_explanation(made.id, 1, "because", "call-1")
        store.studies.add_event(made.id, "explained", "1 item")
        assert store.studies.data("s").events[0].deviation is False
        rater, token = _first_assignment(store.studies.data("s"), item=1)
        store.ratings.give(made.id, rater, [Given(token=token, criterion="fluent", value=1.0)], source="app")
        with pytest.raises(UsageError, match="rated already"):
            store.studies.set_explanation(made.id, 1, "another", None)
        store.studies.add_event(made.id, "explained", "2 items")
        assert store.studies.data("s").events[1].deviation is True
        assert store.studies.explanation_keys(made.id) == {1: "call-1"}
        assert store.studies.data("s").study.hash == made.hash


def test_a_rater_sees_nothing_that_unblinds(tmp_path: Path) -> None:
    with project(tmp_path / "p", 60) as store:
        made = study(store, "rigorous", sample=20)
        first = store.studies.data("s")
        other = next(a for a in first.assignments if a.rater == "R2")
        store.ratings.give(
            made.id, "R2", [Given(token=other.token, criterion="fluency", value=3.0)], source="app"
        )
        store.ratings.comment(made.id, "R2", other.token, "CANARY comment", source="app")
        store.write(poison)
        with RaterSession(store, "s", "R1") as session:
            seen = [repr(asdict(shown)) for shown in store.ratings.all_shown(made.id, "R1")]
            seen += [repr(asdict(session.desk)), repr(session.current())]
        assert len(seen) == 43
        for text in seen:
            assert "CANARY" not in text
            assert "0.123456" not in text
        data = store.studies.data("s")
        assert "CANARY" in repr(data)
        assert "0.123456" in repr(data)


def test_the_paper_preset_shows_score_and_explanation(tmp_path: Path) -> None:
    with project(tmp_path / "p", 20) as store:
        made = study(store, sample=8)
        item = store.studies.data("s").items[0]
        store.studies.set_explanation(made.id, item.n, "both have a dog", None)
        rater, token = _first_assignment(store.studies.data("s"), item=item.n)
        shown = next(each for each in store.ratings.all_shown(made.id, rater) if each.token == token)
        assert (shown.score, shown.explanation) == (item.score, "both have a dog")


def test_a_filter_narrows_the_population(tmp_path: Path) -> None:
    """The filter narrows before anything is read."""
    with project(tmp_path / "p", 30) as store:
        protocol = replace(protocol_of("paper", "s"), population="score >= 0.9", sample=2)
        made = draft(store, protocol, Recipe())
        assert made.population == store.pairs.count(PairQuery(filter="score >= 0.9"))
        assert all((item.score or 0) >= 0.9 for item in made.items)


def _first_assignment(data: StudyData, item: int) -> tuple[str, str]:
    found = next(a for a in data.assignments if a.item == item)
    return found.rater, found.token


def poison(conn: sqlite3.Connection) -> None:
    conn.execute(
        "UPDATE study_items SET score = 0.123456, explanation = 'CANARY', system = 'CANARY', model = 'CANARY',"
        " recipe_id = 'CANARY', status = 'CANARY', rate = 0.123456, explanation_key = 'CANARY'"
    )
    conn.execute("UPDATE names SET name = 'CANARY ' || name WHERE kind IN ('system', 'model')")
    conn.execute("UPDATE states SET score = 0.123456, gold = 0.123456, encoder = 0.123456")
