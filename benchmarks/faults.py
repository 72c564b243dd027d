"""Faults, kills and the budget, in figures: a run against a loopback server that fails on purpose and is killed.

``python -m benchmarks.faults`` prints, for chat and completions, what came of every planned pair and what the
server was asked twice, and then how much of a budget was used by the server's own token log.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from claif_tui.core import session
from claif_tui.core.models import NANO
from claif_tui.core.recipes import requests_id
from claif_tui.core.status import status
from claif_tui.core.store.store import Store
from tests.core.test_kill import FAULTS, ROOT
from tests.core.test_pipeline import fill
from tests.llm_fixtures import LLMServer

CONCURRENCY = 64
SEEDS = 120
KILLS = 3
CAPS = ((0.1, 200), (2.0, 1_400))
"""Dollars, and seeds enough to keep work left. Under the small cap fewer than 64 may be open at once."""
BUDGET_FAULTS = [
    {"kind": "429_ms", "rate": 0.03},
    {"kind": "500", "rate": 0.03},
    {"kind": "reset", "rate": 0.005},
    {"kind": "cut", "rate": 0.005},
]


def _child(project: Path, server: LLMServer, api: str, cap: str = "") -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.core.run_child",
        str(project),
        server.base_url,
        api,
        str(CONCURRENCY),
    ]
    return subprocess.Popen([*command, cap], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _kill_after(child: subprocess.Popen[str], lines: int) -> None:
    assert child.stdout is not None
    for _ in range(lines):
        child.stdout.readline()
    child.kill()
    child.wait()


def _project(folder: Path, seeds: int = SEEDS) -> Path:
    with Store.create(folder) as store:
        fill(store, [f"the number {n} stands in a sentence of its own , like {n * n} ." for n in range(seeds)])
    return folder


def kills(api: str, folder: Path) -> None:
    """Kill a faulty run three times, finish it, and compare the store with the server's log."""
    project = _project(folder / api)
    server = LLMServer(folder / f"{api}.log", FAULTS, {"latency": 0.05})
    for _ in range(KILLS):
        _kill_after(_child(project, server, api), 150)
    _child(project, server, api).communicate()
    server.stop()
    with Store.open(project) as store:
        now = status(store, session.load_recipe(project))
        with store.read() as connection:
            calls = connection.execute("SELECT prompt FROM calls").fetchall()
    stored = Counter(json.loads(prompt)[-1][1] for (prompt,) in calls)
    log = server.log()
    faulted = sum(line["fault"] is not None for line in log)
    good = Counter(
        line["prompt"].split("\n")[-1] if api == "chat" else line["prompt"]
        for line in log
        if line["fault"] in {None, "preamble", "think"}
    )
    repeats = sum(max(0, count - stored[prompt]) for prompt, count in good.items())
    print(
        f"{api}: {now.planned} planned = {now.answered} answered + {sum(now.failed.values())} failed {now.failed}"
    )
    print(f"  open {now.open}; {len(log)} requests, {faulted} of them faulted on purpose; {KILLS} kills")
    print(f"  good answers asked for again: {repeats} (allowed: {KILLS} kills x {CONCURRENCY} in flight)")


def budget(folder: Path, cap: float, seeds: int) -> None:
    """Run into a cap through faults and a kill, and add up the server's own token log."""
    project = _project(folder / f"budget-{cap}", seeds)
    server = LLMServer(folder / f"budget-{cap}.log", BUDGET_FAULTS, {"latency": 0.05})
    _kill_after(_child(project, server, "chat", str(cap)), 100)
    out, _ = _child(project, server, "chat", str(cap)).communicate()
    peak = server.control()["peak"]
    server.stop()
    prompt, completion = server.spent_tokens()
    spent = (prompt * 1.0 + completion * 4.0) / 1e6
    with Store.open(project) as store:
        recipe = session.load_recipe(project)
        ledger, now = store.ledger.get(requests_id(recipe)), status(store, recipe)
    print(f"budget: cap ${cap:g}, {CONCURRENCY} in flight wanted, {peak} at most seen by the server, one kill")
    print(f"  ended: {out.splitlines()[-1]}")
    print(f"  server's own log: ${spent:.5f} ({100 * spent / cap:.1f} % of the cap)")
    print(f"  our ledger: ${ledger.spent_nano / NANO:.5f} ({100 * ledger.spent_nano / NANO / cap:.1f} %)")
    print(f"  work left: {now.open} of {now.planned} planned pairs")


def main() -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory() as folder:
        for api in ("chat", "completions"):
            kills(api, Path(folder))
        for cap, seeds in CAPS:
            budget(Path(folder), cap, seeds)


if __name__ == "__main__":
    main()
