"""Whether the prompt lab finds what is there and claims nothing that is not, and stays under its cap.

``python -m benchmarks.lab --data PATH [--seeds N]``: PATH holds ``STS/STSBenchmark/sts-dev.csv``. The three scoring
prompts on 200 STS-B dev pairs against a real loopback server that speaks the OpenAI protocol, in so many seeds: once
with one prompt whose answers are the gold label with less noise, once with three equals, once under half the money.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from claif_tui.core.events import Finished
from claif_tui.core.lab.cells import set_up
from claif_tui.core.lab.models import LabResult, LabSpec
from claif_tui.core.lab.result import result
from claif_tui.core.lab.running import Laboratory, plan_of
from claif_tui.core.llm.profiles import Wish
from claif_tui.core.models import NewPair
from claif_tui.core.prompts import SCORE_PROMPTS
from claif_tui.core.session import Wanted
from claif_tui.core.settings import load as load_settings
from claif_tui.core.store.store import Store
from tests.llm_fixtures import LLMServer

ROWS = 200
SEEDS = 20
ENOUGH = 0.9
BETTER, OTHER = 0.12, 0.18
"""Standard deviations of the noise on labels in 0..1: of the prompt with the advantage, and of the others."""
FAVOURED = "reason-then-score"
MARK = "First say"
"""Words that only the favoured prompt holds."""
PRICE_IN, PRICE_OUT = 1.0, 4.0

Rows = list[tuple[str, str, float]]


def sts_dev(data: Path) -> Rows:
    """Return the STS-B dev pairs with labels in 0..1."""
    path = data / "STS" / "STSBenchmark" / "sts-dev.csv"
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(line[5], line[6], float(line[4]) / 5) for line in lines if len(line) >= 7]


def fill(store: Store, rows: Rows) -> None:
    """Put labelled pairs into a project, as ``import --as gold`` does."""
    pairs = [
        NewPair(system="import", kind="human", text_a=a, generated=b, gold=label, split="dev", line=line)
        for line, (a, b, label) in enumerate(rows, 1)
    ]
    store.write(lambda connection: [store.pairs.add(connection, pair) for pair in pairs])


def world(path: Path, rows: Rows, noise: dict[str, float], other: float) -> str:
    """Write what the server knows, and return the option that names it."""
    path.write_text(json.dumps({"gold": rows, "noise": noise, "other": other}), "utf-8")
    return str(path)


async def ask(
    store: Store, server: LLMServer, seed: int, *, rows: int = ROWS, budget: float | None = None
) -> tuple[LabResult, Finished]:
    """Run one lab to its end: the three prompts, a model of its own for each seed, so that nothing is stored yet."""
    spec = LabSpec(kind="score", rows=rows, seed=seed, prompts=SCORE_PROMPTS, budget=budget)
    wish = Wish(
        base_url=server.base_url, model=f"m-{seed}", concurrency=32, price_in=PRICE_IN, price_out=PRICE_OUT
    )
    lab = set_up(
        store, load_settings(), spec, Wanted(endpoint=wish, fields={"model.max_tokens": 48}, budget=budget)
    )
    last = None
    async for event in Laboratory(store, lab).events():
        last = event
    assert isinstance(last, Finished)
    return result(store, lab), last


def spent(server: LLMServer) -> float:
    """Return what the server's own log of tokens comes to, in dollars."""
    prompt, completion = server.spent_tokens()
    return (prompt * PRICE_IN + completion * PRICE_OUT) / 1e6


def _round(folder: Path, rows: Rows, name: str, noise: dict[str, float], seeds: Sequence[int]) -> int:
    """Run the seeds; return in how many the lab said what is so."""
    server = LLMServer(folder / f"{name}.log", options={"gold": world(folder / name, rows, noise, OTHER)})
    right = 0
    with Store.create(folder / f"{name}-project") as store:
        fill(store, rows)
        for seed in seeds:
            found, last = asyncio.run(ask(store, server, seed))
            assert last.state == "finished" and not found.open, last.message
            claims = [one for one in found.contrasts if one.adjusted is not None and one.adjusted < 0.05]
            right += (found.supported and found.leader == FAVOURED) if noise else not claims
            figures = "  ".join(
                f"{cell.cell.name} {100 * cell.score.spearman.value:.1f}"
                for cell in found.cells
                if cell.score is not None and cell.score.spearman is not None
            )
            print(
                f"  {name} {seed:>2}: {figures}  leader {found.leader}, supported {found.supported}", flush=True
            )
    server.stop()
    return right


def _capped(folder: Path, rows: Rows) -> tuple[float, float, str]:
    """Run a lab under about half of what it would cost; return (cap, what the server counted, how it ended)."""
    server = LLMServer(folder / "cap.log", options={"gold": world(folder / "cap", rows, {}, OTHER)})
    with Store.create(folder / "cap-project") as store:
        fill(store, rows)
        wish = Wish(base_url=server.base_url, model="m", price_in=PRICE_IN, price_out=PRICE_OUT)
        spec = LabSpec(kind="score", rows=ROWS, prompts=SCORE_PROMPTS, budget=100.0)
        plan = plan_of(store, set_up(store, load_settings(), spec, Wanted(endpoint=wish)))
        assert plan.usd is not None
        cap = plan.usd[0] / 2
        _, last = asyncio.run(ask(store, server, 1, budget=cap))
    counted = spent(server)
    server.stop()
    return cap, counted, f"{last.state}: {last.message}"


def main() -> int:
    """Print all figures; return 1 if one is not good enough."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    args = parser.parse_args()
    rows = sts_dev(args.data)
    seeds = range(1, args.seeds + 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = _round(folder, rows, "advantage", {MARK: BETTER}, seeds)
        quiet = _round(folder, rows, "equals", {}, seeds)
        cap, counted, ended = _capped(folder, rows)
    print(f"lab: {ROWS} of {len(rows)} STS-B dev pairs, three prompts, noise {BETTER} against {OTHER}")
    print(f"  the better prompt is found in {found} of {args.seeds} seeds")
    print(f"  no difference is claimed between equals in {quiet} of {args.seeds} seeds")
    print(f"  cap ${cap:.5f}, by the server's own log ${counted:.5f}; {ended}")
    enough = ENOUGH * args.seeds
    return int(found < enough or quiet < enough or counted > cap)


if __name__ == "__main__":
    sys.exit(main())
