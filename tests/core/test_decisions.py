from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claif_tui.core.errors import FilterError, InputError
from claif_tui.core.history import describe
from claif_tui.core.models import Counts, PairQuery
from claif_tui.core.store import verdicts
from claif_tui.core.store.idset import IdSet
from claif_tui.core.store.store import Store
from tests.core.pair_support import add, fetch, project, scored

STATUS = {"accept": "accepted", "reject": "rejected", "pend": "pending"}
PAIRS = 5


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with project(tmp_path / "p", 12) as store:
        yield store


def test_a_decision_is_kept_with_its_author_and_can_be_undone_after_a_restart(store: Store) -> None:
    decision = store.decisions.decide([3], "accept")
    assert (decision.author, decision.count, decision.pair_id) == ("ann", 1, 3)
    assert fetch(store, 3).status == "accepted"
    assert fetch(store, 3).author == "ann"
    folder = store.folder
    store.close()
    with Store.open(folder, author="ann") as again:
        assert fetch(again, 3).status == "accepted"
        undone = again.decisions.undo()
        assert undone is not None
        assert undone.undoes == decision.id
        assert (fetch(again, 3).status, fetch(again, 3).author) == ("pending", None)
    with Store.open(folder, author="ann") as once_more:
        assert once_more.decisions.redo() is not None
        assert fetch(once_more, 3).status == "accepted"
        assert once_more.decisions.redo() is None


def test_a_bulk_decision_is_one_row_and_undone_as_one(store: Store) -> None:
    store.decisions.decide([2], "reject")
    store.decisions.decide([4], "accept")
    before = [fetch(store, pair_id) for pair_id in range(1, 13)]
    bulk = store.decisions.decide(PairQuery(filter="score >= 0.0"), "accept")
    assert bulk.count == 11
    assert bulk.payload["unchanged"] == 1
    assert store.pairs.counts() == Counts(accepted=12)
    assert list(store.decisions.ids(bulk.id)) == [1, 2, 3, *range(5, 13)]
    undone = store.decisions.undo()
    assert undone is not None
    assert (undone.count, undone.payload["skipped"]) == (11, 0)
    assert [fetch(store, pair_id) for pair_id in range(1, 13)] == before
    assert store.decisions.verify() == 0


def test_nobody_undoes_what_somebody_else_decided(store: Store) -> None:
    store.decisions.decide(PairQuery(), "accept", "ann")
    store.decisions.decide([5], "reject", "bob")
    undone = store.decisions.undo("ann")
    assert undone is not None
    assert (undone.count, undone.payload["skipped"]) == (11, 1)
    assert fetch(store, 5).status == "rejected"
    assert "1 left" in describe(undone)
    assert store.decisions.undo("ann") is None
    redone = store.decisions.redo("ann")
    assert redone is not None
    assert redone.payload["skipped"] == 1
    assert fetch(store, 5).status == "rejected"
    store.decisions.undo("bob")
    assert (fetch(store, 5).status, fetch(store, 5).author) == ("accepted", "ann")


def test_a_redo_is_gone_once_something_new_is_decided(store: Store) -> None:
    store.decisions.decide([1], "accept")
    store.decisions.undo()
    store.decisions.decide([2], "accept")
    assert store.decisions.redo() is None
    store.decisions.undo()
    store.decisions.redo()
    assert fetch(store, 2).status == "accepted"
    assert fetch(store, 1).status == "pending"


def test_an_edit_makes_the_score_stale_until_the_text_or_the_score_changes(store: Store) -> None:
    store.decisions.edit(7, "  another\tsentence ")
    pair = fetch(store, 7)
    assert (pair.text_b, pair.generated, pair.edited, pair.stale) == (
        "another sentence",
        "generated 7 text .",
        True,
        True,
    )
    assert [found.id for found in store.pairs.first(PairQuery(search="another"), 5)] == [7]
    assert store.pairs.count(PairQuery(search='"generated 7"')) == 0
    store.decisions.set_score(7, 0.25)
    assert (fetch(store, 7).score, fetch(store, 7).stale) == (0.25, False)
    store.decisions.undo()
    assert (fetch(store, 7).score, fetch(store, 7).stale) == (0.7, True)
    store.decisions.undo()
    assert (fetch(store, 7).text_b, fetch(store, 7).stale) == ("generated 7 text .", False)
    assert store.pairs.count(PairQuery(search='"generated 7"')) == 1
    assert store.pairs.count(PairQuery(search="another")) == 0


def test_an_edit_to_the_same_text_is_no_decision(store: Store) -> None:
    assert store.decisions.edit(1, "generated 1 text .").id == 0
    assert store.decisions.list() == []
    with pytest.raises(InputError, match="empty"):
        store.decisions.edit(1, " \n ")


