"""Other people's pairs, triplets and gold labels: which number means what, and what is kept apart."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core.errors import InputError, MissingExtraError, UsageError
from claif_tui.core.export import write_export
from claif_tui.core.importing import load_pairs
from claif_tui.core.importing.extract import PairRules, as_number
from claif_tui.core.importing.plan import make_plan, preview
from claif_tui.core.importing.run import import_file
from claif_tui.core.importing.survey import smoothed_sources
from claif_tui.core.importing.types import ImportOptions, ImportReport, Progress
from claif_tui.core.models import Kind, Pair, PairQuery
from claif_tui.core.postprocess import Example
from claif_tui.core.store import bulk
from claif_tui.core.store.store import Store

PAIRS = ImportOptions(role="pairs")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "project") as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def stored(store: Store) -> list[Pair]:
    return list(store.pairs.export_rows(PairQuery()))


def numbers(store: Store) -> list[tuple[float | None, str | None, float | None]]:
    return [(pair.score, pair.score_raw, pair.gold) for pair in stored(store)]


def test_official_files_keep_label_and_reason(store: Store, files: Path) -> None:
    path = put(
        files,
        "claif.jsonl",
        lines(
            {"text_a": "a one", "text_b": "b one", "label": "0.85", "explanation": "same act"},
            {"text_a": "a two", "text_b": "b two", "label": 0.05},
            {"text_a": "a three", "text_b": "b three", "label": None},
        ),
    )
    report = import_file(store, path, PAIRS)
    assert (report.tally.rows, report.tally.unique, report.tally.dropped) == (3, 3, {})
    assert numbers(store) == [(0.85, "0.85", None), (0.05, "0.05", None), (None, None, None)]
    first = stored(store)[0]
    assert (first.reason, first.kind, first.system, first.split) == ("same act", "llm", "imported", "train")
    assert (first.source_id, first.status) == (report.source_id, "pending")


def test_gold_labels_stay_apart_from_ai_scores(store: Store, data_dir: Path) -> None:
    report = import_file(store, data_dir / "senteval/STS/STSBenchmark/sts-dev.csv", ImportOptions(role="gold"))
    assert (report.tally.rows, report.split) == (1500, "dev")
    first = stored(store)[0]
    assert (first.gold, first.score, first.kind) == (1.0, None, "human")
    assert all(pair.score is None and pair.gold is not None for pair in stored(store))


def test_stsb_as_pairs_gives_gold_not_scores(store: Store, data_dir: Path) -> None:
    import_file(store, data_dir / "senteval/STS/STSBenchmark/sts-train.csv", PAIRS)
    first = stored(store)[1]
    assert (first.text_a, first.score, first.gold) == ("a man is playing a large flute .", None, 0.76)


def test_test_pairs_cannot_become_training_pairs_by_accident(store: Store, data_dir: Path) -> None:
    with pytest.raises(UsageError, match="training pairs by accident"):
        import_file(store, data_dir / "senteval/STS/STSBenchmark/sts-test.csv", PAIRS)
    assert store.pairs.counts().total == 0


@pytest.mark.parametrize(
    ("labels", "options", "expected", "note"),
    [
        (["0.5", "1", "0"], PAIRS, [0.5, 1.0, 0.0], "scores are on 0-1 (guessed from all 3"),
        (["2.5", "5", "0"], PAIRS, [0.5, 1.0, 0.0], "scores are on 0-5 (guessed from all 3; the largest is 5)"),
        (["0.5", "1", "0"], ImportOptions(role="pairs", score_scale="0-5"), [0.1, 0.2, 0.0], "0-5 (as named)"),
    ],
)
def test_the_scale_is_guessed_from_all_rows_or_named(
    store: Store, files: Path, labels: list[str], options: ImportOptions, expected: list[float], note: str
) -> None:
    rows = "".join(f"a {n},b {n},{label}\n" for n, label in enumerate(labels))
    report = import_file(store, put(files, "rows.csv", f"sentence1,sentence2,score\n{rows}"), options)
    assert [pair.score for pair in stored(store)] == pytest.approx(expected)
    assert [pair.score_raw for pair in stored(store)] == labels
    assert any(note in said for said in report.notes)


def test_a_stray_label_does_not_move_the_scale(store: Store, files: Path) -> None:
    rows = [{"text_a": f"a {n}", "text_b": f"b {n}", "label": n / 200} for n in range(200)]
    rows += [{"text_a": "x", "text_b": "y", "label": 80}, {"text_a": "x", "text_b": "z", "label": "..5"}]
    report = import_file(store, put(files, "rows.jsonl", lines(*rows)), PAIRS)
    assert report.tally.dropped == {"bad_score": 1, "score_out_of_range": 1}
    assert store.sources.issues(report.source_id) == [
        (201, "score_out_of_range", "80"),
        (202, "bad_score", "..5"),
    ]
    assert stored(store)[-1].score == 199 / 200


def test_labels_on_no_known_scale_are_asked_about(store: Store, files: Path) -> None:
    path = put(files, "rows.csv", "sentence1,sentence2,score\na,b,80\nc,d,20\n")
    with pytest.raises(InputError, match="line 2: scores are on no known scale") as caught:
        import_file(store, path, PAIRS)
    assert "--score-scale" in caught.value.hint
    assert store.sources.list() == []


def test_smoothed_labels_are_said_and_marked(store: Store, files: Path) -> None:
    smooth = [
        {"text_a": f"a {n}", "text_b": f"b {n}", "label": label} for n, label in enumerate([0, 0.1, 0.5, 0.9])
    ]
    path = put(files, "smooth.jsonl", lines(*smooth))
    report = import_file(store, path, PAIRS)
    assert any("probably smoothed" in note for note in report.notes)
    assert smoothed_sources(store.sources.list()) == {report.source_id}
    raw = import_file(
        store, put(files, "raw.jsonl", lines(*smooth, {"text_a": "c", "text_b": "d", "label": 1})), PAIRS
    )
    assert raw.source_id not in smoothed_sources(store.sources.list())


def test_the_user_knows_better_about_smoothing(store: Store, files: Path) -> None:
    path = put(files, "rows.jsonl", lines({"text_a": "a", "text_b": "b", "label": 0.9}))
    import_file(store, path, ImportOptions(role="pairs", smoothed=False))
    assert smoothed_sources(store.sources.list()) == frozenset()
    other = put(files, "more.jsonl", lines({"text_a": "a", "text_b": "b", "label": 0.95}))
    import_file(store, other, ImportOptions(role="pairs", smoothed=True))
    assert len(smoothed_sources(store.sources.list())) == 1


def test_nli_triplets_with_and_without_scores(store: Store, files: Path) -> None:
    plain = put(files, "nli.csv", "sent0,sent1,hard_neg\np one,e one,c one\np two,,c two\np three,e three,\n")
    report = import_file(store, plain, ImportOptions(role="triplets"))
    assert (report.tally.rows, report.tally.unique, report.tally.empty) == (3, 1, 2)
    assert (stored(store)[0].hard_negative, stored(store)[0].kind) == ("c one", "nli")
    five = put(files, "five.csv", "p four,e four,c four,0.9,0.1\np five,e five,c five,1,0\n")
    import_file(store, five, ImportOptions(role="triplets"))
    assert [(pair.score, pair.negative_score) for pair in stored(store)[1:]] == [(0.9, 0.1), (1.0, 0.0)]
    multi = put(
        files, "m.csv", "sent0,sent1,hard_neg,positive_score,negative_score\np,e,c,4.5,1\nq,f,d,5,0.5\n"
    )
    import_file(store, multi, ImportOptions(role="triplets"))
    assert [(pair.score, pair.negative_score, pair.score_scale) for pair in stored(store)[3:]] == [
        (0.9, 0.2, "0-5"),
        (1.0, 0.1, "0-5"),
    ]


def test_five_columns_need_scores_to_be_triplets(store: Store, files: Path) -> None:
    path = put(files, "five.csv", "p one,e one,c one,x,y\np two,e two,c two,1,0\n")
    with pytest.raises(InputError, match="5 columns without names are not an NLI file"):
        import_file(store, path, ImportOptions(role="triplets", format="nli"))


def test_triplets_need_a_hard_negative(store: Store, files: Path) -> None:
    path = put(files, "rows.csv", "sentence1,sentence2,score\na b,c d,0.5\n")
    with pytest.raises(InputError, match="hard negative") as caught:
        import_file(store, path, ImportOptions(role="triplets"))
    assert "--column negative=" in caught.value.hint


def test_columns_are_named_by_role_or_in_order(store: Store, files: Path) -> None:
    path = put(files, "rows.csv", "id,left,right,how\n1,a b,c d,0.25\n2,e f,g h,1\n")
    options = ImportOptions(role="pairs", columns=("b=right", "a=left", "score=how"))
    import_file(store, path, options)
    assert next((pair.text_a, pair.text_b, pair.score) for pair in stored(store)) == ("a b", "c d", 0.25)
    with pytest.raises(InputError, match="'colour' is nothing that a pair has"):
        import_file(store, path, ImportOptions(role="pairs", columns=("colour=left",)))


def test_words_are_no_scores(store: Store, files: Path) -> None:
    path = put(files, "snli.csv", "sentence1,sentence2,label\na b,c d,entailment\ne f,g h,neutral\n")
    report = import_file(store, path, PAIRS)
    assert [pair.score for pair in stored(store)] == [None, None]
    assert any("holds no numbers" in note for note in report.notes)


def test_equal_pairs_are_kept_and_listed(store: Store, files: Path) -> None:
    path = put(files, "rows.csv", "sentence1,sentence2,score\na,b,0.2\nc,d,0.3\na,b,0.4\na,b,0.6\n")
    report = import_file(store, path, PAIRS)
    assert (report.tally.unique, report.tally.duplicates, store.pairs.counts().total) == (2, 2, 4)
    assert store.sources.issues(report.source_id) == [
        (4, "duplicate", "the same pair as in line 2; kept"),
        (5, "duplicate", "the same pair as in line 2; kept"),
    ]


def example(
    first: str, second: str, *, score: float, raw_score: float | None = None, kind: Kind = "llm"
) -> Example:
    return Example(
        sentence1=first,
        sentence2=second,
        kind=kind,
        split="train",
        pair_id=f"{first}{second}",
        score=score,
        raw_score=raw_score,
    )


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_our_own_export_comes_back_as_it_was(store: Store, files: Path, form: str) -> None:
    rows = [
        example("=1+1", "'@cmd", score=0.74, raw_score=0.8),
        example("- dash", "plain", score=0.9, raw_score=1.0),
        example("=1+1", "other", kind="zero", score=0.0),
    ]
    path = files / f"out.{form}"
    write_export(rows, path, form, {})  # type: ignore[arg-type]
    report = import_file(store, path, PAIRS)
    assert [(pair.text_a, pair.text_b, pair.score) for pair in stored(store)] == [
        ("=1+1", "'@cmd", 0.8),
        ("- dash", "plain", 1.0),
    ]
    assert report.tally.dropped == {"zero_pair": 1}
    assert report.source_id not in smoothed_sources(store.sources.list())


def test_a_quote_in_somebody_elses_csv_stays(store: Store, files: Path) -> None:
    import_file(store, put(files, "rows.csv", "sentence1,sentence2\n'=a,b c\n"), PAIRS)
    assert stored(store)[0].text_a == "'=a"


def big_file(files: Path, count: int = 300) -> Path:
    rows = [{"text_a": f"first {n}", "text_b": f"second {n % 290}", "label": n / count} for n in range(count)]
    rows[7]["text_b"] = ""
    return put(files, "big.jsonl", lines(*rows) + "broken\n")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few hundred pairs a large load."""
    monkeypatch.setattr(bulk, "SMALL", 50)
    monkeypatch.setattr(load_pairs, "SMALL", 50)
    monkeypatch.setattr(bulk, "CHUNK", 64)
    monkeypatch.setattr(load_pairs, "_ISSUES", 1)


