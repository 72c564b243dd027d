"""Seeds from files: what each layout gives, what is dropped and said, and that a failed import leaves nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.importing.plan import preview
from claif_tui.core.importing.run import import_file
from claif_tui.core.importing.types import ImportOptions, ImportReport, Progress
from claif_tui.core.store.store import Store

SEEDS = ImportOptions()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "project") as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding, "surrogatepass"))
    return path


def texts(store: Store) -> list[str]:
    return [seed.text for seed in store.seeds.iter(splits=("train", "dev", "test"))]


def test_stsb_train_gives_the_published_counts(store: Store, data_dir: Path) -> None:
    report = import_file(store, data_dir / "senteval/STS/STSBenchmark/sts-train.csv", SEEDS)
    tally = report.tally
    assert (report.format, tally.rows, tally.sentences) == ("stsb", 5749, 11498)
    assert (tally.unique, tally.duplicates, tally.empty, tally.dropped) == (10518, 980, 0, {})
    assert texts(store)[:2] == ["a plane is taking off .", "an air plane is taking off ."]
    assert max(seed.count for seed in store.seeds.iter()) == 39


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("STS/STSBenchmark/sts-test.csv", "test"),
        ("STS/STSBenchmark/sts-dev.csv", "dev"),
        ("SICK/SICK_trial.txt", "dev"),
        ("SICK/SICK_test_annotated.txt", "test"),
        ("SNLI/s1.dev", "dev"),
        ("SST/binary/sentiment-test", "test"),
        ("STS/STS12-en-test/STS.input.MSRvid.txt", "test"),
    ],
)
def test_held_out_files_cannot_become_seeds_by_accident(
    store: Store, data_dir: Path, name: str, split: str
) -> None:
    options = ImportOptions(columns=("1",) if name.startswith(("STS/STS12", "SST")) else ())
    with pytest.raises(UsageError, match=f"{split} data") as caught:
        import_file(store, data_dir / "senteval" / name, options)
    assert "--split" in caught.value.hint
    assert store.seeds.count() == 0
    assert store.sources.list() == []


def test_a_renamed_test_split_is_known_by_its_size(store: Store, files: Path, data_dir: Path) -> None:
    copy = files / "innocent.tsv"
    copy.write_bytes((data_dir / "senteval/STS/STSBenchmark/sts-test.csv").read_bytes())
    for options in (SEEDS, ImportOptions(split="train"), ImportOptions(split="test")):
        with pytest.raises(UsageError, match="test"):
            import_file(store, copy, options)
    import_file(store, copy, ImportOptions(split="test", allow_test=True))
    assert store.seeds.by_splits() == {"test": 2551}
    assert list(store.seeds.iter()) == []  # plans run over train


def test_a_dev_file_enters_as_dev_when_asked(store: Store, files: Path) -> None:
    path = put(files, "my-dev.txt", "one\ntwo\n")
    with pytest.raises(UsageError):
        import_file(store, path, ImportOptions(split="train"))
    assert import_file(store, path, ImportOptions(split="dev")).split == "dev"
    assert store.seeds.by_splits() == {"dev": 2}


def test_rows_marked_as_held_out_are_left_out(store: Store, files: Path) -> None:
    path = put(
        files, "rows.csv", "text,split\nfirst one,train\nsecond one,test\nthird one,validation\nfourth,\n"
    )
    report = import_file(store, path, SEEDS)
    assert texts(store) == ["first one", "fourth"]
    assert report.tally.dropped == {"held_out_dev": 1, "held_out_test": 1}


CASES: list[tuple[str, str, str, list[str]]] = [
    ("plain.txt", "text", "one two\nthree, four\n", ["one two", "three, four"]),
    ("named.csv", "csv", 'id,text\n1,"a, b"\n2,"say ""hi"""\n', ["a, b", 'say "hi"']),
    ("multi.csv", "csv", 'id,text\n1,"two\nlines"\n2,x y\n', ["two\nlines", "x y"]),
    ("semi.csv", "csv", "id;text\n1;a, b\n2;c d\n", ["a, b", "c d"]),
    ("only.csv", "csv", "1,first words\n2,second words\n", ["first words", "second words"]),
    ("prose.csv", "text", "one, two\nthree\nfour, five, six\n", ["one, two", "three", "four, five, six"]),
    ("quotes.tsv", "tsv", 'id\tsentence\n1\t"open only\n2\tplain words\n', ['"open only', "plain words"]),
    ("quoted.tsv", "tsv", 'id\tsentence\n1\t"with ""marks"""\n2\tplain\n', ['with "marks"', "plain"]),
    ("pairs.tsv", "tsv", "sentence1\tsentence2\na b\tc d\n", ["a b", "c d"]),
    ("rows.jsonl", "jsonl", '{"text": "one"}\n{"text": "two", "x": 1}\n', ["one", "two"]),
    ("strings.jsonl", "jsonl", '"one"\n"two"\n', ["one", "two"]),
    ("nli.csv", "nli", "sent0,sent1,hard_neg\np one,e one,c one\n", ["p one"]),
    ("five.csv", "nli", "p one,e one,c one,0.9,0.1\np two,e two,c two,1,0\n", ["p one", "p two"]),
    ("s.csv", "stsb", 'g\tf\ty\t1\t4.5\t1 "2\t3 x\ng\tf\ty\t2\t0\ta\tb\tx\ty\n', ['1 "2', "3 x", "a", "b"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "content", "expected"), CASES, ids=[case[0] for case in CASES])
