"""Reading a run's events on the command line: progress, signals, and what the run comes to. No logic of a run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import settings, spent, usd, wanted_of
from claif_tui.core.errors import ClaifError, EndpointError, UsageError

if TYPE_CHECKING:
    from claif_tui.core.estimate import Plan
    from claif_tui.core.events import EndState, Event, Finished, Progress
    from claif_tui.core.llm.profiles import Profile
    from claif_tui.core.session import Ready
    from claif_tui.core.store.store import Store

_LOST_TERMINAL = (
    "Paused: the terminal went away; what was in flight has landed. The same command goes on from there."
)
_STOPPING = "Stopping once what is in flight has landed. Ctrl-C again gives it up."


class Steered(Protocol):
    """A run as core makes it: ``Generation`` or ``Scoring``."""

    def stop(self, state: EndState = "stopped", message: str = "") -> None:
        """End once what is in flight has landed."""

    def events(self) -> AsyncIterator[Event]:
        """Run and tell."""


class Ended:
    """How a run ended: its last event, and the signal that ended it, if one did."""

    def __init__(self, finished: Finished, number: int | None) -> None:
        self.finished = finished
        self._number = number

    @property
    def signal(self) -> int | None:
        """The signal that ended it, None for none."""
        return self._number

    @property
    def exit_code(self) -> int:
        """0 when everything planned is there, 128 + signal, else 1."""
        if self._number is not None:
            return 128 + self._number
        done = self.finished.state == "finished" and not self.finished.progress.failed
        return 0 if done else 1


def prepared(store: Store, flags: dict[str, Any], fields: dict[str, object] | None = None) -> Ready:
    """Return recipe, endpoint, price and cap as the flags say; remembers what ``--without`` agrees to."""
    from claif_tui.core.session import prepare
    from claif_tui.core.settings import remember_refused

    wanted = wanted_of(flags, fields)
    ready = prepare(store, settings(), wanted)
    if flags.get("without"):
        remember_refused(ready.profile, ready.recipe.model, flags["without"])
        ready = prepare(store, settings(), wanted)
    return ready


def describe(ready: Ready, plan: Plan) -> list[str]:
    """Say what a run would ask and cost."""
    low, high = plan.tokens
    lines = [
        f"{ready.recipe.model} at {_where(ready.profile)}, {ready.recipe.api}",
        *_work(plan),
        f"tokens {low:,} to {high:,}",
    ]
    if ready.profile.kind == "local":
        lines.append("it runs on this machine: it is loaded first, and a hub name is fetched the first time")
    if plan.usd is None:
        lines.append("cost unknown: no price is known for this model (--price-in, --price-out)")
    elif plan.usd[1] > 0:
        assert plan.price is not None
        lines.append(f"cost ${plan.usd[0]:,.2f} to ${plan.usd[1]:,.2f} (price of {plan.price.as_of})")
    else:
        lines.append("cost nothing")
    if ready.cap_nano is not None:
        lines.append(f"budget {usd(ready.cap_nano)}")
    elif ready.costs:
        lines.append("no budget: nothing but the end stops the spending (--budget USD)")
    return lines


def _work(plan: Plan) -> list[str]:
    """Say what a run works on, and how many calls that takes."""
    of = [f"{plan.seeds:,} seeds"] if plan.seeds or not plan.triplets else []
    of += [f"{plan.triplets:,} imported triplets"] if plan.triplets else []
    calls = [f"{plan.generate.calls:,} generations"] if plan.generate.calls or not plan.score.calls else []
    calls += [f"up to {plan.score.calls:,} scores"] if plan.score.calls else []
    first = []
    if plan.missing:
        first = [f"{plan.missing:,} sentences are written first: {plan.write.calls:,} requests or more"]
    return [*first, f"{' and '.join(of)}: {' and '.join(calls)}"]


def _where(profile: Profile) -> str:
    """Name an endpoint, with its host where the name does not tell: a project may call any host anything."""
    host = profile.host
    told = not host or profile.name == host or profile.name.startswith(f"{host}/")
    return profile.name if told else f"{profile.name} ({host})"


def agree(costs: bool, lines: list[str], yes: bool) -> None:
    """Ask before money may be spent; ``UsageError`` where nobody can answer or the answer is no."""
    for line in lines:
        diagnostics.note(line)
    if yes or not costs:
        return
    if not diagnostics.interactive():
        raise UsageError("this may cost money, and there is nobody to ask", "Add --yes to agree beforehand.")
    if not diagnostics.confirm("Spend it?"):
        raise UsageError("not started", "Nothing was sent.")


def probed(store: Store, ready: Ready, flags: dict[str, Any], fields: dict[str, object]) -> Ready:
    """Make the one small call before a first run; what the model refuses is left out if the user agrees."""
    from claif_tui.core.probing import first_probe
    from claif_tui.core.settings import remember_refused

    report = asyncio.run(first_probe(store, ready))
    if report is None:
        return ready
    for note in report.notes:
        diagnostics.note(note)
    if not report.refused:
        return ready
    without = " ".join(f"--without {name}" for name in report.refused)
    if not diagnostics.interactive() or not diagnostics.confirm(report.suggestion):
        refused = ", ".join(report.refused)
        raise EndpointError(f"{ready.recipe.model} refuses {refused}", f"Agree to leave that out: {without}")
    remember_refused(ready.profile, ready.recipe.model, report.refused)
    return prepared(store, flags, fields)


def save_changes(store: Store, ready: Ready) -> None:
    """Keep the recipe that a run's flags made, so that status, retry and export speak of the same one."""
    from claif_tui.core.recipe_fields import brief
    from claif_tui.core.recipes import changes
    from claif_tui.core.session import RECIPE_FILE, load_recipe, save_recipe

    path = store.folder / RECIPE_FILE
    if not ready.changed and path.exists():
        return
    for name, value in changes(load_recipe(store.folder), ready.recipe).items():
        diagnostics.note(f"recipe.toml: {name} = {brief(value)}")
    save_recipe(store.folder, ready.recipe)


