from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core import evaluations, leaderboard, leaderboard_formats
from claif_tui.core.errors import ClaifError, UsageError
from claif_tui.core.evaluations import Evaluation
from claif_tui.core.leaderboard import board
from claif_tui.core.paths import asset
from claif_tui.core.reference import REFERENCE_ONLY as REFERENCE
from claif_tui.core.reference import SUPERVISION, TASKS, Kind, reference_rows
from claif_tui.core.significance import contest, own_side
from engine.tasks import STS, TRANSFER

KINDS: tuple[Kind, ...] = ("sts", "transfer")


def result(
    value: float = 80.0, tasks: tuple[str, ...] = STS, metric: str = "spearman", **more: Any
) -> Evaluation:
    about: dict[str, Any] = {
        "model": "/m/claif",
        "data": "/d",
        "identity": "abc",
        "name": "claif-1",
        "backbone": "bert-base",
        "supervision": "ai",
        "scorer": "bi-encoder",
        "made": "2026-01-01T00:00:00+00:00",
    }
    extra = more.pop("extra", {})
    figures = {task: {metric: value, "n": 10, "fingerprint": f"f-{task}", **extra} for task in tasks}
    return Evaluation(tasks=figures, **{**about, **more})


def mine(kind: Kind, *found: Evaluation, against: str = "") -> list[leaderboard.Entry]:
    return [entry for entry in board(kind, found, against).entries if entry.row.ours]


# The papers' rows


def test_the_papers_tables_are_all_there() -> None:
    assert len(reference_rows("sts")) == 16 + 16 + 4 + 1 + 9 + 1
    assert len(reference_rows("transfer")) == 27 + 2
    for kind in KINDS:
        rows = reference_rows(kind)
        assert len({row.id for row in rows}) == len(rows)
        for row in rows:
            assert tuple(row.values) == TASKS[kind]
            assert row.source and row.scorer in ("bi-encoder", "cross-encoder")
            assert row.supervision in (None, *SUPERVISION)
            assert row.backbone in (None, "bert-base", "roberta-base", "roberta-large")


@pytest.mark.parametrize("kind", KINDS)
def test_printed_averages_follow_from_the_figures_or_a_note_says_why_not(kind: Kind) -> None:
    departing = set()
    for row in reference_rows(kind):
        values = [value for value in row.values.values() if value is not None]
        if len(values) == 7 and row.average is not None and abs(sum(values) / 7 - row.average) > 0.0101:
            departing.add(row.id)
            assert any("average" in note for note in row.notes), row.id
    expected = {"sts": {"sbert-bert", "promptbert-bert", "simcse-clhaif-bert"}, "transfer": {"average-bert"}}
    assert departing == expected[kind]


def test_figures_that_the_methods_name() -> None:
    rows = {row.id: row for row in reference_rows("sts")}
    assert [rows[f"claif-{name}"].average for name in ("bert", "roberta")] == [79.63, 79.90]
    assert [rows[f"claif-scaled-{name}"].average for name in ("bert", "roberta")] == [82.37, 81.88]
    assert [rows[f"claif-cross-{name}"].average for name in ("bert", "roberta")] == [81.30, 83.10]
    assert rows["syncse-partial-roberta-released"].values["STSBenchmark"] == 83.95
    clhaif = rows["simcse-clhaif-bert"]
    assert clhaif.values["STSBenchmark"] == 84.96
    assert any("84.69" in note for note in clhaif.notes)
    assert rows["multicsr-bert"].average is None and set(rows["multicsr-bert"].values.values()) == {None}
    assert rows["multicsr-bert"].notes
    for kind in KINDS:
        for row in reference_rows(kind):
            assert any("±" in note for note in row.notes) == ("+ CLHAIF" in row.system), row.id


def test_scorer_and_supervision_are_those_of_the_methods() -> None:
    rows = {row.id: row for row in reference_rows("sts")}
    assert {row.id for row in rows.values() if row.scorer == "cross-encoder"} == {
        f"{name}-cross-{model}" for name in ("claif", "trans-encoder") for model in ("bert", "roberta")
    }
    wanted = {
        "simcse-bert": "none",
        "simcse-sup-bert": "human",
        "simcse-clhaif-bert": "human+ai",
        "claif-bert": "ai",
    }
    assert {name: rows[name].supervision for name in wanted} == wanted
    ada = rows["text-embedding-ada-002"]
    assert (ada.backbone, ada.supervision) == (None, None)


# Comparing


