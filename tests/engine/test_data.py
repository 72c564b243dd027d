"""Every file format, what is refused, dropped and guessed, and how little of a file is held in memory."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import Examples, read, shuffled, split_dev
from engine.errors import DataError
from tests.conftest import ROOT


def write(path: Path, *lines: str) -> Path:
    path.write_bytes("".join(line + "\n" for line in lines).encode())
    return path


def write_json(path: Path, *rows: dict[str, Any]) -> Path:
    return write(path, *(json.dumps(row) for row in rows))


def write_csv(path: Path, *rows: list[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


def everything(examples: Examples) -> dict[str, list[Any]]:
    return examples.batch(range(len(examples)))


def rows_of(examples: Examples, *names: str) -> list[tuple[Any, ...]]:
    found = everything(examples)
    return list(zip(*(found[name] for name in names), strict=True))


def refused(path: Path, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert str(path) in caught.value.message
    return caught.value


# What each format gives.


def test_claif_pairs_with_labels_as_text(tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "claif.jsonl",
        {"text_a": "a cat .", "text_b": "a dog .", "label": "0.7", "explanation": "both are pets"},
        {"text_a": " a cat .", "text_b": "rain .", "label": 0},
    )
    examples = read(path)
    assert (examples.kind, examples.columns) == ("pairs", ("sentence1", "sentence2", "score", "split"))
    assert everything(examples) == {
        "sentence1": ["a cat .", "a cat ."],
        "sentence2": ["a dog .", "rain ."],
        "score": [0.7, 0.0],
        "split": ["train", "train"],
    }
    assert examples[1] == examples[-1] == {name: cells[1] for name, cells in everything(examples).items()}
    with pytest.raises(IndexError):
        examples[2]


def test_batches_come_in_the_order_asked_for(tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "c.jsonl", *({"text_a": f"a{n}", "text_b": "b", "label": n / 9} for n in range(9))
    )
    examples = read(path)
    batch = examples.batch(np.array([7, 0, 7]))
    assert batch["sentence1"] == ["a7", "a0", "a7"]
    assert batch["score"] == [7 / 9, 0.0, 7 / 9]
    assert examples.numbers("score").tolist() == [n / 9 for n in range(9)]


def test_simcse_nli_with_commas_quotes_and_empty_cells(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "nli.csv",
        ["sent0", "sent1", "hard_neg"],
        ["one, two", 'he said "hi"', "no\nnever"],
        ["a", "", "c"],
    )
    examples = read(path)
    assert examples.kind == "triplets"
    assert everything(examples)["hard_negative"] == ["no\nnever", "c"]
    assert everything(examples)["sentence2"] == ['he said "hi"', " "]
    assert examples.report.warnings == ("1 empty sentences are read as one blank",)


@pytest.mark.parametrize("header", [True, False])
def test_clhaif_by_header_or_by_position(tmp_path: Path, header: bool) -> None:
    names = ["hard_neg", "sent0", "sent1", "negative_score", "positive_score"]
    rows = [["n", "a", "b", "0.05", "0.75"]]
    if not header:
        rows = [["a", "b", "n", "0.75", "0.05"]]
    examples = read(write_csv(tmp_path / "d.csv", *([names] if header else []), *rows))
    assert examples[0] == {
        "sentence1": "a",
        "sentence2": "b",
        "hard_negative": "n",
        "score": 0.75,
        "negative_score": 0.05,
        "split": "train",
    }


def test_clhaif_by_position_wants_scores_in_columns_four_and_five(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "d.csv", ["a", "b", "n", "0.75", "0.05"], ["a", "b", "n", "0.75", "4.5"])
    error = refused(path)
    assert "line 2, column 5: expected a score in 0-1, found '4.5'" in error.message


def test_multicsr_scores_come_from_zero_to_five(tmp_path: Path) -> None:
    names = ["sent0", "sent1", "hard_neg", "positive_score", "negative_score"]
    path = write_csv(tmp_path / "m.csv", names, ["a", "b", "n", "4.5", "1.0"], ["a", "c", "m", "1.0", "0.5"])
    examples = read(path)
    assert everything(examples)["score"] == [0.9, 0.2]
    assert everything(examples)["negative_score"] == [0.2, 0.1]
    assert "scores on 0-5 (guessed from all 4; the largest is 4.5)" in examples.report.guesses


def test_a_named_scale_is_taken_at_its_word(tmp_path: Path) -> None:
    rows = [{"text_a": f"a{n}", "text_b": "b", "label": n} for n in (0, 1, 1)]
    path = write_json(tmp_path / "d.jsonl", *rows)
    assert everything(read(path))["score"] == [0.0, 1.0, 1.0]
    assert everything(read(path, score_scale="0-5"))["score"] == [0.0, 0.2, 0.2]
    path = write_json(tmp_path / "e.jsonl", *rows, {"text_a": "x", "text_b": "y", "label": 3})
    examples = read(path, score_scale="0-1")
    assert (len(examples), examples.report.dropped) == (3, {"score outside 0-1": 1})


def test_stray_labels_are_dropped_and_many_are_an_error(tmp_path: Path) -> None:
    good = [{"text_a": f"a{n}", "text_b": "b", "label": 0.55} for n in range(199)]
    path = write_json(tmp_path / "d.jsonl", *good, {"text_a": "x", "text_b": "y", "label": 80})
    examples = read(path)
    assert (len(examples), examples.report.dropped) == (199, {"score outside 0-1": 1})
    path = write_json(tmp_path / "e.jsonl", *good[:20], {"text_a": "x", "text_b": "y", "label": 80})
    assert "line 21: scores are on no known scale (1 of 21 lie outside 0-5)" in refused(path).message


def test_syncse_three_and_four_columns(tmp_path: Path) -> None:
    three = read(write_csv(tmp_path / "s3.csv", ["sent0", "sent1", "nli_hard"], ["a", "b", "n"]))
    named = read(write_csv(tmp_path / "s4.csv", ["sent0", "sent1", "soft", "nli_hard"], ["a", "b", "x", "n"]))
    plain = read(write_csv(tmp_path / "p4.csv", ["a", "b", "x", "n"]))
    want = {"sentence1": "a", "sentence2": "b", "hard_negative": "n", "split": "train"}
    assert three[0] == named[0] == plain[0] == want
    assert "not used: soft" in named.report.guesses[0]
    assert "the fourth is taken for the hard negative" in plain.report.guesses[0]


def test_unnamed_columns_of_pairs(tmp_path: Path) -> None:
    assert read(write_csv(tmp_path / "p2.csv", ["a", "b"])).columns == ("sentence1", "sentence2", "split")
    assert read(write_csv(tmp_path / "p3.csv", ["a", "b", "0.4"]))[0]["score"] == 0.4
    assert "6 columns without names" in refused(write_csv(tmp_path / "p6.csv", list("abcdef"))).message


def test_wiki_sentences_one_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "wiki.txt", "One, two.", "", "a\u2028b\x0cc", "  three  ")
    examples = read(path)
    assert (examples.kind, examples.columns) == ("sentences", ("sentence1", "split"))
    assert everything(examples)["sentence1"] == ["One, two.", "a\u2028b\x0cc", "three"]
    assert examples.report.dropped == {"blank line": 1}


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b'\xef\xbb\xbfsent0,sent1,hard_neg\r\na,b,c\r\nd,"e\r\nf",g\r\n')
    examples = read(tmp_path / "d.csv")
    assert everything(examples)["sentence1"] == ["a", "d"]
    assert everything(examples)["sentence2"] == ["b", "e\nf"]
    (tmp_path / "t.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert everything(read(tmp_path / "t.txt"))["sentence1"] == ["one", "two"]


def test_tsv_has_no_quoting(tmp_path: Path) -> None:
    path = write(tmp_path / "d.tsv", "sentence1\tsentence2\tscore", '"so\tb\t2.5', "c\td\t5")
    assert everything(read(path))["sentence1"] == ['"so', "c"]
    assert everything(read(path))["score"] == [0.5, 1.0]
    path = write(tmp_path / "e.tsv", "sentence1\tsentence2\tscore", "a\tb\tc\t2.5")
    assert "line 2: 4 columns, expected 3" in refused(path).message


def test_our_own_csv_loses_the_quotes_before_formulas(tmp_path: Path) -> None:
    head = ["sentence1", "sentence2", "hard_negative", "score", "raw_score", "kind", "split", "pair_id"]
    path = write_csv(tmp_path / "own.csv", head, ["'=a", "''+b", "", "0.74", "0.8", "llm", "dev", "p1"])
    assert read(path)[0] == {
        "sentence1": "=a",
        "sentence2": "'+b",
        "score": 0.74,
        "split": "dev",
        "kind": "llm",
        "pair_id": "p1",
    }


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"))


@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS).map(list), min_size=1, max_size=6))
def test_any_cell_of_a_csv_comes_back(rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write_csv(tmp_path_factory.mktemp("csv") / "d.csv", ["sent0", "sent1", "hard_neg"], *rows)
    wanted = [[cell.strip() or " " for cell in row] for row in rows if any(row)]
    if not wanted:
        with pytest.raises(DataError, match="no usable row"):
            read(path)
        return
    found = rows_of(read(path), "sentence1", "sentence2", "hard_negative")
    assert [list(row) for row in found] == wanted


# Real files.


def test_stsb_train_and_dev(data_dir: Path) -> None:
    folder = data_dir / "senteval/STS/STSBenchmark"
    train, dev = read(folder / "sts-train.csv"), read(folder / "sts-dev.csv")
    assert (len(train), len(dev)) == (5749, 1500)
    assert train[0] == {
        "sentence1": "a plane is taking off .",
        "sentence2": "an air plane is taking off .",
        "score": 1.0,
        "split": "train",
    }
    assert dev.report.splits == {"dev": 1500}
    assert train.numbers("score").max() == 1.0
    assert train.fingerprint != dev.fingerprint


def test_stsb_test_is_refused_under_any_name(data_dir: Path, tmp_path: Path) -> None:
    real = data_dir / "senteval/STS/STSBenchmark/sts-test.csv"
    assert "is test data (its name says 'test')" in refused(real).message
    other = tmp_path / "pairs.csv"
    other.write_bytes(real.read_bytes())
    assert "1,379 rows" in refused(other).message
    assert len(read(other, allow_test=True)) == 1379
    assert read(real, allow_test=True).report.splits == {"test": 1379}


def test_snli_becomes_triplets(data_dir: Path) -> None:
    folder = data_dir / "senteval/SNLI"
    examples = read(folder)
    labels = [line.strip() for line in (folder / "labels.dev").read_text().splitlines()]
    texts = [[line.strip() for line in (folder / f"s{n}.dev").read_text("utf-8").splitlines()] for n in (1, 2)]
    assert (examples.kind, examples.columns) == (
        "triplets",
        ("sentence1", "sentence2", "hard_negative", "split"),
    )
    assert 2 * len(examples) + sum(examples.report.dropped.values()) == len(labels) == 9842
    assert examples.report.dropped["neutral"] == labels.count("neutral")
    for label, column in (("entailment", "sentence2"), ("contradiction", "hard_negative")):
        known = {(a, b) for a, b, said in zip(*texts, labels, strict=True) if said == label}
        assert {*rows_of(examples, "sentence1", column)} <= known, label
    assert read(folder / "labels.dev").fingerprint == examples.fingerprint
    assert "is test data" in refused(folder / "s1.test").message
    assert len(read(folder / "labels.test", allow_test=True)) > 2500


def test_nli_rows_keep_their_labels_for_who_learns_them(data_dir: Path, tmp_path: Path) -> None:
    """SNLI's folder, its own jsonl and tsv, and any CSV with words as labels."""
    folder = data_dir / "senteval/SNLI"
    words = [line.strip() for line in (folder / "labels.dev").read_text().splitlines()]
    examples = read(folder, labelled=True)
    assert (examples.kind, examples.columns) == ("pairs", ("sentence1", "sentence2", "label", "split"))
    codes = {"contradiction": 0, "entailment": 1, "neutral": 2}
    assert examples.numbers("label").tolist() == [codes[word] for word in words if word != "-"]
    line = (folder / "s2.dev").read_text("utf-8").split("\n")[7].strip()
    assert examples[7]["sentence2"] == line
    assert examples.fingerprint != read(folder).fingerprint

    small = snli(
        tmp_path / "SNLI",
        ("p", "a", "neutral"),
        ("p", "b", "-"),
        ("q", "", "entailment"),
        ("q", "c", "entailment"),
    )
    found = read(small, labelled=True)
    assert rows_of(found, "sentence1", "sentence2", "label") == [("p", "a", 2.0), ("q", "c", 1.0)]
    assert found.report.dropped == {"empty sentence": 1, "no gold label": 1}
    own = '{"gold_label": "%s", "annotator_labels": ["x"], "sentence1": "p", "sentence2": "%s"}'
    files = [
        write(tmp_path / "snli.jsonl", own % ("neutral", "a"), own % ("-", "b"), own % ("entailment", "c")),
        write(
            tmp_path / "snli.txt",
            *(
                "gold_label\tsentence1_parse\tsentence1\tsentence2\tlabel1",
                "neutral\tx\tp\ta\t",
                "-\tx\tp\tb\t",
            ),
            "entailment\tx\tp\tc\tneutral",
        ),
        write(tmp_path / "named.csv", "sentence1,sentence2,label", "p,a,Neutral", "p,b,", "p,c,entailment"),
        write(tmp_path / "bare.csv", "p,a,neutral", "p,b,-", "p,c,entailment"),
    ]
    for file in files:
        found = read(file, labelled=True)
        assert rows_of(found, "sentence2", "label") == [("a", 2.0), ("c", 1.0)], file
        assert found.report.dropped == {"no gold label": 1}
    numbers = write(tmp_path / "numbers.csv", "sentence1,sentence2,label", "p,a,neutral", "p,b,1")
    with pytest.raises(
        DataError, match="line 3: the label is '1', expected contradiction, entailment"
    ) as caught:
        read(numbers, labelled=True)
    assert "words" in caught.value.hint


