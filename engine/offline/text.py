"""Words and pieces: the tokenizer, which words may fill a gap, and how two sentences differ. No model, no sampling."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engine.offline.files import GAP_TOKEN, MASK_TOKEN

MASK = "<mask>"
FINAL = (".", "?", "!")
_FUNCTION = """
a an the this that these those some any no each every all both of in on at by to from with for about into over
under and or but nor so yet if than then as is are was were be been being am do does did has have had will
would can could may might must shall should not i you he she it we they me him her us them my your his its our
their who which what there here up down out off very too also just
"""
FUNCTION_WORDS = frozenset(_FUNCTION.split())
MIN_COUNT = 2

_WORD = re.compile(r"[a-z]{2,}|[ai]|\d{1,4}")


class Pieces:
    """The packaged tokenizer, without padding or truncation, and the ids that we need by name."""

    def __init__(self, path: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.cls, self.sep, self.mask, self.gap = (
            self.id(token) for token in ("[CLS]", "[SEP]", MASK_TOKEN, GAP_TOKEN)
        )

    def id(self, token: str) -> int:
        """The id of one piece."""
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise ValueError(f"the tokenizer has no piece {token!r}")
        return number

    def of(self, text: str) -> list[int]:
        """Piece ids of a text, without specials. Special tokens written out in the text are words like any other."""
        # A bracket beside a special token's name keeps the tokenizer from taking a user's "[MASK]" for its own.
        safe = re.sub(r"\[(?=(?:MASK|CLS|SEP|PAD|UNK|unused\d+)\])", "[ ", text)
        return list(self._tokenizer.encode(safe, add_special_tokens=False).ids)

    def words_of(self, text: str) -> tuple[list[int], list[int]]:
        """Piece ids of a text, and for each piece the number of its word (as the pre-tokenizer cuts words)."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return list(encoding.ids), [w if w is not None else 0 for w in encoding.word_ids]

    def vocabulary(self) -> dict[str, int]:
        """Every piece and its id."""
        return dict(self._tokenizer.get_vocab())


class Lexicon:
    """The words that may be put into a gap: whole words of the training text, and the marks that may end a sentence.

    Row r of `ids`, `words`, `vowel`, `final`, `function` and of the model's sub-table belong together.
    """

    def __init__(self, pieces: Pieces, counts: NDArray[np.uint8]) -> None:
        vocabulary = pieces.vocabulary()
        known = sorted(
            (i, w)
            for w, i in vocabulary.items()
            if (_WORD.fullmatch(w) and counts[i] >= MIN_COUNT) or w in FINAL
        )
        self.ids = np.array([i for i, _ in known], np.int64)
        self.words = [w for _, w in known]
        self.row = {i: r for r, (i, _) in enumerate(known)}
        self.vowel = np.array([w[0] in "aeiou" for w in self.words])
        self.final = np.array([w in FINAL for w in self.words])
        self.function = np.array([w in FUNCTION_WORDS for w in self.words])
        self.a, self.an = vocabulary["a"], vocabulary["an"]
        self.content = frozenset(i for i, w in known if len(w) > 3 and w not in FUNCTION_WORDS)


def _quoted(words: Sequence[str]) -> str:
    shown = " ".join(words[:8]) + (" …" if len(words) > 8 else "")
    return f"“{shown}”"


def difference(first: str, second: str) -> str:
    """Say in one or two plain sentences where two sentences differ: words changed, added, left out."""
    a, b = first.split(), second.split()
    if a == b:
        return "The two sentences are the same."
    low_a, low_b = [w.lower() for w in a], [w.lower() for w in b]
    if low_a == low_b:
        return "The two sentences differ in capital letters alone."
    # Quadratic in the worst case, so very long texts are compared by their beginnings.
    a, b, low_a, low_b = a[:400], b[:400], low_a[:400], low_b[:400]
    parts = []
    matcher = difflib.SequenceMatcher(None, low_a, low_b, autojunk=False)
    blocks = matcher.get_opcodes()
    if not any(kind == "equal" for kind, *_ in blocks):
        return "The two sentences share no words in the same order."
    for kind, a1, a2, b1, b2 in blocks:
        if kind == "replace":
            parts.append(f"the first says {_quoted(a[a1:a2])} where the second says {_quoted(b[b1:b2])}")
        elif kind == "delete":
            parts.append(f"the second leaves out {_quoted(a[a1:a2])}")
        elif kind == "insert":
            parts.append(f"the second adds {_quoted(b[b1:b2])}")
    if not parts:
        return "The two sentences begin alike and differ further on."
    more = len(parts) - 3
    told = "; ".join(parts[:3]) + (f"; and {more} more" if more > 0 else "")
    return f"{told[0].upper()}{told[1:]}."
