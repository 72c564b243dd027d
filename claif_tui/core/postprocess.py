"""The one way from pairs to training rows, for snapshot and export alike: drops, smoothing, cap, zero pairs.

Source: methods 3 and 3.1. Nothing here reads a database or writes a file. Pairs are looked at twice: once to
decide (some 60 bytes a pair are kept, no texts), once to hand out rows. The result depends on the pairs and the
options alone: not on ids, times, hash seeds, or the order in which answers came in.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from claif_tui.core.errors import StoreError
from claif_tui.core.models import Kind, Pair, Split
from claif_tui.core.post_options import RULES as RULES
from claif_tui.core.post_options import PostOptions as PostOptions
from claif_tui.core.post_options import Rule as Rule
from claif_tui.core.post_options import options_of as options_of
from claif_tui.core.post_options import raw_options as raw_options
from claif_tui.core.post_rules import Standing, digest, label, standings
from claif_tui.core.post_rules import own_rule as own_rule
from claif_tui.core.zero_pairs import SPLIT_SALTS, draw_zero_pairs, ranks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMOOTHED_FLAG = "smoothed"
"""A pair that carries this flag has a label that was smoothed before it came here."""

_CODES: dict[Rule, int] = {rule: code for code, rule in enumerate(RULES, 1)}
_NAMES: dict[int, Rule] = {code: rule for rule, code in _CODES.items()}
_SPLITS: tuple[Split, ...] = ("train", "dev", "test")
_CLAIF = 1
_SWAPPED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One row of a training set. Scores are on 0..1; ``raw_score`` is the score before smoothing.

    ``pair_id`` is the content address of the answer a generated pair came from, with a hash of the seed and rate it
    was asked for; imported pairs have "import-SOURCE-HASH", zero pairs "zero-HASH": none depends on when a row was
    made.
    """

    sentence1: str
    sentence2: str
    kind: Kind
    split: Split
    pair_id: str
    hard_negative: str | None = None
    score: float | None = None
    raw_score: float | None = None
    negative_score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """How ``pairs`` became ``rows``: ``drops`` by rule, in order of application, and what was added.

    ``rows == pairs + split - sum(drops) + zero_pairs``, always. ``split`` is how many pairs more there are since a
    triplet gives two (None: triplets stay whole), each of which is kept or dropped by itself.
    ``zero_missing`` counts the zero pairs for which no partner existed; ``conflicts`` the kept rows whose score is
    the mean of (or the first among) several; ``swapped`` the kept triplets whose roles changed places (None: roles
    are as they were made).
    """

    pairs: int
    drops: dict[Rule, int]
    zero_pairs: int
    zero_missing: int
    conflicts: int
    split: int | None = None
    swapped: int | None = None
    system: str | None = None
    """Whose pairs were taken; None: everybody's."""

    @property
    def kept(self) -> int:
        """Pairs that no rule dropped."""
        return self.pairs + (self.split or 0) - sum(self.drops.values())

    @property
    def rows(self) -> int:
        """Rows that come out: the kept pairs and the zero pairs."""
        return self.kept + self.zero_pairs

    def to_dict(self) -> dict[str, int]:
        """Return the funnel as one ordered mapping: pairs, the rules' counts, kept, zero pairs, rows, remarks."""
        return {
            "pairs": self.pairs,
            **({} if self.split is None else {"split": self.split}),
            **{str(rule): count for rule, count in self.drops.items()},
            "kept": self.kept,
            "zero_pairs": self.zero_pairs,
            "rows": self.rows,
            "zero_pairs_missing": self.zero_missing,
            "conflicting_scores": self.conflicts,
            **({} if self.swapped is None else {"swapped": self.swapped}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A pair (half of a triplet) that is not in the result, and the rule that took it (``RULES`` has the words).

    ``pair_id`` is the id that it would have had as a row.
    """

    pair: Pair
    rule: Rule
    pair_id: str


class Processed:
    """The outcome: the funnel at once, rows and dropped pairs on demand, each by one more look at the pairs."""

    def __init__(
        self,
        source: Callable[[], Iterable[Pair]],
        options: PostOptions,
        decided: _Decided,
        funnel: Funnel,
    ) -> None:
        self.funnel = funnel
        self.recipes = decided.recipes
        """How many kept pairs each recipe version made, by its id; imported pairs have none."""
        self._source = source
        self._options = options
        self._decided = decided

    def rows(self) -> Iterator[Example]:
        """Yield the rows: kept pairs in plan order, then the zero pairs in order of their first sentence.

        Raises ``StoreError`` if the source does not hold the pairs that were decided on.
        """
        decided = self._decided
        texts: dict[int, str] = {}
        for place, standing in self._standings():
            pair = standing.pair
            if decided.wanted[place]:
                texts[place] = pair.text_a if decided.from_originals else pair.text_b
            if decided.firsts[place]:
                texts[~place] = pair.text_a
            if not decided.codes[place]:
                yield _example(standing, float(decided.labels[place]), float(decided.raw[place]))
        for first, partner in zip(decided.zero_first.tolist(), decided.zero_partner.tolist(), strict=True):
            sentence1, sentence2 = texts[~first], texts[partner]
            split = _SPLITS[decided.splits[first]]
            yield Example(
                sentence1=sentence1,
                sentence2=sentence2,
                kind="zero",
                split=split,
                pair_id=f"zero-{digest(split, sentence1, sentence2)[:8].hex()}",
                score=0.0,
            )

    def kept(self) -> Iterator[Pair]:
        """Yield the stored pair of each row that is no zero pair, in plan order; of both halves of a triplet too."""
        for place, standing in self._standings():
            if not self._decided.codes[place]:
                yield standing.stored

    def dropped(self) -> Iterator[Dropped]:
        """Yield each pair that is left out, with the rule that took it, in plan order."""
        for place, standing in self._standings():
            code = self._decided.codes[place]
            if code:
                yield Dropped(pair=standing.pair, rule=_NAMES[code], pair_id=standing.row_id)

    def _standings(self) -> Iterator[tuple[int, Standing]]:
        ids, second = self._decided.ids, self._decided.second
        place = -1
        for place, standing in enumerate(_in_plan_order(self._source(), self._options)):
            pair = standing.pair
            if place >= len(ids) or ids[place] != pair.id or second[place] != _hash64(pair.text_b):
                raise _changed()
            yield place, standing
        if place + 1 != len(ids):
            raise _changed()


def postprocess(source: Callable[[], Iterable[Pair]], options: PostOptions) -> Processed:
    """Apply the rules to the pairs that ``source()`` yields: the same at every call, so read in one transaction.

    Pairs must come with ascending ``seed_id``, imported ones (without a seed) anywhere, in the order of import;
    the pairs of one seed may come in any order. Smoothing, cap and zero pairs apply to scored two-sentence
    pairs of kind "llm"; human labels, triplets and rows smoothed elsewhere pass with their values. Two sentences
    with a human label and an LLM's score give two rows. Nothing is merged or drawn across splits.
    """
    notes = _Notes()
    for standing in _in_plan_order(source(), options):
        notes.add(standing, options)
    decided, conflicts, missing = _decide(notes, options)
    counts = {rule: decided.codes.count(code) for rule, code in _CODES.items()}
    kept_swapped = sum(
        1 for bits, code in zip(notes.bits, decided.codes, strict=True) if bits & _SWAPPED and not code
    )
    funnel = Funnel(
        pairs=len(decided.codes) - notes.halved,
        drops={rule: count for rule, count in counts.items() if count or options.applies(rule)},
        zero_pairs=len(decided.zero_first),
        zero_missing=missing,
        conflicts=conflicts,
        split=notes.halved if options.split_triplets else None,
        swapped=kept_swapped if options.curation is not None else None,
        system=options.system,
    )
    return Processed(source, options, decided, funnel)


def looks_smoothed(scores: Iterable[float]) -> bool:
    """Whether labels (0..1) all lie in {0} or [0.1, 0.9], as after smoothing by 0.2. A hint, no proof."""
    seen = False
    for score in scores:
        seen = True
        if score != 0.0 and not 0.1 - 1e-9 <= score <= 0.9 + 1e-9:
            return False
    return seen


def plan_order(pair: Pair) -> tuple[float, int, str, str, int]:
    """Return the sort key of pairs of one seed: rate, occurrence, content addresses; ids only for imports."""
    rate = -1.0 if pair.rate is None else pair.rate
    key = pair.generate_key or ""
    return rate, pair.occurrence, key, pair.negative_key or "", 0 if key else pair.id


def _in_plan_order(pairs: Iterable[Pair], options: PostOptions) -> Iterator[Standing]:
    for pair in _sorted(pairs):
        yield from standings(pair, options)


def _sorted(pairs: Iterable[Pair]) -> Iterator[Pair]:
    last = -1
    for seed_id, group in groupby(pairs, key=lambda pair: pair.seed_id):
        if seed_id is None:
            yield from group
            continue
        if seed_id <= last:
            raise ValueError("pairs must come with ascending seed ids")
        last = seed_id
        yield from sorted(group, key=plan_order)


class _Notes:
    """What the first look keeps of each pair: hashes, label, a rule that applies to the pair alone, bits."""

    def __init__(self) -> None:
        self.ids = array("q")
        self.codes = bytearray()
        self.bits = bytearray()
        self.splits = bytearray()
        self.first = array("Q")
        self.second = array("Q")
        self.key_high = array("Q")
        self.key_low = array("Q")
        self.raw = array("d")
        self.recipes = array("L")
        self.recipe_codes: dict[str, int] = {}
        self.halved = 0

    def add(self, standing: Standing, options: PostOptions) -> None:
        pair = standing.pair
        self.halved += standing.side == "negative"
        rule = own_rule(pair, options)
        code = _CODES[rule] if rule else 0
        claif = _is_claif(pair, options)
        split = _SPLITS.index(pair.split)
        self.ids.append(pair.id)
        self.codes.append(code)
        self.splits.append(split)
        self.bits.append((_CLAIF if claif else 0) | (_SWAPPED if standing.swapped else 0))
        self.first.append(_hash64(pair.text_a) ^ SPLIT_SALTS[split])
        self.second.append(_hash64(pair.text_b))
        # Labels of different kinds are never averaged; a triplet and a pair of the same sentences are two rows.
        family = "smoothed" if _was_smoothed(pair, options) else "llm" if pair.kind == "nli" else pair.kind
        key = b"" if code else digest(family, pair.split, pair.text_a, pair.text_b, pair.hard_negative or "")
        self.key_high.append(int.from_bytes(key[:8], "big"))
        self.key_low.append(int.from_bytes(key[8:], "big"))
        self.recipes.append(self.recipe_codes.setdefault(pair.recipe_id or "", len(self.recipe_codes)))
        score = label(pair)
        self.raw.append(float("nan") if score is None else score)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """By place in plan order: the rule's code (0: kept), labels, and where zero pairs take their texts from."""

    ids: array[int]
    second: array[int]
    codes: bytearray
    splits: bytearray
    raw: NDArray[np.float64]
    labels: NDArray[np.float64]
    zero_first: NDArray[np.int64]
    zero_partner: NDArray[np.int64]
    firsts: bytearray
    wanted: bytearray
    from_originals: bool
    recipes: dict[str, int]


def _changed() -> StoreError:
    return StoreError("the pairs changed while they were read", "Nothing was written; do it again.")


def _is_claif(pair: Pair, options: PostOptions) -> bool:
    """Whether smoothing, cap and zero pairs are for this pair: an LLM's score of two sentences, still raw."""
    scored = pair.kind == "llm" or (pair.kind == "nli" and options.split_triplets)
    return scored and pair.hard_negative is None and not _was_smoothed(pair, options)


def _was_smoothed(pair: Pair, options: PostOptions) -> bool:
    return pair.source_id in options.smoothed_sources or SMOOTHED_FLAG in pair.flags


def _decide(notes: _Notes, options: PostOptions) -> tuple[_Decided, int, int]:
    """Return the decisions, how many kept rows had conflicting scores, and how many zero pairs are missing."""
    import numpy as np

    codes = np.frombuffer(notes.codes, dtype=np.uint8).copy()
    bits = np.frombuffer(notes.bits, dtype=np.uint8)
    raw = np.array(notes.raw, dtype=np.float64)
    merged = (
        _merge_duplicates(notes, codes, raw, options) if options.deduplicate else np.zeros(0, dtype=np.int64)
    )
    labels = raw
    if options.smoothing:
        labels = np.where(
            bits & _CLAIF != 0,
            np.round((1.0 - options.smoothing) * raw + options.smoothing / 2.0, 12),
            raw,
        )
    rows = np.flatnonzero((codes == 0) & ((bits & _CLAIF) != 0))
    if options.cap and len(rows):
        first = np.frombuffer(notes.first, dtype=np.uint64)[rows]
        order = np.lexsort((labels[rows], first))
        same = (first[order][1:] == first[order][:-1]) & (labels[rows][order][1:] == labels[rows][order][:-1])
        codes[rows[order[ranks(same) >= options.cap]]] = _CODES["cap"]
    rows = np.flatnonzero((codes == 0) & ((bits & _CLAIF) != 0))
    zero_first, zero_partner, missing = draw_zero_pairs(
        first=np.frombuffer(notes.first, dtype=np.uint64),
        second=np.frombuffer(notes.second, dtype=np.uint64),
        splits=np.frombuffer(notes.splits, dtype=np.uint8),
        rows=rows,
        count=options.zero_pairs,
        pool=options.zero_pool,
        seed=options.seed,
    )
    firsts, wanted_texts = bytearray(len(codes)), bytearray(len(codes))
    np.frombuffer(firsts, dtype=np.uint8)[zero_first] = 1
    np.frombuffer(wanted_texts, dtype=np.uint8)[zero_partner] = 1
    made = Counter(recipe for recipe, code in zip(notes.recipes, codes.tolist(), strict=True) if not code)
    decided = _Decided(
        ids=notes.ids,
        second=notes.second,
        codes=bytearray(codes.tobytes()),
        splits=notes.splits,
        raw=raw,
        labels=labels,
        zero_first=zero_first,
        zero_partner=zero_partner,
        firsts=firsts,
        wanted=wanted_texts,
        from_originals=options.zero_pool == "originals",
        recipes={name: made[code] for name, code in sorted(notes.recipe_codes.items()) if name and made[code]},
    )
    return decided, int((codes[merged] == 0).sum()), missing


def _merge_duplicates(
    notes: _Notes, codes: NDArray[np.uint8], raw: NDArray[np.float64], options: PostOptions
) -> NDArray[np.int64]:
    """Mark all but the first of equal pairs; return the places of firsts whose scores were in conflict."""
    import numpy as np

    rows = np.flatnonzero(codes == 0)
    high = np.frombuffer(notes.key_high, dtype=np.uint64)[rows]
    low = np.frombuffer(notes.key_low, dtype=np.uint64)[rows]
    order = np.lexsort((low, high))
    same = (high[order][1:] == high[order][:-1]) & (low[order][1:] == low[order][:-1])
    rank = ranks(same)
    later = np.flatnonzero(rank > 0)
    if not len(later):
        return np.zeros(0, dtype=np.int64)
    codes[rows[order[later]]] = _CODES["duplicate"]
    conflicts: list[int] = []
    for start in np.flatnonzero((rank[:-1] == 0) & (rank[1:] == 1)).tolist():
        stop = start + 1
        while stop < len(rank) and rank[stop]:
            stop += 1
        scores = raw[rows[order[start:stop]]]
        scores = scores[~np.isnan(scores)]
        place = int(rows[order[start]])
        if len(scores):
            if (scores != scores[0]).any():
                conflicts.append(place)
                raw[place] = (
                    round(float(scores.mean()), 12) if options.conflicts == "mean" else float(scores[0])
                )
            else:
                raw[place] = scores[0]
    return np.array(conflicts, dtype=np.int64)


def _example(standing: Standing, value: float, raw: float) -> Example:
    pair, scored = standing.pair, raw == raw
    return Example(
        sentence1=pair.text_a,
        sentence2=pair.text_b,
        kind=pair.kind,
        split=pair.split,
        pair_id=standing.row_id,
        hard_negative=pair.hard_negative,
        score=value if scored else None,
        raw_score=raw if scored else None,
        negative_score=pair.negative_score,
    )


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
