"""The run directory: who owns it, whether that process still lives, how to stop it, and files that are whole. No torch.

    run.json       who runs, where and since when (``RunInfo``)      config.json  the settings
    events.jsonl   what happened (``engine.events``)                 metrics.json {best: {step, dev}, …}
    stderr.log     what the process said                             checkpoints/{best,last}
    stop.json      the wish that it ends                             .claim-N     that somebody took it, the N-th time
    overlap.json   which of its sentences stand in evaluation sets, from whoever checked
    gone.json      the word of one who knows that its process is gone
    slurm/         what was handed to Slurm, and what its job said; not the run's own

A directory belongs to one process at a time. Taking it means to create ``.claim-N``, which succeeds for one process
only, on network file systems too; these files are never deleted, so that a slow rival cannot take an old turn again.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from engine import config as settings
from engine import process, wishes
from engine.config import TrainConfig
from engine.errors import RunError
from engine.events import BEAT_SECONDS, ENDS, Event, EventWriter, last_event
from engine.whole import read_json, trouble, write_bytes, write_json
from engine.wishes import OVERLAP as OVERLAP
from engine.wishes import forget_stop as forget_stop
from engine.wishes import note_overlap as note_overlap
from engine.wishes import read_overlap as read_overlap

VERSION = 1
SILENCE_SECONDS = 3 * BEAT_SECONDS
"""A process elsewhere that told nothing for so long may or may not be alive."""

RUN, CONFIG, EVENTS, METRICS, LOG = "run.json", "config.json", "events.jsonl", "metrics.json", "stderr.log"
CHECKPOINTS, SLURM = "checkpoints", "slurm"
_PREPARED = {CONFIG, LOG, SLURM, wishes.STOP, OVERLAP}
_CLAIM, _MAX_PID = ".claim-", 2**31 - 1

State = Literal["waiting", "running", "stopping", "finished", "stopped", "failed", "dead", "unknown"]
Stop = Literal["signalled", "asked", "over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Who has the directory: run.json. ``started`` is the process's start mark, ``claimed`` seconds since 1970.

    ``incarnation`` counts from 1, once more for each resume; ``first_seq`` is the number of its first event.
    ``facts`` is what the run adds about itself, such as the hash of its data.
    """

    v: int = VERSION
    incarnation: int
    first_seq: int
    claimed: float
    host: str
    machine: str
    boot: str
    namespace: str
    pid: int
    started: str
    launcher: str
    job: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Condition:
    """How a run stands, and why that is known, in a few words."""

    state: State
    why: str


