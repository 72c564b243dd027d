"""`python -m engine VERB`: the child process of the application. Only chooses and prepares; the work is elsewhere."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main() -> int:
    """Run one verb; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine")
    verbs = parser.add_subparsers(dest="verb", required=True)
    offline = verbs.add_parser("offline", help="serve the offline model over JSON lines on stdin and stdout")
    offline.add_argument(
        "--assets", type=Path, help="folder of the packaged assets (default: found beside this package)"
    )
    args = parser.parse_args()
    # Before numpy loads: with several threads a matrix product could come out differently in its last bits, and two
    # workers share the cores already.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from engine.offline.server import run

    try:
        return run(args.assets)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
