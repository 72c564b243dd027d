from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import eq, ge, gt, le, lt, ne

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claif_tui.core.errors import FilterError
from claif_tui.core.models import Pair, PairQuery
from claif_tui.core.store.filters import (
    FIELDS,
    MAX_DEPTH,
    MAX_TERMS,
    And,
    Comparison,
    Filter,
    Node,
    Not,
    Op,
    Or,
    Value,
    parse,
)
from claif_tui.core.store.store import Store
from tests.core.pair_support import add, make_source, new_pair, scored

NAMES = ["gpt-4o", "GPT-4o", "local model", "and", 'q"u\\o', "ü"]
NUMBERS = [0.0, 0.3, 0.5, 0.75, 1.0, 3.0, 4.0, -1.0, 1e300, 2.0]
COMPARE: dict[str, Callable[[float, float], bool]] = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


def values(field: str) -> st.SearchStrategy[Value]:
    kind = FIELDS[field].kind
    choices: st.SearchStrategy[Value]
    if kind in ("number", "whole"):
        choices = st.sampled_from(NUMBERS)
    elif kind == "switch":
        choices = st.booleans()
    elif kind == "word":
        choices = st.sampled_from(FIELDS[field].words)
    elif kind == "path":
        choices = st.sampled_from(["data/made-up.csv", "MADE-up.csv", "made", "other"])
    else:
        choices = st.sampled_from([*NAMES, "bob", "ann", "rescore", "odd", "claif", "a", "gpt"])
    return choices


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    field = draw(st.sampled_from(list(FIELDS)))
    kind = FIELDS[field].kind
    ops: list[Op] = ["=", "!="]
    if kind in ("number", "whole"):
        ops += ["<", "<=", ">", ">="]
    elif kind != "switch":
        ops.append("~")
    op = draw(st.sampled_from(ops))
    if FIELDS[field].optional and op in ("=", "!=") and draw(st.integers(0, 3)) == 0:
        return Comparison(field, op, None)
    return Comparison(field, op, draw(values(field)))


def joined(kind: type[And] | type[Or]) -> Callable[[list[Node]], Node]:
    def build(items: list[Node]) -> Node:
        flat: list[Node] = []
        for item in items:
            flat += item.items if isinstance(item, kind) else (item,)
        return kind(tuple(flat))

    return build


nodes: st.SearchStrategy[Node] = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(joined(And)),
        st.lists(inner, min_size=2, max_size=3).map(joined(Or)),
    ),
    max_leaves=8,
)


def seen(pair: Pair, field: str, paths: dict[int, str]) -> object:
    match field:
        case (
            "status"
            | "score"
            | "rate"
            | "system"
            | "model"
            | "author"
            | "kind"
            | "split"
            | "gold"
            | "encoder"
            | "id"
        ):
            return getattr(pair, field)
        case "class":
            return pair.answer_class
        case "triplet":
            return pair.hard_negative is not None
        case "negative":
            return pair.negative_score
        case "length":
            return len(pair.text_b.split())
        case "stale" | "edited":
            return bool(getattr(pair, field))
        case "source":
            return None if pair.source_id is None else paths[pair.source_id]
        case "gap":
            if pair.score is None or pair.encoder is None:
                return None
            return abs(pair.score - min(1.0, max(0.0, pair.encoder)))
        case _:
            return pair.flags


def lower(text: str) -> str:
    """As SQLite sees it: only ASCII letters have two cases."""
    return "".join(char.lower() if char.isascii() else char for char in text)


