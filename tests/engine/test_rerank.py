"""Reranking: the figure against another library's and against counts by hand; files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import DataError
from engine.evaluate.queries import Queries, Query, read_queries
from engine.evaluate.rerank import average_precision, rerank, rerank_cross
from engine.tasks import STS, TRANSFER, select
from tests.engine.evaluation_helpers import hash_encoder, write


def row(query: Any = "a dog", **lists: Any) -> str:
    return json.dumps({"query": query, "positives": ["a pup"], "negatives": ["a car"], **lists})


def test_average_precision_is_that_of_scikit_learn_ties_and_all() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    chance = np.random.default_rng(3)
    for _ in range(300):
        size = int(chance.integers(2, 12))
        relevant = chance.random(size) < 0.4
        relevant[chance.integers(size)] = True
        similarities = chance.integers(0, 5, size).astype(np.float64) / 5  # many ties
        expected = metrics.average_precision_score(relevant, similarities)
        assert average_precision(relevant, similarities) == pytest.approx(expected, abs=1e-12)


def test_the_figure_by_hand_over_two_files(tmp_path: Path) -> None:
    """Mean over queries, not over files; what ties shares a place, wherever it stands in the file."""
    places = {"q": [1.0, 0.0], "near": [1.0, 0.1], "mid": [1.0, 1.0], "far": [0.0, 1.0], "none": [0.0, 0.0]}

    def encode(texts: list[str]) -> Any:
        assert len(texts) == len(set(texts))
        return np.array([places[text] for text in texts], dtype=np.float32)

    files = {
        "a": (
            Query("q", ("near",), ("mid", "far")),  # first of three: 1
            Query("q", ("far", "near"), ("mid",)),  # first and last: (1 + 2/3) / 2
        ),
        "b": (Query("q", ("mid",), ("mid", "near")),),  # second, with another on its place: 1/3
        "c": (Query("q", ("near",), ("none",)),),  # no vector: counts as 0, below
    }
    found = rerank(encode, Queries(files), resamples=200)
    each = [1.0, (1 + 2 / 3) / 2, 1 / 3, 1.0]
    assert found.precisions.tolist() == pytest.approx(each)
    assert found.map == pytest.approx(100 * sum(each) / 4)
    assert found.mean == pytest.approx(100 * ((each[0] + each[1]) / 2 + each[2] + each[3]) / 3)
    assert (found.n, found.documents, found.undefined) == (4, 11, 1)
    assert found.interval.low < found.map < found.interval.high
    turned = {
        name: tuple(Query(q.text, q.positives[::-1], q.negatives[::-1]) for q in qs)
        for name, qs in files.items()
    }
    assert rerank(encode, Queries(turned), resamples=200).precisions.tolist() == found.precisions.tolist()
    pairs: list[tuple[str, str]] = []

    def score(first: list[str], second: list[str]) -> Any:
        pairs.extend(zip(first, second, strict=True))
        return np.array([places[text][0] - places[text][1] for text in second])

    crossed = rerank_cross(score, Queries(files), resamples=200)
    assert crossed.precisions.tolist() == pytest.approx([*each[:3], 1.0]) and len(pairs) == len(set(pairs)) == 4
    assert rerank(hash_encoder(), read_queries(write(tmp_path / "x.jsonl", row())), resamples=9).n == 1


def test_files_are_found_and_what_ranks_nothing_is_counted(tmp_path: Path) -> None:
    good = [row(), row("two  words", negatives=["x", "y"])]
    lines = [*good, row(positives=[]), "", row(negatives=[]), row(negatives=[])]
    one = write(tmp_path / "rerank/ask.jsonl", "\n".join(lines) + "\n")
    # The names that public sets use.
    public = {"query": "q", "positive": ["p"], "negative": ["n"]}
    write(tmp_path / "rerank/stack.jsonl", json.dumps(public) + "\n")
    write(tmp_path / "other.jsonl", "not read where there is a folder of that name\n")
    found = read_queries(tmp_path)
    assert [(name, len(queries)) for name, queries in found.files.items()] == [("ask", 2), ("stack", 1)]
    assert found.files["ask"][1] == Query("two words", ("a pup",), ("x", "y"))
    assert dict(found.left_out) == {"query without positives": 1, "blank line": 1, "query without negatives": 2}
    alone = read_queries(one)
    assert list(alone.files) == ["ask"] and alone.fingerprint != found.fingerprint
    assert read_queries(tmp_path / "rerank").fingerprint == found.fingerprint
    assert read_queries(write(tmp_path / "crlf.jsonl", "\r\n".join(good) + "\r\n")).every == alone.every


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "list, an object expected"),
        (json.dumps({"positives": ["a"], "negatives": ["b"]}), "query is nothing"),
        (row(" "), 'query is " "'),
        (row(["a", "b"]), 'query is ["a", "b"]'),
        (json.dumps({"query": "q", "positives": ["a"]}), "has no negatives"),
        (row(positives="a"), 'positives is "a", a list of texts expected'),
        (row(negatives=["a", 3]), 'negatives is ["a", 3]'),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = write(tmp_path / "x.jsonl", f"{row()}\n{line}\n")
    with pytest.raises(DataError) as caught:
        read_queries(file)
    assert f"{file}, line 2: {said}" in caught.value.message and "positives" in caught.value.hint


def test_nothing_to_rank_is_said_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.jsonl file of queries is there"):
        read_queries(tmp_path)
    with pytest.raises(DataError, match=r"no query with positives and negatives .*without positives: 1"):
        read_queries(write(tmp_path / "x.jsonl", row(positives=[]) + "\n"))


def test_it_is_chosen_by_its_own_word_alone() -> None:
    assert select("rerank") == ("rerank",) and select("all") == (*STS, *TRANSFER)
    assert select("rerank, STS12") == ("STS12", "rerank")
