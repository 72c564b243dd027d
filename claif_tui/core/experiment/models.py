"""What an experiment is made of, as plain data: the file's content, the grid's cells, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from claif_tui.core.importing.types import Format
from claif_tui.core.llm.profiles import Wish
from claif_tui.core.recipes import Recipe
from engine.config import TrainConfig

CellState = Literal["waiting", "generating", "training", "evaluating", "done", "failed"]
DEMO = "demo"
"""What a row says whose data a stand-in made; it stays out of comparisons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of sentences or triplets. ``limit``: only the first so many sentences, or rows of triplets."""

    path: Path
    format: Format | None = None
    columns: tuple[str, ...] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWish:
    """Who generates and scores. ``stand_in``: a toy is asked, whatever its name; its rows say demo."""

    endpoint: Wish
    stand_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemRow:
    """One ``[[system]]``, or one variant of it: what differs from the method of that name.

    ``preset`` and ``train_preset`` are "" where the method's are meant; ``recipe`` and ``train`` hold settings by name.
    ``place`` is how errors name it.
    """

    name: str
    system: str
    preset: str
    train_preset: str
    recipe: Mapping[str, object]
    train: Mapping[str, object]
    evaluate: Mapping[str, object] | None
    model: ModelWish
    place: str
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A file as it was read. ``budget_usd`` None: not given; ``data`` is the folder of the evaluation sets."""

    path: Path
    name: str
    data: Path
    tasks: str
    budget_usd: float | None
    backbones: tuple[str, ...]
    seeds: tuple[int, ...]
    seeds_from: Source | None
    triplets_from: Source | None
    labels_from: Source | None
    recipe: Mapping[str, object]
    train: Mapping[str, object]
    systems: tuple[SystemRow, ...]

    @property
    def folder(self) -> Path:
        """Where everything that the experiment makes is kept."""
        return self.path.parent / self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Training data that several cells may share. ``project_id`` stands for what is asked of whom about what,
    ``id`` also for what post-processing makes of it. Without a ``recipe`` no model is asked.
    """

    id: str
    project_id: str
    makes: str
    recipe: Recipe | None
    model: ModelWish
    seeds: Source | None
    triplets: Source | None
    labels: Source | None
    title: str
    demo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One system on one backbone with one seed (None: nothing about it is random).

    ``id`` stands for everything that its figures depend on but the evaluation data, ``run_id`` for the training alone.
    """

    id: str
    run_id: str
    row: str
    system: str
    backbone: str
    seed: int | None
    data: DataSet | None
    config: TrainConfig | None
    evaluate: Mapping[str, object]
    paper: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its name for people: ``claif, minilm:3, seed 42``."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.row}, {self.backbone}{seed}"

    @property
    def demo(self) -> bool:
        """Whether a stand-in made its data."""
        return self.data is not None and self.data.demo


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The file's cells, those without training first, then in the order of the file."""

    spec: Spec
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()

    @property
    def datasets(self) -> tuple[DataSet, ...]:
        """Each data set once, in the order in which cells need them."""
        found = {cell.data.id: cell.data for cell in self.cells if cell.data is not None}
        return tuple(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What became of a data set. ``path`` is what training reads; counts are of planned items; money in nano-dollars.

    ``valid``: items with an answer that is good for training; ``duplicates`` of ``pairs`` the funnel merged.
    """

    path: str
    rows: int
    planned: int = 0
    answered: int = 0
    valid: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    pairs: int = 0
    duplicates: int = 0
    funnel: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    spent_nano: int = 0
    complete: bool = True

    @property
    def valid_share(self) -> float | None:
        """Valid answers of the planned ones, 0..1; None where nothing was asked."""
        return self.valid / self.planned if self.planned else None

    @property
    def duplicate_rate(self) -> float | None:
        """Share of the pairs that repeated another one, 0..1; None of none."""
        return self.duplicates / self.pairs if self.pairs else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is kept of a cell that ended. ``evaluation`` is the document of its figures, None where it failed."""

    state: Literal["done", "failed"]
    reason: str = ""
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    best_dev: float | None = None
    evaluation: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellStatus:
    """How a cell stands. ``done`` of ``total`` is the progress of what is at work in it; ``words`` say what."""

    cell: Cell
    state: CellState
    result: Result | None = None
    done: int = 0
    total: int = 0
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What the process that runs the experiment is at, as it last said; ``cells`` are the ids that it works for.

    ``eta_seconds`` None: not known yet. ``ended`` is "" while it is at work, else how it ended, in words.
    """

    pid: int
    mark: str
    host: str
    stage: CellState
    cells: tuple[str, ...]
    done: int
    total: int
    words: str
    eta_seconds: float | None
    spent_nano: int
    ended: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A whole experiment as its files tell it. ``running`` only while its process lives; money in nano-dollars."""

    grid: Grid
    cells: tuple[CellStatus, ...]
    facts: Mapping[str, DataFacts]
    now: Now | None
    running: bool
    spent_nano: int
    others: int
    """Results that are kept of other settings than the file's."""