def test_like_rows_are_compared_by_the_papers_average() -> None:
    [entry] = mine("sts", result(80.004))
    assert entry.row.average == 80.0
    assert entry.row.exact == pytest.approx(80.004)
    assert entry.difference is not None
    assert entry.difference.against == "claif-scaled-bert", "the best of the like rows"
    assert entry.difference.value == pytest.approx(80.0 - 82.37)
    [entry] = mine("sts", result(80.0), against="claif-bert")
    assert entry.difference is not None
    assert entry.difference.value == pytest.approx(80.0 - 79.63)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"backbone": "roberta-base"}, "backbone is roberta-base, not bert-base"),
        ({"supervision": "human"}, "supervision is human, not ai"),
        ({"scorer": "cross-encoder"}, "scorer is cross-encoder, not bi-encoder"),
        ({"backbone": None}, "backbone of claif-1 is not known"),
        (
            {"scorer": "cross-encoder", "supervision": None},
            "supervision of claif-1 is not known; scorer is cross-encoder, not bi-encoder",
        ),
        ({"tasks": STS[:6]}, "it has no figure for SICKRelatedness"),
    ],
)
def test_unlike_rows_are_not_compared_and_the_reason_is_told(change: dict[str, Any], reason: str) -> None:
    [entry] = mine("sts", result(**change), against="claif-bert")
    assert entry.difference is not None
    assert (entry.difference.value, entry.difference.reason) == (None, reason)
    assert leaderboard_formats.told(entry.difference) == f"not comparable: {reason}"


def test_what_is_like_no_row_says_so() -> None:
    [entry] = mine("sts", result(backbone="MiniLM-L6"))
    assert entry.difference is not None
    assert entry.difference.reason == "no paper's row has backbone MiniLM-L6, supervision ai, scorer bi-encoder"
    [entry] = mine("sts", result(backbone=None, supervision=None))
    assert entry.difference is not None
    assert entry.difference.reason == "its backbone and supervision is not known"
    [entry] = mine("sts", result(), against="multicsr-bert")
    assert entry.difference is not None
    assert entry.difference.reason == "MultiCSR has no average"


def test_two_unknowns_are_not_alike() -> None:
    [entry] = mine("sts", result(backbone=None, supervision=None), against="text-embedding-ada-002")
    assert entry.difference is not None and entry.difference.value is None


def test_a_reference_row_must_exist() -> None:
    with pytest.raises(UsageError, match="no reference row 'claif-brt'") as caught:
        board("sts", [], "claif-brt")
    assert caught.value.hint == "Did you mean claif-bert?"
    [entry] = mine("transfer", result(88.0, TRANSFER, "accuracy"), against="sbert-whitening-bert")
    assert entry.difference is not None
    assert entry.difference.reason == "sbert-whitening-bert has no transfer figures"


def test_fast_mode_is_no_result_to_compare() -> None:
    fast = result(88.0, TRANSFER, "accuracy", extra={"mode": "fast"})
    [entry] = mine("transfer", fast)
    assert entry.row.average is None
    assert entry.difference is not None and entry.difference.value is None
    assert entry.difference.reason.startswith("Fast mode")
    both = mine("transfer", fast, result(89.0, TRANSFER, "accuracy"))
    assert sorted(entry.row.average or 0 for entry in both) == [0, 89.0]


def test_rows_are_sorted_and_those_without_an_average_come_last() -> None:
    entries = board("sts", [result(79.63), result(10.0, STS[:2], identity="other", name="part")]).entries
    averages = [entry.row.average for entry in entries]
    known = [value for value in averages if value is not None]
    assert known == sorted(known, reverse=True)
    assert averages[len(known) :] == [None, None]
    at = [entry.row.id for entry in entries].index("claif-bert")
    assert entries[at - 1].row.ours, "of equals ours comes first"


def test_a_part_of_a_board() -> None:
    whole = board("sts", [result()])
    assert {entry.row.backbone for entry in leaderboard.only(whole, backbone="bert-base").entries} == {
        "bert-base"
    }
    assert len(leaderboard.only(whole, ours=True).entries) == 1
    with pytest.raises(UsageError, match="bert-bse"):
        leaderboard.only(whole, backbone="bert-bse")


# Demos and rows for reference

REFERENCE_ONLY = {
    *("bert-flow", "sbert-flow-bert", "consert-bert", "consert-sup-bert", "diffcse-bert", "diffcse-roberta"),
    *("trans-encoder-cross-bert", "trans-encoder-cross-roberta"),
}


