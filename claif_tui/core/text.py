"""The one door for untrusted text, and what "the same sentence" means. No files, no widgets."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_HIDDEN = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)},
    0x7F: "\u2421",
    **dict.fromkeys(range(128, 160), "�"),
    **{ord(mark): "\ufffd" for mark in _BIDI},
    0xFEFF: "\ufffd",
    0x2028: "\u23ce",
    0x2029: "\u23ce",
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f" + _BIDI + "\ufeff\u2028\u2029\ud800-\udfff]")
_SPACES = re.compile(r"\s+")


def display_text(raw: str, *, limit: int | None = None, one_line: bool = False) -> str:
    """Return ``raw`` made harmless for a terminal: every control, bidi or lone surrogate shows as a mark.

    ``limit`` cuts to that many characters and says how many are left out; ``one_line`` folds line breaks
    and tabs into a blank. Markup is not touched: callers must show the result as plain text.
    """
    cut = 0
    if limit is not None and len(raw) > limit:
        cut = len(raw) - limit
        raw = raw[:limit]
    if _UNSAFE.search(raw):
        raw = _SURROGATE.sub("\ufffd", raw).translate(_HIDDEN)
    raw = raw.replace("\n", "⏎ ").replace("\t", " ") if one_line else raw.expandtabs(4)
    return f"{raw}… (+{cut:,} characters)" if cut else raw


def storable_text(raw: str) -> tuple[str, int]:
    """Replace NUL and lone surrogates (which SQLite cannot keep) by U+FFFD; return the text and how many."""
    if "\x00" not in raw and not _SURROGATE.search(raw):
        return raw, 0
    replaced, count = re.subn("[\x00\ud800-\udfff]", "\ufffd", raw)
    return replaced, count


def squash(text: str) -> str:
    """Collapse whitespace runs into one blank and strip: the form in which sentences are compared."""
    return _SPACES.sub(" ", text).strip()


def text_hash(text: str) -> str:
    """SHA-256 of the UTF-8 text, hex: the identity of a sentence in masks and lookups."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def cell_width(text: str) -> int:
    """Width in terminal cells: wide characters count two, combining marks none."""
    width = 0
    for char in text:
        if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
            continue
        width += 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
    return width
