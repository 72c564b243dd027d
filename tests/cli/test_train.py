"""``claif-tui train`` with the real engine: from a file to a model, and what is refused before anything starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from claif_tui.core import launching, lr_grid, runs, training
from engine.config import FIELDS
from tests.cli.conftest import ROOT, Cli, child, finish
from tests.core.train_child import FINISHES

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("transformers", reason="needs the train extra")

SMALL = ("--model", "minilm:1", "--max-seq-length", 16, "--batch-size", 8, "--threads", 1)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Twenty scored pairs, with a small dev file beside them."""
    rows = [
        {"text_a": f"a man plays song {n}", "text_b": f"person {n % 7} sings", "label": (n % 6) / 5}
        for n in range(20)
    ]
    path = tmp_path / "claif.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dev = [
        "\t".join(("main", "x", "2012", f"{n:04}", str(n % 6), f"a dog {n} runs", f"a cat {n % 5} runs"))
        for n in range(12)
    ]
    (tmp_path / "sts-dev.csv").write_text("".join(line + "\n" for line in dev))
    return path


def test_a_file_becomes_a_model_and_test_data_only_when_that_is_said(project: Path, pairs: Path) -> None:
    held = pairs.rename(pairs.with_name("my-test.jsonl"))
    words = ("train", "-P", project, "--data", held, *SMALL, "--epochs", 2, "--follow", "--json")
    refused = finish(child(*words))
    assert (refused.code, refused.doc["error"]["exit_code"]) == (2, 2)
    assert "is test data" in refused.err
    assert list((project / "runs").glob("*")) == []
    done = finish(child(*words, "--allow-test"), timeout=110)
    assert done.code == 0, done.err
    assert (done.doc["run"], done.doc["state"]) == ("claif-1", "finished")
    assert (done.doc["step"], done.doc["total_steps"], done.doc["rows"]) == (6, 6, 20)
    assert set(done.doc["best"]) >= {"step", "dev"}
    assert "claif from minilm:1: 20 rows, 6 steps (2 x 3); selected on stsb (12 pairs)" in done.err
    best = project / "runs" / "claif-1" / "checkpoints" / "best"
    assert (best / "modules.json").is_file()
    detail = runs.show(project, "claif-1")
    assert (detail.config.data, detail.config.max_seq_length) == (str(held), 16)
    assert detail.config.allow_test
    assert len(detail.progress.losses) == 6
    # A grid takes this run for one of its points, but not after the data changed.
    config, grid = detail.config, [detail.config.lr]
    assert lr_grid.points(project, config, grid, training.planned(config).content)[0].row is not None
    held.write_text("".join(held.read_text().splitlines(keepends=True)[:-1]))
    assert lr_grid.points(project, config, grid, training.planned(config).content)[0].row is None


def test_a_grid_trains_what_is_missing_and_names_the_best(
    project: Path, pairs: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "TRAIN", (sys.executable, "-P", "-m", "tests.core.train_child"))
    words = ("train", "-P", project, "--data", pairs, *SMALL, "--seed", FINISHES)
    for option in (("--lr", "1e-5"), ("--out", "runs/x")):
        assert "does not go with" in cli(*words, "--lr-grid", "1e-5,2e-5", *option).err
    assert "two rates or more" in cli(*words, "--lr-grid", "1e-5,0.00001").err
    assert cli(*words, "--lr", "2e-5", "--follow").code == 0
    done = cli(*words, "--lr-grid", "2e-5,5e-5,1e-5", "--json")
    assert done.code == 0, done.err
    assert [(row["lr"], row["name"], row["best"]["dev"]) for row in done.doc["grid"]] == [
        (2e-5, "claif-1", 76.0),
        (5e-5, "claif-2", 77.0),
        (1e-5, "claif-3", 76.0),
    ]
    assert done.doc["best"] == "claif-2"
    again = cli(*words, "--lr-grid", "1e-5,5e-5")
    assert again.code == 0, again.err
    assert [line.split() for line in again.out.splitlines()[1:]] == [
        ["1e-05", "76.00", "6", "claif-3"],
        ["5e-05", "77.00", "6", "claif-2", "best"],
    ]
    assert len(list((project / "runs").iterdir())) == 3


def test_what_does_not_fit_is_refused_before_a_run_is_made(project: Path, pairs: Path, cli: Cli) -> None:
    plain = pairs.with_name("rows.txt")
    plain.write_text("one sentence\nanother one\n")
    refused = cli("train", "-P", project, "--data", plain, *SMALL, "--json")
    assert (refused.code, refused.doc["error"]["exit_code"]) == (2, 2)
    assert "no sentence2" in refused.err
    pairs.with_name("sts-dev.csv").unlink()
    alone = cli("train", "-P", project, "--data", pairs, *SMALL)
    assert alone.code == 2
    assert "no development set" in alone.err
    assert list((project / "runs").glob("*")) == []


def test_a_dry_run_says_what_would_be_done(project: Path, pairs: Path, cli: Cli) -> None:
    done = cli("train", "-P", project, "--data", pairs, *SMALL, "--dry-run", "--json")
    assert done.code == 0, done.err
    assert (done.doc["rows"], done.doc["steps_per_epoch"], done.doc["total_steps"]) == (20, 3, 9)
    assert done.doc["dev"] == {"stsb": 12}
    assert list((project / "runs").glob("*")) == []


def test_planning_needs_no_torch() -> None:
    code = "import engine.plan, sys; print({'torch', 'transformers'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout == "set()\n"


def test_wrong_words_are_told_at_once(project: Path, pairs: Path, cli: Cli) -> None:
    for words, said in (
        (["--epochs", "many"], "epochs is 'many', expected a whole number"),
        (["--lr", "7"], "lr is 7"),
        (["--system", "claiff"], "claiff"),
        (["--system", "simcse-sup", "--select", "own", "--dev", "x"], "select = own"),
        (["--compat", "x"], "compat"),
    ):
        done = cli("train", "-P", project, "--data", pairs, *words)
        assert done.code == 2, words
        assert said in done.err
    assert cli("train", "-P", project).code == 2
    outside = cli("train", "-P", pairs.parent, "--data", pairs)
    assert outside.code == 2 and "--out DIR" in outside.err


def test_every_setting_is_an_option() -> None:
    from claif_tui.cli.commands.train import command

    names = {parameter.name for parameter in command.params}
    assert set(FIELDS) <= names


def test_a_snapshot_is_named_by_its_id(scored: Path, cli: Cli) -> None:
    made = cli("snapshot", "create", "-P", scored, "--status", "all", "--json").doc
    config = training.configured(None, {"data": made["id"][:6]}, project=scored)
    assert config.data == str(scored / "snapshots" / made["id"])
    examples = scored / "snapshots" / made["id"] / "examples.jsonl"
    examples.chmod(0o644)
    examples.write_bytes(examples.read_bytes() + b"\n")
    altered = cli("train", "-P", scored, "--data", made["id"])
    assert altered.code == 1 and "was altered" in altered.err
    unknown = cli("train", "-P", scored, "--data", "ffffff")
    assert unknown.code == 2 and made["id"] in unknown.err
