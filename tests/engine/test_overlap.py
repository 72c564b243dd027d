from __future__ import annotations

import io
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine import overlap_sets
from engine.config import TrainConfig
from engine.duplicates import Bags, normal, words
from engine.errors import DataError
from engine.overlap import Removal, overlap
from engine.tasks import STS
from tests.engine.evaluation_helpers import shrink, write


def test_only_letters_and_digits_count_and_marks_between_digits() -> None:
    def key(text: str) -> str:
        return normal(words(text))

    for same in (
        ("A man is  playing.", "a man is playing !"),
        ("He isn't here", "he is n't here"),
        ("the man 's hat", "the man ' s hat"),
        ("ﬁne Ｃafé", "fine cafe\u0301"),
    ):
        assert key(same[0]) == key(same[1]) != ""
    for other in (("up 1.5 percent", "up 15 percent"), ("a man", "a woman"), ("3-4 men", "34 men")):
        assert key(other[0]) != key(other[1])
    assert key(" ... ! ") == ""


def test_the_search_finds_exactly_what_comparing_each_with_each_finds() -> None:
    numbers = random.Random(3)

    def bag() -> list[str]:
        return numbers.choices("abcde", k=numbers.randrange(0, 14))

    bags = [bag() for _ in range(150)]
    counted = [Counter(one) for one in bags]
    index = Bags(bags)
    found = 0
    for _ in range(60):
        one = [*numbers.choice((bag(), *bags)), *numbers.choice(([], ["new"], ["new", "newer"]))]
        expected = []
        for place, other in enumerate(counted):
            shared = (Counter(one) & other).total()
            every = len(one) + other.total() - shared
            if every and 5 * shared >= 4 * every:
                expected.append((place, shared / every))
        assert index.similar(one) == expected
        found += len(expected)
    assert found > 40


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Evaluation data of two small sets and a third that is cut; all others are missing."""
    shrink(monkeypatch, "STS16", ("headlines", 3))
    shrink(monkeypatch, "MR", ("rt-polarity.pos", 2), ("rt-polarity.neg", 2))
    shrink(monkeypatch, "CR", ("custrev.pos", 3), ("custrev.neg", 1))
    folder = tmp_path / "senteval"
    write(
        folder / "STS/STS16-en-test/STS.input.headlines.txt",
        "the cat is on the mat\tthe dog is on it\nit is what that was\tto be of it\nthe cat is on the mat\tfor the\n",
    )
    write(folder / "STS/STS16-en-test/STS.gs.headlines.txt", "1\n2\n3\n")
    write(folder / "MR/rt-polarity.pos", "it is what that was\n...\n")
    write(folder / "MR/rt-polarity.neg", "a film for the ages\nit is what it is\n")
    write(folder / "CR/custrev.pos", "cut\n")
    write(folder / "CR/custrev.neg", "it is\n")
    return folder


def trained(folder: Path, *rows: dict[str, Any]) -> TrainConfig:
    path = folder / "claif.jsonl"
    path.write_text("".join(json.dumps({"score": 0.5, **row}) + "\n" for row in rows))
    return TrainConfig(data=str(path))


def test_sentences_rows_and_pairs_are_counted_from_both_sides(sets: Path, tmp_path: Path) -> None:
    config = trained(
        tmp_path,
        {"sentence1": "The dog is on it.", "sentence2": "the cat is on the mat"},
        {"sentence1": "the cat is on the mat!", "sentence2": "it is what that was"},
        {"sentence1": "it really is what that was", "sentence2": "to be of it"},
        {"sentence1": "something of my own", "sentence2": "?!"},
        {"sentence1": "held out", "sentence2": "it is what it is", "split": "dev"},
    )
    found = overlap(config, sets)
    assert (found["rows"], found["sentences"], found["wordless"]) == (4, 6, 1)
    by_name = {(one["task"], one["split"]): one for one in found["sets"]}
    headlines = by_name["STS16", "test"]
    assert headlines["sentences"] == {"exact": 4, "near": 1}
    assert headlines["rows"] == {"exact": 3, "near": 0}
    assert headlines["seen"] == {"of": 5, "exact": 4, "near": 0}
    assert headlines["both_sides"] == {"of": 3, "exact": 2, "near": 0}
    assert headlines["same_pair"] == {"of": 3, "exact": 1, "near": 1}
    near = [one for one in headlines["examples"] if one["rule"] == "near"]
    assert [(one["training"], one["evaluation"], one["similarity"]) for one in near] == [
        ("it really is what that was", "it is what that was", 0.8333)
    ]
    reviews = by_name["MR", "test"]
    assert reviews["sentences"] == {"exact": 1, "near": 1} and reviews["seen"]["of"] == 3
    assert reviews["both_sides"] is None
    assert found["groups"]["STS12-16"]["sentences"] == {"exact": 4, "near": 1}
    assert found["groups"]["transfer"]["rows"] == {"exact": 1, "near": 1}
    assert found["groups"]["all"]["rows"] == {"exact": 3, "near": 0}
    assert (by_name["STS12", "test"]["state"], by_name["CR", "test"]["state"]) == ("missing", "broken")
    assert "1 samples, 3 expected" in by_name["CR", "test"]["problem"]
    with pytest.raises(DataError, match="holds no evaluation set that can be read"):
        overlap(config, tmp_path / "nowhere")


def test_rows_are_left_out_by_rule_and_set_and_what_stays_is_counted(sets: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"sentence1": "the cat is on the mat", "sentence2": "mine", "pair_id": "1", "extra": 7},
        {"sentence1": "it really is what that was", "sentence2": "mine too", "pair_id": "2"},
        {"sentence1": "it is what that was", "sentence2": "dev", "split": "dev", "pair_id": "3"},
        {"sentence1": "my own", "sentence2": "and mine", "pair_id": "4"},
    ]
    config = trained(tmp_path, *rows)

    def kept(rule: Any, *tasks: str) -> tuple[list[str], dict[str, Any]]:
        file = io.BytesIO()
        found = overlap(config, sets, Removal(rule, tasks), file)
        lines = file.getvalue().decode().splitlines()
        assert found["kept"]["rows"] == len(lines)
        assert found["kept"]["bytes"] == len(file.getvalue())
        return [json.loads(line)["pair_id"] for line in lines], found

    ids, found = kept("exact", *STS)
    assert ids == ["2", "3", "4"], "rows of a dev split are not trained on and stay"
    assert found["groups"]["all"]["rows"] == {"exact": 0, "near": 1}
    assert found["kept"]["splits"] == {"train": 2, "dev": 1}
    ids, found = kept("near", "STS16", "MR")
    assert ids == ["3", "4"]
    removed = found["kept"]["removed"]
    assert (removed["rows"], removed["by_task"]) == (2, {"STS16": 2, "MR": 1})
    assert kept("near", "MR")[0] == ["1", "3", "4"]
    bad = trained(tmp_path, rows[0])
    with pytest.raises(DataError, match=r"no row of .* would be left"):
        overlap(bad, sets, Removal("exact", STS), io.BytesIO())


@pytest.mark.data
def test_84_percent_of_stsb_train_stand_in_sts12_to_16(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, less in (("STS", STS[:5]), ("_DEV", {}), ("TRANSFER", ())):
        monkeypatch.setattr(overlap_sets, name, less)
    root = data_dir / "senteval"
    found = overlap(TrainConfig(data=str(root / "STS/STSBenchmark/sts-train.csv")), root)
    assert (found["rows"], found["sentences"]) == (5749, 10504)
    assert found["groups"]["STS12-16"]["sentences"] == {"exact": 8830, "near": 42}  # 84.1 % and 0.4 %


def test_nothing_that_trains_reads_the_sets_that_are_compared() -> None:
    engine = Path(overlap_sets.__file__).parent
    importers = {
        path.name
        for path in engine.rglob("*.py")
        if re.search(r"^\s*(from|import) engine\.overlap", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert importers == {"overlap.py"}
