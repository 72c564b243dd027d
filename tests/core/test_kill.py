"""Runs that are killed: what the server was asked, and what it was owed, by its own log."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from claif_tui.core import session
from claif_tui.core.models import NANO, PairQuery
from claif_tui.core.recipes import preset_recipe, requests_id
from claif_tui.core.status import status
from claif_tui.core.store.store import Store
from tests.core.test_pipeline import SEEDS, fill
from tests.llm_fixtures import Factory, LLMServer

ROOT = Path(__file__).resolve().parents[2]
CONCURRENCY = 16
FAULTS = [
    {"kind": "429_ms", "rate": 0.03},
    {"kind": "500", "rate": 0.03},
    {"kind": "reset", "rate": 0.02},
    {"kind": "cut", "rate": 0.02},
    {"kind": "no_finish", "rate": 0.02},
    {"kind": "html", "rate": 0.02},
    {"kind": "empty_choices", "rate": 0.02},
    {"kind": "empty", "rate": 0.02, "match": "Replace all"},
    {"kind": "unparsable", "rate": 0.05, "match": "similarity score"},
    {"kind": "preamble", "rate": 0.05, "match": "Replace all"},
    {"kind": "think", "rate": 0.05, "match": "Replace all"},
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "p") as store:
        fill(store, [*SEEDS, *(f"number {n} of many sentences stands here on its own ." for n in range(20))])
    return tmp_path / "p"


def start(project: Path, server: LLMServer, api: str, cap: float | None = None) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.core.run_child",
        str(project),
        server.base_url,
        api,
        str(CONCURRENCY),
    ]
    if cap is not None:
        command.append(str(cap))
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def kill_after(project: Path, server: LLMServer, api: str, lines: int, cap: float | None = None) -> None:
    """Run until ``lines`` pairs are scored, then kill -9."""
    child = start(project, server, api, cap)
    assert child.stdout is not None
    for _ in range(lines):
        assert child.stdout.readline(), "the run ended before it could be killed"
    child.kill()
    child.stdout.close()
    child.wait()


def to_the_end(project: Path, server: LLMServer, api: str, cap: float | None = None) -> str:
    child = start(project, server, api, cap)
    out, _ = child.communicate(timeout=100)
    return out.strip().splitlines()[-1]


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_three_kills_and_faults_lose_nothing_and_repeat_only_what_was_in_flight(
    project: Path, llm_server: Factory, api: str
) -> None:
    server = llm_server(faults=FAULTS, options={"latency": 0.02})
    for _ in range(3):
        kill_after(project, server, api, 25)
    end = to_the_end(project, server, api)
    with Store.open(project) as store:
        recipe = session.load_recipe(store.folder)
        now = status(store, recipe)
        assert now.open == 0, end
        assert now.planned == 24 * 9 == now.answered + sum(now.failed.values())
        pairs = list(store.pairs.export_rows(PairQuery()))
        assert len({(pair.generate_key, pair.seed_id, pair.rate) for pair in pairs}) == len(pairs)
        scored = sum(pair.score is not None for pair in pairs)
        unscorable = sum(pair.answer_class != "ok" for pair in pairs)
        assert scored + unscorable == now.answered
        with store.read() as connection:
            rows = connection.execute("SELECT prompt, tries FROM calls").fetchall()
    good: Counter[str] = Counter()
    for line in server.log():
        good[line["prompt"]] += line["fault"] is None or line["fault"] in {"preamble", "think"}
    # Each stored call accounts for one good (or finally bad) answer; what goes beyond was in flight at a kill.
    stored = Counter("\n".join(content for _, content in json.loads(prompt)) for prompt, _ in rows)
    by_user = Counter(json.loads(prompt)[-1][1] for prompt, _ in rows)
    repeats = sum(max(0, count - max(stored[prompt], by_user[prompt])) for prompt, count in good.items())
    assert repeats <= 3 * CONCURRENCY


def test_a_kill_among_triplets_loses_nothing_and_repeats_only_what_was_in_flight(
    project: Path, llm_server: Factory
) -> None:
    faults = [
        *FAULTS[:7],
        {"kind": "empty", "rate": 0.1, "match": "cannot be true"},
        {"kind": "unparsable", "rate": 0.1, "match": "to 5.0"},
    ]
    server = llm_server(faults=faults, options={"latency": 0.02})
    session.save_recipe(project, preset_recipe("multicsr"))
    kill_after(project, server, "chat", 6)
    end = to_the_end(project, server, "chat")
    with Store.open(project) as store:
        now = status(store, session.load_recipe(store.folder))
        assert (now.planned, now.open) == (24, 0), end
        pairs = list(store.pairs.export_rows(PairQuery()))
        assert len({pair.seed_id for pair in pairs}) == len(pairs)
        scored = [pair for pair in pairs if pair.score is not None and pair.negative_score is not None]
        unscorable = [pair for pair in pairs if pair.answer_class != "ok"]
        assert len(scored) + len(unscorable) == now.answered
        with store.read() as connection:
            rows = connection.execute("SELECT prompt, tries FROM calls").fetchall()
    good = Counter(line["prompt"] for line in server.log() if line["fault"] is None)
    stored = Counter("\n".join(content for _, content in json.loads(prompt)) for prompt, _ in rows)
    by_user = Counter(json.loads(prompt)[-1][1] for prompt, _ in rows)
    repeats = sum(max(0, count - max(stored[prompt], by_user[prompt])) for prompt, count in good.items())
    assert repeats <= CONCURRENCY


def test_the_budget_holds_by_the_servers_own_log_through_faults_and_a_kill(
    project: Path, llm_server: Factory
) -> None:
    faults = [{"kind": "429_ms", "rate": 0.03}, {"kind": "500", "rate": 0.03}, {"kind": "cut", "rate": 0.01}]
    server = llm_server(faults=faults, options={"latency": 0.02})
    cap = 0.02
    kill_after(project, server, "chat", 20, cap)
    end = to_the_end(project, server, "chat", cap)
    assert end.startswith("budget"), end
    prompt, completion = server.spent_tokens()
    spent = (prompt * 1.0 + completion * 4.0) / 1e6
    with Store.open(project) as store:
        ledger = store.ledger.get(requests_id(session.load_recipe(store.folder)))
        assert status(store, session.load_recipe(store.folder)).open > 0
    assert spent <= cap
    assert ledger.spent_nano <= cap * NANO
    assert ledger.spent_nano >= 0.9 * cap * NANO
    assert ledger.reserved_nano == 0
    assert spent * NANO <= ledger.spent_nano, "the ledger never counts less than the server does"
