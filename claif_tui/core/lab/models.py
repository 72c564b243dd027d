"""The lab as plain data: what was asked for, its cells and rows, what came of each question. No behaviour, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from claif_tui.core.answers import CleanAnswer
from claif_tui.core.models import Seed
from claif_tui.core.recipes import Recipe
from claif_tui.core.scores import ParsedScore
from claif_tui.core.session import Ready
from claif_tui.core.systems.base import PlanItem
from engine.stats import Interval

T_co = TypeVar("T_co", covariant=True)

LabKind = Literal["score", "generate"]
Criterion = Literal["spearman", "yield", "novelty", "cost"]
Number = Literal["first", "last"]

CRITERIA: dict[LabKind, tuple[Criterion, ...]] = {
    "score": ("spearman",),
    "generate": ("yield", "novelty", "cost"),
}
"""By which figure cells of a kind can be compared; the first is the default."""
RECIPE_PROMPT = "recipe"
"""The name of the project's own prompts in a generation lab."""
HEAPS = (0.0, 0.5, 1.0)
BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomPrompt:
    """A prompt of the user's. ``text`` is a scoring prompt, ``number`` says which number of its answer counts.

    ``fill``, ``paraphrase`` and ``system`` are generation prompts; None takes the recipe's.
    """

    name: str
    text: str | None = None
    number: Number = "first"
    fill: str | None = None
    paraphrase: str | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """What a lab file asks for. Empty ``models``, ``temperatures`` and ``rates`` mean the recipe's own.

    ``rows`` are gold pairs or seeds, drawn by ``seed``. ``rates`` holds one set of mask rates for each cell.
    ``budget`` is in dollars, ``session.NO_CAP`` takes the cap away, None leaves it to the settings.
    """

    kind: LabKind
    rows: int = 200
    seed: int = 42
    filter: str = ""
    prompts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    temperatures: tuple[float, ...] = ()
    rates: tuple[tuple[float, ...], ...] = ()
    budget: float | None = None
    criterion: Criterion = "spearman"
    custom: tuple[CustomPrompt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One way of asking. ``changes`` are the recipe fields (by dotted name) that make it what it is."""

    name: str
    recipe: Recipe
    changes: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """The cells that ask one model; they share a way to it."""

    ready: Ready
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldRow:
    """A pair with a human label in 0..1."""

    pair_id: int
    text_a: str
    text_b: str
    gold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A lab ready to run. ``id`` is its account in the ledger: a hash of all that decides what it asks.

    A scoring lab has ``gold`` and no ``seeds``, a generation lab the reverse. ``available``: rows there are in all.
    """

    id: str
    spec: LabSpec
    stations: tuple[Station, ...]
    gold: tuple[GoldRow, ...] = ()
    seeds: tuple[Seed, ...] = ()
    available: int = 0
    cap_nano: int | None = None

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell, in the order of the file."""
        return tuple(cell for station in self.stations for cell in station.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[T_co]):
    """What the store knows of one question. Without a ``value``, ``reason`` says why ("" while it was never asked).

    ``open``: another run would ask it (again). ``keys`` are its calls, ``unusable`` its answers that did not read.
    """

    value: T_co | None = None
    reason: str = ""
    open: bool = True
    keys: tuple[str, ...] = ()
    unusable: int = 0
    cost_nano: int = 0
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came of one planned pair: the generated sentence and, where one is due, its score."""

    seed: Seed
    plan: PlanItem
    masked: str
    occurrence: int
    answer: Asked[CleanAnswer]
    score: Asked[ParsedScore] | None = None

    @property
    def rate(self) -> float | None:
        """The mask rate, 0..1, of systems that mask."""
        return self.plan.rate

    @property
    def open(self) -> bool:
        """Whether another run would ask something."""
        return self.answer.open or (self.score is not None and self.score.open)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Rows whose AI score lies in ``low``..``high`` (the last bin holds 1.0): their means, None without rows."""

    low: float
    high: float
    rows: int
    score: float | None
    gold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a cell's scores lie in 0..1: counts in ``BINS`` equal parts, the mean, and how many are 0.0, 0.5 or 1.0."""

    scored: int
    counts: tuple[int, ...]
    mean: float | None
    heaps: tuple[int, ...]

    @property
    def heaped(self) -> float | None:
        """The share (0..1) of scores that are exactly 0.0, 0.5 or 1.0."""
        return sum(self.heaps) / self.scored if self.scored else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFigures:
    """A scoring cell. ``error`` is the expected calibration error, ``bias`` the mean score less the mean label.

    ``reasked``: rows whose first answer gave no readable score, though a later one may have.
    """

    spearman: Interval | None
    why_not: str
    bins: tuple[Bin, ...]
    error: float | None
    bias: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeFigures:
    """A generation cell; shares in 0..1. ``drops``: pairs that a rule of the funnel takes out; ``kept`` the rest.

    ``novelty``: tokens of the kept sentences that their seed lacks; ``unseen``: kept sentences that are no seed;
    ``edit``: word-level edit distance by the longer sentence. ``distinct``: distinct-1 and -2 over the first
    ``distinct_of`` kept sentences (the same number in every cell); ``near``: share with a near duplicate among them.
    ``decided``, ``accepted``: the cell's pairs that stand in the project and people decided on.
    """

    generated: int
    drops: dict[str, int]
    kept: int
    yielded: Interval | None
    novelty: float | None
    unseen: float | None
    edit: float | None
    distinct: tuple[float | None, float | None]
    distinct_of: int
    near: float | None
    decided: int = 0
    accepted: int = 0
    decided_nano: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """A cell's figures. ``failed`` counts questions without a usable answer by reason; ``open`` those to be asked.

    ``cost_nano`` is what all its answers cost, whenever they were bought; ``priced`` False: not known.
    """

    cell: Cell
    planned: int
    open: int
    failed: dict[str, int]
    reasked: int
    spread: Spread
    cost_nano: int
    priced: bool
    calls: int
    score: ScoreFigures | None = None
    made: MakeFigures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """``first`` less ``second`` by the lab's criterion, over the ``n`` rows that both have. ``p`` is of this pair
    alone, ``adjusted`` by Holm over all pairs of the lab. ``needed``: rows for a difference of this size to be found
    four times in five; None where that cannot be said. Without a difference ``reason`` says why.
    """

    first: str
    second: str
    n: int
    difference: Interval | None = None
    p: float | None = None
    adjusted: float | None = None
    needed: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabResult:
    """A lab's outcome so far. ``leader`` has the best figure; ``supported``: it stands out from every other cell."""

    lab: Lab
    cells: tuple[CellResult, ...]
    contrasts: tuple[Contrast, ...]
    leader: str | None
    supported: bool
    verdict: str
    notes: tuple[str, ...] = field(default=())

    @property
    def open(self) -> int:
        """Questions without an outcome."""
        return sum(cell.open for cell in self.cells)
