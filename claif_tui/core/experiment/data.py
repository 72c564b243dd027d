"""One data set of an experiment: its project, its requests under what is left of the budget, its frozen rows.

What is there already is neither imported, asked nor frozen again. Which data sets there are is decided in ``grid``.
"""

from __future__ import annotations

import asyncio
import codecs
import csv
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from claif_tui.core.atomic import replacing
from claif_tui.core.errors import BudgetError, EndpointError, InputError
from claif_tui.core.estimate import Plan
from claif_tui.core.events import EndState, Event, Finished
from claif_tui.core.experiment.journal import SOURCES, Journal
from claif_tui.core.experiment.models import DataFacts, DataSet, Source
from claif_tui.core.importing.plan import preview
from claif_tui.core.importing.run import import_file
from claif_tui.core.importing.types import ImportOptions, Role
from claif_tui.core.models import NANO, PairQuery
from claif_tui.core.planning import RunOptions, standing
from claif_tui.core.probing import first_probe
from claif_tui.core.recipes import Recipe, requests_id
from claif_tui.core.scratch import run_of
from claif_tui.core.session import (
    NO_CAP,
    Ready,
    Wanted,
    open_desk,
    plan_of,
    prepare,
    require_run,
    save_recipe,
)
from claif_tui.core.settings import Settings
from claif_tui.core.snapshot import SnapshotWish, create
from claif_tui.core.store.store import Store


class Asking(Protocol):
    """A run of requests: ``run_of`` makes it."""

    def stop(self, state: EndState = "stopped", message: str = "") -> None:
        """End once what is in flight has landed."""

    def events(self) -> AsyncIterator[Event]:
        """Run and tell."""


Drive = Callable[[Callable[[], Asking], str], Finished]
"""Runs a generation to its end, however the caller shows it and handles signals."""
Opener = Callable[[DataSet], Store]
"""Opens the project of a data set."""


class Budget(Protocol):
    """The one budget over all data sets."""

    def left_nano(self) -> int | None:
        """What is left of it, in nano-dollars; None: there is none."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """What a data set would ask."""

    ready: Ready
    plan: Plan


def open_project(journal: Journal, data: DataSet, author: str | None) -> Store:
    """Open the data set's project with its sources in it, made and imported if need be."""
    return filled(journal.project(data), journal.folder / SOURCES, data, author)


def filled(folder: Path, excerpts: Path, data: DataSet, author: str | None) -> Store:
    """Open the project in ``folder``, made if need be, and import what the data set reads and is not in it."""
    if not (folder / "claif.db").exists():
        Store.create(folder, author=author).close()
    store = Store.open(folder, author=author)
    try:
        seeds = data.seeds
        both = seeds is not None and data.triplets is not None
        if seeds is not None and seeds.limit is not None and both and not _has(store, "seeds"):
            # The limit of a run is of seeds and triplets alike, and here they have one each.
            seeds = _first_sentences(seeds, excerpts, seeds.limit)
        _imported(store, seeds, "seeds", excerpts)
        _imported(store, data.triplets, "triplets", excerpts)
    except BaseException:
        store.close()
        raise
    return store


def estimated(store: Store, settings: Settings, data: DataSet, budget_usd: float | None) -> Estimated | None:
    """Return what the data set would ask and cost, answers that are there already included; None if it asks nothing.

    Raises ``ClaifError`` where it could only fail: nothing to work on, a model that cannot do what the recipe says.
    """
    if data.recipe is None:
        return None
    ready = prepare(store, settings, _wanted(data, budget_usd), data.recipe)
    require_run(store, ready.recipe, ready.profile)
    return Estimated(ready, plan_of(store, ready, _limit(data)))


def make(
    journal: Journal, data: DataSet, settings: Settings, budget: Budget, drive: Drive, author: str | None
) -> DataFacts:
    """Bring a data set to its frozen rows and return what became of it; blocks as long as its requests take.

    Raises ``ClaifError`` in words where it cannot be finished (budget, endpoint, no row left); the same call goes on.
    """
    known = journal.facts(data)
    if known is not None:
        return known
    if data.labels is not None:
        facts = _labelled(journal, data.id, data.labels)
        journal.keep_facts(data, facts)
        return facts
    with open_project(journal, data, author) as store:
        if data.makes == "sentences":
            facts = _sentences(journal, data, store)
        else:
            finished = None
            if data.recipe is not None:
                finished = _asked(store, data, data.recipe, settings, budget, drive)
            facts = _frozen(journal, data, store, finished)
    journal.keep_facts(data, facts)
    return facts