def test_layouts_are_guessed(
    store: Store, files: Path, name: str, kind: str, content: str, expected: list[str]
) -> None:
    report = import_file(store, put(files, name, content), SEEDS)
    assert report.format == kind
    assert texts(store) == expected


def test_parquet(store: Store, files: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path = files / "rows.parquet"
    pq.write_table(pa.table({"n": [1, 2, 3], "sentence": ["one two", None, "one two"]}), path)
    report = import_file(store, path, SEEDS)
    assert (report.format, report.tally.rows, report.tally.unique, report.tally.empty) == ("parquet", 3, 1, 1)
    (files / "broken.parquet").write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="broken Parquet"):
        import_file(store, files / "broken.parquet", SEEDS)


def test_duplicates_and_empties_are_listed_with_their_lines(store: Store, files: Path) -> None:
    path = put(files, "seeds.txt", "one\n\ntwo\n  one \n\u2003\n" + "x" * 10_001 + "\n")
    report = import_file(store, path, SEEDS)
    tally = report.tally
    assert (tally.rows, tally.sentences, tally.unique, tally.duplicates, tally.empty) == (6, 3, 2, 1, 2)
    assert tally.dropped == {"too_long": 1}
    issues = store.sources.issues(report.source_id)
    assert [(line, reason) for line, reason, _ in issues] == [
        (2, "empty"), (4, "duplicate"), (5, "empty"), (6, "too_long"),
    ]  # fmt: skip
    assert issues[1][2] == "first in line 1"
    assert [seed.count for seed in store.seeds.iter()] == [2, 1]


def test_nul_and_surrogates_are_replaced_and_counted(store: Store, files: Path) -> None:
    path = put(files, "rows.jsonl", '{"text": "a \\ud800 b"}\n{"text": "c \\u0000\\u0000 d"}\n')
    report = import_file(store, path, SEEDS)
    assert texts(store) == ["a \ufffd b", "c \ufffd\ufffd d"]
    assert report.tally.replaced == 3
    assert any("3 NULs or lone surrogates" in note for note in report.notes)


def test_broken_json_lines_are_dropped_by_name(store: Store, files: Path) -> None:
    path = put(files, "rows.jsonl", '{"text": "one"}\n{"text": \n[1]\n{"text": 3}\n')
    assert import_file(store, path, SEEDS).tally.dropped == {"not_json": 2, "not_text": 1}


def test_the_same_file_again_adds_nothing_and_says_so(store: Store, files: Path) -> None:
    path = put(files, "seeds.txt", "one\ntwo\n")
    import_file(store, path, SEEDS)
    again = import_file(store, path, SEEDS)
    assert "already: nothing added" in again.repeated
    assert again.tally.unique == 0
    assert [seed.count for seed in store.seeds.iter()] == [1, 1]
    assert len(store.sources.list()) == 1


def test_other_columns_of_the_same_file_are_another_import(store: Store, files: Path) -> None:
    path = put(files, "nli.csv", "sent0,sent1,hard_neg\np one,e one,c one\n")
    import_file(store, path, SEEDS)
    import_file(store, path, ImportOptions(columns=("sent1", "hard_neg")))
    assert texts(store) == ["p one", "e one", "c one"]


def test_an_overlapping_file_counts_what_was_there(store: Store, files: Path) -> None:
    import_file(store, put(files, "a.txt", "one\ntwo\n"), SEEDS)
    report = import_file(store, put(files, "b.txt", "two\nthree\n"), SEEDS)
    assert (report.tally.unique, report.tally.duplicates) == (1, 1)
    assert any("1 of the duplicates" in note for note in report.notes)


def test_an_unknown_column_lists_them_and_the_nearest(store: Store, files: Path) -> None:
    path = put(files, "rows.csv", "id,sentence,extra\n1,one two,x\n")
    with pytest.raises(InputError, match="no column 'sentense'") as caught:
        import_file(store, path, ImportOptions(columns=("sentense",)))
    assert "id, sentence, extra" in caught.value.hint
    assert "Did you mean 'sentence'" in caught.value.hint


