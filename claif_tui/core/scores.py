"""Reading a similarity score out of a model's answer, or saying why there is none. No network, no store.

Source: methods 2.2. A number counts only if the answer states it as the score: ranges of the scale, labels
("sentence 1"), bounds ("below 0.5") and counts are passed over. A stated number that is no score, as "80",
"-0.2" or "0.7-0.8", makes the answer invalid: the reader never picks a number that the model did not give.
``SCORE_PARSER`` names the version; raw answers are stored, so a better one costs nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from claif_tui.core.answers import split_reasoning
from claif_tui.core.models import Scale
from claif_tui.core.text import squash

SCORE_PARSER = 1

_WINDOW = 4000
"""Characters looked at: from the start in plain mode, up to the end in last mode."""
_DENOMINATORS = (1.0, 5.0, 10.0, 100.0)
_TOP: dict[Scale, float] = {"0-1": 1.0, "0-5": 5.0}
# One character each, so that places in the text stay the same.
_PLAIN_FORM = str.maketrans(
    "０１２３４５６７８９．％／，：－\u2212\u00a0\u202f*`", "0123456789.%/,:--  " + "  "
)
_NUMBER = r"(?>\.?[0-9]+(?:[.,][0-9]+)*(?:[eE][+-]?[0-9]{1,3})?)"
_CANDIDATE = re.compile(
    rf"(?<![A-Za-z0-9_.])(?P<sign>[+-])?(?P<a>{_NUMBER})"
    rf"(?:\s{{0,3}}(?P<percent>%|percent\b|per\s?cent\b)"
    rf"|\s{{0,3}}(?P<over>/|out\s+of\b)\s{{0,3}}(?P<b>{_NUMBER})(?!/)"
    rf"|\s{{0,3}}%?\s{{0,3}}(?P<between>-|–|—|~|to\b|through\b|and\b)\s{{0,3}}(?P<hi>{_NUMBER})(?P<hi_percent>\s?%)?"
    r")?(?![A-Za-z0-9_]|[.,][0-9])",
    re.I,
)
_FILLER = (
    r"(?:(?:about|approximately|approx\.?|around|roughly|exactly|nearly|almost|a|an|between|from)\s+"
    r"|[~≈\"'“‘(\[{<]\s*)*"
)
_LEAD = re.compile(rf"[\s\"'“‘(\[{{<:=~≈$•\-]*(?:it\s+is\s+|is\s+)?{_FILLER}", re.I)
_STATED = re.compile(
    r"\b(?:scor(?:e|ing)|similarity|rating|rate|say|give|assign|answer|result|estimate)\b[^.\n0-9]{0,80}?"
    rf"(?:(?<=say)|(?<=score)|(?<=rating)|\b(?:is|of|as|at|be|to|it|them|a)|[:=\"'])\s*{_FILLER}$",
    re.I,
)
_COLON = re.compile(r"[:=]\s*[\"'“(\[]?\s*$")
_LABEL = re.compile(
    r"(?:\b(?:sentences?|texts?|pairs?|options?|examples?|steps?|number|line|version)(?:\s*|[\"']\s*:\s*)|#\s*)$",
    re.I,
)
_BOUND = re.compile(
    r"(?:\b(?:scale\s+of|range\s+of|maximum(?:\s+of)?|max|up\s+to|out\s+of|less\s+than|lower\s+than|more\s+than"
    r"|greater\s+than|higher\s+than|below|above|under|over|at\s+least|at\s+most|not)|[<>≤≥])\s*$",
    re.I,
)
# "0.0 means completely different", "(0 = different, 1 = same)", "from 0 (different) to 1 (same)": the scale again.
_SCALE_MARKS = (0.0, 0.5, 1.0, 2.5, 5.0, 10.0, 100.0)
_SCALE_WORD = re.compile(r"\s*(?:=|(?:means?|meaning|being|indicates?|represents?|denotes?|stands)\b)", re.I)
_SCALE_NAMED = re.compile(
    r"\b[01](?:\.0+)?\s?\([^()\n]{1,40}\)\s?(?:to|and|-|–)\s?(?:1|5|10|100)(?:\.0+)?\s?\([^()\n]{1,40}\)", re.I
)
_SENTENCE_END = re.compile(r"[\r\n]+|[.!?]+(?=\s|$)|[。！？]")
_SECOND_ITEM = re.compile(r"\n\s*2[.)]\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedScore:
    """A score on 0..1, or None with the reason why; ``said`` is the number as the model wrote it ("" if none).

    ``reason`` is the model's explanation: what follows the number (plain) or what precedes it (last).
    """

    value: float | None
    said: str = ""
    why_invalid: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """A number in the answer: its place, its value on 0..1 or why it has none, and how firmly it is stated."""

    start: int
    end: int
    value: float | None
    why: str
    bare: bool
    stated: bool


def parse_score(raw: str, mode: Literal["plain", "last"] = "plain", scale: Scale = "0-1") -> ParsedScore:
    """Read the score of an answer; never raises.

    "plain": the number that opens the answer, else the first one stated as the score, else the first decimal,
    percentage or fraction, no further than the sentence in which the first readable one stands. "last": the
    last such number of the last sentence, else the last one stated as the score. ``scale`` is what was asked
    for; the value is on 0..1 either way.
    """
    answer, _ = split_reasoning(raw)
    if not answer.strip():
        return ParsedScore(value=None, why_invalid="the answer is empty")
    offset = max(0, len(answer) - _WINDOW) if mode == "last" else 0
    text = answer[offset : offset + _WINDOW].translate(_PLAIN_FORM)
    text = _SCALE_NAMED.sub(lambda match: " " * len(match.group()), text)
    found = list(_numbers(text, _TOP[scale]))
    choice = _first(text, found) if mode == "plain" else _last(text, found)
    if choice is None:
        why = found[0].why if found and found[0].why else "no number is stated as the score"
        return ParsedScore(value=None, why_invalid=why, reason=squash(answer))
    if mode == "plain":
        reason = answer[choice.end :].lstrip(" \t\r\n.,:;!)]}\"'”’*`-–—")
    else:
        reason = answer[: offset + _reason_end(text, choice)].rstrip(" \t\r\n,:;(*`-–—")
    said = answer[offset + choice.start : offset + choice.end]
    return ParsedScore(value=choice.value, said=said, why_invalid=choice.why, reason=squash(reason))


def _first(text: str, found: list[_Found]) -> _Found | None:
    if not found:
        return None
    head = found[0]
    if _LEAD.fullmatch(text, 0, head.start) and not _is_list_item(text, head):
        return head
    readable = [number for number in found if number.value is not None and (number.stated or not number.bare)]
    stop = _sentence_end(text, readable[0].end) if readable else len(text)
    for number in found:
        if number.stated and number.start < stop:
            return number
    return readable[0] if readable else None


def _last(text: str, found: list[_Found]) -> _Found | None:
    start, end = _last_sentence(text)
    inside = [number for number in found if start <= number.start < end]
    for number in reversed(inside):
        leads = _LEAD.fullmatch(text, start, number.start) is not None
        if number.stated or leads or (number.value is not None and not number.bare):
            return number
    stated = [number for number in found if number.stated]
    return stated[-1] if stated and not inside else None


def _numbers(text: str, top: float) -> Iterator[_Found]:
    """Yield every number that might be meant as the score, in order; ``top`` is the end of the scale."""
    place = 0
    while (match := _CANDIDATE.search(text, place)) is not None:
        before = text[max(0, match.start() - 120) : match.start()]
        end, is_range = match.end(), match["between"] is not None
        if is_range:
            kind = _range_kind(match, before, top)
            if kind == "scale":
                place = end
                continue
            if kind == "two":
                end, is_range = match.end("a"), False
        place = end
        fraction = match["percent"] is not None or match["over"] is not None
        bare = not fraction and not is_range and re.fullmatch(r"[0-9]+", match["a"]) is not None
        if _BOUND.search(before) or (bare and _LABEL.search(before)):
            continue
        if _plain_number(match["a"]) in _SCALE_MARKS and _SCALE_WORD.match(text, end):
            continue
        value, why = (None, "") if is_range else _value(match, top)
        if is_range:
            why = f"“{text[match.start() : end]}” is a range, not one score"
        stated = _STATED.search(before) is not None
        if not stated and _COLON.search(before):
            stated = not re.match(r"\s*[A-Za-z]", text[end : end + 20])
        yield _Found(match.start(), end, value, why, bare, stated)


def _range_kind(match: re.Match[str], before: str, top: float) -> Literal["scale", "range", "two"]:
    """Say whether "a to b" repeats the scale, gives a range of scores, or is just two numbers."""
    low, high = _plain_number(match["a"]), _plain_number(match["hi"])
    if match["between"].lower() == "and" and not re.search(r"between\s*$", before, re.I):
        return "two"
    if low is None or high is None or match["sign"] == "-":
        return "two"
    if low in (0.0, 1.0) and high in _DENOMINATORS and low < high:
        return "scale"
    limit = 100.0 if match["hi_percent"] else top
    return "range" if low < high <= limit else "two"


def _value(match: re.Match[str], top: float) -> tuple[float | None, str]:
    """Return (value on 0..1, "") or (None, why not)."""
    said = match.group() if not match["between"] else (match["sign"] or "") + match["a"]
    number = _plain_number(match["a"])
    if number is None:
        return None, f"“{said}” is not one number"
    if match["sign"] == "-":
        return None, f"“{said}” is negative"
    if match["percent"]:
        return (number / 100, "") if number <= 100 else (None, f"“{said}” is above 100 %")
    if match["over"]:
        whole = _plain_number(match["b"])
        if whole in _DENOMINATORS and number <= whole:
            return number / whole, ""
        return None, f"“{said}” is not out of 1, 5, 10 or 100"
    return (number / top, "") if number <= top else (None, f"“{said}” is outside 0 to {top:g}")


def _plain_number(text: str) -> float | None:
    """Read "0.8", ".8", "0,8" and "1e-1"; None for anything with more marks, and for "1,000"."""
    if text.count(",") + text.count(".") > 1:
        return None
    if re.fullmatch(r"[1-9][0-9]*,[0-9]{3}", text):
        return None
    number = float(text.replace(",", "."))
    return number if math.isfinite(number) else None


def _is_list_item(text: str, number: _Found) -> bool:
    """Whether a leading bare number only counts the items of a list ("1. … 2. …")."""
    return number.bare and text[number.end : number.end + 1] in {".", ")"} and bool(_SECOND_ITEM.search(text))


def _sentence_end(text: str, place: int) -> int:
    end = _SENTENCE_END.search(text, place)
    return end.start() if end else len(text)


def _last_sentence(text: str) -> tuple[int, int]:
    """Return the bounds of the last sentence with a letter or digit in it."""
    start, bounds = 0, (0, len(text))
    for end in [*_SENTENCE_END.finditer(text), None]:
        stop = end.start() if end else len(text)
        if any(char.isalnum() for char in text[start:stop]):
            bounds = (start, stop)
        start = end.end() if end else len(text)
    return bounds


def _reason_end(text: str, number: _Found) -> int:
    """Return where the explanation before the score ends: at its sentence, if there is one before it."""
    start = 0
    for end in _SENTENCE_END.finditer(text, 0, number.start):
        start = end.end()
    return start if text[:start].strip() else number.start
