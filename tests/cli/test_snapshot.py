"""``claif-tui snapshot``: what it says and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Cli


def test_create_list_show_pack(scored: Path, cli: Cli) -> None:
    assert cli("snapshot", "list", "-P", scored, "--json").doc == {"snapshots": []}
    nothing = cli("snapshot", "create", "-P", scored, "--json")
    assert (nothing.code, nothing.doc["error"]["exit_code"]) == (2, 2)
    assert "--status all" in nothing.err
    cli("review", "accept", "-P", scored, "--filter", "score > 0")
    made = cli("snapshot", "create", "-P", scored, "--json").doc
    path = Path(made["path"])
    assert (made["existed"], made["intact"]) == (False, True)
    assert path == scored / "snapshots" / made["id"]
    assert made["rows"] == made["funnel"]["rows"] == len((path / "examples.jsonl").read_text().splitlines())
    assert made["smoothing"] == {"epsilon": 0.2, "applied": True}
    assert cli("snapshot", "create", "-P", scored, "--json").doc == {**made, "existed": True}
    (listed,) = cli("snapshot", "list", "-P", scored, "--json").doc["snapshots"]
    assert listed == {name: made[name] for name in listed}
    shown = cli("snapshot", "show", made["id"][:5], "-P", scored, "--json").doc
    assert shown["review"]["project"] == {"pending": 1, "accepted": 4, "rejected": 0}
    assert shown["sha256"] == made["sha256"]
    packed = cli("snapshot", "pack", made["id"], "-P", scored, "--json").doc
    assert Path(packed["path"]) == scored / "exports" / f"{made['id']}.zip"
    assert packed["bytes"] == Path(packed["path"]).stat().st_size


def test_the_same_words_for_people(scored: Path, cli: Cli) -> None:
    assert "snapshot create" in cli("snapshot", "list", "-P", scored).out
    said = cli("snapshot", "create", "-P", scored, "--status", "all", "--filter", "score >= 0.5")
    assert said.code == 0
    assert "is frozen" in said.out and "zero pairs" in said.out
    name = next((scored / "snapshots").iterdir()).name
    assert name in cli("snapshot", "list", "-P", scored).out
    shown = cli("snapshot", "show", name, "-P", scored)
    assert shown.code == 0
    assert "score >= 0.5" in shown.out and "smoothing  0.2" in shown.out
    out = scored / "mine.zip"
    assert "mine.zip" in cli("snapshot", "pack", name, "-P", scored, "--out", out).out
    assert out.exists()


def test_choosing_what_is_frozen(scored: Path, cli: Cli) -> None:
    cli("review", "edit", 2, "another text", "-P", scored)
    cli("review", "set-score", 2, 0.75, "-P", scored)
    words = ["snapshot", "create", "-P", scored, "--status", "all", "--preset", "raw", "--json"]
    made = cli(*words, "--edited").doc
    (line,) = (Path(made["path"]) / "examples.jsonl").read_text().splitlines()
    assert json.loads(line)["sentence2"] == "another text"
    assert json.loads(line)["score"] == 0.75
    for wrong in (["--filter", "score >"], ["--status", "maybe"], ["--preset", "nope"]):
        assert cli(*words, *wrong).code == 2
    assert cli("snapshot", "show", "nope", "-P", scored).code == 2


def test_one_that_was_altered_ends_with_one(scored: Path, cli: Cli) -> None:
    made = cli("snapshot", "create", "-P", scored, "--status", "all", "--json").doc
    rows = Path(made["path"]) / "examples.jsonl"
    rows.chmod(0o644)
    rows.write_text(rows.read_text() + "\n")
    shown = cli("snapshot", "show", made["id"], "-P", scored, "--json")
    assert (shown.code, shown.doc["intact"]) == (1, False)
    assert "altered" in shown.err
    assert cli("snapshot", "pack", made["id"], "-P", scored).code == 1
    assert cli("snapshot", "create", "-P", scored, "--status", "all").code == 1


def test_pairs_and_triplets_together_are_said(scored: Path, tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "nli.jsonl"
    path.write_text('{"sent0": "a", "sent1": "b", "hard_neg": "c"}\n')
    cli("import", "-P", scored, "--as", "triplets", path)
    done = cli("snapshot", "create", "-P", scored, "--status", "all", "--json")
    assert done.code == 0
    assert "training takes one kind" in done.err
