"""What a user types into the search line, as conditions that SQLite can never choke on. No connection here.

Words and "phrases" must all occur; the word being typed matches as a beginning. What the index cannot split into
words (scripts without blanks, emoji, signs) is looked for in the texts themselves, which is slower.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from claif_tui.core.text import squash, storable_text

MAX_SEARCH = 500
MAX_WORDS = 32

_PARTS = re.compile(r'"([^"]*)"?|([^\s"]+)')
# Scripts that write without blanks, and Hangul, whose particles stick to the word.
_RUNS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3130-\u318f\u3400-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, slots=True)
class Search:
    """``match`` is an FTS5 expression (empty: none); each of ``patterns`` is a LIKE pattern with \\ as escape."""

    match: str
    patterns: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.match or self.patterns)


def read_search(text: str) -> Search:
    """Turn what a user typed into a ``Search``; any text is fine."""
    text = storable_text(text[:MAX_SEARCH])[0]
    match: list[str] = []
    patterns: list[str] = []
    parts = list(_PARTS.finditer(text))[:MAX_WORDS]
    for part in parts:
        quoted = part.group(1) is not None
        words = squash(part.group(1) if quoted else part.group(2))
        if not words:
            continue
        if _RUNS.search(words) or not any(map(_is_indexed, words)):
            patterns.append(_pattern(words))
            continue
        typing = part is parts[-1] and not quoted and part.end() == len(text) and _is_indexed(words[-1])
        match.append(f'"{words}"' + ("*" if typing else ""))
        if any(unicodedata.category(char).startswith("S") for char in words):
            patterns.append(_pattern(words))
    return Search(" ".join(match), tuple(patterns))


def _is_indexed(char: str) -> bool:
    """Whether the index keeps ``char`` as part of a word."""
    category = unicodedata.category(char)
    return category[0] in "LN" or category == "Co"


def _pattern(words: str) -> str:
    return "%" + re.sub(r"([\\%_])", r"\\\1", words) + "%"
