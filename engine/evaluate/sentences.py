"""`python -m engine.evaluate.sentences DIR TASKS`: the sentences that tasks need, to have them embedded elsewhere.

The answer is one JSON document. Reads the data as an evaluation would; no torch, and nothing is scored.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.evaluate.data import read_sts, read_transfer
from engine.evaluate.files import tidy
from engine.evaluate.queries import read_queries
from engine.tasks import RERANK, TASKS, select


def sentences(root: Path, tasks: str) -> dict[str, Any]:
    """{sentences: [text, …], tasks: {STS12: [place in sentences, …]}}, each sentence once, in the order of the files.

    DataError when the data of a task are not as they should be, ConfigError for a task that is none.
    """
    places: dict[str, int] = {}
    needed = {
        name: sorted({places.setdefault(tidy(text), len(places)) for text in _texts(root, name)})
        for name in select(tasks)
    }
    return {"sentences": list(places), "tasks": needed}


def _texts(root: Path, name: str) -> list[str]:
    if name == RERANK:
        return [text for one in read_queries(root).every for text in (one.text, *one.positives, *one.negatives)]
    if TASKS[name].kind == "sts":
        pairs = read_sts(root, name)
        return pairs.first + pairs.second
    return [text for split in read_transfer(root, name).splits for text in split.first + (split.second or [])]


def main() -> int:
    """Answer, or say in one line what is wrong; returns the exit code."""
    try:
        found = sentences(Path(sys.argv[1]), sys.argv[2])
    except EngineError as error:
        sys.stderr.write(" ".join(f"{error.message.rstrip('.')}. {error.hint}".split()) + "\n")
        return error.exit_code
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
