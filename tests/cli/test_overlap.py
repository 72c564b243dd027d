"""``data overlap`` and the check before ``train``: what is said, what is refused, what is trained on instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from claif_tui.core.overlap import fingerprint
from tests.cli.conftest import Cli
from tests.overlap_data import evaluation_data, training_file

WARNING = "42 % of the training sentences stand in STS test sets (exact 4, near 1; most in STSBenchmark: 5)"


def test_the_overlap_is_told_warned_of_and_left_out(project: Path, tmp_path: Path, cli: Cli) -> None:
    pytest.importorskip("torch", reason="planning a run needs the train extra")
    data, senteval = training_file(tmp_path / "claif.jsonl"), evaluation_data(tmp_path / "senteval")
    unknown = cli("data", "overlap", "-P", project, data)
    assert unknown.code == 2 and "config set evaluation_data DIR" in unknown.err
    told = cli("data", "overlap", "-P", project, data, "--data", senteval)
    assert told.code == 0 and WARNING in told.err
    assert "STSBenchmark test 4 + 1 42 % 2 + 1 4 + 1 0.2 % 1 1" in " ".join(told.out.split())
    assert (
        "nearly the same (0.89): the cat number 11 is on the red [/]mat" in told.out and "\x1b" not in told.out
    )
    plain = cli("data", "overlap", "-P", project, data, "--data", senteval, "--json").doc
    assert (plain["rows"], plain["groups"]["sts"]["rows"]) == (6, {"exact": 2, "near": 1})

    words = (
        "train",
        "-P",
        project,
        "--data",
        data,
        "--select",
        "own",
        "--dev-share",
        "0.4",
        "--dry-run",
        "--json",
    )
    quiet = cli(*words)
    assert quiet.doc["overlap"] is None and "not compared with evaluation sets" in quiet.err
    assert cli("config", "set", "evaluation_data", senteval).code == 0
    warned = cli(*words)
    assert warned.code == 0 and f"warning: {WARNING}" in warned.err and "--remove-overlap" in warned.err
    assert warned.doc["overlap"]["groups"]["sts"]["sentences"] == {"exact": 4, "near": 1}
    assert cli(*words, "--check-overlap", "no").doc["overlap"] is None
    assert cli(*words, "--check-overlap", tmp_path / "nowhere").code == 2
    assert cli(*words, "--remove-overlap", "some").code == 2
    cleaned = cli(*words, "--remove-overlap", "near:STSBenchmark")
    assert "3 rows are left out, 3 stay as snapshot" in cleaned.err
    assert cleaned.doc["rows"] + cleaned.doc["dev"]["own"] == 3
    [manifest] = (project / "snapshots").glob("*/manifest.json")
    [removed] = json.loads(manifest.read_bytes())["overlap_removed"]
    assert (removed["rule"], removed["tasks"], removed["by_task"]) == (
        "near",
        ["STSBenchmark"],
        {"STSBenchmark": 3},
    )
    assert removed["evaluation_data"] == fingerprint(senteval)
    shown = cli("snapshot", "show", "-P", project, manifest.parent.name)
    assert shown.code == 0 and "without 3 rows that overlap (near) with test sets" in shown.out
    assert cli("train", "-P", project, "--resume", "--remove-overlap", "near").code == 2