def snli(folder: Path, *rows: tuple[str, str, str], split: str = "train") -> Path:
    folder.mkdir(exist_ok=True)
    for name, cells in zip(("s1", "s2", "labels"), zip(*rows, strict=True), strict=True):
        write(folder / f"{name}.{split}", *cells)
    return folder


def test_hypotheses_are_paired_in_order_wherever_the_premise_stands(tmp_path: Path) -> None:
    folder = snli(
        tmp_path / "SNLI",
        ("p", "c1", "contradiction"),
        ("p", "e1", "entailment"),
        ("q", "e", "entailment"),
        ("p", "e2", "entailment"),
        ("p", "n", "neutral"),
        ("p", "-", "-"),
        ("q", "c", "contradiction"),
        ("p", "c2", "contradiction"),
        ("p", "e3", "entailment"),
        ("r", "c", "contradiction"),
        ("r", "", "entailment"),
    )
    examples = read(folder)
    assert rows_of(examples, "sentence1", "sentence2", "hard_negative") == [
        ("p", "e1", "c1"),
        ("q", "e", "c"),
        ("p", "e2", "c2"),
    ]
    assert examples.report.dropped == {
        "neutral": 1,
        "no gold label": 1,
        "entailment without a contradiction": 1,
        "contradiction without an entailment": 1,
        "empty sentence": 1,
    }


