"""``claif-tui leaderboard`` on a real project."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from claif_tui.core import evaluations
from tests.cli.conftest import Cli
from tests.core.test_leaderboard import result


def test_without_results_the_papers_rows_are_shown(tmp_path: Path, cli: Cli) -> None:
    done = cli("leaderboard", "-P", tmp_path)
    assert done.code == 0
    assert "CLAIF-scaled" in done.out and "84.69" in done.out and "claif-tui evaluate" in done.out
    assert len(cli("leaderboard", "-P", tmp_path, "--json").doc["rows"]) == 47 + 29


def test_a_result_stands_among_the_papers_rows(project: Path, cli: Cli) -> None:
    evaluations.save(project, result(80.0, name="\x1b[31mred"))
    done = cli("leaderboard", "-P", project, "--tasks", "sts")
    assert "\x1b" not in done.out
    [own] = [line for line in done.out.splitlines() if line.startswith("ours")]
    assert own.endswith("-2.37 against claif-scaled-bert")
    doc = cli("leaderboard", "-P", project, "--ours", "--against", "claif-roberta", "--json").doc
    [row] = doc["rows"]
    assert row["average"] == row["average_exact"] == 80.0
    assert row["difference"] == {
        "value": None,
        "against": "claif-roberta",
        "reason": "backbone is bert-base, not roberta-base",
    }


@pytest.mark.parametrize("form", ["md", "csv", "tex"])
def test_formats_are_written_as_they_are(project: Path, cli: Cli, form: str) -> None:
    evaluations.save(project, result(80.0, name="mine"))
    done = cli("leaderboard", "-P", project, "--format", form)
    assert done.code == 0
    marks = {"md": "| **mine** |", "csv": ",mine,bert-base,ai,", "tex": r"\textbf{mine}"}
    assert marks[form] in done.out
    if form == "csv":
        assert len(list(csv.reader(io.StringIO(done.out)))) == 1 + 47 + 29 + 1


def test_wrong_words_and_damaged_files_are_told(project: Path, cli: Cli) -> None:
    assert cli("leaderboard", "-P", project, "--against", "claif-brt").code == 2
    assert cli("leaderboard", "-P", project, "--backbone", "bert-bas").code == 2
    (project / "evaluations").mkdir()
    (project / "evaluations" / "x.json").write_text("{")
    done = cli("leaderboard", "-P", project, "--json")
    assert done.code == 0
    assert "x.json" in done.err and len(done.doc["rows"]) == 47 + 29
