"""``rate new``, ``list``, ``show`` and ``answer`` on a real project."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Cli
from tests.core.study_support import project


def test_from_a_frozen_study_to_an_answer_taken_back(tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "p"
    project(folder, 30).close()
    dry = cli("rate", "new", "-P", folder, "--sample", 12, "--dry-run", "--json").doc
    assert (dry["frozen"], cli("rate", "list", "-P", folder, "--json").doc) == (False, {"studies": []})
    made = cli("rate", "new", "-P", folder, "--sample", 12, "--json").doc
    assert (made["name"], made["hash"], made["population"]) == ("human-eval-1", dry["hash"], 30)
    first = cli("rate", "answer", "-P", folder, "--rater", "R2", "--json").doc
    assert (first["done"], first["total"]) == (0, 3)
    answered = cli(
        "rate",
        "answer",
        "-P",
        folder,
        "--rater",
        "R2",
        "fluent=yes",
        "consistent=no",
        "--comment",
        "x",
        "--json",
    ).doc
    assert answered["done"] == 1
    assert answered["next"]["token"] != first["next"]["token"]
    back = cli("rate", "answer", "-P", folder, "--rater", "R2", "--undo", "--json").doc
    assert (back["done"], back["next"]["mine"], back["next"]["comment"]) == (0, {"fluent": 1.0}, "x")
    shown = cli("rate", "show", "-P", folder, "--json").doc
    assert [rater["done"] for rater in shown["raters"]] == [0, 0, 0, 0]
    assert shown["deviations"] == []
    for words in (("rate", "list"), ("rate", "show"), ("rate", "answer", "--rater", "R2")):
        done = cli(*words, "-P", folder)
        assert done.code == 0
        assert "human-eval-1" in done.out


def test_wrong_words_are_said(tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "p"
    project(folder, 30).close()
    assert "make one: claif-tui rate new" in cli("rate", "show", "-P", folder).err.lower()
    assert cli("rate", "new", "-P", folder, "--sample", 99).code == 2
    cli("rate", "new", "-P", folder, "--sample", 12)
    for words, said in (
        (("--rater", "R9"), "no rater of"),
        (("--rater", "R1", "nice=yes"), "'nice=yes' is no answer"),
        (("--rater", "R1", "fluent=perhaps"), "'perhaps' is no answer"),
        (("--rater", "R1", "fluent=7"), "expected one of 0, 1"),
        (("--rater", "R1", "fluent=perhaps"), "Expected yes or no"),
        (("--rater", "R1", "--undo"), "no answer to take back"),
    ):
        done = cli("rate", "answer", "-P", folder, *words)
        assert (done.code, said in done.err) == (2, True), done.err