def test_pairing_many_hypotheses_is_by_order_alone(tmp_path: Path) -> None:
    draw = random.Random(5)
    rows = [
        (f"p{draw.randrange(7)}", f"h{n}", draw.choice(["entailment", "contradiction"])) for n in range(900)
    ]
    wanted = []
    for premise in {row[0] for row in rows}:
        sides = [
            [h for p, h, said in rows if (p, said) == (premise, label)]
            for label in ("entailment", "contradiction")
        ]
        wanted += [(premise, *both) for both in zip(*sides, strict=False)]
    found = rows_of(read(snli(tmp_path / "SNLI", *rows)), "sentence1", "sentence2", "hard_negative")
    assert sorted(found) == sorted(wanted)
    assert found == sorted(found, key=lambda row: int(row[1][1:])), "in the order of their entailments"


def test_snli_files_that_do_not_fit(tmp_path: Path) -> None:
    folder = snli(tmp_path / "SNLI", ("p", "e", "entailment"), ("p", "c", "contradicts"))
    with pytest.raises(DataError, match=r"labels\.train: line 2: 'contradicts'"):
        read(folder)
    write(folder / "labels.train", "entailment")
    with pytest.raises(DataError, match=r"labels\.train: ends before line 2"):
        read(folder)
    for name in ("s1", "s2", "labels"):
        (folder / f"{name}.train").rename(folder / f"{name}.test")
    assert "nothing but s1.test" in refused(folder).message


