"""``claif-tui experiment`` in processes of its own: killed anywhere, it goes on, and nothing is done twice."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine import rundir
from engine.events import all_events
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
epochs = 20
eval_every = 12
"""


def figures(document: dict[str, Any]) -> list[tuple[object, ...]]:
    """What of a table may not depend on when it was made."""
    rows = [(row["system"], row["seeds"], row["values"]["STSBenchmark"]) for row in document["rows"]]
    data = [
        (one["rows"], one["planned"], one["valid_share"], one["duplicate_rate"]) for one in document["data"]
    ]
    return [*rows, *data]


def wait_for(process: subprocess.Popen[str], holds: Callable[[], bool]) -> None:
    """Wait until ``holds``; the process must not have ended by itself before."""
    while not holds():
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            raise AssertionError(process.communicate())


def kill_when(process: subprocess.Popen[str], holds: Callable[[], bool]) -> None:
    """Kill -9 as soon as ``holds``."""
    wait_for(process, holds)
    process.kill()
    process.communicate()


def turn(folder: Path) -> int:
    """How often the one training there was begun or gone on with."""
    infos = [rundir.read_info(path) for path in folder.glob("grid/runs/*")]
    return sum(info.incarnation for info in infos if info is not None)


def trains(folder: Path) -> bool:
    """Whether a training has told a step."""
    events = [event for path in folder.glob("grid/runs/*/events.jsonl") for event in all_events(path)]
    return any(event["kind"] == "step" for event in events)


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
    stopped = child(*words)
    wait_for(stopped, lambda: trains(tmp_path / "killed"))
    stopped.terminate()
    said = finish(stopped, 110)
    assert (said.code, said.doc["rows"][1]["waiting"]) == (143, 1)
    [run] = (tmp_path / "killed" / "grid" / "runs").iterdir()
    assert rundir.liveness(run) == "stopped"
    # The training goes on when the experiment is killed, and is followed by the next one.
    kill_when(child(*words), lambda: turn(tmp_path / "killed") == 2)
    second = finish(child(*words), 110)
    assert second.code == 0, second.err
    paid = asked(server)
    again = finish(child(*words))
    assert (again.code, asked(server)) == (0, paid)

    assert list((tmp_path / "killed" / "grid" / "runs").iterdir()) == [run]
    assert turn(tmp_path / "killed") == 2, "trained once, and gone on with once"

    whole = finish(child("experiment", tmp_path / "whole" / "grid.toml", "--yes", "--json"), 110)
    assert whole.code == 0, whole.err
    assert [row["seeds"] for row in whole.doc["rows"]] == [1, 1]
    for done in (second, again):
        assert figures(done.doc) == figures(whole.doc)
    # What was in flight when it was killed counts at its worst case and is asked once more. So counts what waited for
    # leave to be sent: with two in flight five workers are on, and each reserves first.
    worst = 0.0015
    assert whole.doc["spent_usd"] <= second.doc["spent_usd"] <= whole.doc["spent_usd"] + 5 * worst
    assert sum(paid.values()) - len(paid) <= 4
    assert [sha for sha, count in asked(server).items() if count < 2] == [], "both asked the same"
    assert "claif" in (tmp_path / "killed" / "grid" / "table.csv").read_text()
    assert (tmp_path / "killed" / "grid" / "table.tex").read_text().count("\\toprule") == 2
