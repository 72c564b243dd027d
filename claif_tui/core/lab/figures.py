"""A cell's figures: how well scores agree with people, how generated pairs fare in the funnel. Nothing is compared.

Shares and scores are in 0..1, money in nano-dollars. What is undefined is None.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from claif_tui.core.lab.models import (
    BINS,
    HEAPS,
    Asked,
    Bin,
    Cell,
    CellResult,
    GoldRow,
    Made,
    MakeFigures,
    ScoreFigures,
    Spread,
)
from claif_tui.core.models import Pair, Status
from claif_tui.core.postprocess import options_of, postprocess
from claif_tui.core.recipes import Recipe
from claif_tui.core.scores import ParsedScore
from claif_tui.core.systems.registry import system_of
from claif_tui.core.text import squash
from engine.stats import mean, percentile_interval, resampled_spearman, spearman, wilson

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

RESAMPLES = 2000
SEED = 1111
NEAR = 90.0
"""From this similarity on (rapidfuzz ``ratio``, 0-100, of case-folded words) two sentences are near duplicates."""
NEAR_MOST = 1_500
"""Kept sentences that are compared with one another for near duplicates; the cost grows with the square."""
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def words(text: str) -> list[str]:
    """The words and signs of a sentence, case aside: "Flute." is "flute ." here, as seeds are tokenised."""
    return [word.casefold() for word in _WORD.findall(text)]


def score_result(
    cell: Cell, rows: Sequence[GoldRow], known: Sequence[Asked[ParsedScore]], *, priced: bool
) -> CellResult:
    """Return the figures of a scoring cell; ``known`` has what the store knows of each row."""
    pairs = [
        (one.value.value, row.gold)
        for row, one in zip(rows, known, strict=True)
        if one.value is not None and one.value.value is not None
    ]
    said, gold = [score for score, _ in pairs], [label for _, label in pairs]
    correlation = spearman(gold, said)
    interval = None
    why = correlation.reason
    if correlation.value is not None:
        drawn = resampled_spearman(gold, [said], resamples=RESAMPLES, seed=SEED)[0]
        interval = percentile_interval(correlation.value, drawn.tolist())
        why = "" if interval is not None else "a resample leaves one side constant"
    bins = calibration(pairs)
    filled = [one for one in bins if one.rows]
    error = (
        sum(one.rows * abs((one.score or 0) - (one.gold or 0)) for one in filled) / len(pairs)
        if pairs
        else None
    )
    figures = ScoreFigures(
        spearman=interval,
        why_not=why,
        bins=bins,
        error=error,
        bias=mean([score - label for score, label in pairs]),
    )
    return replace(_result(cell, known, spread(said), priced), score=figures)


def calibration(pairs: Iterable[tuple[float, float]]) -> tuple[Bin, ...]:
    """Sort (score, label) into ``BINS`` equal parts of 0..1 by score."""
    parts: list[list[tuple[float, float]]] = [[] for _ in range(BINS)]
    for score, label in pairs:
        parts[_bin(score)].append((score, label))
    return tuple(
        Bin(
            low=place / BINS,
            high=(place + 1) / BINS,
            rows=len(part),
            score=mean([score for score, _ in part]),
            gold=mean([label for _, label in part]),
        )
        for place, part in enumerate(parts)
    )


def spread(scores: Sequence[float]) -> Spread:
    """How scores lie in 0..1."""
    counts = Counter(map(_bin, scores))
    return Spread(
        scored=len(scores),
        counts=tuple(counts[place] for place in range(BINS)),
        mean=mean(scores),
        heaps=tuple(sum(score == heap for score in scores) for heap in HEAPS),
    )


def _bin(score: float) -> int:
    # 0.3 * 10 is 3.0000000000000004 or not; a thousandth decides nothing else.
    return min(BINS - 1, int(score * BINS + 1e-9))


def _result(cell: Cell, known: Sequence[Asked[object]], scores: Spread, priced: bool) -> CellResult:
    """What all cells have: counts of questions and money. A call that two questions share is paid once."""
    failed = Counter(one.reason for one in known if one.value is None and one.reason)
    return CellResult(
        cell=cell,
        planned=len(known),
        open=sum(one.open for one in known),
        failed=dict(sorted(failed.items())),
        reasked=sum(bool(one.unusable) for one in known),
        spread=scores,
        cost_nano=sum(cost_of([one])[0] for one in _once(known)),
        priced=priced,
        calls=len({key for one in known for key in one.keys}),
    )


def _once(known: Iterable[Asked[object]]) -> Iterable[Asked[object]]:
    seen: set[str] = set()
    for one in known:
        if one.keys and one.keys[0] not in seen:
            seen.add(one.keys[0])
            yield one


def cost_of(known: Iterable[Asked[object]]) -> tuple[int, int]:
    """Return (nano-dollars, calls) of some questions."""
    cost = calls = 0
    for one in known:
        cost += one.cost_nano
        calls += len(one.keys)
    return cost, calls


@dataclass(frozen=True, slots=True)
class SeedSums:
    """What one seed gave in a cell: the sums that a generation lab's ratios are made of. Open pairs do not count."""

    planned: int = 0
    kept: int = 0
    tokens: int = 0
    fresh: int = 0
    cost_nano: int = 0


