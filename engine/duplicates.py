"""When two sentences are the same, or nearly: one normal form, and an exact search for similar bags of words. No files.

Same: the letters and digits are equal, in Unicode's NFKC and without case. Blanks and punctuation do not count, so that
``is n't`` and ``isn't`` are the same; a mark between two digits does (1.5 is not 15). Nearly: not the same, and the
bags of words have a Jaccard similarity of at least 4/5. That forgives one word too many in a sentence of four or more,
and one word that is another in a sentence of nine or more; the order of the words does not count.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence

VERSION = 1
"""Changes whenever the same sentences would be counted otherwise."""
NEAR = (4, 5)
"""The least Jaccard similarity of near duplicates, as a fraction: integers, so that no rounding decides."""

_WORD = re.compile(r"[^\W_]+(?:(?<=\d)[.,:/-](?=\d)[^\W_]+)*")


def words(text: str) -> list[str]:
    """Return the words of a text: runs of letters and digits, without case."""
    return _WORD.findall((text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold())


def normal(text_words: Sequence[str]) -> str:
    """Return what is equal for two sentences that are the same; "" where there is no letter and no digit."""
    return "".join(text_words)


class Bags:
    """Finds among bags of words all that are similar to one, without comparing it to each.

    Two similar bags share a word among the rarest few of each (prefix filter: Chaudhuri et al. 2006, Bayardo et al.
    2007), so that only bags that hold one of these are looked at. Nothing similar is missed.
    """

    def __init__(self, bags: Sequence[Sequence[str]]) -> None:
        """Index ``bags``; an empty one is similar to nothing."""
        tokens = [_tokens(bag) for bag in bags]
        counts = Counter(token for bag in tokens for token in bag)
        rarest = sorted(counts, key=lambda token: (counts[token], token))
        self._rank = {token: rank for rank, token in enumerate(rarest)}
        # By size, so that those of a fitting size stand together in every list.
        self._order = sorted(range(len(bags)), key=lambda place: len(tokens[place]))
        self._sizes = [len(tokens[place]) for place in self._order]
        self._bags = [tuple(sorted(self._rank[token] for token in tokens[place])) for place in self._order]
        self._holders: defaultdict[int, list[int]] = defaultdict(list)
        for place, bag in enumerate(self._bags):
            for rank in bag[: _prefix(len(bag))]:
                self._holders[rank].append(place)

    def similar(self, bag: Sequence[str]) -> list[tuple[int, float]]:
        """Return (place in what was indexed, similarity) of every bag that is similar to this one, by place."""
        tokens = _tokens(bag)
        size = len(tokens)
        known = sorted(rank for token in tokens if (rank := self._rank.get(token)) is not None)
        # Words that no bag holds are the rarest of all, and lead to none.
        prefix = _prefix(size) - (size - len(known))
        if prefix <= 0:
            return []
        low = bisect_left(self._sizes, _least(size))
        high = bisect_left(self._sizes, size * NEAR[1] // NEAR[0] + 1)
        candidates: set[int] = set()
        for rank in known[:prefix]:
            holders = self._holders.get(rank)
            if holders is not None:
                candidates.update(holders[bisect_left(holders, low) : bisect_left(holders, high)])
        own = set(known)
        found = []
        for place in candidates:
            shared = len(own.intersection(self._bags[place]))
            every = size + self._sizes[place] - shared
            if shared * NEAR[1] >= every * NEAR[0]:
                found.append((self._order[place], shared / every))
        return sorted(found)


def _tokens(bag: Sequence[str]) -> list[str]:
    """Return the words, the second of its kind as another word than the first, and so on: the bag as a set."""
    if len(set(bag)) == len(bag):
        return list(bag)
    seen: Counter[str] = Counter()
    found = []
    for word in bag:
        found.append(f"{word} {seen[word]}" if seen[word] else word)
        seen[word] += 1
    return found


def _least(size: int) -> int:
    """Return how many words a bag of ``size`` must share at the least with a similar one."""
    return -(-size * NEAR[0] // NEAR[1])


def _prefix(size: int) -> int:
    """Return how many of its rarest words a bag cannot all lack in a similar one."""
    return size - _least(size) + 1 if size else 0