def spent_nano(journal: Journal, *, held: bool) -> int:
    """Return what all projects of the experiment have spent, with ``held`` also what open requests may still cost."""
    total = 0
    for folder in journal.projects():
        with Store.open(folder) as store:
            total += store.ledger.spent() + (store.ledger.reserved() if held else 0)
    return total


# Sources


def _has(store: Store, role: Role) -> bool:
    return any(one.role == role for one in store.sources.list())


def _imported(store: Store, source: Source | None, role: Role, excerpts: Path) -> None:
    if source is None or _has(store, role):
        return
    options = ImportOptions(role=role, format=source.format, columns=source.columns)
    path = source.path
    if role != "seeds" and source.limit is not None:
        path = _excerpt(source, options, source.limit, excerpts)
    import_file(store, path, options)


def _excerpt(source: Source, options: ImportOptions, limit: int, folder: Path) -> Path:
    """Write the first ``limit`` rows of a file beside the data, and return where."""
    path = folder / f"{source.path.stem}-first-{limit}{source.path.suffix}"
    seen = preview(source.path, options, first=1)
    if seen.format == "parquet":
        raise InputError(f"{source.path}: limit is for text files, not for parquet", "Cut it before.")
    head = seen.rows[0][0] - 1 if seen.rows else 0
    folder.mkdir(parents=True, exist_ok=True)
    encoding = seen.encoding or "utf-8"
    errors = "surrogatepass" if encoding.startswith("utf") else "strict"
    # One encoder for all lines: a byte order mark stands at the head of a file alone.
    encode = codecs.getincrementalencoder(encoding)(errors).encode
    with source.path.open(encoding=encoding, errors=errors, newline="") as rows, replacing(path) as file:
        for line in _first(rows, head, limit, quoted=seen.format in ("csv", "nli")):
            file.write(encode(line))
    return path


def _first(lines: Iterable[str], head: int, limit: int, *, quoted: bool) -> Iterable[str]:
    """Yield the ``head`` lines before the rows, then the lines of the first ``limit`` rows that are not blank."""
    taken: list[str] = []

    def keep() -> Iterable[str]:
        for line in lines:
            taken.append(line)
            yield line

    source = iter(keep())
    for _ in range(head):
        next(source, None)
    yield from taken
    taken.clear()
    rows: Iterable[object] = csv.reader(source) if quoted else source
    count = 0
    try:
        for _ in rows:
            blank = not "".join(taken).strip()
            yield from taken
            taken.clear()
            count += not blank
            if count == limit:
                return
    except csv.Error as error:
        raise InputError(
            f"row {count + 1:,} of a CSV file cannot be read: {error}", "Look for an open quote."
        ) from None


def _first_sentences(source: Source, folder: Path, limit: int) -> Source:
    """Write the first ``limit`` sentences of a file, one a line, and return where."""
    path = folder / f"{source.path.stem}-sentences-{limit}.txt"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="claif-tui-") as place, Store.create(Path(place) / "all") as store:
        _imported(store, source, "seeds", folder)
        with replacing(path) as file:
            for seed in store.seeds.iter(limit=limit):
                file.write(" ".join(seed.text.split()).encode("utf-8", "replace") + b"\n")
    return Source(path=path, format="text")


def _labelled(journal: Journal, name: str, source: Source) -> DataFacts:
    """Take a file of labelled pairs as it is, or its first rows: the training itself knows how to read it."""
    path = source.path
    if path.is_dir():
        if source.limit is not None:
            raise InputError(f"{path}: limit is for a file, and this is a folder", "Take it out.")
        rows = sum(file.read_bytes().count(b"\n") for file in path.glob("labels.train"))
        return DataFacts(path=str(path), rows=rows)
    plain = path.suffix.lower() not in (".csv", ".tsv")
    out = journal.folder / SOURCES / f"{path.stem}-{name}{path.suffix}"
    out.parent.mkdir(parents=True, exist_ok=True)
    rows, head = 0, 0 if plain else 1
    with path.open(encoding="utf-8-sig", newline="") as lines, replacing(out) as file:
        for line in _first(lines, head, source.limit or 1 << 60, quoted=path.suffix.lower() == ".csv"):
            file.write(line.encode())
            rows += bool(line.strip())
    return DataFacts(path=journal.relative(out), rows=rows - head)


