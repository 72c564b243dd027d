from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError, DataError
from engine.evaluate import dev
from engine.evaluate.data import read_dev, read_pairs, read_sts, read_transfer
from engine.tasks import STS, TASKS, TRANSFER
from tests.engine.evaluation_helpers import shrink, write

SENTENCES = (
    "the cat is on the mat\tthe dog is on it\na man was with you\tit is what that was\nto be of it\tfor the\n"
)


@pytest.fixture
def headlines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with STS16 of one part and three pairs."""
    shrink(monkeypatch, "STS16", ("headlines", 3))
    write(tmp_path / "STS/STS16-en-test/STS.input.headlines.txt", SENTENCES)
    write(tmp_path / "STS/STS16-en-test/STS.gs.headlines.txt", "1\n2.50\n5\n")
    return tmp_path


def inputs(root: Path) -> Path:
    return root / "STS/STS16-en-test/STS.input.headlines.txt"


def golds(root: Path) -> Path:
    return root / "STS/STS16-en-test/STS.gs.headlines.txt"


@pytest.mark.data
def test_the_real_sets_are_complete(data_dir: Path) -> None:
    for name in STS:
        pairs = read_sts(data_dir, name)
        assert len(pairs) == TASKS[name].n == len(pairs.second) == len(pairs.gold)
    assert len(read_dev(data_dir, "stsb")) == 1500
    assert len(read_dev(data_dir / "senteval", "sickr")) == 500


@pytest.mark.data
def test_the_real_transfer_sets_are_complete(data_dir: Path) -> None:
    sizes = {name: [len(split) for split in read_transfer(data_dir, name).splits] for name in TRANSFER}
    assert sizes == {
        "MR": [10662],
        "CR": [3775],
        "SUBJ": [10000],
        "MPQA": [10606],
        "SST2": [67349, 872, 1821],
        "TREC": [5452, 500],
        "MRPC": [4076, 1725],
    }
    reviews = read_transfer(data_dir, "CR").splits[0]
    assert np.bincount(reviews.labels).tolist() == [1368, 2407]
    assert reviews.first.count("") == 4
    assert read_transfer(data_dir, "MPQA").splits[0].first.count("") == 3
    assert np.bincount(read_transfer(data_dir, "TREC").splits[0].labels).tolist() == [
        86,
        1162,
        1250,
        1223,
        835,
        896,
    ]
    partners = read_transfer(data_dir, "MRPC").splits[0].second
    assert partners is not None
    assert partners[0].startswith("Referring to him as only")


def test_line_counts_must_match(headlines: Path) -> None:
    write(golds(headlines), "1\n2\n")
    with pytest.raises(DataError, match=r"STS\.input\.headlines\.txt has 3 lines, STS\.gs\.headlines\.txt 2"):
        read_sts(headlines, "STS16")


def test_an_empty_score_drops_that_pair_only(headlines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, "STS16", ("headlines", 2))
    write(golds(headlines), "1\r\n\r\n5\r\n")
    pairs = read_sts(headlines, "STS16")
    assert pairs.first == ["the cat is on the mat", "to be of it"]
    assert pairs.gold.tolist() == [1.0, 5.0]


@pytest.mark.parametrize("strange", ["\u2028", "\x85", "\x0c", "\x0b", "\x1c"])
def test_only_a_line_feed_ends_a_line(headlines: Path, strange: str) -> None:
    write(inputs(headlines), SENTENCES.replace("the cat is", f"the{strange}cat is"))
    assert read_sts(headlines, "STS16").first[0] == "the cat is on the mat"


def test_an_incomplete_copy_is_refused_with_what_was_found(
    headlines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink(monkeypatch, "STS16", ("headlines", 4))
    with pytest.raises(DataError, match=r"headlines\.txt: 3 scored pairs, 4 expected"):
        read_sts(headlines, "STS16")
    golds(headlines).unlink()
    with pytest.raises(DataError, match=r"STS\.gs\.headlines\.txt is missing"):
        read_sts(headlines, "STS16")
    with pytest.raises(DataError, match="SICK is missing"):
        read_sts(headlines, "SICKRelatedness")


def test_a_bad_cell_is_named_with_its_line(headlines: Path) -> None:
    write(golds(headlines), "1\nfive\n5\n")
    with pytest.raises(DataError, match=r"gs\.headlines\.txt, line 2: score 'five'"):
        read_sts(headlines, "STS16")
    write(golds(headlines), "1\n2\n5.1\n")
    with pytest.raises(DataError, match=r"line 3: score '5\.1', a number from 0 to 5"):
        read_sts(headlines, "STS16")
    write(golds(headlines), "1\n2\n5\n")
    write(inputs(headlines), SENTENCES.replace("\tit is", " it is"))
    with pytest.raises(DataError, match=r"input\.headlines\.txt, line 2: 1 columns, 2 or more"):
        read_sts(headlines, "STS16")
    write(inputs(headlines), SENTENCES.encode().replace(b"\nto", b"\n\xff"))
    with pytest.raises(DataError, match=r"line 3: no utf-8 text"):
        read_sts(headlines, "STS16")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("一架飞机正在起飞 。\t一架飞机正在起飞 。\n", "another script"),
        (
            "uma mulher está cortando as cebolas na cozinha\to homem toca uma flauta para eles\n",
            "0.0% common English",
        ),
    ],
)
def test_a_translation_is_refused(
    headlines: Path, monkeypatch: pytest.MonkeyPatch, text: str, found: str
) -> None:
    shrink(monkeypatch, "STS16", ("headlines", 30))
    write(inputs(headlines), text * 30)
    write(golds(headlines), "1\n" * 30)
    with pytest.raises(DataError, match=f"headlines.txt: not in English: .*{found}"):
        read_sts(headlines, "STS16")


@pytest.mark.data
def test_the_smt_part_of_2013_may_be_there(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "senteval/STS/STS13-en-test"
    for file in source.glob("STS.*.txt"):
        write(tmp_path / "STS/STS13-en-test" / file.name, file.read_bytes())
    without = read_sts(tmp_path, "STS13")
    write(tmp_path / "STS/STS13-en-test/STS.input.SMT.txt", "the end\tan end\n" * 750)
    assert len(read_sts(tmp_path, "STS13")) == len(without) == 1500
    assert (tmp_path / "STS/STS13-en-test/STS.gs.SMT.txt").is_file()


def test_the_fingerprint_is_of_what_is_evaluated(headlines: Path) -> None:
    before = read_sts(headlines, "STS16").fingerprint
    write(golds(headlines), "1.0\r\n2.5\r\n5.000\r\n")
    write(inputs(headlines), SENTENCES.replace("the cat", "the  cat").replace("\n", "\r\n"))
    assert read_sts(headlines, "STS16").fingerprint == before
    write(inputs(headlines), SENTENCES.replace("the cat", "the 's cat"))
    attached = read_sts(headlines, "STS16").fingerprint
    write(inputs(headlines), SENTENCES.replace("the cat", "the ' s cat"))
    assert len({before, attached, read_sts(headlines, "STS16").fingerprint}) == 3
    write(golds(headlines), "1\n2\n5\n")
    assert read_sts(headlines, "STS16").fingerprint not in (before, attached)


def test_latin_1_and_empty_lines_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, "CR", ("custrev.pos", 3), ("custrev.neg", 2))
    write(tmp_path / "CR/custrev.pos", b"a caf\xe9 \x85 of\n\nthe end\n")
    write(tmp_path / "CR/custrev.neg", b"it is\n\n")
    (split,) = read_transfer(tmp_path, "CR").splits
    assert split.first == ["a café of", "", "the end", "it is", ""]
    assert split.labels.tolist() == [1, 1, 1, 0, 0]
    write(tmp_path / "CR/custrev.neg", b"it is\n")
    with pytest.raises(DataError, match=r"custrev\.neg: 1 samples, 2 expected"):
        read_transfer(tmp_path, "CR")


def test_trec_has_coarse_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, "TREC", ("train_5500.label", 2), ("TREC_10.label", 1))
    write(tmp_path / "TREC/train_5500.label", "DESC:manner How : did it ?\nHUM:ind Who was it ?\n")
    write(tmp_path / "TREC/TREC_10.label", "NUM:date When ?\n")
    data = read_transfer(tmp_path, "TREC")
    assert data.splits[0].first == ["How : did it ?", "Who was it ?"]
    assert [split.labels.tolist() for split in data.splits] == [[1, 3], [5]]
    write(tmp_path / "TREC/TREC_10.label", "DATE:x When ?\n")
    with pytest.raises(DataError, match=r"TREC_10\.label, line 1: class 'DATE'"):
        read_transfer(tmp_path, "TREC")


def test_mrpc_has_a_marked_header_and_quotes_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, "MRPC", ("msr_paraphrase_train.txt", 1), ("msr_paraphrase_test.txt", 1))
    header = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    write(tmp_path / "MRPC/msr_paraphrase_train.txt", header + '1\t2\t3\t" it is\tso\n')
    write(tmp_path / "MRPC/msr_paraphrase_test.txt", header + "0\t2\t3\tthe one\tthe other\n")
    data = read_transfer(tmp_path, "MRPC")
    assert data.splits[0].first == ['" it is'] and data.splits[0].second == ["so"]
    assert data.splits[1].labels.tolist() == [0]
    write(tmp_path / "MRPC/msr_paraphrase_test.txt", "0\t2\t3\tthe one\tthe other\n")
    with pytest.raises(DataError, match="line 1: not MRPC's header"):
        read_transfer(tmp_path, "MRPC")


def test_dev_pairs_come_from_dev_files_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'STSBenchmark' is no dev set"):
        read_dev(tmp_path, "STSBenchmark")
    for name in ("sts-test.csv", "test.tsv", "SICK_test_annotated.txt", "my.test.txt"):
        with pytest.raises(DataError, match="must not choose"):
            read_pairs(write(tmp_path / name, "a\tb\t1\n"))
    assert len(read_pairs(write(tmp_path / "latest.tsv", "a\tb\t1\n"))) == 1
    tree = ast.parse(Path(dev.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"engine.evaluate.data", "engine.evaluate.sts", "engine.tasks"}
    assert not any("test" in str(value).lower() for value in dev._DEV.values())


def test_own_dev_pairs_have_three_columns_or_the_benchmarks(tmp_path: Path) -> None:
    three = read_pairs(write(tmp_path / "dev.tsv", "a man\tthe  man\t80\nb\tc\t0\n"))
    assert (three.first, three.second, three.gold.tolist()) == (["a man", "b"], ["the man", "c"], [80.0, 0.0])
    seven = read_pairs(write(tmp_path / "sts-dev.csv", 'm\tf\ty\t1\t4.5\t"a\tb\n'))
    assert (seven.first, seven.second, seven.gold.tolist()) == (['"a'], ["b"], [4.5])
    with pytest.raises(DataError, match=r"dev\.tsv, line 2: 2 columns, 3"):
        read_pairs(write(tmp_path / "dev.tsv", "a\tb\t1\nb\tc\n"))
    with pytest.raises(DataError, match="is empty"):
        read_pairs(write(tmp_path / "dev.tsv", ""))
