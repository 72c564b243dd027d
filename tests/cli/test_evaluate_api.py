"""``claif-tui evaluate api:MODEL`` on the real data, against the loopback server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.llm_fixtures import Factory

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("transformers", reason="needs the train extra")

KEY = "sk-secret-0123456789"


def test_an_api_model_is_asked_about_fetched_scored_and_kept(
    project: Path, data_dir: Path, cli: Cli, llm_server: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    server = llm_server(options={"key": KEY, "max_text": 295})
    words: tuple[object, ...] = (
        "evaluate",
        "api:text-embed",
        "-P",
        project,
        "--data",
        data_dir,
        "--threads",
        1,
    )
    words += ("--price-in", "0.1", "--base-url", server.base_url, "--api-key-env", "MY_KEY")
    unasked = cli(*words, "--tasks", "STS16,STS13", "--json")
    assert unasked.code == 2 and "--yes" in unasked.doc["error"]["hint"]
    assert "1,867" not in unasked.err and "sentences, 0 stored" in unasked.err and "cost $" in unasked.err
    assert server.log() == []

    home = server.log_path.parent / "home"
    (home / "vectors-99999999-killed").mkdir()
    done = cli(*words, "--tasks", "STS16,STS13", "--yes", "--json")
    assert done.code == 1, "one sentence of STS13 is too long for the model"
    doc = done.doc
    assert {"model", "data", "tasks", "avg_sts", "avg_transfer"} <= set(doc)
    assert (doc["model"], doc["name"], set(doc["tasks"])) == ("api:text-embed", "text-embed-v2", {"STS16"})
    assert doc["tasks"]["STS16"]["n"] == 1186 and doc["tasks"]["STS16"]["undefined"] == 0
    api = doc["api"]
    assert api["incomplete"] == {"STS13": sum(api["failed"].values())} and len(api["refused"]) >= 1
    assert api["refused"][0]["reason"] == "context_length" and len(api["refused"][0]["text"]) > 295
    assert "STS13 is not scored" in done.err and "no vector for" in done.err
    spent = server.spent_tokens()[0] * 0.1 / 1e6
    assert api["spent_usd"] == pytest.approx(spent)
    assert doc["notes"][0].startswith("Vectors of text-embed-v2 (asked for as text-embed) from 127.0.0.1:")
    assert KEY not in done.out + done.err

    [kept] = (project / "evaluations").glob("*.json")
    assert kept.name.startswith("text-embed-v2-")
    assert json.loads(kept.read_text())["notes"] == doc["notes"]
    [row] = cli("leaderboard", "-P", project, "--ours", "--json").doc["rows"]
    assert row["values"]["STS16"] == doc["tasks"]["STS16"]["spearman"]

    asked = len(server.log())
    again = cli(*words, "--tasks", "STS16", "--dry-run", "--json").doc["plan"]
    assert (again["missing"], again["requests"], again["usd"]) == (0, 0, [0.0, 0.0])
    assert len(server.log()) == asked
    for folder in (project, home):
        assert not list(folder.rglob("vectors*")), "no file of vectors is left behind"


def test_what_is_wrong_is_told_before_anything_is_asked(
    tmp_path: Path, data_dir: Path, cli: Cli, llm_server: Factory
) -> None:
    stray = cli("evaluate", "minilm", "--data", tmp_path, "--base-url", "http://127.0.0.1:9/v1")
    assert stray.code == 2 and "--base-url concerns models named api:MODEL" in stray.err
    unknown = cli("evaluate", "api:x", "--data", data_dir, "--tasks", "STS19")
    assert unknown.code == 2 and "STS19" in unknown.err
    server = llm_server(faults=[{"kind": "401"}])
    refused = cli(
        "evaluate", "api:x", "--base-url", server.base_url, "--data", data_dir, "--tasks", "STS16", "--json"
    )
    assert refused.code == 1 and len(server.log()) == 1
    assert "refuses the key" in refused.doc["error"]["message"]
