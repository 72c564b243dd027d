"""A run on a cluster, as its user has it: handed to the queue, and the way from the laptop there and back."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from claif_tui.core import slurm_queue
from tests.cli.conftest import Cli, child, finish
from tests.core.slurm_commands import Slurm, installed

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("submitit", reason="needs the slurm extra")

SMALL = ("--epochs", 1, "--batch-size", 4, "--max-seq-length", 16, "--threads", 1, "--select", "own")


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    return installed(tmp_path / "bin", monkeypatch)


def test_a_snapshot_goes_to_a_cluster_and_its_run_comes_back(scored: Path, tmp_path: Path, cli: Cli) -> None:
    from tests.engine import tiny_models

    more = [{"text_a": f"dogs {n} run", "text_b": f"{n % 7} cats", "label": n % 6 / 5} for n in range(20)]
    rows = tmp_path / "more.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in more))
    assert cli("import", "-P", scored, "--as", "pairs", rows).code == 0
    made = cli("snapshot", "create", "-P", scored, "--status", "all", "--json").doc
    packed = cli("snapshot", "pack", "-P", scored, made["id"], "--json").doc
    cluster = tmp_path / "cluster"
    (cluster / "tmp").mkdir(parents=True)
    archive = shutil.copy(packed["path"], cluster)
    model = tiny_models.bert(cluster / "tiny")
    shutil.move(scored, tmp_path / "away")  # nothing of the project is in reach
    elsewhere = {**os.environ, "HOME": str(cluster), "TMPDIR": str(cluster / "tmp")}
    words = ("train", "--data", archive, "--model", model, "--out", "run-7", *SMALL, "--follow", "--json")
    done = finish(child(*words, cwd=cluster, env=elsewhere), timeout=110)
    assert (done.code, done.doc["state"]) == (0, "finished"), done.err
    with tarfile.open(tmp_path / "run-7.tgz", "w:gz") as packing:
        packing.add(cluster / "run-7", "run-7")
    shutil.move(tmp_path / "away", scored)
    shutil.rmtree(cluster)

    back = cli("runs", "import", tmp_path / "run-7.tgz", "-P", scored, "--json").doc
    assert (back["name"], back["state"], back["models"]) == ("run-7", "finished", True)
    shown = cli("runs", "show", "run-7", "-P", scored, "--json").doc
    assert (shown["snapshot"], shown["metrics"]["best"]) == (made["id"], done.doc["best"])
    assert shown["metrics"]["total_steps"] == shown["step"] == done.doc["step"]
    assert f"snapshot  {made['id']}" in cli("runs", "show", "run-7", "-P", scored).out
    assert made["id"] in (scored / "runs" / "run-7" / "checkpoints" / "best" / "README.md").read_text()
    again = cli("runs", "import", tmp_path / "run-7.tgz", "-P", scored)
    assert again.code == 2 and "has this run already: run-7" in again.err


def test_a_run_waits_in_the_queue_and_is_taken_out_of_it(scored: Path, commands: Slurm, cli: Cli) -> None:
    made = cli("snapshot", "create", "-P", scored, "--status", "all", "--json").doc
    job = ("--launcher", "slurm", "--slurm-setup", "module load cuda", "--slurm-setup", "export A='b;c'")
    refused = cli("train", "-P", scored, "--data", made["id"], *SMALL, "--slurm-time", 5)
    assert refused.code == 2 and "launcher local does not use it" in refused.err
    nowhere = cli("train", "-P", scored, "--data", made["id"], *SMALL, *job, "--slurm-partition", "nowhere")
    assert nowhere.code == 1 and "invalid partition specified: nowhere" in nowhere.err
    commands.says("sbatch", "Submitted batch job 4711")
    started = cli("train", "-P", scored, "--data", made["id"], *SMALL, *job, "--json")
    assert started.code == 0 and started.doc["run"] == "claif-1"
    assert "module load cuda\nexport A='b;c'\n" in commands.told("sbatch")
    path = scored / "runs" / "claif-1"
    commands.queue(path, "PENDING", "Resources")
    [row] = cli("runs", "list", "-P", scored, "--json").doc["runs"]
    assert (row["state"], row["why"], row["job"], row["launcher"]) == (
        "waiting",
        "job 4711 waits in the queue (Resources)",
        "4711",
        "slurm",
    )
    assert "waiting" in cli("runs", "list", "-P", scored).out
    assert cli("runs", "stop", "claif-1", "-P", scored).out == "claif-1 left the queue of Slurm\n"
    commands.says("squeue", None)
    assert cli("runs", "show", "claif-1", "-P", scored, "--json").doc["state"] == "stopped"
    both = cli("runs", "stop", "claif-1", "-P", scored, "--gone", "--force")
    assert both.code == 2
    known = cli("runs", "stop", "claif-1", "-P", scored, "--gone")
    assert known.code == 2 and "--gone is for a run of which nothing is known" in known.err
    slurm_queue.forget()