def test_a_demo_is_shown_last_and_compared_with_nothing() -> None:
    demo = result(99.0, name="made offline", identity="demo", demo=True)
    other = result(98.0, name="made offline too", identity="demo-2", demo=True)
    one = board("sts", [demo, result(), other])
    assert [entry.row.system for entry in one.entries[-2:]] == ["made offline", "made offline too"]
    reason = "made offline is a demo: its data were made with the offline model"
    for against in ("", "claif-bert"):
        entry = next(entry for entry in board("sts", [demo], against).entries if entry.row.ours)
        assert entry.difference is not None
        assert (entry.difference.value, entry.difference.reason) == (None, reason)
    sides = [own_side("sts", found, None) for found in (demo, other, result())]
    for first, second in ((0, 1), (0, 2), (2, 0)):
        a, b = sides[first], sides[second]
        assert a is not None and b is not None
        found = contest("sts", a, b)
        assert found.reason == reason and not found.differences and found.average is None
    markdown, tex = leaderboard_formats.markdown(one), leaderboard_formats.latex(one)
    assert "| demo | **made offline** |" in markdown and r"demo & \textbf{made offline} &" in tex
    assert "| ours | **claif-1** |" in markdown
    rows = list(csv.DictReader(io.StringIO(leaderboard_formats.csv_text([one]))))
    assert [row["system"] for row in rows if row["row"] == "demo"] == ["made offline", "made offline too"]
    cells, _ = leaderboard_formats.lines(one)
    assert [row[0] for row in cells[-2:]] == ["demo", "demo"] and f"not comparable: {reason}" in cells[-2]
    facts = [row for row in leaderboard_formats.document(one) if row["row"] == "demo"]
    assert len(facts) == 2 and "demo" in Evaluation.document(demo)


def test_a_result_keeps_that_it_is_a_demo(tmp_path: Path) -> None:
    path = evaluations.save(tmp_path, result(demo=True))
    assert evaluations.kept(tmp_path).evaluations[0].demo
    good = json.loads(path.read_bytes())
    del good["demo"]  # as results were written before
    path.write_text(json.dumps(good))
    assert not evaluations.kept(tmp_path).evaluations[0].demo


def test_rows_of_systems_that_are_not_run_here_are_said_to_be_for_reference() -> None:
    one = board("sts", [])
    found = {entry.row.id for entry in one.entries if entry.row.standing == "reference"}
    assert found == REFERENCE_ONLY
    transfer = {row.id for row in reference_rows("transfer") if row.standing == "reference"}
    assert transfer == {"diffcse-bert", "diffcse-roberta"}
    markdown, tex = leaderboard_formats.markdown(one), leaderboard_formats.latex(one)
    assert markdown.count("| reference only |") == tex.count("reference only &") == len(REFERENCE_ONLY)
    assert REFERENCE in markdown and REFERENCE in tex
    rows = list(csv.DictReader(io.StringIO(leaderboard_formats.csv_text([one]))))
    assert {row["id"] for row in rows if row["row"] == "reference"} == REFERENCE_ONLY
    cells, notes = leaderboard_formats.lines(one)
    assert [row[0] for row in cells].count("reference only") == len(REFERENCE_ONLY)
    assert sum(REFERENCE in note for note in notes) == 1


# Formats


def test_every_format_states_what_a_comparison_rests_on() -> None:
    one = board("sts", [result(name="my_model & {co}")])
    markdown, tex = leaderboard_formats.markdown(one), leaderboard_formats.latex(one)
    assert "| **my\\_model & {co}** | bert-base | ai | bi-encoder | 80.00 |" in markdown
    assert r"\textbf{my\_model \& \{co\}} & bert-base & ai & bi-encoder & 80.00 &" in tex
    assert "-2.37 against claif-scaled-bert" in markdown and "-2.37 against claif-scaled-bert" in tex
    widths = {line.replace("\\|", "").count("|") for line in markdown.splitlines() if line.startswith("|")}
    assert len(widths) == 1
    assert len({line.replace(r"\&", "").count("&") for line in tex.splitlines() if line.endswith(r"\\")}) == 1
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 1
    assert "84.69" in markdown and "84.69" in tex