@dataclass(slots=True)
class Run:
    """A directory that this process owns; made by ``claim``."""

    path: Path
    info: RunInfo
    events: EventWriter
    resumed: bool

    @property
    def checkpoints(self) -> Path:
        """Where the saved models go; the trainer makes it."""
        return self.path / CHECKPOINTS

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Replace metrics.json; ``RunError`` leaves the old one as it was."""
        write_json(self.path / METRICS, metrics)

    def describe(self, **facts: Any) -> None:
        """Add to the facts in run.json."""
        self.info = replace(self.info, facts={**self.info.facts, **facts})
        write_json(self.path / RUN, asdict(self.info))

    def stop_wanted(self) -> bool:
        """Whether somebody, on whatever host, wishes that this run ends."""
        return wishes.wished(self.path, self.info.incarnation)

    def mark_stopping(self) -> None:
        """Show that the run is about to end, for a wish that came as a signal."""
        if not self.stop_wanted():
            wishes.wish(self.path, self.info.incarnation, asked=False)


def prepare(path: Path, config: TrainConfig) -> None:
    """Make a new directory that holds the settings alone, for the process that will ``claim`` it.

    ``RunError`` if there is anything of that name.
    """
    try:
        path.mkdir(parents=True)
        write_bytes(path / CONFIG, settings.to_json(config).encode())
    except FileExistsError:
        raise RunError(f"{path} exists already", "Choose another name for the run.") from None
    except OSError as error:
        raise trouble(path, error) from error


def claim(path: Path, config: TrainConfig, launcher: str = "local", *, resume: bool = False) -> Run:
    """Take a directory for a run of this process; of several that try at once, one succeeds.

    A new run wants a directory that is new, empty or ``prepare``d with the same settings. A resumed one wants a
    run of the same settings that has not finished and whose process is dead for sure. Otherwise ``RunError``,
    and nothing was changed.
    """
    try:
        turn = _before(path, config).incarnation + 1 if resume else 1
        if not resume:
            _enter(path, config)
        info = _own_info(path, turn, launcher)
        _take(path, info)
        if not (path / CONFIG).exists():
            write_bytes(path / CONFIG, settings.to_json(config).encode())
        write_json(path / RUN, asdict(info))
        return Run(path, info, EventWriter(path / EVENTS), resume)
    except OSError as error:
        raise trouble(path, error) from error


def read_info(path: Path) -> RunInfo | None:
    """Return what run.json says, None if there is none; ``RunError`` if it is not what it should be."""
    return _info(path / RUN)


def read_config(path: Path) -> TrainConfig:
    """Return the settings of a run; ``RunError`` if the file is missing, ``ConfigError`` if it is wrong."""
    file = path / CONFIG
    try:
        return settings.from_json(file.read_bytes(), str(file))
    except FileNotFoundError:
        raise RunError(
            f"{path} is not a run directory: it has no {CONFIG}", "Name a folder below runs/."
        ) from None
    except OSError as error:
        raise trouble(file, error) from error


def read_metrics(path: Path) -> dict[str, Any]:
    """Return what metrics.json holds; nothing if there is none yet."""
    return read_json(path / METRICS) or {}


def liveness(path: Path) -> State:
    """Return how the run in ``path`` stands; see ``condition``."""
    return condition(path).state


def condition(path: Path, *, now: float | None = None) -> Condition:
    """Say how the run in ``path`` stands (``now``: seconds since 1970), as far as it can be known from here.

    The run's own last word counts first. Without one: on its machine its process number together with its start
    time; elsewhere the age of its last event. Silence from elsewhere is no proof of death: that is "unknown".
    """
    try:
        info = read_info(path) or _latest(path)
        if info is None:
            return Condition(
                "unknown", "no process has taken it yet" if path.is_dir() else "there is no such folder"
            )
        return _judge(path, info, time.time() if now is None else now)
    except RunError as error:
        return Condition("unknown", error.message)


def request_stop(path: Path, *, force: bool = False) -> Stop:
    """Ask the run to save and end (``force``: kill it, saving nothing).

    The wish is written down, which reaches a run on any host; on this one the process group gets SIGTERM
    (SIGKILL) too, provided that process number and start time are those of the run. Returns "signalled",
    "asked" where only the wish could be left, "over" if there is nothing to stop.
    """
    info = read_info(path) or _latest(path)
    state = condition(path).state
    if info is None or state not in ("waiting", "running", "stopping", "unknown"):
        return "over"
    unwritten = None
    try:
        wishes.wish(path, info.incarnation)
    except RunError as error:  # a full disk must not keep a run from being stopped
        unwritten = error
    if _signal(info, signal.SIGKILL if force else signal.SIGTERM):
        return "signalled"
    if unwritten is not None:
        raise unwritten
    return "asked"


def wish(path: Path) -> None:
    """Write down that somebody wishes the run to end; before its first turn, that it never begins."""
    wishes.wish(path, _turn(path))


def stop_asked(path: Path) -> bool:
    """Whether somebody wishes that the run ends; that it ends for a signal is no wish."""
    return wishes.wished(path, _turn(path), by_somebody=True)


def declare_gone(path: Path, why: str) -> None:
    """Write down that the process of the last turn is gone, by the word of one who knows (``why``, a few words).

    From then on the run is dead and may be resumed, unless it tells something after all. ``RunError`` if it is over, or
    its process lives on this machine.
    """
    info = _latest(path)
    if info is None:
        raise RunError(f"{path} was never taken by a process", "There is nothing to declare gone.")
    if _alive_here(info):
        raise RunError(f"{path} is not gone: process {info.pid} runs on this machine", "Stop it instead.")
    last = last_event(path / EVENTS)
    if last is not None and last["seq"] >= info.first_seq and last["kind"] in ENDS:
        raise RunError(f"{path} is over: {last['kind']}", "There is nothing to declare gone.")
    wishes.say_gone(path, info.incarnation, _told(path), why)


def lives_here(path: Path) -> bool:
    """Whether the process of the last turn lives on this machine, which its number and start time prove."""
    info = _latest(path)
    return info is not None and bool(_alive_here(info))


def tell_after(path: Path, kind: Literal["queued", "stopped", "failed"], **fields: Any) -> None:
    """Append an event to a run whose process is over, by the job that it was part of; ``RunError`` if it lives."""
    if lives_here(path):
        raise RunError(f"{path} is still run by a process of this machine", "Only that one may write there.")
    with EventWriter(path / EVENTS) as events:
        events.write(kind, **fields)


def reconfigure(path: Path, config: TrainConfig) -> None:
    """Replace the settings of a run that is over by ones that differ in nothing its numbers depend on."""
    _unchanged(path, config)
    write_json(path / CONFIG, settings.to_mapping(config))


# Taking a directory


def _enter(path: Path, config: TrainConfig) -> None:
    """Make sure that a new run may go to ``path``."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise RunError(f"{path} is a file, expected a folder for the run", "Choose another folder.") from None
    found = {entry.name for entry in path.iterdir()}
    if RUN in found or any(name.startswith(_CLAIM) for name in found):
        state = condition(path)
        raise RunError(
            f"{path} holds a run already: {state.state} ({state.why})",
            "Choose another folder for a new run, or resume this one.",
        )
    if other := sorted(found - _PREPARED):
        raise RunError(
            f"{path} is not empty: it holds {other[0]}" + (f" and {len(other) - 1} more" if other[1:] else ""),
            "A run wants a folder of its own: choose a new one.",
        )
    if CONFIG in found and (different := settings.changes(read_config(path), config)):
        raise RunError(
            f"{path} was made for a run with other settings: {'; '.join(different)}", "Choose another folder."
        )


