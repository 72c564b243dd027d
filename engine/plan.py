"""`python -m engine.plan`: what a run would do, before it has a directory: rows, steps, dev set. Trains nothing.

Settings come on stdin as JSON; the answer is one JSON document. What the run would refuse is refused here.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from engine.batches import Order
from engine.columns import columns, in_batch, training_rows
from engine.config import TrainConfig, from_json
from engine.errors import EngineError
from engine.selection import choose


def plan(config: TrainConfig) -> dict[str, Any]:
    """{rows, kind, columns, steps_per_epoch, total_steps, dev: {name: {pairs, fingerprint}}, report: {…}}.

    ``EngineError`` where data, dev set and objective do not go together.
    """
    training, selection = choose(config, training_rows(config))
    used = columns(config, training)
    order = Order(len(training), config.batch_size, config.seed, in_batch=in_batch(config))
    return {
        "rows": len(training),
        "kind": training.kind,
        "columns": list(used),
        "steps_per_epoch": order.steps_per_epoch,
        "total_steps": order.steps_per_epoch * config.epochs,
        "dev": selection.describe(),
        "report": training.report.to_dict(),
    }


def main() -> int:
    """Answer; returns the exit code."""
    try:
        document = plan(from_json(sys.stdin.buffer.read(), "the settings"))
    except EngineError as error:
        sys.stderr.write(f"{error.line}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
