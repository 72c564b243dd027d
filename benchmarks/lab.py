"""Whether the prompt lab finds what is there and claims nothing that is not, and stays under its cap.

``python -m benchmarks.lab --data PATH [--seeds N]``: PATH holds ``STS/STSBenchmark/sts-dev.csv``. The three scoring
prompts on 200 STS-B dev pairs against a real loopback server that speaks the OpenAI protocol, in so many seeds: once
with one prompt whose answers are the gold label with less noise, once with three equals, once under half the money.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from claif_tui.core.lab.models import LabSpec
from claif_tui.core.lab.running import plan_of
from claif_tui.core.prompts import SCORE_PROMPTS
from claif_tui.core.store.store import Store
from tests.lab_support import FAVOURED, MARK, Rows, ask, fill_gold, lab_of, spent, sts_dev, world
from tests.llm_fixtures import LLMServer

ROWS = 200
SEEDS = 20
ENOUGH = 0.9
BETTER, OTHER = 0.10, 0.18
"""Standard deviations of the noise on labels in 0..1: of the prompt with the advantage, and of the others."""


def _round(folder: Path, rows: Rows, name: str, noise: dict[str, float], seeds: Sequence[int]) -> int:
    """Run the seeds; return in how many the lab said what is so."""
    server = LLMServer(folder / f"{name}.log", options={"gold": world(folder / name, rows, noise, OTHER)})
    right = 0
    with Store.create(folder / f"{name}-project") as store:
        fill_gold(store, rows)
        for seed in seeds:
            # A model of its own for each seed: nothing is stored yet, and its noise is another draw.
            spec = LabSpec(kind="score", rows=ROWS, seed=seed, prompts=SCORE_PROMPTS, budget=100.0)
            found, last = asyncio.run(ask(store, server, spec, model=f"m-{seed}"))
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
        fill_gold(store, rows)
        spec = LabSpec(kind="score", rows=ROWS, prompts=SCORE_PROMPTS, budget=100.0)
        plan = plan_of(store, lab_of(store, server, spec))
        assert plan.usd is not None
        cap = plan.usd[0] / 2
        _, last = asyncio.run(ask(store, server, replace(spec, budget=cap)))
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
