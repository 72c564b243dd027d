"""SynCSE from nothing, first half: what is asked for sentences, and how an answer is read into them. No I/O.

Source: methods 10.1: one genre and a few topics drawn for each request, several sentences from each. The run over these
requests is ``claif_tui.core.scratch``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from claif_tui.core.addressing import sampling_json
from claif_tui.core.answers import clean_answer, split_reasoning
from claif_tui.core.llm.base import Sampling, Task
from claif_tui.core.models import LINES
from claif_tui.core.prompts import fill_in
from claif_tui.core.recipes import Recipe
from claif_tui.core.systems.base import Ask, RawAnswer, Reader, Reading, make_ask
from claif_tui.core.systems.drawing import drawn
from claif_tui.core.systems.material import Material
from claif_tui.core.text import squash, storable_text

TOKENS_A_SENTENCE = 64
"""Room that a request has for each sentence, if the recipe's own limit gives less."""
WORDS = (2, 100)
"""A line with fewer words is a heading, one with more is no single sentence."""
_NUMBER = r"(?:\(?\d{1,3}\s?[.):\]]|sentence \d{1,3}\s?[.:]|[-*•–—])\**\s+"
_HEAD = re.compile(rf"\W{{0,3}}?{_NUMBER}", re.I)
_INLINE = re.compile(r"(?:^|(?<=\s))\(?\d{1,3}[.)]\s+")
_OPENING = re.compile(
    r".*:\W*|\W*(?:sure(?: thing)?|certainly|of course|okay|ok|great|absolutely|understood)\W*"
    r"|.*\b(?:here|these|below|following)\b.*\bsentences\b.*",
    re.I,
)
_CLOSING = re.compile(
    r"\W*(?:let me know\b.*|feel free\b.*|i hope (?:this|these|that|they) help.*|hope this helps.*"
    r"|would you like (?:me|more)\b.*|these (?:are|\d+|\w+) sentences\b.*)",
    re.I,
)
_FENCE = re.compile(r"\s*(?:```\w{0,20}|[-*_=]{3,})\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One request for sentences: the ``index``-th of its recipe."""

    index: int
    genre: str
    topics: tuple[str, ...]
    ask: Ask

    @property
    def title(self) -> str:
        """Genre and topics in one line."""
        return f"{self.genre}: {', '.join(self.topics)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentences:
    """An answer as read: (line, sentence) in its order, and (line, reason, text) of what was left out."""

    kept: tuple[tuple[int, str], ...]
    dropped: tuple[tuple[int, str, str], ...]


def wish(recipe: Recipe, material: Material, index: int) -> Wish:
    """Return request ``index``; genre and topics follow from the recipe's seed and the index alone."""
    about = f"syncse sentences 1|{recipe.seed}|{index}"
    [genre] = drawn(material.genres, 1, f"{about}|genre")
    topics = drawn(material.topics, recipe.scratch_topics, f"{about}|topics")
    count = recipe.scratch_per_request
    text = fill_in("sentences", recipe.scratch_prompt, genre=genre, topics=", ".join(topics), count=str(count))
    # No system line: the recipe's asks for one sentence.
    ask = make_ask(
        recipe,
        "generate",
        (("user", text if recipe.api == "chat" else f"{text}\n"),),
        _sampling(recipe),
        Task(op="sentences", text="\n".join(topics), count=count),
        # Even at temperature 0: equal requests are told apart by their occurrence.
        recipe.seed,
    )
    return Wish(index=index, genre=genre, topics=topics, ask=ask)


def written_id(recipe: Recipe, material: Material) -> str:
    """Return 64 hex digits over all that decides which sentences are written: what else a recipe says is no part."""
    parts = [
        "claif sentences 1",
        recipe.profile,
        recipe.model,
        recipe.api,
        recipe.seed,
        sampling_json(_sampling(recipe)),
        recipe.scratch_prompt,
        recipe.scratch_topics,
        recipe.scratch_per_request,
        material.genres,
        material.topics,
        recipe.refusals,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read_sentences(recipe: Recipe) -> Reader[Sentences]:
    """Return the reader of answers that hold sentences, in whatever form they list them."""

    def read(raw: RawAnswer) -> Reading[Sentences]:
        if raw.finish_reason in ("content_filter", "refusal"):
            return Reading(None, "refused", "stopped by the endpoint's content filter")
        body = split_reasoning(storable_text(raw.text)[0])[0]
        lines = _lines(body)
        if not lines:
            return Reading(None, "empty", "no sentence in the answer")
        found = _sort(recipe, lines, whole=raw.finish_reason == "stop")
        if len(found.kept) < max(2, recipe.scratch_per_request // 2):
            # Few lines and an apology at their head: the others are part of it.
            whole = clean_answer(body, "", refusals=recipe.refusals)
            if whole.answer_class == "refusal":
                return Reading(None, "refused", whole.text)
        if not found.kept:
            if raw.finish_reason != "stop":
                return Reading(None, "cut_off", f"finish reason: {raw.finish_reason or 'none'}")
            return Reading(None, "unparsed", f"no line that is a sentence: {squash(body)[:200]}")
        return Reading(found)

    return read


def _sampling(recipe: Recipe) -> Sampling:
    room = max(recipe.max_tokens, TOKENS_A_SENTENCE * recipe.scratch_per_request)
    return Sampling(temperature=recipe.fill_temperature, top_p=recipe.top_p, max_tokens=room)


def _sort(recipe: Recipe, lines: list[str], *, whole: bool) -> Sentences:
    """Tell sentences from the rest; of an answer that was cut off the last line is not whole."""
    kept: dict[str, int] = {}
    dropped: list[tuple[int, str, str]] = []
    for number, line in enumerate(lines, 1):
        text, reason = _one(recipe, line)
        if (number == 1 and _OPENING.fullmatch(line)) or (number == len(lines) and _CLOSING.fullmatch(line)):
            text, reason = line, "talk"
        if number >= LINES:
            dropped.append((LINES - 1, "too many lines", f"{len(lines) - LINES + 2:,} lines from here on"))
            break
        if number == len(lines) and not whole:
            reason = "cut off"
        elif not reason and text in kept:
            reason = "duplicate"
        if reason:
            dropped.append((number, reason, text or line))
        else:
            kept[text] = number
    return Sentences(kept=tuple((number, text) for text, number in kept.items()), dropped=tuple(dropped))


def _one(recipe: Recipe, line: str) -> tuple[str, str]:
    """Return a line without number and quotes, and why it is no sentence ("": it is one)."""
    bare = _HEAD.sub("", line, count=1) if _HEAD.match(line) else line
    clean = clean_answer(bare, "", refusals=recipe.refusals)
    words = len(clean.text.split())
    if clean.answer_class == "refusal":
        return clean.text, "refusal"
    if clean.answer_class == "has_mask":
        return clean.text, "mask"
    if words < WORDS[0]:
        return clean.text, "talk" if clean.preamble else "too short"
    return clean.text, "too long" if words > WORDS[1] else ""


def _lines(body: str) -> list[str]:
    """Return the lines of an answer; also of one that lists its sentences as JSON, or numbered in one paragraph."""
    bare = re.sub(r"\A\s*```\w{0,20}|```\s*\Z", "", body).strip()
    if bare.startswith("[") and (listed := _listed(bare)) is not None:
        return listed
    lines = [line.strip() for line in re.split(r"[\r\n\x0b\x0c\x85\u2028\u2029]+", body)]
    lines = [line for line in lines if line and not _FENCE.fullmatch(line)]
    return list(_numbered(lines[0])) if len(lines) == 1 else lines


def _listed(text: str) -> list[str] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return [squash(item) for item in value if item.strip()]


def _numbered(line: str) -> Iterator[str]:
    """Cut "1. … 2. … 3. …" into its parts; anything else is one part."""
    marks = list(_INLINE.finditer(line))
    numbers = [int(re.sub(r"\D", "", mark.group())) for mark in marks]
    if len(marks) < 2 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        yield line
        return
    if head := line[: marks[0].start()].strip():
        yield head
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        if text := line[mark.end() : None if after is None else after.start()].strip():
            yield text