def _before(path: Path, config: TrainConfig) -> RunInfo:
    """Return who had the directory last, having made sure that a resumed run may take it."""
    before = _latest(path)
    if before is None:
        raise RunError(f"{path} holds no run to resume", "Check the path, or start a new run.")
    how = _judge(path, before, time.time())
    if how.state == "finished":
        raise RunError(
            f"{path} has finished: there is nothing to resume", "Start a new run for other settings."
        )
    if how.state in ("stopped", "failed") and _alive_here(before):
        raise RunError(f"{path} is about to end (process {before.pid})", "Try again in a moment.")
    own_job = how.state == "waiting" and before.job == os.environ.get("SLURM_JOB_ID")
    if how.state not in ("stopped", "failed", "dead") and not own_job:
        raise RunError(
            f"{path} cannot be resumed: {how.state} ({how.why})",
            f"Stop it first, on {before.host}. A run that may be alive is never taken over; if you know that it is "
            f"gone: claif-tui runs stop --gone {path}"
            if how.state == "unknown"
            else "Stop it first, or follow it.",
        )
    if (path / CONFIG).exists():
        _unchanged(path, config)
    return before


def _unchanged(path: Path, config: TrainConfig) -> None:
    if different := settings.changes(read_config(path), config):
        raise RunError(
            f"{path} cannot go on with other settings: {'; '.join(different)}",
            "Resume with the settings it began with, or start a new run.",
        )


def _latest(path: Path) -> RunInfo | None:
    """Return the last claim, be it published in run.json or not."""
    published = read_info(path)
    taken = [int(f.name[len(_CLAIM) :]) for f in path.glob(f"{_CLAIM}*") if f.name[len(_CLAIM) :].isdecimal()]
    last = max(taken, default=0)
    if published is not None and published.incarnation >= last:
        return published
    file = path / f"{_CLAIM}{last}"
    try:
        return _info(file) if last else None
    except RunError:
        raise RunError(
            f"{path} is being taken by another process at this moment, or that one died in the middle of it",
            f"Try again. If this stays, and you know that no such process lives, delete {file}.",
        ) from None


def _own_info(path: Path, incarnation: int, launcher: str) -> RunInfo:
    last = last_event(path / EVENTS)
    place = process.here()
    return RunInfo(
        incarnation=incarnation,
        first_seq=1 if last is None else int(last["seq"]) + 1,
        claimed=time.time(),
        host=place.host,
        machine=place.machine,
        boot=place.boot,
        namespace=place.namespace,
        pid=os.getpid(),
        started=process.start_mark(os.getpid()) or "",
        launcher=launcher,
        job=os.environ.get("SLURM_JOB_ID", ""),
    )


def _take(path: Path, info: RunInfo) -> None:
    file = path / f"{_CLAIM}{info.incarnation}"
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise RunError(
            f"{path} was taken by another process at the same moment",
            "Follow that one, or choose another folder.",
        ) from None
    try:
        with os.fdopen(handle, "wb") as claimed:
            claimed.write(json.dumps(asdict(info)).encode())
            claimed.flush()
            os.fsync(claimed.fileno())
    except OSError:
        with suppress(OSError):
            file.unlink()
        raise


