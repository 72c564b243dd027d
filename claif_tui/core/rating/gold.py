"""Items whose right answer is known by the way they are made. Ours; no rater can tell them from the others by form.

Three kinds, in turn: a sentence beside itself, two sentences that have nothing to do with each other, and a
sentence whose words are shuffled. Each judges only the criterion that it is made for.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from claif_tui.core.rating.models import Criterion, GoldRange, Item, Protocol

MIN_WORDS = 6
"""A shorter sentence may be fluent by chance when it is shuffled."""
_TRIES = 50


def make_gold(protocol: Protocol, spare: Sequence[Item]) -> list[Item]:
    """Return up to ``protocol.gold`` items made from the first sentences of ``spare`` (in the order of the draw).

    Fewer come back where ``spare`` has too few sentences of ``MIN_WORDS`` words; ``Item.n`` is 0 in all.
    """
    sentences = list(dict.fromkeys(item.text_a for item in spare if len(item.text_a.split()) >= MIN_WORDS))
    fluency = _criterion(protocol, ("fluent", "fluency"))
    meaning = _criterion(protocol, ("consistent", "similarity"))
    makers = [_identical, _unrelated] if meaning else []
    if fluency:
        makers.append(_shuffled)
    items: list[Item] = []
    used: set[str] = set()
    turn = 0
    while makers and len(items) < protocol.gold:
        maker = makers[turn % len(makers)]
        left = [sentence for sentence in sentences if sentence not in used]
        made = maker(left, protocol, meaning if maker is not _shuffled else fluency)
        if made is None:  # this kind cannot be made of what is left; the others go on
            makers.remove(maker)
            continue
        turn += 1
        used |= {made.text_a, made.text_b}
        items.append(made)
    return items


def _identical(left: list[str], protocol: Protocol, criterion: Criterion | None) -> Item | None:
    assert criterion is not None
    if not left:
        return None
    # Where the score is shown, a wrong one stands beside the pair, and the right answer is no.
    return _item(left[0], left[0], 0.0, _range(criterion, 0.8, 1.0))


def _unrelated(left: list[str], protocol: Protocol, criterion: Criterion | None) -> Item | None:
    assert criterion is not None
    for first in left[:_TRIES]:
        for second in left:
            if not _words(first) & _words(second):
                return _item(first, second, 1.0, _range(criterion, 0.0, 0.3))
    return None


def _shuffled(left: list[str], protocol: Protocol, criterion: Criterion | None) -> Item | None:
    assert criterion is not None
    for sentence in left[:_TRIES]:
        words = sentence.split()
        digest = hashlib.blake2b(f"{protocol.seed}|{sentence}".encode(), digest_size=8).digest()
        random.Random(int.from_bytes(digest, "big")).shuffle(words)
        if sum(a != b for a, b in zip(words, sentence.split(), strict=True)) >= len(words) - 1:
            wrong = (0.0, 0.0) if criterion.scale == "yesno" else (1.0, 2.0)
            return _item(
                sentence, " ".join(words), 0.5, GoldRange(criterion=criterion.name, low=wrong[0], high=wrong[1])
            )
    return None


def _range(criterion: Criterion, low: float, high: float) -> GoldRange:
    if criterion.scale == "yesno":
        return GoldRange(criterion=criterion.name, low=0.0, high=0.0)
    return GoldRange(criterion=criterion.name, low=low, high=high)


def _item(first: str, second: str, score: float, gold: GoldRange) -> Item:
    return Item(
        n=0,
        role="gold",
        pair_id=None,
        text_a=first,
        text_b=second,
        score=score,
        explanation=None,
        rate=None,
        system=None,
        model=None,
        recipe_id=None,
        status=None,
        gold=(gold,),
    )


def _criterion(protocol: Protocol, names: tuple[str, ...]) -> Criterion | None:
    return next((criterion for criterion in protocol.criteria if criterion.name in names), None)


_COMMON = frozenset(
    "a an the is are was were be of in on at to and or with for his her its it this that . ,".split()  # noqa: SIM905
)


def _words(sentence: str) -> set[str]:
    return set(sentence.lower().split()) - _COMMON
