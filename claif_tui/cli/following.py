"""Following a training run on the command line: its progress, and its end. The run itself is another process."""

from __future__ import annotations

from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

from claif_tui.cli import diagnostics, output
from claif_tui.core.errors import ClaifError

if TYPE_CHECKING:
    from claif_tui.core.runs import Progress, RunRow

_LOOK_SECONDS = 0.2
_ALIVE_SECONDS = 2.0


def locate(project: Path, word: str) -> Path:
    """Return the directory of a run, named as in ``runs list`` or by its path; raises ``UsageError``."""
    from claif_tui.core import runs

    if "/" in word:
        return Path(word).absolute()
    return runs.find(project.absolute(), word)


def follow(path: Path, *, as_json: bool) -> int:
    """Show a run's progress until it ends, say how, and return the command's exit code.

    Ctrl-C ends the following, never the run. Raises ``ClaifError`` for a run that failed or died.
    """
    return _ended(path, watch(path), as_json)


def watch(path: Path) -> Progress:
    """Show a run's progress until it ends; raises ``ClaifError`` for a run that failed or died."""
    from claif_tui.core import runs

    with runs.told():
        follower = runs.Follower(path)
        told, looked, waits = 0, monotonic(), runs.row_of(path).state == "waiting"
        try:
            with diagnostics.Bar(path.name) as bar:
                while True:
                    follower.poll()
                    progress = follower.progress
                    for warning in progress.warnings[told:]:
                        diagnostics.warn(warning)
                    told = len(progress.warnings)
                    words = "waits in the queue" if waits else _numbers(progress)
                    bar.update(progress.step, progress.total_steps, words)
                    if progress.ended or monotonic() - looked > _ALIVE_SECONDS:
                        looked = monotonic()
                        # A run that was resumed just now has told the end of its earlier turn.
                        state = runs.row_of(path).state
                        waits = state == "waiting"
                        if state not in runs.LIVE:
                            follower.poll()
                            break
                    sleep(_LOOK_SECONDS)
        except (KeyboardInterrupt, diagnostics.Terminated):
            diagnostics.note(f"The run goes on. Follow it: {again(path)}   Stop it: claif-tui runs stop {path}")
            raise
    row = runs.row_of(path)
    # One that was told to end while its job waited in the queue has no process left to say so.
    ended = follower.progress.ended or ("stopped" if row.state == "stopped" else "")
    if not ended or ended == "failed":
        raise _failure(path, follower.progress, row)
    return follower.progress


def again(path: Path) -> str:
    """The command that follows a run."""
    return f"claif-tui runs show {path} --follow"


def document(row: RunRow) -> dict[str, object]:
    """A run's line as plain data."""
    best = None if row.best_step is None else {"step": row.best_step, "dev": row.best_dev}
    return {
        "name": row.name,
        "path": str(row.path),
        "state": row.state,
        "why": row.why,
        "system": row.system,
        "model": row.model,
        "step": row.step,
        "total_steps": row.total,
        "best": best,
        "begun": row.begun or None,
        "told": row.told,
        "host": row.host,
        "launcher": row.launcher,
        "job": row.job,
        "snapshot": row.snapshot or None,
        "demo": row.demo,
    }


def _ended(path: Path, progress: Progress, as_json: bool) -> int:
    """Say how a run ended, with its metrics as the one JSON document if they are asked for."""
    from claif_tui.core import runs

    detail = runs.show_at(path)
    ended = progress.ended or detail.row.state
    if as_json:
        output.document({"run": path.name, "path": str(path), "state": detail.row.state, **detail.metrics})
    else:
        best = progress.best
        score = f"; best dev {_score(best.dev)} at step {best.step:,}" if best else ""
        output.line(f"{path.name} {ended} after {progress.step:,} of {progress.total_steps:,} steps{score}")
        if best:
            output.line(f"the best model: {path / 'checkpoints' / 'best'}")
    if ended == "stopped":
        diagnostics.note(f"Go on with it: claif-tui train --resume --out {path}")
        return 1
    return 0


def _failure(path: Path, progress: Progress, row: RunRow) -> ClaifError:
    from claif_tui.core import runs

    what = progress.message if progress.ended else f"{row.state}, without a word ({row.why})"
    tail = runs.log_tail(path).strip().splitlines()[-3:]
    said = f" It said: {' / '.join(line.strip() for line in tail)}" if tail and not progress.ended else ""
    error = ClaifError(
        f"{path.name} {'failed' if progress.ended else 'is'}: {what}{said}",
        f"All of it: {path / 'stderr.log'}   Go on from its last checkpoint: claif-tui train --resume --out {path}",
    )
    error.title, error.exit_code = "Run", 1
    return error


def _numbers(progress: Progress) -> str:
    parts = [] if progress.total_steps else ["loading"]
    if progress.losses and progress.losses[-1][1] is not None:
        parts.append(f"loss {progress.losses[-1][1]:.4f}")
    if progress.scores:
        parts.append(f"dev {_score(progress.scores[-1].dev)}")
    if progress.best:
        parts.append(f"best {_score(progress.best.dev)} at {progress.best.step:,}")
    return "  ".join(parts)


def _score(dev: float | None) -> str:
    return "undefined" if dev is None else f"{dev:.2f}"