def test_csv_holds_all_rows_and_runs_no_formula() -> None:
    evil = result(name="=cmd()")
    boards = [board(kind, [evil]) for kind in KINDS]
    rows = list(csv.DictReader(io.StringIO(leaderboard_formats.csv_text(boards))))
    assert len(rows) == 47 + 29 + 1
    [own] = [row for row in rows if row["ours"] == "yes"]
    assert own["system"] == "'=cmd()"
    assert (own["STS12"], own["MR"], own["average"]) == ("80.0", "", "80.0")
    claif = next(row for row in rows if row["id"] == "claif-bert" and row["kind"] == "transfer")
    assert (claif["MR"], claif["STS12"], claif["average"]) == ("81.64", "", "86.62")


# What a project keeps


def test_results_are_kept_by_model_and_data(tmp_path: Path) -> None:
    first = evaluations.save(tmp_path, result(80.0))
    assert first.parent == tmp_path / "evaluations"
    assert first.name.startswith("claif-1-")
    assert evaluations.save(tmp_path, result(81.0)) == first
    other = evaluations.save(tmp_path, result(extra={"fingerprint": "other copy"}))
    assert evaluations.save(tmp_path, result(identity="retrained")) not in (first, other)
    kept = evaluations.kept(tmp_path)
    assert len(kept.evaluations) == 3 and kept.problems == ()
    assert result(81.0) in kept.evaluations
    document = json.loads(first.read_bytes())
    assert list(document)[:5] == ["model", "data", "tasks", "avg_sts", "avg_transfer"]
    assert (document["avg_sts"], document["avg_transfer"]) == (pytest.approx(81.0), None)


def test_parts_of_one_evaluation_come_together(tmp_path: Path) -> None:
    evaluations.save(tmp_path, result(80.0, STS[:5]))
    evaluations.save(tmp_path, result(88.0, TRANSFER, "accuracy", extra={"mode": "full"}))
    evaluations.save(tmp_path, result(81.0, STS[3:], made="2026-02-01T00:00:00+00:00"))
    [one] = evaluations.kept(tmp_path).evaluations
    assert list(one.tasks) == [*STS, *TRANSFER]
    assert [one.value(task) for task in STS] == [80.0] * 3 + [81.0] * 4
    assert len(list((tmp_path / "evaluations").iterdir())) == 1
    for other in (
        result(50.0, STS[:1], extra={"fingerprint": "translated"}, data="/other"),
        result(81.0, settings={"pooling": "cls"}),
        result(88.0, TRANSFER, "accuracy", extra={"mode": "fast"}),
        result(81.0, identity="retrained"),
    ):
        evaluations.save(tmp_path, other)
    assert len(evaluations.kept(tmp_path).evaluations) == 5
    assert one in evaluations.kept(tmp_path).evaluations


def test_a_transfer_figure_is_the_one_that_the_official_script_prints() -> None:
    one = result(88.123, TRANSFER, "accuracy", extra={"printed": 88.12})
    assert one.value("MR") == 88.12


def test_a_damaged_result_is_named_and_stops_nothing(tmp_path: Path) -> None:
    path = evaluations.save(tmp_path, result())
    good = json.loads(path.read_bytes())
    broken: dict[str, object] = {
        "cut": '{"model": ',
        "list": [],
        "old": {**good, "v": 99},
        "task": {**good, "tasks": {"STS99": {}}},
        "name": {**good, "name": 3},
        "silent": {name: value for name, value in good.items() if name != "scorer"},
        "text": {**good, "tasks": ["STS12"]},
    }
    for name, content in broken.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (path.parent / f"{name}.json").write_text(text)
    kept = evaluations.kept(tmp_path)
    assert kept.evaluations == (result(),)
    assert len(kept.problems) == len(broken)
    assert all(name in said for name, said in zip(sorted(broken), kept.problems, strict=True))
    assert evaluations.kept(tmp_path / "none").evaluations == ()


def test_a_result_that_cannot_be_kept_says_so(tmp_path: Path) -> None:
    (tmp_path / "evaluations").write_text("in the way")
    with pytest.raises(ClaifError, match="cannot be kept"):
        evaluations.save(tmp_path, result())


def test_an_undefined_figure_leaves_the_average_out() -> None:
    undefined = result()
    tasks = {**undefined.tasks, "STS16": {"spearman": None, "n": 10, "reason": "all predictions are equal"}}
    one = Evaluation(**{name: getattr(undefined, name) for name in undefined.__slots__} | {"tasks": tasks})
    assert one.average(STS) is None
    [row] = leaderboard.own_rows("sts", [one])
    assert row.values["STS16"] is None and row.average is None


def test_the_tables_are_packaged_files() -> None:
    assert len(list(asset("reference").glob("*.json"))) == 8