def matches(node: Node, pair: Pair, paths: dict[int, str]) -> bool:
    """What a filter means, said again without SQL."""
    if isinstance(node, Not):
        return not matches(node.item, pair, paths)
    if isinstance(node, And):
        return all(matches(item, pair, paths) for item in node.items)
    if isinstance(node, Or):
        return any(matches(item, pair, paths) for item in node.items)
    found = seen(pair, node.field, paths)
    wanted = node.value
    if node.op == "!=":
        return not matches(Comparison(node.field, "=", wanted), pair, paths)
    if isinstance(found, tuple):
        if wanted is None:
            return not found
        assert isinstance(wanted, str)
        if node.op == "~":
            return any(lower(wanted) in lower(name) for name in found)
        return lower(wanted) in map(lower, found)
    if wanted is None or found is None:
        return wanted is None and found is None
    if isinstance(wanted, bool):
        return found == wanted
    if isinstance(wanted, float):
        assert isinstance(found, int | float)
        return COMPARE[node.op](found, wanted)
    assert isinstance(found, str)
    if node.op == "~":
        return lower(wanted) in lower(found)
    if node.field == "source":
        return lower(found) == lower(wanted) or lower(found).endswith("/" + lower(wanted))
    return lower(found) == lower(wanted)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Pairs of every sort: with and without score, rate, model, source, flags, edits, decisions of two authors."""
    with Store.create(tmp_path_factory.mktemp("filters") / "p", author="ann") as store:
        source = make_source(store)
        rows = [
            new_pair(1),
            scored(2, 0.5, rate=0.3, model="gpt-4o"),
            scored(3, 0.75, rate=0.5, model="GPT-4o", gold=0.5),
            scored(
                4,
                1.0,
                rate=0.0,
                model="local model",
                source_id=source,
                line=1,
                kind="nli",
                split="dev",
                hard_negative="no",
                negative_score=0.5,
            ),
            new_pair(5, rate=0.3, model="and", answer_class="empty", generated="one"),
            scored(6, 0.0, model='q"u\\o', answer_class="refusal", generated="one two three"),
            scored(7, 0.3, model="ü", source_id=source, line=2, split="test", gold=1.0, kind="human"),
            scored(8, 0.5, rate=0.75, system="dino", generated="a b c d", hard_negative="e"),
            new_pair(9, gold=0.0, system="ü"),
        ]
        ids = add(store, rows)
        store.pairs.set_encoder([(ids[1], 0.8), (ids[2], -0.5), (ids[3], 1.0), (ids[8], 0.1)])
        store.pairs.flag(ids[1], "odd")
        store.pairs.flag(ids[2], "a flag")
        store.decisions.decide(ids[1:4], "accept")
        store.decisions.decide([ids[3], ids[6]], "reject", "bob")
        store.decisions.edit(ids[1], "four words are here", "bob")
        store.decisions.edit(ids[4], "edited", "ann")
        store.decisions.rescore([ids[1], ids[7]])
        store.decisions.edit(ids[7], negative="f")
        store.decisions.set_score(ids[2], 0.3)
        yield store


@settings(max_examples=300, deadline=None)
@given(node=nodes)
def test_the_sql_means_what_the_words_mean(store: Store, node: Node) -> None:
    everything = store.pairs.many(store.pairs.ids(PairQuery()))
    paths = {source.id: source.path for source in store.sources.list()}
    expected = [pair.id for pair in everything if matches(node, pair, paths)]
    query = PairQuery(filter=str(Filter(node)))
    assert list(store.pairs.ids(query)) == expected
    assert [pair.id for pair in store.pairs.first(query, 100)] == expected
    assert store.pairs.count(query) == len(expected)


@given(node=nodes)
def test_a_filter_written_out_reads_back_as_itself(node: Node) -> None:
    assert parse(str(Filter(node))) == Filter(node)


@settings(max_examples=400)
@given(
    text=st.text()
    | st.lists(st.sampled_from([*FIELDS, *"=<>~!()", "and", "or", "not", "0.5", '"', "'", "\\"])).map(" ".join)
)
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    try:
        parsed = parse(text)
    except FilterError as error:
        assert "column" in error.message or "longer" in error.message
    else:
        assert parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "message", "caret", "hint"),
    [
        ("scor >= 0.5", 'Unknown field "scor" (column 1)', "^^^^", 'Did you mean "score"?'),
        ("score >= high", "number", "         ^^^^", "score >= 0.5"),
        ("status = acceptd", "acceptd", "         ^^^^^^^", 'Did you mean "accepted"?'),
        ("score >=", "Expected a value", "        ^", ""),
        ("score", "Expected a comparison", "     ^", "~ (contains)"),
        ("(score > 1", 'Expected ")"', "          ^", ""),
        ("score > 1)", "closes nothing", "         ^", ""),
        ("model = a b", "end", "          ^", "quotes"),
        ('model = "a', "not closed", "        ^", ""),
        ("score ~ 1", "does not fit", "      ^", ""),
        ("model > a", "no order", "      ^", ""),
        ("length = none", "Every pair", "         ^^^^", ""),
        ("= 3", "Expected a field", "^", "Fields:"),
        ("stale = maybe", "yes or no", "        ^^^^^", ""),
        ("!stale = yes", '"!"', "^", "not"),
        ("score > 1 \x00", "no text can hold", "          ^", ""),
    ],
)
def test_a_fault_is_shown_at_its_place(text: str, message: str, caret: str, hint: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    first, _, carets = caught.value.message.split("\n")
    assert message in first
    assert carets == "  " + caret
    assert hint in caught.value.hint


def test_the_caret_stands_under_wide_and_hostile_text() -> None:
    with pytest.raises(FilterError) as caught:
        parse("model = 状态 and \x1b[31m = 1")
    _, line, carets = caught.value.message.split("\n")
    assert "\x1b" not in caught.value.message
    assert line.startswith("  model = 状态 and ␛[31m")
    assert carets.startswith("  " + " " * len("model = xxxx and ") + "^")


def test_a_long_filter_is_cut_around_the_fault() -> None:
    text = " or ".join(f"id = {number}" for number in range(60)) + " or bad = 1"
    with pytest.raises(FilterError) as caught:
        parse(text)
    _, line, carets = caught.value.message.split("\n")
    assert len(line) < 100
    assert line[carets.index("^") :].startswith("bad = 1")


def test_limits_are_said_before_sqlite_meets_them() -> None:
    with pytest.raises(FilterError, match="Nested deeper"):
        parse("(" * (MAX_DEPTH + 2) + "score > 1" + ")" * (MAX_DEPTH + 2))
    with pytest.raises(FilterError, match="Nested deeper"):
        parse("not " * (MAX_DEPTH + 2) + "score > 1")
    with pytest.raises(FilterError, match="conditions"):
        parse(" or ".join(["id = 1"] * (MAX_TERMS + 1)))
    with pytest.raises(FilterError, match="longer"):
        parse("score > 1" + " " * 5000)


def test_the_deepest_and_longest_filters_still_run(store: Store) -> None:
    deep = "not " * (MAX_DEPTH - 2) + "score > 0.4"
    long = " or ".join(["id = 1", "id = 2"] * (MAX_TERMS // 2))
    assert store.pairs.count(PairQuery(filter=deep)) == store.pairs.count(PairQuery(filter="score > 0.4"))
    assert store.pairs.count(PairQuery(filter=long)) == 2


def test_spellings() -> None:
    assert parse("SCORE>=.5 AND Status==pending") == parse("score >= 0.5 and status = pending")
    assert parse("model='gpt 4'") == parse('model = "gpt 4"')
    assert parse('model = "none"') != parse("model = none")
    assert parse("a" * 0) == Filter()
    assert parse("id=1 or id=2 and id=3") == parse("id = 1 or (id = 2 and id = 3)")


def test_without_takes_only_what_must_hold() -> None:
    parsed = parse("status = pending and score > 0.5 and (status = accepted or rate = 0.1)")
    assert str(parsed.without("status")) == "score > 0.5 and (status = accepted or rate = 0.1)"
    assert parse("status = pending").without("status") == Filter()
    assert parsed.fixed("status") == "pending"
    assert parse("status != pending").fixed("status") is None


def test_values_are_never_part_of_the_sql() -> None:
    condition, bound = parse("""model = "x'; drop table pairs; --" """).sql()
    assert "drop" not in condition
    assert bound == ["x'; drop table pairs; --"]