# Judging


def _judge(path: Path, info: RunInfo, now: float) -> Condition:
    last = last_event(path / EVENTS)
    if last is not None and last["seq"] < info.first_seq:
        last = None  # of an earlier turn: it says nothing about this one
    if last is not None and last["kind"] in ENDS:
        return Condition(last["kind"], f"its last event, number {last['seq']:,}")
    if not _alive_here(info) and (said := wishes.said_gone(path, info.incarnation, _told(path))):
        return Condition("dead", said)
    if last is not None and last["kind"] == "queued":
        if stop_asked(path):
            return Condition("stopped", "told to end while it waited in the queue")
        return Condition("waiting", str(last.get("message", "")))
    alive, why = _alive(info, last, now)
    if alive is None:
        return Condition("unknown", why)
    if not alive:
        return Condition("dead", why)
    return Condition("stopping" if wishes.wished(path, info.incarnation) else "running", why)


def _turn(path: Path) -> int:
    info = _latest(path)
    return 0 if info is None else info.incarnation


def _told(path: Path) -> int:
    last = last_event(path / EVENTS)
    return 0 if last is None else int(last["seq"])


def _alive(info: RunInfo, last: Event | None, now: float) -> tuple[bool | None, str]:
    """Whether the process lives (None: cannot be known from here), and what tells so."""
    here = process.here()
    told = last["t"] if last is not None and isinstance(last["t"], int | float) else info.claimed
    silent = now - told
    if (info.host, info.machine) == (here.host, here.machine):
        if info.boot != here.boot:
            # Two machines of one name are possible: a fresh sign of life speaks against a restart.
            if abs(silent) <= SILENCE_SECONDS:
                return None, f"{info.host} seems to have restarted, but the run told something just now"
            return False, f"{info.host} has restarted since"
        if info.namespace == here.namespace:
            here_alive = _alive_here(info)
            if here_alive is None:
                return None, f"process {info.pid} is hidden from this user"
            return here_alive, f"process {info.pid} {'runs' if here_alive else 'is gone'}"
    if abs(silent) <= SILENCE_SECONDS:
        return True, f"sign of life from {info.host} {max(0.0, silent):.0f} s ago"
    if silent < 0:
        return None, f"the clocks of {info.host} and this machine differ by {_span(-silent)}"
    return None, f"no sign of life from {info.host} for {_span(silent)}"


def _alive_here(info: RunInfo) -> bool | None:
    """Whether the process with number and start mark lives in this place; None if that is hidden."""
    here = process.here()
    if (info.host, info.machine, info.boot, info.namespace) != (
        here.host,
        here.machine,
        here.boot,
        here.namespace,
    ):
        return False
    mark = process.start_mark(info.pid)
    return None if mark == "" or (mark is not None and not info.started) else mark == info.started


def _span(seconds: float) -> str:
    for size, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


# Stopping


def _signal(info: RunInfo, number: signal.Signals) -> bool:
    """Signal the run's process group, or the process alone if the group is somebody else's; True if it is there."""
    if not _alive_here(info):
        return False
    try:
        if process.leads_its_group(info.pid):
            os.killpg(info.pid, number)
        else:
            os.kill(info.pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise RunError(
            f"process {info.pid} belongs to another user and cannot be signalled",
            "The wish that it ends was left in its folder; or ask its owner.",
        ) from None
    return True


# Files


def _info(file: Path) -> RunInfo | None:
    values = read_json(file)
    if values is None:
        return None
    kinds = {"int": int, "float": int | float, "str": str, "dict[str, Any]": dict}
    for wanted in fields(RunInfo):
        value = values.get(wanted.name)
        if not isinstance(value, kinds[str(wanted.type)]) or isinstance(value, bool):
            raise RunError(
                f"{file}: {wanted.name} is {str(value)[:60]!r}, expected {wanted.type}",
                "It was written by another version or changed by hand; the run cannot be judged.",
            )
    if values["v"] > VERSION:
        raise RunError(f"{file} has version {values['v']}, this program knows {VERSION}", "Update claif-tui.")
    if not 1 <= values["pid"] <= _MAX_PID:
        raise RunError(f"{file}: pid is {str(values['pid'])[:60]}, expected a process number")
    return RunInfo(**{wanted.name: values[wanted.name] for wanted in fields(RunInfo)})
