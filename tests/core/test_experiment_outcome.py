"""What an experiment comes to: means and intervals over seeds, distances, cost of a point, and every form of it."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from claif_tui.core import settings
from claif_tui.core.evaluations import Evaluation
from claif_tui.core.experiment import formats
from claif_tui.core.experiment.file import load
from claif_tui.core.experiment.grid import build
from claif_tui.core.experiment.journal import Journal
from claif_tui.core.experiment.models import DataFacts, Grid, Result
from claif_tui.core.experiment.outcome import Line, Outcome, outcome
from claif_tui.core.experiment.standing import standing
from engine.tasks import STS
from tests.core import experiment_support as support

SYSTEMS = """
[[system]]
name = "average"
[[system]]
name = "claif"
[[system]]
name = "=toy & co_"
system = "claif"
[system.model]
profile = "offline"
"""


def figures(value: float, supervision: str | None = "ai") -> dict[str, object]:
    """The document of a result whose seven tasks are all the same."""
    tasks = {task: {"spearman": value, "n": 10, "fingerprint": "0"} for task in STS}
    return Evaluation(
        model="m",
        data="d",
        tasks=tasks,
        identity="i",
        name="n",
        backbone="bert-base",
        supervision=supervision,
        scorer="bi-encoder",
    ).document()


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    """Two seeds of three systems on BERT base."""
    path = support.write(tmp_path, SYSTEMS, model="bert-base-uncased", numbers="[1, 2]")
    path.write_text(path.read_text().replace('"STSBenchmark"', '"sts"'))
    return build(load(path), settings.load())


def fill(grid: Grid) -> Outcome:
    """Keep results of all cells: 60 for the average, 79 and 81 for CLAIF at a dollar each, a demo and a failure."""
    journal = Journal(grid.spec.folder)
    for data in grid.datasets:
        journal.write_text("made", "")
        facts = DataFacts(
            path="made",
            rows=90,
            planned=100,
            answered=98,
            valid=95,
            failed={"unparsed": 2},
            pairs=98,
            duplicates=7,
            funnel={"pairs": 98, "duplicate": 7, "cap": 1},
            seconds=61.0,
            spent_nano=0 if data.demo else 1_000_000_000,
        )
        journal.keep_facts(data, facts)
    values = {("average", None): 60.0, ("claif", 1): 79.0, ("claif", 2): 81.0, ("=toy & co_", 1): 50.0}
    for cell in grid.cells:
        value = values.get((cell.row, cell.seed))
        if value is None:
            result = Result(state="failed", reason="its loss is not a number")
        else:
            about = figures(value, "none" if cell.row == "average" else "ai")
            result = Result(state="done", train_seconds=8.0, evaluate_seconds=2.0, evaluation=about)
        journal.keep_result(cell, result)
    journal.tell(
        stage="waiting", cells=(), done=0, total=0, words="", eta_seconds=None, spent_nano=2 * 10**9, ended="x"
    )
    return outcome(standing(grid))


def line(found: Outcome, name: str) -> Line:
    return next(one for one in found.lines["sts"] if one.row.system == name)


def test_seeds_become_a_mean_with_an_interval_a_distance_and_the_cost_of_a_point(grid: Grid) -> None:
    found = fill(grid)
    claif = line(found, "claif")
    assert (claif.seeds, claif.row.average, claif.gain) == (2, 80.0, 20.0)
    assert claif.margin == pytest.approx(12.706204736 * math.sqrt(2) / math.sqrt(2))
    assert claif.difference is not None
    assert claif.difference.against == "claif-bert"
    assert claif.difference.value == pytest.approx(80.0 - 79.63)
    assert claif.cost_usd == 1.0
    assert claif.per_point == pytest.approx(1 / 20)
    average = line(found, "average")
    assert (average.margin, average.no_margin) == (None, "nothing about it is random")
    assert (average.per_point, average.no_per_point) == (None, "no model was asked")
    toy = line(found, "=toy & co_")
    assert toy.demo
    assert toy.difference is not None
    assert (toy.difference.value, toy.difference.reason) == (None, "a demo: a stand-in made its data")
    assert (toy.seeds, toy.margin, toy.no_margin) == (1, None, "one seed has no spread")
    assert toy.failures == ("=toy & co_, bert-base-uncased, seed 2: its loss is not a number",)
    assert [row.id for row in found.papers["sts"]] == ["claif-bert"]


def test_every_form_says_demo_keeps_figures_and_cannot_be_run(grid: Grid) -> None:
    found = fill(grid)
    [scores, data] = formats.table(found)
    rows = {cells[0]: cells for cells in scores[2]}
    assert rows["claif"][2:4] == ["2", "80.00"]
    assert rows["claif"][10:] == [
        "80.00",
        "±12.71",
        "+20.00",
        "$1.00",
        "$0.05",
        "8.0 s",
        "+0.37 against claif-bert",
    ]
    assert rows["=toy & co_ · demo"][2] == "1 of 2"
    assert data[2][0] == [
        *("claif, seed 1", "claif", "90", "100", "95.0%", "2", "7.1%"),
        *("duplicate 7, cap 1", "$1.00", "1:01"),
    ]
    text = formats.comma(found)
    [head, *lines] = list(csv.reader(io.StringIO(text)))
    by_name = {row[head.index("system")]: dict(zip(head, row, strict=True)) for row in lines}
    assert float(by_name["claif"]["average"]) in (80.0, 79.63)
    assert by_name["'=toy & co_"]["demo"] == "yes"
    assert by_name["'=toy & co_"]["failures"].startswith("'=toy")
    assert all(len(row) == len(head) for row in lines)
    tex = formats.latex(found)
    assert r"=toy \& co\_" in tex
    assert tex.count(r"\bottomrule") == 2
    markdown = formats.markdown(found)
    assert r"=toy & co\_ · demo" in markdown
    assert "Spent $2.00 of a budget of $5.00." in markdown
    document = json.loads(json.dumps(formats.document(found)))
    assert document["rows"][1]["average"] == 80.0
    assert document["data"][0]["duplicate_rate"] == pytest.approx(7 / 98)
    assert document["rows"][2]["failed"] == 1


def test_results_of_other_settings_are_kept_and_told(grid: Grid) -> None:
    fill(grid)
    fewer = replace(grid, cells=grid.cells[:3])
    found = outcome(standing(fewer))
    assert "2 results are kept of other settings than the file's now." in found.notes
