"""How long ``--help`` takes, and how long the app takes to its first paint in a real terminal.

``python -m benchmarks.startup`` starts each several times in fresh processes and prints the best and the median; the
bare interpreter's time stands beside them, because everything rides on it.
"""

from __future__ import annotations

import argparse
import os
import pty
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HELP_BUDGET = 0.150
PAINT_BUDGET = 0.700
_COMMAND = [sys.executable, "-m", "claif_tui"]
_GIVE_UP = 30.0


def run_once(command: list[str]) -> float:
    """Seconds from start to end of a command whose output nobody reads."""
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def paint_once(project: Path) -> float:
    """Seconds from start until the app has drawn the name of its first screen, in a terminal of 120x40."""
    start = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="120", LINES="40")
        os.chdir(ROOT)
        os.execv(sys.executable, [*_COMMAND, str(project)])
    seen = b""
    try:
        while b"Project" not in seen:
            ready, _, _ = select.select([terminal], [], [], _GIVE_UP)
            if not ready:
                raise TimeoutError("the app did not paint")
            seen += os.read(terminal, 65536)
        return time.perf_counter() - start
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def report(name: str, times: list[float], budget: float | None = None) -> None:
    """Print one line of figures."""
    best, middle = min(times) * 1000, statistics.median(times) * 1000
    limit = (
        ""
        if budget is None
        else f"  (budget {budget * 1000:.0f} ms: {'kept' if min(times) <= budget else 'MISSED'})"
    )
    print(f"{name:<22} best {best:5.0f} ms, median {middle:5.0f} ms{limit}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    times = parser.parse_args().times
    report("bare python", [run_once([sys.executable, "-c", "pass"]) for _ in range(times)])
    report("claif-tui --help", [run_once([*_COMMAND, "--help"]) for _ in range(times)], HELP_BUDGET)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "demo"
        subprocess.run(
            [*_COMMAND, "init", str(project), "--demo"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
        )
        report("app to first paint", [paint_once(project) for _ in range(times)], PAINT_BUDGET)


if __name__ == "__main__":
    main()