def _limit(data: DataSet) -> int | None:
    return None if data.seeds is None or data.triplets is not None else data.seeds.limit


def _sentences(journal: Journal, data: DataSet, store: Store) -> DataFacts:
    """Write the seeds as one sentence a line, which training without labels and whitening read."""
    path, count = journal.sentences(data), 0
    with replacing(path) as file:
        for seed in store.seeds.iter(limit=_limit(data)):
            file.write(" ".join(seed.text.split()).encode("utf-8", "replace") + b"\n")
            count += 1
    if not count:
        raise InputError(f"{data.seeds.path if data.seeds else ''} holds no training sentence")
    return DataFacts(path=journal.relative(path), rows=count)


# Requests


def _wanted(data: DataSet, budget_usd: float | None) -> Wanted:
    return Wanted(endpoint=data.model.endpoint, budget=NO_CAP if budget_usd is None else budget_usd)


def _asked(
    store: Store, data: DataSet, recipe: Recipe, settings: Settings, budget: Budget, drive: Drive
) -> Finished:
    """Ask what is open of one recipe; raises where the run could not come to its end."""
    scope = requests_id(recipe)
    ledger = store.ledger.get(scope)
    left = budget.left_nano()
    # What this recipe has spent counts against its own cap as well as against what is left for all.
    cap = None if left is None else max(0, left) + ledger.spent_nano + ledger.reserved_nano
    ready = prepare(store, settings, _wanted(data, None if cap is None else cap / NANO), recipe)
    ready = replace(ready, cap_nano=cap)
    save_recipe(store.folder, ready.recipe)
    if ready.costs and left is not None and left <= 0:
        raise BudgetError("the experiment's budget is spent", "Raise budget_usd and run it again.")
    report = asyncio.run(first_probe(store, ready))
    if report is not None and report.refused:
        without = " ".join(f"--without {name}" for name in report.refused)
        raise EndpointError(
            f"{ready.recipe.model} refuses {', '.join(report.refused)}",
            f"Agree to leave that out: claif-tui generate -P {store.folder} {without} --dry-run",
        )
    failed_before = standing(store, ready.recipe, limit=_limit(data)).failed
    finished = _driven(store, ready, RunOptions(limit=_limit(data)), data, drive)
    if failed_before:
        finished = _driven(store, ready, RunOptions(kind="retry", limit=_limit(data)), data, drive)
    return finished


def _driven(store: Store, ready: Ready, options: RunOptions, data: DataSet, drive: Drive) -> Finished:
    opened = partial(open_desk, store, ready, streaming=False)
    finished = drive(lambda: run_of(store, ready.recipe, options, opened), data.title)
    if finished.state == "budget":
        progress = finished.progress
        raise BudgetError(
            f"{data.title}: what is left of the experiment's budget is not enough ({progress.answered:,} of "
            f"{progress.planned:,} answered)",
            "Raise budget_usd and run it again: it goes on from there.",
        )
    if finished.state != "finished":
        raise EndpointError(f"{data.title}: {finished.message}", "Run it again: it goes on from there.")
    return finished


def _frozen(journal: Journal, data: DataSet, store: Store, finished: Finished | None) -> DataFacts:
    """Freeze what there is and say what became of it."""
    made = create(store, data.recipe or Recipe(), SnapshotWish(statuses=("pending", "accepted")))
    planned = answered = unfit = 0
    failed: dict[str, int] = {}
    if finished is not None:
        planned, answered = finished.progress.planned, finished.progress.answered
        failed = dict(finished.progress.failed)
        unfit = store.pairs.count(PairQuery(filter="class != ok"))
    drops = {str(rule): count for rule, count in made.funnel.drops.items()}
    return DataFacts(
        path=journal.relative(made.snapshot.path),
        rows=made.snapshot.rows,
        planned=planned,
        answered=answered,
        valid=max(0, answered - unfit),
        failed=failed,
        pairs=made.funnel.pairs,
        duplicates=drops.get("duplicate", 0),
        funnel=made.funnel.to_dict(),
        seconds=_seconds(store),
        spent_nano=store.ledger.spent(),
    )


def _seconds(store: Store) -> float:
    """How long requests were at work in a project, over all runs; of a killed one up to its last sign of life."""
    total = 0.0
    for run in store.runs.list(limit=10_000):
        begun, ended = (datetime.fromisoformat(at) for at in (run.started, run.ended or run.heartbeat))
        total += max(0.0, (ended - begun).total_seconds())
    return total
