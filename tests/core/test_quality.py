"""How good scores are: what the store reads for it, and figures that can be worked out by hand or by scipy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from claif_tui.core.errors import FilterError
from claif_tui.core.models import PairQuery
from claif_tui.core.quality import Bin, Rate, blind_scores, figures, narrowed, quality
from claif_tui.core.quality_words import sentences
from claif_tui.core.rating.models import SCALES
from claif_tui.core.store.quality import ScoreColumns, score_columns
from claif_tui.core.store.ratings import Given
from claif_tui.core.store.store import Store
from tests.core import study_support
from tests.core.pair_support import add, new_pair, scored

ALL = PairQuery()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p", author="ann") as store:
        yield store


def put_score(store: Store, pair_id: int, score: float, text: str | None = None) -> None:
    """The AI scores a pair again."""
    store.write(lambda conn: store.pairs.put_score(conn, pair_id, score=score, text=text))


def test_each_pair_counts_with_what_is_comparable_to_the_score_of_the_ai(store: Store) -> None:
    rows = [
        scored(1, 0.3, rate=0.1, gold=0.4),
        scored(2, 0.5, rate=0.1, gold=0.6),  # edited: the score is stale, label and cosine are of other texts
        scored(3, 0.7, rate=0.2),  # edited, and the new text scored by the AI
        scored(4, 0.9, rate=0.2),  # scored by a person instead
        scored(5, 0.2, rate=0.2),  # edited, then scored by a person: nothing to hold the AI's score against
        new_pair(6, rate=0.3),  # the AI never scored it, a person did
        new_pair(7, gold=0.5),
        scored(8, 0.0, kind="zero"),
    ]
    assert add(store, rows) == list(range(1, 9))
    store.decisions.edit(2, "other")
    store.decisions.edit(3, "another")
    put_score(store, 3, 0.8, "another")
    store.decisions.set_score(4, 0.4)
    store.decisions.edit(5, "third")
    store.decisions.set_score(5, 0.6)
    store.decisions.set_score(6, 0.6)
    store.pairs.set_encoder([(number, number / 10) for number in range(1, 8)])
    store.decisions.decide([1, 4, 5], "accept")
    store.decisions.decide([2], "reject")

    found = score_columns(store, ALL)
    order = np.argsort(found.rate * 10 + found.score)
    columns = ("score", "rate", "encoder", "gold", "by_hand", "status", "changed")
    table = [[getattr(found, name)[place] for name in columns] for place in order]
    none = pytest.approx(float("nan"), nan_ok=True)
    assert table == [
        [0.3, 0.1, 0.1, 0.4, none, 1, False],
        [0.5, 0.1, none, none, none, 2, True],
        [0.2, 0.2, none, none, none, 1, True],
        [0.8, 0.2, 0.3, none, none, 0, True],
        [0.9, 0.2, 0.4, none, 0.4, 1, True],
    ]
    assert (found.unscored, found.unencoded) == (2, 0)

    store.decisions.undo()  # the rejection
    store.decisions.undo()  # the acceptances
    for _ in range(4):
        store.decisions.undo()
    assert np.isnan(score_columns(store, ALL).by_hand).all(), "a person's score that was taken back is none"


def test_a_selection_is_respected_whatever_status_it_asks_for(store: Store) -> None:
    add(
        store,
        [scored(n, n / 20, rate=n % 2 / 10, text_a=f"{'flute' if n < 5 else 'chess'} {n}") for n in range(20)],
    )
    store.decisions.decide([1, 2, 3], "accept")
    for query, count in (
        (ALL, 20),
        (PairQuery(filter="status = pending"), 20),
        (PairQuery(filter="status = pending and rate = 0.1"), 10),
        (PairQuery(filter="score < 0.5 or status = pending"), 20),
        (PairQuery(search="flute"), 5),
        (PairQuery(search="flute", filter="rate = 0.1"), 2),
        (PairQuery(sample=(1, 7)), 7),
    ):
        assert quality(store, query).scored == count, query
    drawn = quality(store, PairQuery(sample=(1, 7), filter="status = pending"), ids=[1, 2, 3, 19])
    assert (drawn.scored, drawn.accepted, drawn.random) == (4, 3, True)
    with pytest.raises(FilterError):
        quality(store, PairQuery(filter="scor > 1"))


def test_what_a_line_opens_is_what_it_counts(store: Store) -> None:
    add(store, [scored(n, n % 11 / 10, rate=n % 9 / 10) for n in range(99)])
    base = PairQuery(filter="status = pending and rate < 0.5 or rate = 0.7", search="generated")
    found = quality(store, base)
    assert [one.low for one in found.bins] == [index / 10 for index in range(10)]
    lines: list[Bin | Rate] = [*found.bins, *found.rates]
    for one in lines:
        wanted = narrowed(base, one.condition)
        assert store.pairs.count(wanted) == one.score.n > 0, wanted.filter
    assert narrowed(PairQuery(filter="status = pending"), "", sort="disagreement") == PairQuery(
        sort="disagreement", descending=True
    )
    assert narrowed(PairQuery(filter="status = pending"), "rate = 0.3").filter == "rate = 0.3"


def columns(score: list[float], **other: object) -> ScoreColumns:
    """Columns with nothing known but the scores and what is named."""
    count = len(score)
    values = {name: np.full(count, np.nan) for name in ("rate", "encoder", "gold", "by_hand")}
    values |= {name: np.asarray(value, dtype=float) for name, value in other.items() if name in values}
    return ScoreColumns(
        score=np.asarray(score, dtype=float),
        status=np.asarray(other.get("status", [0] * count), dtype=np.int8),
        changed=np.asarray(other.get("changed", [False] * count)),
        unscored=0,
        unencoded=count,
        **values,
    )


def test_bins_hold_their_shares_and_means() -> None:
    found = figures(
        columns(
            [0.0, 0.05, 0.3, 0.35, 0.3, 1.0],
            gold=[0.1, np.nan, 0.2, 0.4, np.nan, np.nan],
            encoder=[-0.2, 0.4, np.nan, np.nan, np.nan, 0.9],
            status=[1, 2, 1, 1, 0, 0],
            changed=[True, False, False, True, True, False],
        ),
        [(0.35, 0.5), (0.31, 0.3), (1.0, 0.9)],
    )
    low, third, high = found.bins
    assert (low.low, low.high, low.score.n, low.condition) == (0.0, 0.1, 2, "score >= 0 and score < 0.1")
    assert low.encoder is not None and low.encoder.value == pytest.approx(0.1)
    assert (low.accepted, low.rejected, low.changed) == (1, 1, 1)
    assert third.gold is not None and third.rescored is not None
    assert (third.low, third.score.n, third.decided, third.changed) == (0.3, 3, 2, 1)
    # Two labels, 0.2 and 0.4: standard error 0.1.
    assert third.gold.value == pytest.approx(0.3) and third.gold.margin == pytest.approx(0.196, abs=1e-3)
    assert third.rescored.value == pytest.approx(0.4) and third.rescored.n == 2
    assert third.keep is not None and third.keep.low == pytest.approx(0.342, abs=1e-3)  # Wilson, 2 of 2
    assert high.condition == "score >= 0.9 and score <= 1" and high.keep is None and high.gold is None
    assert (found.accepted, found.rejected, found.changed) == (3, 1, 2)
    assert found.encoder is not None and found.encoder.bias == pytest.approx((0.0 + (0.05 - 0.4) + 0.1) / 3)
    assert found.gold is not None and found.gold.distance == pytest.approx((0.1 + 0.1 + 0.05) / 3)
    assert found.hand is None


def test_a_correlation_has_scipys_value_and_an_interval_that_covers_it() -> None:
    from scipy.stats import multivariate_normal, spearmanr

    covered = 0
    truth = 6 / np.pi * np.arcsin(0.7 / 2)  # Spearman's of a normal with correlation 0.7
    for seed in range(100):
        drawn = multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]]).rvs(150, random_state=seed)
        score, gold = (drawn[:, side] / 10 + 0.5 for side in (0, 1))
        against = figures(columns(list(score), gold=gold)).gold
        assert against is not None and against.interval is not None
        assert against.spearman.value == pytest.approx(spearmanr(score, gold).statistic)
        covered += against.interval.low <= truth <= against.interval.high
    assert 90 <= covered <= 99
    one = figures(columns([0.5, 0.5], gold=[0.1, 0.2])).gold
    assert one is not None and one.interval is None and "the same" in one.spearman.reason


def test_a_rate_at_which_scores_do_not_fall_is_found() -> None:
    rng = np.random.default_rng(1)
    rates = np.repeat([0.0, 0.1, 0.2, 0.3, 0.4], 200)
    means = np.repeat([0.8, 0.6, 0.7, 0.7, 0.2], 200)
    found = figures(columns(list(means + rng.normal(0, 0.1, 1000)), rate=rates))
    assert [one.step for one in found.rates] == ["", "falls", "rises", "level", "falls"]
    change = found.rates[1].change
    assert change is not None and change.low < -0.2 < change.high
    assert change.half_width == pytest.approx(1.96 * 0.1 * (2 / 200) ** 0.5, rel=0.1)
    assert dict(sentences(found))["rates"].startswith(
        "mean does not clearly fall at 0.2, 0.3; Spearman with the rate -0."
    )
    alone = figures(columns([0.5, 0.4], rate=[0.0, 0.1]))
    assert [(one.step, one.change) for one in alone.rates] == [("", None), ("level", None)]


def test_heaps_are_counted_exactly() -> None:
    found = figures(columns([0.5] * 5 + [0.0] * 2 + [0.8] * 2 + [0.55, 0.3, 0.1 * 3]))
    heap = found.heaping
    assert heap.marks == ((0.0, 2), (0.5, 5), (1.0, 0))
    assert (heap.distinct, heap.tenths) == (6, 10)  # 0.1 * 3 is not 0.3
    assert heap.common[:3] == ((0.5, 5), (0.8, 2), (0.0, 2))


def test_nothing_is_known_of_no_pairs(store: Store) -> None:
    found = quality(store, ALL)
    assert (found.scored, found.bins, found.rates, found.keep) == (0, (), (), None)
    assert sentences(found) == [("pairs", "0 pairs scored by the AI")]
    assert found.to_dict()["heaping"]["distinct"] == 0


def test_the_blind_scores_of_a_study_stand_beside_the_scores_of_the_ai(tmp_path: Path) -> None:
    with study_support.project(tmp_path / "s", 60) as store:
        study_support.study(
            store, "rigorous", raters=("a", "b", "c"), sample=4, practice=1, gold=1, repeats=1, stratify=()
        )
        assert quality(store, ALL).rescored is None
        data = store.studies.data("s")
        blind = next(one.name for one in data.study.protocol.criteria if one.blind)
        tokens = {(one.rater, one.item, one.occurrence): one.token for one in data.assignments}
        again = next(item for rater, item, occurrence in tokens if rater == "a" and occurrence == 1)
        first = next(item for item in data.items if item.n == again)
        second = next(item for item in data.items if item.role == "sample" and item.n != again)
        gold = next(item for item in data.items if item.role == "gold")

        def give(rater: str, item: int, criterion: str, value: float, occurrence: int = 0) -> None:
            given = Given(token=tokens[rater, item, occurrence], criterion=criterion, value=value)
            store.ratings.give(data.study.id, rater, [given], source="app")

        give("a", first.n, blind, 0.6)
        give("b", first.n, blind, 0.9)
        give("a", first.n, blind, 0.1, 1)  # a repeat tells of the rater, not of the pair
        give("b", second.n, blind, 0.3)
        give("c", first.n, blind, 0.0)
        for one in gold.gold:  # c fails it, so the study's rule takes the answers of c out
            scale = next(each.scale for each in data.study.protocol.criteria if each.name == one.criterion)
            give("c", gold.n, one.criterion, next(v for v in SCALES[scale] if not one.low <= v <= one.high))

        points = blind_scores(store.studies.data("s"))
        wanted = [(one.pair_id, one.score, own) for one, own in ((first, 0.75), (second, 0.3))]
        assert sorted(points) == sorted(wanted)
        found = quality(store, ALL).rescored
        assert found is not None and first.score is not None and second.score is not None
        assert found.n == 2
        assert found.bias == pytest.approx((first.score - 0.75 + second.score - 0.3) / 2)
        alone = quality(store, PairQuery(filter=f"status = pending and id = {first.pair_id}"))
        assert alone.rescored is not None and alone.rescored.n == 1
        assert quality(store, PairQuery(sample=(1, 2)), ids=[second.pair_id or 0]).rescored is not None
        assert quality(store, PairQuery(filter="score > 2")).rescored is None
