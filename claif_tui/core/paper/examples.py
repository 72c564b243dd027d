"""The rows that tables 9 and 10 show, drawn without anybody's choosing: generated sentences, and explained scores."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claif_tui.core.models import Pair
from claif_tui.core.store import accounts

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

ORIGINALS = 3
EXPLAINED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The pairs of a few originals, one at each mask rate, all by ``model``; drawn from ``originals`` with ``seed``."""

    model: str
    seed: int
    originals: int
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A pair with its score (0..1, unsmoothed) and its explanation; ``said`` is what each question was answered."""

    text_a: str
    text_b: str
    score: float | None
    explanation: str
    model: str | None
    said: tuple[tuple[str, tuple[float, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Explained scores: the first of a study's sample, or, where ``study`` is empty, of the project's pairs."""

    study: str
    questions: tuple[tuple[str, str], ...]
    examples: tuple[Example, ...]


def generated_examples(store: Store, seed: int) -> Generated | None:
    """Draw originals with a scored pair at each mask rate, whatever reviewers thought of them."""
    found = accounts.complete_seeds(store)
    if found is None:
        return None
    drawn = sorted(found.seeds, key=lambda one: hashlib.sha256(f"{seed}|{one[1]}".encode()).digest())
    pairs: list[Pair] = []
    for seed_id, _ in drawn[:ORIGINALS]:
        by_rate: dict[float, Pair] = {}
        for pair in store.pairs.of_seed(seed_id):
            usable = pair.score is not None and not pair.stale and pair.model == found.model
            if usable and pair.rate is not None:
                by_rate.setdefault(pair.rate, pair)
        pairs += [by_rate[rate] for rate in sorted(by_rate)]
    return Generated(model=found.model, seed=seed, originals=len(found.seeds), pairs=tuple(pairs))


def explained_examples(store: Store, study: str | None) -> Explained | None:
    """Return the first explained items of a study's sample, else pairs whose score came with a reason."""
    found = None if study is None else _of_study(store, study)
    if found is not None:
        return found
    pairs = store.pairs.many(accounts.explained_pairs(store, EXPLAINED))
    examples = tuple(
        Example(text_a=p.text_a, text_b=p.text_b, score=p.score, explanation=p.reason or "", model=p.model)
        for p in pairs
    )
    return Explained(study="", questions=(), examples=examples) if examples else None


def _of_study(store: Store, study: str) -> Explained | None:
    data = store.studies.data(study)
    said: dict[tuple[int, str], list[float]] = defaultdict(list)
    for answer in data.answers:
        if answer.occurrence == 0:
            said[answer.item, answer.criterion].append(answer.value)
    criteria = data.study.protocol.criteria
    examples = tuple(
        Example(
            text_a=item.text_a,
            text_b=item.text_b,
            score=item.score,
            explanation=item.explanation or "",
            model=item.model,
            said=tuple((one.name, tuple(sorted(said[item.n, one.name]))) for one in criteria),
        )
        for item in data.items
        if item.role == "sample" and (item.explanation or "").strip()
    )
    if not examples:
        return None
    return Explained(
        study=study,
        questions=tuple((one.name, one.scale) for one in criteria),
        examples=examples[:EXPLAINED],
    )
