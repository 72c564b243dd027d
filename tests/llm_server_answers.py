"""What the loopback LLM server says: answers that depend on the prompt alone, and how tokens are counted."""

from __future__ import annotations

import hashlib
import re

_VOCABULARY = """people river garden music quiet morning train letter window market bread winter doctor story
ship mountain child teacher engine painter village coffee silver summer bridge forest horse lamp ocean road"""
WORDS = tuple(_VOCABULARY.split())

_PIECES = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")
_LETTERED = re.compile(r"^\([ab]\) (.*)$", re.M)
_QUOTED = re.compile(r"(['\"])(.+?)\1(?=\s|[.,;:?!]|$)", re.S)
_FILL = re.compile(r"\bin\s+(['\"])(.*?)\1\s+to make", re.S)
_FIRST = re.compile(r"[Ss]entence 1:?\s*(['\"])(.*?)\1\s*(?:\n|,|and|Sentence 2|$)", re.S)

_SENTENCES = re.compile(
    r"Write (\d+) sentences, each of which could stand in a (.+?)\. .* such as (.+?), etc\.", re.S
)


def pieces(text: str) -> list[str]:
    """Cut a text into this server's tokens; joined they give the text back."""
    return _PIECES.findall(text)


def count(text: str) -> int:
    return len(pieces(text))


def number(*parts: str) -> int:
    """A 64-bit number that depends on the parts only."""
    digest = hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def is_score(prompt: str) -> bool:
    low = prompt.lower()
    return "<mask>" not in low and "similarity" in low and "mean the same thing" not in low


def answer(prompt: str) -> str:
    """Return the plain answer: a filled sentence, a paraphrase, sentences, or a score with or without a reason."""
    if (wish := _SENTENCES.search(prompt)) is not None:
        return _sentences(int(wish.group(1)), wish.group(3).split(", "), prompt)
    if prompt.endswith("\nReply:") or "one sentence and nothing else" in prompt:
        return _changed(prompt.removesuffix("\nReply:").rpartition("\n")[2].removeprefix("Sentence: "), prompt)
    if "<mask>" in prompt and not is_score(prompt):
        found = _FILL.search(prompt)
        text = _fill(found.group(2) if found else _longest_with_mask(prompt), prompt)
    elif is_score(prompt):
        return score_answer(prompt)
    elif (found := _FIRST.search(prompt)) is not None:
        text = _dino(found.group(2), prompt)
    else:
        text = "The " + " ".join(WORDS[number(prompt, str(i)) % len(WORDS)] for i in range(6)) + " ."
    return f'{text}" and then some more' if prompt.rstrip().endswith('"') else text


def score(prompt: str) -> float:
    """Return a score in 0..1: mostly word overlap of the two sentences, the rest by hash."""
    quoted = _LETTERED.findall(prompt) or [match.group(2) for match in _QUOTED.finditer(prompt)][-2:]
    left, right = (set(text.split()) for text in (quoted if len(quoted) == 2 else (prompt, "")))
    overlap = len(left & right) / max(1, len(left | right))
    return round(0.7 * overlap + 0.3 * (number("score", prompt) % 101) / 100, 2)


def score_answer(prompt: str) -> str:
    if "5.0" in prompt:
        return f"{score(prompt) * 5:.1f}"
    value = f"{score(prompt):.2f}"
    low = prompt.lower()
    if re.search(r"difference.*(then|after|score)|first.*(explain|describe|reason)", low, re.S):
        return f"They differ in a few words. The similarity score is {value}"
    if "reason" in low or "explain" in low or "why" in low:
        return f"{value}. The two sentences share some of their words."
    return value


def _fill(masked: str, prompt: str) -> str:
    parts = masked.split("<mask>")
    filled = parts[0]
    for position, part in enumerate(parts[1:]):
        filled += WORDS[number(prompt, str(position)) % len(WORDS)] + part
    return filled


def _longest_with_mask(prompt: str) -> str:
    return max((line for line in prompt.splitlines() if "<mask>" in line), key=len, default=prompt)


def _dino(text: str, prompt: str) -> str:
    """A paraphrase; for Dino's lower labels more of the words are others."""
    if "different topics" in prompt:
        return " ".join(WORDS[number(text, str(place)) % len(WORDS)] for place in range(len(text.split())))
    if "somewhat similar" in prompt:
        words = text.split()
        text = " ".join([*words[: len(words) // 2], *reversed(words[len(words) // 2 :])])
    return _paraphrase(text)


def _paraphrase(text: str) -> str:
    words = text.split()
    place = number("paraphrase", text) % (len(words) + 1)
    words.insert(place, WORDS[number("word", text) % len(WORDS)])
    return " ".join(words)


def _changed(text: str, prompt: str) -> str:
    """The text with one more word; unlike a paraphrase it depends on what was asked too."""
    words = text.split()
    words.insert(number("place", prompt) % (len(words) + 1), WORDS[number("word", prompt) % len(WORDS)])
    return " ".join(words)


def _sentences(count: int, topics: list[str], prompt: str) -> str:
    """So many lines, numbered after some talk, as models like to answer."""

    def word(*of: str) -> str:
        return WORDS[number(*of) % len(WORDS)]

    lines = [
        f"{n}. The {word(prompt, str(n))} and {topics[n % len(topics)]} of {word(str(n), prompt)} are near the "
        f"{word('end', prompt, str(n))}."
        for n in range(1, count + 1)
    ]
    return "\n".join(["Sure! Here are the sentences:", "", *lines])


HOSTILE = (
    "\x1b[31mred\x1b[0m \x1b]52;c;aGVsbG8=\x07 [bold]markup[/bold] [MASK] \u202egnirts\u202c "
    "zero\u200bwidth nul\x00 c1\x9b31m bell\x07 back\x08space lone\ud800 \u2066iso\u2069 =1+1"
)
"""Escape sequences, clipboard writes, markup, bidi marks, NUL, C1 and a lone surrogate, all in one line."""