def test_an_edit_that_somebody_judged_is_not_undone_under_the_judgement(store: Store) -> None:
    store.decisions.edit(1, "edited", "ann")
    store.decisions.decide(PairQuery(filter="id <= 2"), "accept", "bob")
    undone = store.decisions.undo("ann")
    assert undone is not None
    assert (undone.count, undone.payload["skipped"]) == (0, 1)
    assert fetch(store, 1).text_b == "edited"
    assert store.decisions.undo("ann") is None
    assert store.decisions.verify() == 0


def test_a_wish_for_a_rescore_is_marked_fulfilled_and_withdrawn(store: Store) -> None:
    store.decisions.rescore([2, 3])
    store.decisions.rescore([2], "bob")
    assert [pair.id for pair in store.pairs.to_rescore(10)] == [2, 3]
    assert fetch(store, 2).flags == ("rescore",)
    store.decisions.undo()
    assert [pair.id for pair in store.pairs.to_rescore(10)] == [2]
    store.write(lambda conn: store.pairs.put_score(conn, 2, score=0.5, raw="0.5", scale="0-1", key="k"))
    assert store.pairs.to_rescore(10) == []
    store.decisions.undo("bob")
    store.decisions.redo("bob")
    assert store.pairs.to_rescore(10) == []
    store.decisions.rescore([5])
    store.write(lambda conn: store.pairs.put_score(conn, 5, score=0.5, key="at once"))
    store.decisions.undo()
    store.decisions.redo()
    assert store.pairs.to_rescore(10) == []
    assert store.decisions.rescore(PairQuery(filter="id > 10")).count == 2
    assert store.decisions.verify() == 0


def test_a_rescore_counts_for_the_text_it_was_made_of(store: Store) -> None:
    store.decisions.edit(1, "new text")
    store.write(lambda conn: store.pairs.put_score(conn, 1, score=0.9, key="late"))
    assert fetch(store, 1).stale
    store.write(lambda conn: store.pairs.put_score(conn, 1, score=0.8, key="right", text="new text"))
    assert (fetch(store, 1).score, fetch(store, 1).stale) == (0.8, False)
    store.decisions.undo()
    assert fetch(store, 1).stale


def test_unknown_pairs_bad_scores_and_bad_filters_are_refused_and_change_nothing(store: Store) -> None:
    with pytest.raises(InputError, match="no pair 99"):
        store.decisions.decide([1, 99], "accept")
    with pytest.raises(InputError, match="no pair 99"):
        store.decisions.decide([99], "accept")
    with pytest.raises(InputError, match="between 0 and 1"):
        store.decisions.set_score(1, 1.5)
    with pytest.raises(InputError, match="between 0 and 1"):
        store.decisions.set_score(1, float("nan"))
    with pytest.raises(FilterError):
        store.decisions.decide(PairQuery(filter="nope = 1"), "accept")
    assert store.decisions.list() == []
    assert store.pairs.counts() == Counts(pending=12)


def test_a_bulk_decision_that_changes_nothing_is_not_recorded(store: Store) -> None:
    assert store.decisions.decide(PairQuery(filter="id > 99"), "accept").id == 0
    store.decisions.decide([1, 2], "accept")
    repeated = store.decisions.decide([2, 1], "accept")
    assert (repeated.id, repeated.count, repeated.payload["unchanged"]) == (0, 0, 2)
    assert "2 were so already" in describe(repeated)


def test_the_journal_of_a_pair_holds_bulk_rows_and_what_undid_them(store: Store) -> None:
    store.decisions.decide([1, 2, 3], "accept")
    store.decisions.decide([4, 5], "accept")
    store.decisions.edit(2, "edited")
    store.decisions.undo()
    store.decisions.undo()
    store.decisions.undo()
    store.decisions.redo()
    about = store.decisions.list(pair_id=2)
    assert [row.action for row in about] == ["redo", "undo", "undo", "edit", "accept"]
    assert [describe(row) for row in about][-1] == "accepted 3 pairs"
    assert len(store.decisions.list(limit=2)) == 2
    assert {row.id for row in store.decisions.list(before=3)} == {1, 2}
    lineage = store.pairs.lineage(2)
    assert lineage is not None
    assert len(lineage.decisions) == 5


def test_today_counts_what_still_stands(store: Store) -> None:
    for pair_id in range(1, 6):
        store.decisions.decide([pair_id], "accept")
    store.decisions.decide([6], "reject")
    store.decisions.decide(PairQuery(filter="id > 6"), "reject")
    store.decisions.decide([1], "pend", "bob")
    store.decisions.undo()
    today = store.decisions.today()
    assert (today.accepted, today.rejected, today.bulk) == (5, 1, 0)
    assert store.decisions.today("bob").decided == 0
    assert len(store.decisions.times()) == 6
    assert store.decisions.last_at() == store.decisions.list(limit=1)[0].at


