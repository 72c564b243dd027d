"""Triplets on the command line: imported, listed, either side edited and taken back, exported where a format can."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def nli(project: Path, tmp_path: Path, cli: Cli) -> Path:
    """A project with two imported triplets, both sides scored."""
    path = tmp_path / "nli.csv"
    path.write_text(
        "sent0,sent1,hard_neg,positive_score,negative_score\n"
        "a man plays .,a person plays .,nobody plays .,0.9,0.1\n"
        "a cat sleeps .,a feline rests .,a cat runs .,0.8,0.3\n"
    )
    assert cli("import", "-P", project, "--as", "triplets", path).code == 0
    return project


def test_either_side_of_a_triplet_is_edited_scored_and_taken_back(nli: Path, cli: Cli) -> None:
    listed = cli("review", "list", "-P", nli, "--sort", "oldest").out
    assert "hard negative" in listed and "nobody plays ." in listed and "0.10" in listed
    assert cli("review", "edit", 1, "--negative", "no one is playing .", "-P", nli).code == 0
    found = cli("review", "list", "-P", nli, "--filter", "triplet = yes and stale = yes", "--json").doc
    assert [(pair["id"], pair["hard_negative"], pair["generated_negative"]) for pair in found["pairs"]] == [
        (1, "no one is playing .", "nobody plays .")
    ]
    assert cli("review", "edit", 1, "a human plays .", "--negative", "none plays .", "-P", nli).code == 0
    assert cli("review", "set-score", 1, 1.0, "--negative", 0.0, "-P", nli).code == 0
    shown = cli("review", "show", 1, "-P", nli).out
    for said in (
        "a human plays .",
        "none plays .",
        "nobody plays .",
        "edited both sides of pair 1",
        "hard negative at 0",
    ):
        assert said in shown
    pair = cli("review", "show", 1, "-P", nli, "--json").doc["pair"]
    assert (pair["score"], pair["negative_score"], pair["stale"]) == (1.0, 0.0, False)
    for _ in range(3):
        assert cli("review", "undo", "-P", nli).code == 0
    pair = cli("review", "show", 1, "-P", nli, "--json").doc["pair"]
    assert (pair["text_b"], pair["hard_negative"], pair["negative_score"]) == (
        "a person plays .",
        "nobody plays .",
        0.1,
    )
    assert cli("review", "list", "-P", nli, "--search", "runs", "--json").doc["total"] == 1


def test_a_pair_has_no_hard_negative_to_edit(scored: Path, cli: Cli) -> None:
    done = cli("review", "edit", 1, "--negative", "x", "-P", scored)
    assert done.code == 2
    assert "no hard negative" in done.err and "triplet = yes" in done.err
    assert "hard negative" not in cli("review", "list", "-P", scored).out


def test_an_edited_triplet_keeps_its_name_in_exports_and_dino_refuses_it(
    nli: Path, tmp_path: Path, cli: Cli
) -> None:
    def rows(*words: str) -> list[dict[str, str]]:
        out = tmp_path / "out.csv"
        assert cli("export", "-P", nli, "--status", "all", "--out", out, "--format", "csv", *words).code == 0
        return list(csv.DictReader(io.StringIO(out.read_text("utf8"))))

    before = rows()
    cli("review", "edit", 1, "--negative", "no one is playing .", "-P", nli)
    cli("review", "set-score", 1, 0.9, "--negative", 0.2, "-P", nli)
    after = rows()
    assert [row["pair_id"] for row in before] == [row["pair_id"] for row in after]
    assert (after[0]["hard_negative"], after[0]["negative_score"]) == ("no one is playing .", "0.2")
    library = tmp_path / "st.jsonl"
    words = ("export", "-P", nli, "--status", "all", "--out")
    assert cli(*words, library, "--format", "sentence-transformers").code == 0
    assert json.loads(library.read_text("utf8").splitlines()[0])["negative"] == "no one is playing ."
    refused = cli(*words, tmp_path / "d.jsonl", "--format", "dino")
    assert refused.code == 2
    assert "three sentences" in refused.err
    assert not (tmp_path / "d.jsonl").exists()