# What is refused.


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"text_a": "a", "text_b": "b", "label": 1}', '{"text_a": "a", "te'], "line 2: is not JSON"),
        (
            ['{"text_a": "a", "text_b": "b"}', '{"text_a": "a", "text_b": 3}'],
            "line 2, column text_b: expected text",
        ),
        (['{"text_a": "a", "text_b": "b"}', '{"text_a": null, "text_b": "b"}'], "line 2, column text_a"),
        (['{"text_a": "a", "text_b": "b"}', '["a"]'], "line 2: expected an object"),
        (['{"first": "a", "second": "b"}'], "line 1: no column holds the sentences among first, second"),
        (['{"text_a": "a", "label": 1}'], "line 1: no column holds the second sentence"),
        (
            ['{"sent0": "a", "sent1": "b"}', '{"sent0": "a", "sent1": "b", "hard_neg": "c"}'],
            "line 2: three sentences, in the rows before it two sentences",
        ),
        (["\n\n"], "nothing but blank lines"),
    ],
)
def test_json_lines_that_cannot_be_read_name_the_place(tmp_path: Path, lines: list[str], message: str) -> None:
    assert message in refused(write(tmp_path / "d.jsonl", *lines)).message


def test_csv_that_cannot_be_read_names_the_line(tmp_path: Path) -> None:
    head = "sent0,sent1,hard_neg"
    path = write(tmp_path / "d.csv", head, "a,b,c", "a,b", "d,e,f")
    assert "line 3: 2 columns, expected 3" in refused(path).message
    path = write(tmp_path / "e.csv", head, "a,b,c", 'd,"e,f', "g,h,i", "j,k,l")
    assert "line 3: a quote is opened and never closed" in refused(path).message
    path = write(tmp_path / "f.csv", head, 'd,e,"f')
    assert "line 2: a quote is opened and never closed" in refused(path).message


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    for content, word in (
        (b"", "is empty"),
        (b"PAR1....", "a Parquet file"),
        (b"\x1f\x8b....", "gzip"),
        ("a,b".encode("utf-16"), "UTF-16"),
        (b"a\x00b", "NUL"),
        (b"one\ntw\xff\n", "line 2, byte 3: is not UTF-8"),
    ):
        path.write_bytes(content)
        assert word in refused(path).message
    assert "no such file" in refused(tmp_path / "none.csv").message
    assert "is no file" in refused(tmp_path).message
    path.write_bytes(b'[{"text": "a"}]')
    assert "one JSON list" in refused(path.rename(tmp_path / "d.json")).message


