"""Plain data of human evaluation that travels between the layers: studies, items, raters, answers. No I/O.

Two kinds of item on purpose: ``Shown`` is all that a rater may ever see; ``Item`` also holds what would unblind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ScaleKind = Literal["yesno", "ordinal", "tenths"]
"""yesno: 1 yes, 0 no. ordinal: whole numbers 1..5. tenths: 0.0, 0.1, …, 1.0 (the reading of a similarity)."""
Role = Literal["sample", "practice", "gold"]
"""What an item is for. A repeat is no role: it is the second occurrence of a sample item for one rater."""
AnswerSource = Literal["app", "command", "sheet", "packet", "browser"]

SCALES: dict[ScaleKind, tuple[float, ...]] = {
    "yesno": (0.0, 1.0),
    "ordinal": (1.0, 2.0, 3.0, 4.0, 5.0),
    "tenths": tuple(n / 10 for n in range(11)),
}
"""The values that an answer may have, ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One question of a study. ``blind``: it asks for the rater's own score, so the AI's must not be seen."""

    name: str
    question: str
    guideline: str
    scale: ScaleKind
    blind: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """The frozen rule by which a rater's answers leave the main figures.

    A rater who passes fewer than ``min_gold`` (0..1) of the gold items answered is excluded; None: no rule.
    """

    min_gold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Everything decided before the first rating, but the sample itself. Frozen with the study and hashed.

    ``population`` is a filter of Review (zero pairs are never in it unless ``with_zero``; rejected ones unless
    ``with_rejected``). ``sample`` is the number of items, ``per_item`` how many raters judge each, ``raters`` the
    planned names. ``stratify`` holds "score" and/or "rate". ``practice``, ``gold`` and ``repeats`` count items a
    rater. ``order``: "plan" (the drawn order) or "shuffled" (seeded by rater and item).
    ``shows_score`` / ``shows_explanation``: whether raters see the AI's score and its explanation.
    """

    name: str
    preset: str
    seed: int
    population: str
    with_zero: bool
    with_rejected: bool
    sample: int
    stratify: tuple[Literal["score", "rate"], ...]
    criteria: tuple[Criterion, ...]
    raters: tuple[str, ...]
    per_item: int
    practice: int
    gold: int
    repeats: int
    order: Literal["plan", "shuffled"]
    shows_score: bool
    shows_explanation: bool
    exclusion: Exclusion = Exclusion()


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldRange:
    """What answers to one criterion pass on a gold item: ``low <= value <= high``."""

    criterion: str
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a study as frozen: the texts as they were, and what a rater must not see.

    ``n`` counts from 1 within the study. ``pair_id`` is None for made gold items. ``score`` is the AI's, 0..1,
    unsmoothed; ``rate`` the mask rate. ``condition`` names what made the pair (system · model · recipe).
    ``gold`` is empty unless ``role`` is "gold".
    """

    n: int
    role: Role
    pair_id: int | None
    text_a: str
    text_b: str
    score: float | None
    explanation: str | None
    rate: float | None
    system: str | None
    model: str | None
    recipe_id: str | None
    status: str | None
    gold: tuple[GoldRange, ...] = ()

    @property
    def condition(self) -> str:
        """What made the pair, in words: system · model · recipe."""
        return " · ".join(part for part in (self.system, self.model, (self.recipe_id or "")[:8]) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One item for one rater. ``position`` counts from 1 in that rater's order, practice first.

    ``occurrence`` is 0, or 1 where the item is shown to the same rater again. ``token`` is the opaque id by which
    sheets, packets and browsers name it: it says nothing of the item.
    """

    token: str
    rater: str
    position: int
    item: int
    occurrence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A frozen study. ``hash`` is the SHA-256 (hex) over protocol, items and assignments; ``created`` ISO in UTC."""

    id: int
    hash: str
    created: str
    author: str
    protocol: Protocol

    @property
    def name(self) -> str:
        """The name of the study, unique within the project."""
        return self.protocol.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer that counts now: the latest of its assignment and criterion. ``elapsed`` in seconds, None unknown."""

    rater: str
    item: int
    occurrence: int
    criterion: str
    value: float
    elapsed: float | None
    at: str
    source: AnswerSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """What a rater wrote about an item. Untrusted text."""

    rater: str
    item: int
    occurrence: int
    text: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEvent:
    """Something that happened to a study after it was frozen. ``deviation``: it departs from the frozen plan."""

    at: str
    author: str
    kind: str
    detail: str
    deviation: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyData:
    """All of one study, for reports: never handed to a rater.

    ``changed`` names items whose pair is not what it was when the study was frozen: item number to words.
    """

    study: Study
    items: tuple[Item, ...]
    assignments: tuple[Assignment, ...]
    answers: tuple[Answer, ...]
    comments: tuple[Comment, ...]
    events: tuple[StudyEvent, ...]
    changed: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that a rater may see of one assignment. What the study hides is None here, by the query itself.

    ``mine`` and ``comment`` are the rater's own words on this assignment so far.
    """

    token: str
    position: int
    practice: bool
    text_a: str
    text_b: str
    score: float | None
    explanation: str | None
    mine: dict[str, float]
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a rater may know of a study: its name, questions, and how far he or she is (of ``total``)."""

    study: str
    rater: str
    criteria: tuple[Criterion, ...]
    done: int
    total: int
    practice: int