def funnel_of(recipe: Recipe, made: Sequence[Made]) -> tuple[list[int], dict[str, int]]:
    """Return the places of the pairs that the recipe's own funnel keeps, and drops by rule; open ones are neither."""
    pairs = [
        _pair(recipe, place, one)
        for place, one in enumerate(made)
        if one.answer.value is not None and not one.open
    ]
    # Zero pairs and smoothing make rows and labels, not pairs; what is kept does not depend on them.
    options = replace(options_of(recipe), zero_pairs=0, smoothing=0.0)
    done = postprocess(lambda: pairs, options)
    dropped = {one.pair.id for one in done.dropped()}
    drops = {str(rule): count for rule, count in done.funnel.drops.items() if count}
    return [pair.id for pair in pairs if pair.id not in dropped], drops


def _pair(recipe: Recipe, place: int, one: Made) -> Pair:
    answer = one.answer.value
    assert answer is not None
    score = None if one.score is None or one.score.value is None else one.score.value.value
    system, answer_class = system_of(recipe), answer.answer_class
    if one.plan.label is not None:
        # A fixed label is the score; where it was checked, the check says whether the pair stays.
        answer_class = answer_class if score is None else system.verdict(recipe, one.plan, score)
        score = one.plan.label if score is not None or one.score is None else None
    return Pair(
        id=place, kind="llm", system=system.stored_as, seed_id=one.seed.id, source_id=None, run_id=None,
        recipe_id=None, text_a=one.seed.text, text_b=answer.text, generated=answer.text, hard_negative=None,
        generated_negative=None, rate=one.rate, occurrence=one.occurrence, masked=one.masked, merged=False,
        answer_class=answer_class, model=one.answer.model, score=score, score_raw=None, score_scale=None,
        reason=None, gold=None, negative_score=None, encoder=None, stale=False, flags=(), status="pending",
        author=None, split=one.seed.split, generate_key=one.answer.keys[-1], negative_key=None, score_key=None,
        created="",
    )  # fmt: skip


def seed_sums(made: Sequence[Made], kept: Sequence[int]) -> dict[int, SeedSums]:
    """Return each seed's sums by its id."""
    stays = set(kept)
    sums: dict[int, SeedSums] = {}
    for place, one in enumerate(made):
        tokens = fresh = 0
        if place in stays and one.answer.value is not None:
            own, seed = words(one.answer.value.text), set(words(one.seed.text))
            tokens, fresh = len(own), sum(word not in seed for word in own)
        old = sums.get(one.seed.id, SeedSums())
        parts: list[Asked[object]] = [one.answer, *([one.score] if one.score is not None else [])]
        sums[one.seed.id] = SeedSums(
            planned=old.planned + (not one.open),
            kept=old.kept + (place in stays),
            tokens=old.tokens + tokens,
            fresh=old.fresh + fresh,
            cost_nano=old.cost_nano + cost_of(parts)[0],
        )
    return sums


