"""What a report on a study says, as plain data: no sentence layout, no computing.

``Estimate`` values are in the unit of the figure: shares 0..1, means on the criterion's scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from claif_tui.core.rating.agreement import Agreement
from claif_tui.core.rating.intervals import Estimate
from claif_tui.core.rating.models import Comment, Criterion, StudyEvent

Unit = Literal["share", "mean", "coefficient"]
Group = Literal["overall", "rater", "score", "rate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure over ``ratings`` ratings of ``items`` items."""

    label: str
    unit: Unit
    estimate: Estimate
    ratings: int
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures of one group of ratings: of all, of one rater, of one bin of scores, of one mask rate."""

    group: Group
    name: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """How often a rater (all raters where ``rater`` is empty) gave an item shown twice the same answer.

    ``apart`` is the mean difference of the two answers on the scale.
    """

    rater: str
    same: Figure
    apart: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """How many of the gold items answered a rater passed; ``excluded`` by the frozen rule, ``words`` say why or not."""

    rater: str
    passed: int
    answered: int
    planned: int
    excluded: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a rater got: items with all answers of those planned, practice apart. ``seconds``: the median an item."""

    rater: str
    planned: int
    done: int
    partly: int
    words: str
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """The mean of the first condition less the second's. ``p`` is two-sided; ``more`` says what would separate them."""

    first: str
    second: str
    first_items: int
    second_items: int
    difference: Estimate
    p: float | None
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """An item to look at: who said what. ``apart`` is on the criterion's scale. Texts are untrusted."""

    item: int
    pair_id: int | None
    text_a: str
    text_b: str
    score: float | None
    values: tuple[tuple[str, float], ...]
    apart: float
    comments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionReport:
    """All about one question. ``planned`` and ``given`` count ratings of sample items, repeats apart.

    ``human_ai`` (Spearman) and ``bias`` (human less AI) exist for readings of the similarity only.
    """

    criterion: Criterion
    planned: int
    given: int
    rows: tuple[Row, ...]
    agreement: tuple[Agreement, ...]
    repeats: tuple[Repeats, ...]
    human_ai: Figure | None
    bias: Figure | None
    contrasts: tuple[Contrast, ...]
    no_contrasts: str
    split: tuple[Look, ...]
    against_ai: tuple[Look, ...]

    @property
    def overall(self) -> Row:
        """The figures over all ratings."""
        return self.rows[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report on one study. Where raters are excluded, ``everyone`` holds the figures with them."""

    study: str
    hash: str
    created: str
    author: str
    preset: str
    protocol: tuple[str, ...]
    progress: tuple[Progress, ...]
    gold: tuple[Gold, ...]
    excluded: tuple[str, ...]
    criteria: tuple[CriterionReport, ...]
    everyone: tuple[CriterionReport, ...]
    sources: tuple[tuple[str, int], ...]
    seconds: float | None
    events: tuple[StudyEvent, ...]
    changed: tuple[tuple[int, str], ...]
    comments: tuple[Comment, ...]
    limits: tuple[str, ...]

    @property
    def deviations(self) -> tuple[StudyEvent, ...]:
        """What departed from the frozen plan."""
        return tuple(event for event in self.events if event.deviation)