def facts(report: ImportReport, store: Store) -> tuple[object, ...]:
    return report.tally, report.notes, store.sources.issues(report.source_id), [
        (pair.text_a, pair.text_b, pair.score, pair.score_raw) for pair in stored(store)
    ]  # fmt: skip


def test_large_and_small_loads_agree(
    tmp_path: Path, store: Store, files: Path, request: pytest.FixtureRequest
) -> None:
    path = big_file(files)
    small = facts(import_file(store, path, PAIRS), store)
    request.getfixturevalue("small_chunks")
    with Store.create(tmp_path / "other") as other:
        assert facts(import_file(other, path, PAIRS), other) == small
        assert len(other.pairs.ids(PairQuery(search="second"))) == 299


@pytest.mark.usefixtures("small_chunks")
def test_a_large_load_that_is_cancelled_leaves_nothing(store: Store, files: Path) -> None:
    path = big_file(files, 9000)

    def stop(progress: Progress) -> None:
        if progress.stage == "importing" and progress.rows > 6000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(store, path, PAIRS, stop)
    assert store.sources.list() == []
    assert store.pairs.counts().total == 0
    assert import_file(store, path, PAIRS).tally.unique == 8999


_KILLED = """
import os, signal, sys
from pathlib import Path
from claif_tui.core.importing import load_pairs
from claif_tui.core.importing.run import import_file
from claif_tui.core.importing.types import ImportOptions
from claif_tui.core.store import bulk
from claif_tui.core.store.store import Store

bulk.SMALL = load_pairs.SMALL = 50
bulk.CHUNK = 64

def tick(progress):
    if progress.stage == "importing" and progress.rows > 3000:
        os.kill(os.getpid(), signal.SIGKILL)

with Store.open(Path(sys.argv[1])) as store:
    import_file(store, Path(sys.argv[2]), ImportOptions(role="pairs"), tick)
"""