def test_a_format_that_the_file_does_not_have(tmp_path: Path) -> None:
    path = write(tmp_path / "d.txt", "one", "two")
    for name, word in (
        ("jsonl", "is not JSON"),
        ("stsb", "expected 7"),
        ("snapshot", "no snapshot"),
        ("snli", "s1"),
    ):
        assert word in refused(path, format=name).message
    with pytest.raises(DataError, match="no format 'xml'"):
        read(path, format="xml")  # type: ignore[arg-type]


def test_rows_of_a_test_split_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"sentence1": f"a{n}", "sentence2": "b", "score": 0.5, "split": s} for n, s in enumerate(
        ["train", "test", "validation", "train"]
    )]  # fmt: skip
    path = write_json(tmp_path / "d.jsonl", *rows)
    examples = read(path)
    assert examples.report.dropped == {"of a test split": 1}
    assert examples.report.splits == {"train": 2, "dev": 1}
    assert everything(examples.of_split("dev"))["sentence1"] == ["a2"]
    assert len(examples.of_split("test")) == 0
    assert len(read(path, allow_test=True).of_split("test")) == 1
    assert "is test data (so say all of its rows)" in refused(write_json(tmp_path / "e.jsonl", rows[1])).message


@pytest.mark.parametrize("name", ["sts-test.jsonl", "my_test.jsonl", "x/STS-test/d.jsonl", "labels.tst"])
def test_names_that_say_test(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"text_a": "a", "text_b": "b", "label": 1})
    assert "is test data" in refused(path).message
    assert len(read(path, allow_test=True)) == 1


