"""Masked examples for training and for the held-out figures: which words are hidden, in which order. No torch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from engine.offline.corpus import masked_positions
from engine.offline.text import Pieces

SEED = 42
MAX_TOKENS = 64
BATCH_TOKENS = 2000
"""Pieces in a batch: an update costs as much as 1,000 of them, and larger batches learn less a sentence."""
GAP_SHARE = 0.08
RATES = (0.15, 0.7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A tokenised sentence: piece ids without specials, and for each piece the number of its word."""

    pieces: list[int]
    words: list[int]
    n_words: int


def tokenise(pieces: Pieces, sentences: list[str]) -> list[Sentence]:
    """Piece ids and word numbers of every sentence of three words or more, cut at MAX_TOKENS."""
    result = []
    for sentence in sentences:
        ids, words = pieces.words_of(sentence)
        if len(words) >= 3:
            ids, words = ids[:MAX_TOKENS], words[:MAX_TOKENS]
            result.append(Sentence(pieces=ids, words=words, n_words=words[-1] + 1))
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One masked sentence with specials; targets are -100 where nothing is asked.

    ``word`` numbers the words at each place, -1 at specials; a word of several pieces stands there as often.
    """

    ids: list[int]
    targets: list[int]
    gaps: list[int]
    word: list[int]


def word_example(item: Sentence, rate: float, pieces: Pieces, rng: random.Random) -> Example:
    """Hide whole words, every piece behind a mask of its own."""
    hidden = set(masked_positions(item.n_words, rate, rng))
    pairs = [
        (pieces.mask, p) if w in hidden else (p, -100) for p, w in zip(item.pieces, item.words, strict=True)
    ]
    inputs = [pieces.cls, *(a for a, _ in pairs), pieces.sep]
    return Example(
        ids=inputs,
        targets=[-100, *(b for _, b in pairs), -100],
        gaps=[-100] * len(inputs),
        word=[-1, *item.words, -1],
    )


def gap_example(item: Sentence, rate: float, pieces: Pieces, rng: random.Random) -> Example:
    """Hide words as a recipe does, half of the time with runs merged; the target of a gap is its words (1, 2, 3+)."""
    hidden = set(masked_positions(item.n_words, rate, rng))
    merge = rng.random() < 0.5
    inputs, counts, numbers, last = [pieces.cls], [-100], [-1], -1
    for piece, word in zip(item.pieces, item.words, strict=True):
        if word not in hidden:
            inputs.append(piece)
            counts.append(-100)
            numbers.append(word)
        elif word != last:
            if merge and last in hidden and last == word - 1:
                counts[-1] = min(counts[-1] + 1, 2)
            else:
                inputs.append(pieces.gap)
                counts.append(0)
                numbers.append(word)
        last = word
    inputs.append(pieces.sep)
    counts.append(-100)
    return Example(ids=inputs, targets=[-100] * len(inputs), gaps=counts, word=[*numbers, -1])


def held_out_examples(items: list[Sentence], rate: float, pieces: Pieces) -> list[Example]:
    """Two fixed maskings of every held-out sentence, the shortest first."""
    rng = random.Random(f"{SEED}/held-out/{rate}")
    return sorted(
        (word_example(i, rate, pieces, rng) for i in items for _ in range(2)), key=lambda e: len(e.ids)
    )


def batches(items: list[Sentence], start: int, pieces: Pieces) -> Iterator[tuple[int, list[Example]]]:
    """Endless masked batches of about BATCH_TOKENS pieces each, with the count of sentences given out so far.

    All follows from SEED and the epoch, so a run that starts at `start` sentences sees what an unbroken one would.
    """
    given, epoch = 0, 0
    while True:
        rng = random.Random(f"{SEED}/{epoch}")
        order = list(range(len(items)))
        rng.shuffle(order)
        groups: list[list[int]] = []
        for begin in range(0, len(order), 8192):
            chunk = sorted(order[begin : begin + 8192], key=lambda i: len(items[i].pieces))
            group: list[int] = []
            for index in chunk:
                if group and (len(group) + 1) * -(-(len(items[index].pieces) + 2) // 4) * 4 > BATCH_TOKENS:
                    groups.append(group)
                    group = []
                group.append(index)
            groups.append(group)
        rng.shuffle(groups)
        for number, group in enumerate(groups):
            given += len(group)
            if given <= start:
                continue
            own = random.Random(f"{SEED}/{epoch}/{number}")
            yield given, [one_example(items[i], pieces, own) for i in group]
        epoch += 1


def one_example(item: Sentence, pieces: Pieces, rng: random.Random) -> Example:
    """A random masking of one sentence: mostly hidden words, sometimes gaps to be counted."""
    rate = rng.uniform(*RATES)
    if rng.random() < GAP_SHARE:
        return gap_example(item, rate, pieces, rng)
    return word_example(item, rate, pieces, rng)