def test_a_large_load_that_is_killed_is_taken_back(tmp_path: Path, files: Path) -> None:
    folder, path = tmp_path / "killed", big_file(files, 5000)
    Store.create(folder).close()
    done = subprocess.run([sys.executable, "-c", _KILLED, folder, path], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Store.open(folder) as store:
        assert any("was cut off" in notice for notice in store.notices)
        assert (store.pairs.counts().total, store.sources.list()) == (0, [])
        assert import_file(store, path, PAIRS).tally.unique == 4999


def test_preview_of_pairs_agrees_with_the_import(store: Store, files: Path) -> None:
    path = big_file(files)
    seen = preview(path, PAIRS)
    report = import_file(store, path, PAIRS)
    assert seen.tally == report.tally
    assert dict(seen.used) == {"first sentence": "text_a", "second sentence": "text_b", "AI score": "label"}


_ALPHABET = st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00")
_CELLS = st.text(_ALPHABET, min_size=1, max_size=20).map(lambda text: f"a{text}b")


@given(
    st.lists(st.tuples(_CELLS, _CELLS, st.floats(0, 1)), min_size=1, max_size=12),
    st.sampled_from(["csv", "jsonl", "tsv"]),
)
def test_whatever_others_write_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, float]], form: str
) -> None:
    path = tmp_path_factory.mktemp("any") / f"rows.{form}"
    names = ["sentence1", "sentence2", "score"]
    if form == "tsv":
        rows = [(a.replace("\t", " ").replace("\n", " "), b.translate({9: 32, 10: 32}), c) for a, b, c in rows]
    with path.open("w", encoding="utf-8", newline="") as file:
        if form == "csv":
            csv.writer(file, lineterminator="\n").writerows([names, *rows])
        elif form == "tsv":
            file.writelines("\t".join(map(str, row)) + "\n" for row in [names, *rows])
        else:
            file.writelines(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
    options = ImportOptions(role="pairs", format=form, score_scale="0-1", smoothed=False)  # type: ignore[arg-type]
    plan = make_plan(path, options)
    extractor, rules = plan.extractor(), PairRules(kind="llm")
    found = [extractor.pair(row, rules) for row in plan.rows()]
    assert [(pair.text_a, pair.text_b, pair.score) for pair in found if pair is not None] == rows


def test_parquet_without_its_extra_names_the_install_line(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "rows.parquet").write_bytes(b"PAR1 and so on")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError) as caught:
        preview(files / "rows.parquet", PAIRS)
    assert caught.value.hint == "pip install 'claif-tui[parquet]'"


@given(st.one_of(st.text(max_size=12), st.floats(), st.integers(), st.none(), st.booleans()))
def test_numbers_are_finite_or_none(cell: object) -> None:
    number = as_number(cell)
    assert number is None or (isinstance(number, float) and abs(number) < float("inf"))


@pytest.mark.parametrize("cell", ["1_0", "", "nan", "inf", "0,8", "80%", True, None, [1]])
def test_what_is_no_number(cell: object) -> None:
    assert as_number(cell) is None
