"""An experiment's folder: who runs it, what is finished, what it is at. Every file is written whole; nothing runs here.

lock              held by the process that runs it      now.json         what that process is at
data/PROJECT/     a project for what is asked           data/ID.json     what became of a data set
runs/NAME/        trainings, by the engine              results/ID.json  what became of a cell
evaluations/      figures, as in a project              table.*          the outcome
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from claif_tui.core.atomic import replacing
from claif_tui.core.errors import BusyError, ClaifError
from claif_tui.core.experiment.models import Cell, DataFacts, DataSet, Now, Result
from claif_tui.core.store.process import is_alive, own_mark, this_host

LOCK, NOW = "lock", "now.json"
DATA, RUNS, RESULTS, SOURCES = "data", "runs", "results", "sources"
VERSION = 1


class Journal:
    """The folder of one experiment. Reading needs no lock; writing is for whoever holds it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # -- places

    def project(self, data: DataSet) -> Path:
        """The project in which a data set is made."""
        return self.folder / DATA / data.project_id

    def projects(self) -> list[Path]:
        """Every project that was ever made here, also those of other settings: their money is spent."""
        return sorted(path.parent for path in (self.folder / DATA).glob("*/claif.db"))

    def sentences(self, data: DataSet) -> Path:
        """The file of plain sentences that a data set without questions is."""
        return self.folder / DATA / f"sentences-{data.id}.txt"

    def run(self, cell: Cell) -> Path:
        """The run directory of a cell's training, under whatever name its row had when it began."""
        for known in (self.folder / RUNS).glob(f"*-{cell.run_id}"):
            return known
        seed = "" if cell.seed is None else f"-{cell.seed}"
        plain = re.sub(r"[^A-Za-z0-9]+", "-", f"{cell.row}-{Path(cell.backbone).name}").strip("-")[:60]
        return self.folder / RUNS / f"{plain}{seed}-{cell.run_id}"

    # -- the one process

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the experiment; ``BusyError`` names the process that holds it already."""
        path = self.folder / LOCK
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                who = os.read(handle, 200).decode("utf-8", "replace").strip() or "another process"
                raise BusyError(
                    f"{self.folder.name} is being run by {who}",
                    "Wait for it, or stop it there (ctrl-c, or --stop).",
                ) from None
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {this_host()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)

    # -- what is known

    def facts(self, data: DataSet) -> DataFacts | None:
        """What became of a data set; None while it is not made, or where its files are gone."""
        found = self._read(self.folder / DATA / f"{data.id}.json")
        with suppress(TypeError):
            facts = DataFacts(**{name: value for name, value in (found or {}).items() if name != "v"})
            return facts if Path(self._from(facts.path)).exists() else None
        return None

    def path_of(self, facts: DataFacts) -> Path:
        """What training reads."""
        return Path(self._from(facts.path))

    def result(self, cell: Cell) -> Result | None:
        """What became of a cell; None while it has not ended."""
        found = self._read(self.folder / RESULTS / f"{cell.id}.json")
        with suppress(TypeError, KeyError):
            return Result(**(found or {})["result"])
        return None

    def others(self, cells: tuple[Cell, ...]) -> int:
        """How many results are kept of settings that are not the file's."""
        mine = {cell.id for cell in cells}
        return sum(path.stem not in mine for path in (self.folder / RESULTS).glob("*.json"))

    def now(self) -> tuple[Now | None, bool]:
        """What the experiment's process last said, and whether it still lives, as far as that is known from here."""
        found = self._read(self.folder / NOW)
        try:
            values = {name: value for name, value in (found or {}).items() if name != "v"}
            now = Now(**{**values, "cells": tuple(values["cells"])})
        except (TypeError, KeyError):
            return None, False
        if now.ended:
            return now, False
        if now.host == this_host():
            return now, is_alive(now.pid, now.mark)
        return now, time.time() - now.at < 120

    # -- what is written

    def keep_facts(self, data: DataSet, facts: DataFacts) -> None:
        """Keep what became of a data set: from then on it is finished."""
        self._write(self.folder / DATA / f"{data.id}.json", asdict(facts))

    def keep_result(self, cell: Cell, result: Result) -> None:
        """Keep what became of a cell."""
        about = {
            "row": cell.row,
            "system": cell.system,
            "backbone": cell.backbone,
            "seed": cell.seed,
            "run": self.run(cell).name if cell.run_id else None,
            "data": None if cell.data is None else cell.data.id,
            "demo": cell.demo,
        }
        self._write(self.folder / RESULTS / f"{cell.id}.json", {"cell": about, "result": asdict(result)})

    def tell(self, **values: Any) -> None:
        """Say what this process is at."""
        now = {"pid": os.getpid(), "mark": own_mark(), "host": this_host(), "at": time.time(), **values}
        self._write(self.folder / NOW, now)

    def write_text(self, name: str, text: str) -> Path:
        """Write one of the outcome's files."""
        path = self.folder / name
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(text.encode("utf-8", "backslashreplace"))
        return path

    def relative(self, path: Path) -> str:
        """A path below the folder as it is kept, so that the folder may be moved."""
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(path)

    def _from(self, word: str) -> Path:
        return self.folder / word

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None  # not there, or not ours: it is made again
        return found if isinstance(found, dict) and found.get("v") == VERSION else None

    def _write(self, path: Path, values: Mapping[str, Any]) -> None:
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                text = json.dumps({"v": VERSION, **values}, ensure_ascii=False, indent=2, allow_nan=False)
                file.write(text.encode("utf-8", "backslashreplace") + b"\n")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            told = ClaifError(
                f"{error.filename or self.folder} cannot be written: {error.strerror or error}",
                "Check free space and permissions; the same command goes on.",
            )
            told.exit_code, told.title = 1, "Experiment"
            raise told from error
