"""``claif-tui experiment`` in processes of its own: killed anywhere, it goes on, and nothing is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine import rundir
from tests.cli.conftest import child, finish
from tests.core import experiment_support as support
from tests.llm_fixtures import Factory, LLMServer

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("transformers", reason="needs the train extra")

GRID = """
[[system]]
name = "average"
[[system]]
name = "claif"
[system.train]
epochs = 30
eval_every = 12
"""


def figures(document: dict[str, Any]) -> list[tuple[object, ...]]:
    """What of a table may not depend on when it was made."""
    rows = [(row["system"], row["seeds"], row["values"]["STSBenchmark"]) for row in document["rows"]]
    data = [
        (one["rows"], one["planned"], one["valid_share"], one["duplicate_rate"]) for one in document["data"]
    ]
    return [*rows, *data]


def kill_when(process: Any, holds: Callable[[], bool]) -> None:
    """Kill -9 as soon as ``holds``; it must not have ended by itself before."""
    while not holds():
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            raise AssertionError(process.communicate())
    process.kill()
    process.communicate()


def kill_training(folder: Path) -> bool:
    """Kill -9 the training, which would go on without us, once it has something to go on from."""
    for last in folder.glob("grid/runs/*/checkpoints/last"):
        info = rundir.read_info(last.parents[1])
        assert info is not None
        os.kill(info.pid, signal.SIGKILL)
        return True
    return False


def asked(server: LLMServer) -> Counter[str]:
    return Counter(line["sha"] for line in server.log() if line["status"] == 200)


@pytest.mark.timeout(400)
def test_killed_anywhere_it_ends_in_the_same_table_with_nothing_done_twice(
    tmp_path: Path, llm_server: Factory
) -> None:
    from tests.engine.tiny_models import bert

    server = llm_server(options={"latency": 0.02})
    model = bert(tmp_path / "bert")  # a tokenizer that is trained twice may come out differently
    for name in ("killed", "whole"):
        support.write(tmp_path / name, GRID, url=server.base_url, model=str(model))
    words = ("experiment", tmp_path / "killed" / "grid.toml", "--yes", "--json")
    kill_when(child(*words), lambda: len(server.log()) > 12)
    kill_when(child(*words), lambda: kill_training(tmp_path / "killed"))
    [run] = (tmp_path / "killed" / "grid" / "runs").iterdir()
    second = finish(child(*words), 110)
    assert second.code == 0, second.err
    paid = asked(server)
    again = finish(child(*words))
    assert (again.code, asked(server)) == (0, paid)

    assert list((tmp_path / "killed" / "grid" / "runs").iterdir()) == [run]
    info = rundir.read_info(run)
    assert info is not None
    assert info.incarnation == 2, "trained once, and gone on with once"

    whole = finish(child("experiment", tmp_path / "whole" / "grid.toml", "--yes", "--json"), 110)
    assert whole.code == 0, whole.err
    assert [row["seeds"] for row in whole.doc["rows"]] == [1, 1]
    for done in (second, again):
        assert figures(done.doc) == figures(whole.doc)
    # What was in flight when it was killed, a few requests at most, counts at its worst case and is asked once more.
    worst = 0.0015
    assert whole.doc["spent_usd"] <= second.doc["spent_usd"] <= whole.doc["spent_usd"] + 4 * worst
    assert sum(paid.values()) - len(paid) <= 4
    assert [sha for sha, count in asked(server).items() if count < 2] == [], "both asked the same"
    assert "claif" in (tmp_path / "killed" / "grid" / "table.csv").read_text()
    assert (tmp_path / "killed" / "grid" / "table.tex").read_text().count("\\toprule") == 2