def test_two_processes_decide_on_one_project(store: Store) -> None:
    code = (
        "import sys; from pathlib import Path; from claif_tui.core.store.store import Store\n"
        "with Store.open(Path(sys.argv[1]), author='bob') as store:\n"
        "    for number in range(1, 13): store.decisions.decide([number], 'reject')\n"
        "    store.decisions.undo()\n"
    )
    root = Path(__file__).resolve().parents[2]
    other = subprocess.Popen([sys.executable, "-c", code, str(store.folder)], cwd=root)
    for number in range(1, 13):
        store.decisions.decide([number], "accept")
    assert other.wait(60) == 0
    assert len(store.decisions.list(author="ann")) == 12
    assert len(store.decisions.list(author="bob")) == 13
    assert store.pairs.counts().pending == 0
    assert store.decisions.verify() == 0


def test_a_large_bulk_decision_makes_its_index_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "_MANY", 3)
    store.decisions.decide([2], "reject", "bob")
    store.decisions.decide(PairQuery(filter="not id = 7"), "accept")
    assert [pair.id for pair in store.pairs.first(PairQuery(filter="status = pending"), 5)] == [7]
    store.decisions.undo()
    assert store.pairs.counts() == Counts(pending=11, rejected=1)
    with store.read() as conn:
        names = {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert "states_status" in names
    assert store.decisions.verify() == 0


def test_rebuild_puts_right_what_was_damaged(store: Store) -> None:
    store.decisions.decide([1, 2, 3], "accept")
    store.decisions.edit(2, "edited")
    store.decisions.rescore([3])
    good = [fetch(store, pair_id) for pair_id in range(1, 13)]

    def damage(conn: object) -> None:
        execute = conn.execute  # type: ignore[attr-defined]
        execute("UPDATE states SET status = 2, decision_id = NULL WHERE pair_id = 1")
        execute("UPDATE states SET score = 0.123, stale = 1 WHERE pair_id = 5")
        execute("UPDATE states SET flags = 0 WHERE pair_id = 3")
        execute("UPDATE states SET status = 1 WHERE pair_id = 9")

    store.write(damage)
    assert store.decisions.verify() == 4
    assert store.decisions.verify() == 4
    assert store.decisions.rebuild() == 4
    assert store.decisions.verify() == 0
    assert [fetch(store, pair_id) for pair_id in range(1, 13)] == good


# -- against a model --------------------------------------------------------------------------------------


@dataclass(eq=False)
class Entry:
    author: str
    action: str
    pairs: tuple[int, ...]
    text: str = ""
    negative: str = ""
    score: float = 0.0
    standing: bool = True
    passed_over: bool = False


@dataclass
class Model:
    """What the journal means, said in the simplest way: the last word that stands holds."""

    rows: list[Entry] = field(default_factory=list)
    undone: dict[str, list[Entry]] = field(default_factory=lambda: {"ann": [], "bob": []})

    def last(self, pair: int, *actions: str) -> Entry | None:
        return next(
            (r for r in reversed(self.rows) if r.standing and pair in r.pairs and r.action in actions), None
        )

    def status(self, pair: int) -> str:
        row = self.last(pair, "accept", "reject", "pend")
        return "pending" if row is None else STATUS[row.action]

    def text(self, pair: int) -> str:
        row = self.last(pair, "edit")
        return f"generated {pair} text ." if row is None else row.text

    def negative(self, pair: int) -> str:
        row = self.last(pair, "edit negative")
        return f"opposite {pair} text ." if row is None else row.text

    def score(self, pair: int) -> tuple[float, float | None, bool]:
        row, both = self.last(pair, "set-score", "set both"), self.last(pair, "set both")
        score, text = (pair % 11 / 10, f"generated {pair} text .") if row is None else (row.score, row.text)
        negative, scored = imported(pair), f"opposite {pair} text ."
        if both is not None:
            negative, scored = both.score, both.negative
        stale = self.text(pair) != text or (negative is not None and self.negative(pair) != scored)
        return score, negative, stale

    def add(self, row: Entry) -> None:
        self.rows.append(row)
        self.undone[row.author].clear()

    def judged(self, row: Entry) -> bool:
        later = self.rows[self.rows.index(row) + 1 :]
        return row.action.startswith("edit") and any(
            r.standing and r.author != row.author and row.pairs[0] in r.pairs for r in later
        )

    def undo(self, author: str) -> None:
        rows = [r for r in self.rows if r.author == author and r.standing and not r.passed_over]
        if not rows:
            return
        if self.judged(rows[-1]):
            rows[-1].passed_over = True
        else:
            rows[-1].standing = False
            self.undone[author].append(rows[-1])

    def redo(self, author: str) -> None:
        if self.undone[author]:
            row = self.undone[author].pop()
            row.standing = not self.judged(row)


authors = st.sampled_from(["ann", "bob"])
some_pairs = st.lists(st.integers(1, PAIRS), min_size=1, max_size=PAIRS, unique=True)
steps = st.one_of(
    st.tuples(st.just("decide"), authors, st.sampled_from(list(STATUS)), some_pairs),
    st.tuples(
        st.sampled_from(["edit", "edit negative"]),
        authors,
        st.integers(1, PAIRS),
        st.sampled_from(["one", "two", ""]),
    ),
    st.tuples(
        st.sampled_from(["set-score", "set both"]),
        authors,
        st.integers(1, PAIRS),
        st.sampled_from([0.0, 0.5, 1.0]),
    ),
    st.tuples(st.sampled_from(["undo", "undo", "redo"]), authors),
)


@settings(max_examples=40, deadline=None)
@given(plan=st.lists(steps, max_size=25))
def test_any_history_of_two_authors_means_what_the_model_says(plan: list[tuple[object, ...]]) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as folder, project(Path(folder) / "p") as store:
        for number in range(1, PAIRS + 1):
            sides = {"hard_negative": f"opposite {number} text .", "negative_score": imported(number)}
            add(store, [scored(number, number % 11 / 10, **sides)])
        for step in plan:
            act(store, model, *step)
        for number in range(1, PAIRS + 1):
            pair = fetch(store, number)
            assert pair.status == model.status(number)
            assert pair.text_b == model.text(number)
            assert pair.hard_negative == model.negative(number)
            assert (pair.score, pair.negative_score, pair.stale) == model.score(number)
            assert store.pairs.count(PairQuery(search=f'"{pair.hard_negative}"', filter=f"id = {number}")) == 1
            assert store.pairs.count(PairQuery(search=f'"{pair.text_b}"', filter=f"id = {number}")) == 1
        counted = store.pairs.counts()
        statuses = [model.status(number) for number in range(1, PAIRS + 1)]
        assert counted == Counts(**{status: statuses.count(status) for status in STATUS.values()})
        assert store.decisions.verify() == 0


def imported(pair: int) -> float | None:
    """The score that a hard negative came with; half of them came without."""
    return 0.2 if pair % 2 else None


def act(store: Store, model: Model, kind: object, author: object, *rest: object) -> None:
    assert isinstance(author, str)
    match kind, rest:
        case "decide", (str(action), list(pairs)):
            touched = pairs if len(pairs) == 1 else [p for p in pairs if model.status(p) != STATUS[action]]
            store.decisions.decide(pairs, action, author)  # type: ignore[arg-type]
            if touched:
                model.add(Entry(author, action, tuple(touched)))
        case "edit", (int(pair), str(text)):
            text = text or f"generated {pair} text ."
            store.decisions.edit(pair, text, author)
            if text != model.text(pair):
                model.add(Entry(author, "edit", (pair,), text=text))
        case "edit negative", (int(pair), str(text)):
            text = text or f"opposite {pair} text ."
            store.decisions.edit(pair, author=author, negative=text)
            if text != model.negative(pair):
                model.add(Entry(author, "edit negative", (pair,), text=text))
        case "set-score" | "set both", (int(pair), float(score)):
            store.decisions.set_score(pair, score, author, negative=score if kind == "set both" else None)
            text, negative = model.text(pair), model.negative(pair)
            model.add(Entry(author, str(kind), (pair,), text=text, negative=negative, score=score))
        case "undo", _:
            store.decisions.undo(author)
            model.undo(author)
        case _:
            store.decisions.redo(author)
            model.redo(author)


@given(first=st.sets(st.integers(1, 60)), second=st.sets(st.integers(1, 60)))
def test_id_sets_behave_like_sets(first: set[int], second: set[int]) -> None:
    left, right = IdSet.of(first), IdSet.of(second)
    assert list(left.ids()) == sorted(first)
    assert len(left) == len(first)
    assert list(IdSet.decode(left.encode()).ids()) == sorted(first)
    assert list(left.common(right).ids()) == sorted(first & second)
    assert all((number in left) == (number in first) for number in range(62))
    assert sum(last - start + 1 for start, last in left.runs()) == len(first)


def test_an_id_set_of_a_million_neighbours_is_a_few_bytes() -> None:
    assert len(IdSet.run(1, 1_200_000).encode()) < 100