@pytest.mark.parametrize("name", ["latest.jsonl", "contest.jsonl", "attested/d.jsonl"])
def test_names_that_only_sound_like_test(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    assert read(write_json(path, {"text_a": "a", "text_b": "b", "label": 1})).report.splits == {"train": 1}


# What is dropped and said.


def test_rows_that_cannot_be_used_are_counted_by_reason(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.jsonl",
        '{"text_a": "a", "text_b": "b", "label": 0.55}',
        '{"text_a": "  ", "text_b": "b", "label": 0.5}',
        '{"text_a": "a", "text_b": "b", "label": "somewhat"}',
        '{"text_a": "a", "text_b": "b", "label": "1_0"}',
        '{"text_a": "a", "text_b": "b", "label": null}',
        '{"text_a": "a", "text_b": "b", "label": NaN}',
        '{"text_a": "a", "text_b": "b", "label": true}',
        "",
    )
    examples = read(path)
    assert len(examples) == examples.report.rows == 1
    assert examples.report.dropped == {
        "blank line": 1,
        "empty sentence": 1,
        "no score": 2,
        "score that is no number": 3,
    }
    assert json.loads(json.dumps(examples.report.to_dict()))["rows"] == 1
    none = write(tmp_path / "e.jsonl", '{"text_a": "", "text_b": "b", "label": 0.5}')
    assert "no usable row is there (empty sentence: 1)" in refused(none).message


def test_scores_of_hard_negatives_must_be_complete_to_be_used(tmp_path: Path) -> None:
    row = {"sent0": "a", "sent1": "b", "hard_neg": "c", "positive_score": 1}
    examples = read(write_json(tmp_path / "d.jsonl", {**row, "negative_score": 0}, row))
    assert examples.columns == ("sentence1", "sentence2", "hard_negative", "score", "split")
    assert "scores are not used" in examples.report.warnings[0]


def test_labels_that_look_smoothed_are_told(tmp_path: Path) -> None:
    def warned(*labels: float) -> bool:
        rows = [{"text_a": f"a{n}", "text_b": "b", "label": label} for n, label in enumerate(labels)]
        return any("smoothed" in text for text in read(write_json(tmp_path / "d.jsonl", *rows)).report.warnings)

    assert warned(0.0, 0.1, 0.74, 0.9)
    assert warned(*[0.5] * 50)
    assert not warned(0.0, 0.1, 0.74, 1.0)
    assert not warned(0.05, 0.1)
    assert not warned(0.5, 0.6)


def test_lone_surrogates_become_text_that_a_tokenizer_takes(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", '{"text_a": "a\\ud800b", "text_b": "\\ud83d\\ude00", "label": 1}')
    assert read(path)[0]["sentence1"] == "a\ufffdb"
    assert read(path)[0]["sentence2"] == "\U0001f600"


# Fingerprints, shuffling, splitting, and files that change.


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    rows = [{"text_a": f"a{n}", "text_b": "b", "label": 0.5} for n in range(4)]
    first = read(write_json(tmp_path / "d.jsonl", *rows))
    assert first.fingerprint == read(write_json(tmp_path / "other.jsonl", *rows)).fingerprint
    others = {
        first.fingerprint,
        read(write_json(tmp_path / "e.jsonl", *rows[:3])).fingerprint,
        read(tmp_path / "d.jsonl", score_scale="0-5").fingerprint,
        first.subset(np.array([0, 1])).fingerprint,
        first.subset(np.array([1, 0])).fingerprint,
    }
    assert len(others) == 5


def test_each_epoch_has_an_order_of_its_own() -> None:
    first, second = shuffled(1000, 42, 0), shuffled(1000, 42, 1)
    assert sorted(first.tolist()) == list(range(1000))
    assert first.tolist() == shuffled(1000, 42, 0).tolist() != second.tolist()
    assert shuffled(1000, 7, 0).tolist() != first.tolist()


def originals(examples: Examples) -> set[str]:
    return set(everything(examples)["sentence1"])


def test_a_dev_split_parts_no_original(tmp_path: Path) -> None:
    rows = [{"text_a": f"seed {n // 5}", "text_b": f"text {n}", "label": n % 10 / 9} for n in range(500)]
    examples = read(write_json(tmp_path / "d.jsonl", *rows))
    train, dev = split_dev(examples, 0.1, 42)
    assert not originals(train) & originals(dev)
    assert len(train) + len(dev) == 500
    assert 50 <= len(dev) <= 55
    found = everything(dev)
    assert {rows[int(text.split()[1])]["text_a"] for text in found["sentence2"]} == originals(dev)
    assert [rows[int(text.split()[1])]["label"] for text in found["sentence2"]] == found["score"]
    random.Random(1).shuffle(rows)
    again = split_dev(read(write_json(tmp_path / "e.jsonl", *rows)), 0.1, 42)[1]
    assert originals(again) == originals(dev), "the order of the rows does not matter"
    assert originals(split_dev(examples, 0.1, 43)[1]) != originals(dev)
    small, large = split_dev(examples, 0.999, 42)
    assert (len(small), len(large)) == (5, 495)


def test_a_dev_split_is_stratified_by_score(tmp_path: Path) -> None:
    """Dino's labels, smoothed, of originals that lost pairs in very different ways, beside random zero pairs."""
    labels = {"all": (0.9, 0.9, 0.5, 0.5, 0.1, 0.1, 0.0, 0.0), "high": (0.9, 0.9), "low": (0.1, 0.0, 0.0)}
    kinds = ["all"] * 40 + ["high"] * 100 + ["low"] * 60
    rows = [
        {"text_a": f"{kind} {n}", "text_b": f"text {n} {place}", "label": label}
        for n, kind in enumerate(kinds)
        for place, label in enumerate(labels[kind])
    ]
    for seed in range(5):
        train, dev = split_dev(read(write_json(tmp_path / "d.jsonl", *rows)), 0.1, seed)
        assert not originals(train) & originals(dev)
        assert Counter(text.split()[0] for text in originals(dev)) == {"all": 4, "high": 10, "low": 6}
        whole, held = (Counter(part.numbers("score").tolist()) for part in (train, dev))
        assert all(held[label] * 9 == whole[label] for label in (0.9, 0.5, 0.1, 0.0))


def test_a_dev_split_that_cannot_be(tmp_path: Path) -> None:
    row = {"text_a": "a", "text_b": "b", "label": 1}
    examples = read(write_json(tmp_path / "d.jsonl", row, row))
    with pytest.raises(DataError, match="1 different first sentences"):
        split_dev(examples, 0.5, 1)
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(DataError, match="dev share"):
            split_dev(examples, share, 1)


def test_a_file_written_over_is_noticed_and_one_replaced_is_not_needed(tmp_path: Path) -> None:
    path = write_json(tmp_path / "d.jsonl", *({"text_a": f"a{n}", "text_b": "b", "label": 1} for n in range(3)))
    examples = read(path)
    path.touch()
    assert examples[2]["sentence1"] == "a2", "a new time alone is no harm"
    write(tmp_path / "new", '{"text_a": "other", "text_b": "b", "label": 1}').replace(path)
    assert examples[2]["sentence1"] == "a2"
    examples = read(path)
    path.write_text('{"text_a": "third", "text_b": "b", "label": 1, "x": 1}\n')
    with pytest.raises(DataError, match="written over"):
        examples[0]


def test_a_large_file_stays_on_disk(tmp_path: Path) -> None:
    """200,000 rows of 500 bytes: what is held grows by far less than the 100 MB that the texts have."""
    path = tmp_path / "d.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for n in range(200_000):
            file.write(f'{{"text_a": "{n:06} {"a" * 240}", "text_b": "{"b" * 230}", "label": 0.5}}\n')
    code = (
        "import resource, sys\n"
        "from engine.data import read, shuffled\n"
        "unit = 1 << (20 if sys.platform == 'darwin' else 10)\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit\n"
        "before = peak()\n"
        "examples = read(sys.argv[1])\n"
        "order = shuffled(len(examples), 1, 0)\n"
        "for start in range(0, 20000, 500): examples.batch(order[start:start + 500])\n"
        "print(len(examples), peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    count, grown = done.stdout.split()
    assert count == "200000"
    assert float(grown) < 45