def test_an_unclear_column_is_asked_for(store: Store, files: Path) -> None:
    path = put(files, "rows.csv", "left,right\none two,three four\n")
    with pytest.raises(InputError, match="not clear which column") as caught:
        import_file(store, path, SEEDS)
    assert "left, right" in caught.value.hint
    import_file(store, path, ImportOptions(columns=("right",)))
    assert texts(store) == ["three four"]


@pytest.mark.parametrize(
    ("name", "content", "options", "says"),
    [
        ("rows.csv", 'id,text\n1,"never closed\n2,x\n', SEEDS, "line 2"),
        ("rows.json", '[{"text": "one"}]\n', SEEDS, "one JSON list"),
        ("rows.txt", "one\ntwo\n", ImportOptions(format="stsb"), "seven tab-separated"),
        ("rows.txt", "one\ntwo\n", ImportOptions(format="jsonl"), "not JSON"),
        ("rows.txt", "one\ntwo\n", ImportOptions(format="parquet"), "not a Parquet"),
        ("rows.txt", "one\ntwo\n", ImportOptions(format="nli"), "NLI"),
        ("rows.txt", "\n \n\t\n", SEEDS, "none of its 3 rows"),
    ],
)
def test_files_that_cannot_be_read_leave_nothing(
    store: Store, files: Path, name: str, content: str, options: ImportOptions, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        import_file(store, put(files, name, content), options)
    assert store.sources.list() == []
    assert store.seeds.count() == 0


def test_cancelling_leaves_nothing(store: Store, files: Path) -> None:
    path = put(files, "seeds.txt", "".join(f"sentence {n}\n" for n in range(30_000)))

    def stop(progress: Progress) -> None:
        if progress.stage == "importing" and progress.rows > 15_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(store, path, SEEDS, stop)
    assert store.seeds.count() == 0
    assert store.sources.list() == []
    assert import_file(store, path, SEEDS).tally.unique == 30_000


_INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from claif_tui.core.importing.run import import_file
from claif_tui.core.importing.types import ImportOptions
from claif_tui.core.store.store import Store

def tick(progress):
    if progress.stage == "importing" and progress.rows > 15_000:
        os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does, while the writer is at work

with Store.open(Path(sys.argv[1])) as store:
    try:
        import_file(store, Path(sys.argv[2]), ImportOptions(), tick)
    except KeyboardInterrupt:
        print(store.seeds.count(), len(store.sources.list()))
"""


def test_ctrl_c_waits_for_the_rollback(store: Store, files: Path) -> None:
    path = put(files, "seeds.txt", "".join(f"sentence {n}\n" for n in range(60_000)))
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, store.folder, path], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["0", "0"], done.stderr


_KILLED = _INTERRUPTED.replace("SIGINT", "SIGKILL")


def test_a_kill_leaves_nothing(store: Store, files: Path) -> None:
    path = put(files, "seeds.txt", "".join(f"sentence {n}\n" for n in range(60_000)))
    done = subprocess.run([sys.executable, "-c", _KILLED, store.folder, path], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert store.seeds.count() == 0
    assert store.sources.list() == []


def test_preview_agrees_with_the_import_and_writes_nothing(store: Store, files: Path) -> None:
    rows = [{"text": f"row {n % 70}"} for n in range(100)] + [{"text": ""}, {"other": 1}]
    path = put(files, "rows.jsonl", "\n".join(json.dumps(row) for row in rows) + "\nnot json\n")
    seen = preview(path, SEEDS)
    assert store.sources.list() == []
    assert seen.exact
    assert seen.columns == ("text", "other")
    assert seen.used == (("seed", "text"),)
    assert seen.rows[0] == (1, ("row 0", ""))
    report = import_file(store, path, SEEDS)
    assert seen.tally == report.tally
    assert any(
        "importing it again adds nothing" in note for note in preview(path, SEEDS, store.sources.list()).notes
    )


def test_preview_says_what_import_would_refuse(files: Path) -> None:
    seen = preview(put(files, "my-test.txt", "one\n"), SEEDS)
    assert "test data" in seen.refusal
    assert "--allow-test" in seen.refusal_hint


def report_counts(report: ImportReport) -> tuple[int, int]:
    return report.tally.unique, report.tally.duplicates


@pytest.mark.parametrize("markup", ["[/foo] [MASK]", "\x1b]52;c;aGk=\x07", "\u202eabc", "'=1+1", '<mask> "q"'])
def test_hostile_text_is_kept_as_it_is(store: Store, files: Path, markup: str) -> None:
    assert report_counts(import_file(store, put(files, "seeds.txt", f"{markup}\n"), SEEDS)) == (1, 0)
    assert texts(store) == [markup]