def run(make: Callable[[], Steered], title: str, also: Callable[[Progress], object] | None = None) -> Ended:
    """Run to the end, showing progress; ``make`` is called inside the event loop. ``also`` is told it too.

    Ctrl-C and SIGTERM stop it once what is in flight has landed, a second one at once; SIGHUP pauses it for good:
    the terminal is gone, and the same command goes on later.
    """
    return asyncio.run(_run(make, title, also))


async def _run(make: Callable[[], Steered], title: str, also: Callable[[Progress], object] | None) -> Ended:
    steered = make()
    caught: list[int] = []
    reading = asyncio.current_task()
    assert reading is not None

    def on_signal(number: int) -> None:
        caught.append(number)
        if len(caught) > 1:
            reading.cancel()
        elif number == signal.SIGHUP:
            steered.stop("paused", _LOST_TERMINAL)
        else:
            diagnostics.note(_STOPPING)
            steered.stop()

    finished: Finished | None = None
    with _handled(on_signal), diagnostics.Bar(title) as bar:
        try:
            async for event in steered.events():
                finished = _tell(event, bar, also) or finished
        except asyncio.CancelledError:
            if not caught:
                raise
    if finished is None:
        raise diagnostics.Terminated(caught[0])
    return Ended(finished, caught[0] if caught else None)


def _tell(event: Event, bar: diagnostics.Bar, also: Callable[[Progress], object] | None) -> Finished | None:
    from claif_tui.core.events import Finished, Progress

    if isinstance(event, Finished):
        return event
    if isinstance(event, Progress):
        failed = sum(event.failed.values())
        title = "sentences" if event.unit == "sentences" else None
        bar.update(event.answered + failed, event.planned, _line(event), title)
        if also is not None:
            also(event)
    return None


def _line(progress: Progress) -> str:
    parts = [f"{progress.per_second:,.1f} calls/s", f"{progress.in_flight} in flight"]
    if progress.spent_nano or progress.cap_nano is not None:
        parts.append(usd(progress.spent_nano))
    failed = sum(progress.failed.values())
    if failed:
        parts.append(f"{failed:,} failed")
    if progress.eta_seconds is not None and not sys.stderr.isatty():  # a terminal's bar shows it
        minutes, seconds = divmod(round(progress.eta_seconds), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return " · ".join(parts)


@contextmanager
def _handled(on_signal: Callable[[int], None]) -> Iterator[None]:
    """Hand SIGINT, SIGTERM and SIGHUP to ``on_signal`` while a run is on; afterwards all is as before."""
    loop = asyncio.get_running_loop()
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    kept = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number, old in kept.items():
            loop.remove_signal_handler(number)
            signal.signal(number, old)


def show_status(store: Store, ended: Ended, as_json: bool, extra: dict[str, object] | None = None) -> int:
    """Print where the project stands after a run and return the command's exit code."""
    from claif_tui.core.session import load_recipe
    from claif_tui.core.status import status
    from claif_tui.core.systems.registry import system_of

    recipe = load_recipe(store.folder)
    found, unit = status(store, recipe), system_of(recipe).makes
    finished = ended.finished
    diagnostics.note(finished.message)
    if as_json:
        output.document(
            {**found.to_dict(), "state": finished.state, "message": finished.message, **(extra or {})}
        )
    else:
        output.line(
            f"{found.answered:,} of {found.planned:,} planned {unit} answered, {sum(found.failed.values()):,} failed, "
            f"{found.open:,} open; spent {spent(found)}"
        )
    return ended.exit_code


def detach(folder: Path, argv: list[str]) -> int:
    """Start the same command in a session of its own and return its process id once its run is on."""
    import subprocess
    from time import monotonic, sleep

    from claif_tui.core.store.store import Store

    log = folder / "generate.log"
    with _log_of(log) as sink:
        child = subprocess.Popen(
            # -P: a file where the user stands must not be taken for a module of ours.
            [sys.executable, "-P", "-m", "claif_tui", *argv],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    end = monotonic() + 30
    with Store.open(folder) as store:
        while monotonic() < end:
            code = child.poll()
            if code is not None:
                if code == 0:
                    return child.pid
                raise _failed_start(log, code)
            active = store.runs.active()
            if active is not None and active.pid == child.pid:
                return child.pid
            sleep(0.05)
    return child.pid


def _log_of(log: Path) -> BinaryIO:
    """Open the log to append to it, for its owner only; a link in somebody's project must not lead us elsewhere."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.fdopen(os.open(log, flags, 0o600), "ab")
    except OSError as error:
        told = ClaifError(f"cannot write {log}: {error.strerror}", "Move it away, or run without --detach.")
        told.exit_code = 1
        raise told from None


def _failed_start(log: Path, code: int) -> ClaifError:
    tail = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
    error = ClaifError(
        f"the run ended at once: {' '.join(line.strip() for line in tail)}", f"All of it is in {log}"
    )
    error.exit_code = code if code in (1, 2) else 1
    return error