def make_result(
    cell: Cell,
    made: Sequence[Made],
    kept: Sequence[int],
    drops: dict[str, int],
    *,
    of: int,
    known_seeds: frozenset[str],
    decided: dict[tuple[str, int, float | None], Status],
    priced: bool,
) -> CellResult:
    """Return the figures of a generation cell. ``of``: kept sentences that diversity is measured on, equal in all
    cells; ``known_seeds``: every seed's squashed, case-folded text; ``decided``: what people decided, by
    (content address, seed, rate).
    """
    questions: list[Asked[object]] = []
    for one in made:
        # One planned pair is one question: a missing score is its failure, its costs are of both.
        if one.score is None:
            questions.append(one.answer)
        else:
            questions.append(
                replace(
                    one.score,
                    keys=(*one.answer.keys, *one.score.keys),
                    cost_nano=one.answer.cost_nano + one.score.cost_nano,
                )
            )
    scores = [
        one.score.value.value
        for one in made
        if one.score is not None and one.score.value is not None and one.score.value.value is not None
    ]
    texts = [(made[place].seed.text, _text(made[place])) for place in kept]
    tokens = [(words(seed), words(text)) for seed, text in texts]
    fresh = [(sum(word not in set(seed) for word in own), len(own)) for seed, own in tokens]
    sample = [own for _, own in tokens[:of]]
    people = [
        (one, decided.get((one.answer.keys[-1], one.seed.id, one.rate))) for one in made if one.answer.keys
    ]
    judged = [(one, status) for one, status in people if status in ("accepted", "rejected")]
    figures = MakeFigures(
        generated=sum(one.answer.value is not None and not one.open for one in made),
        drops=drops,
        kept=len(kept),
        yielded=wilson(len(kept), sum(not one.open for one in made)),
        novelty=_ratio(sum(new for new, _ in fresh), sum(size for _, size in fresh)),
        unseen=_ratio(sum(squash(text).casefold() not in known_seeds for _, text in texts), len(texts)),
        edit=mean([_edit(seed, own) for seed, own in tokens]),
        distinct=(distinct(sample, 1), distinct(sample, 2)),
        distinct_of=len(sample),
        near=near_duplicates(sample),
        decided=len(judged),
        accepted=sum(status == "accepted" for _, status in judged),
        decided_nano=sum(
            one.answer.cost_nano + (one.score.cost_nano if one.score is not None else 0) for one, _ in judged
        ),
    )
    return replace(_result(cell, questions, spread(scores), priced), made=figures)


def distinct(sentences: Sequence[Sequence[str]], n: int) -> float | None:
    """Distinct n-grams by all n-grams (Li et al. 2016); None without any."""
    grams = [tuple(words[at : at + n]) for words in sentences for at in range(len(words) - n + 1)]
    return _ratio(len(set(grams)), len(grams))


def near_duplicates(sentences: Sequence[Sequence[str]]) -> float | None:
    """The share of sentences that have a near duplicate among the others; None without sentences."""
    texts = [" ".join(sentence) for sentence in sentences[:NEAR_MOST]]
    if not texts:
        return None
    from rapidfuzz import fuzz, process

    alike = process.cdist(texts, texts, scorer=fuzz.ratio, score_cutoff=NEAR)
    return float(((alike > 0).sum(axis=1) > 1).mean())


def _edit(seed: Sequence[str], text: Sequence[str]) -> float:
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_distance(seed, text))


def _text(made: Made) -> str:
    assert made.answer.value is not None
    return made.answer.value.text


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def known_texts(store: Store) -> frozenset[str]:
    """Every seed of the project, in the form in which ``make_result`` looks for it."""
    return frozenset(squash(seed.text).casefold() for seed in store.seeds.iter(("train", "dev", "test")))
