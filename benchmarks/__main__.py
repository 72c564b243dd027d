"""Every figure of docs/performance.md, by one command: ``python -m benchmarks [NAME …]``.

The parts run one after the other, each in a process of its own, so that none pays for another's memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "startup": "start-up of the command line and the app",
    "client": "the LLM client alone, against a bare openai loop",
    "pipeline": "the whole pipeline against a slow endpoint",
    "store_calls": "what keeping calls and money costs",
    "faults": "faults, kills and the budget",
    "bulk": "bulk import and bulk decisions, 1.2 million pairs",
    "import_seeds": "importing 1.2 million lines",
    "review_store": "Review's questions to the store, 1.2 million pairs",
    "ui_review": "Review on the screen, 1.2 million pairs",
    "ui_stream": "the Generate screen at 500 events a second",
    "rating_coverage": "how often the intervals of a rating report hold the truth",
    "offline_model": "the offline model (needs the real data)",
    "lab": "what the prompt lab finds, and what it does not claim (needs the real data)",
    "engine": "training, encoding and evaluation against their peers (needs the real data)",
}


def main() -> int:
    """Run the named parts, or all; return how many failed."""
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; known: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    failed = 0
    for name in wanted:
        arguments: list[str] = []
        if name in ("offline_model", "lab", "engine"):
            data = Path(os.environ.get("CLAIF_TEST_DATA") or ROOT.parent / "shared" / "data") / "senteval"
            if not data.is_dir():
                print(f"\n== {name}: left out, {data} is absent (CLAIF_TEST_DATA names another)", flush=True)
                continue
            arguments = ["--data", str(data)]
        print(f"\n== {name}: {PARTS[name]}", flush=True)
        failed += (
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], cwd=ROOT).returncode != 0
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
