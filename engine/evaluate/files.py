"""Strict reading of evaluation files: where they are, their lines, their language. Not what a line means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from engine.errors import DataError
from engine.tasks import ROOTS

_ENGLISH = frozenset(
    ["the", "of", "to", "and", "for", "with", "that", "are", "is", "on", "it", "was", "you", "what"]
)
_ENGLISH_SHARE = 0.03
"""Headlines, the sparsest of the English files, hold 7.5 % of these words; other languages hardly any."""
_FOREIGN_SHARE = 0.02
_FEW_WORDS = 200
_WORD = re.compile(r"[^\W\d_]+")
_BEYOND_LATIN = "\u024f"

GET_DATA = "Get a complete English SentEval copy and name its folder with --data."


def locate(root: Path, folder: str) -> Path:
    """Folder of a task, below ``root`` itself or its ``senteval``, ``downstream`` or ``data/downstream``."""
    for start in ROOTS:
        found = root / start / folder
        if found.is_dir():
            return found
    raise DataError(f"{root / folder} is missing.", GET_DATA)


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    r"""Lines of a file without their ends ("\n" or "\r\n"); empty lines are kept, so that numbers stay right.

    Only "\n" ends a line: ``str.splitlines`` would also cut at U+2028, U+0085 or a form feed inside a sentence.
    """
    try:
        text = path.read_bytes().decode(encoding)
    except FileNotFoundError:
        raise DataError(f"{path} is missing.", GET_DATA) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", GET_DATA) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: no {encoding} text.", GET_DATA) from None
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def tidy(sentence: str) -> str:
    """The sentence's words joined by single blanks, as the official readers do."""
    return " ".join(sentence.split())


def columns(path: Path, number: int, line: str, least: int) -> list[str]:
    """The tab-separated cells of line ``number``; DataError when there are fewer than ``least``."""
    cells = line.split("\t")
    if len(cells) < least:
        raise DataError(
            f"{path}, line {number}: {len(cells)} columns, {least} or more expected.",
            "Columns are separated by tabs.",
        )
    return cells


def score(path: Path, number: int, text: str, low: float = 0.0, high: float = 5.0) -> float:
    """A gold score in ``low``..``high``; anything else is a DataError with the line."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise DataError(
            f"{path}, line {number}: score {text!r}, a number from {low:g} to {high:g} expected.", GET_DATA
        )
    return value


def expect(path: Path, found: int, expected: int, what: str) -> None:
    """Refuse a file that does not hold as many samples as the task has."""
    if found != expected:
        raise DataError(
            f"{path}: {found:,} {what}, {expected:,} expected: not the complete English file.", GET_DATA
        )


def require_english(path: Path, sentences: Sequence[str]) -> None:
    """Refuse a translation under an English file's name; the message says what was found.

    Texts of fewer than 200 words are let through: their shares of common words say little.
    """
    text = " ".join(sentences)
    letters = sum(map(str.isalpha, text))
    foreign = sum(char > _BEYOND_LATIN and char.isalpha() for char in text) / letters if letters else 0.0
    sample = next(filter(None, sentences), "")[:60]
    if foreign > _FOREIGN_SHARE:
        raise DataError(
            f"{path}: not in English: {foreign:.0%} of its letters are of another script, as in {sample!r}.",
            GET_DATA,
        )
    words = _WORD.findall(text.lower())
    share = sum(word in _ENGLISH for word in words) / len(words) if words else 0.0
    if len(words) >= _FEW_WORDS and share < _ENGLISH_SHARE:
        raise DataError(
            f"{path}: not in English: {share:.1%} common English words where {_ENGLISH_SHARE:.0%} is the least, "
            f"as in {sample!r}.",
            GET_DATA,
        )
