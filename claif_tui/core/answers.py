"""From a model's raw answer to one clean sentence and its class. No network, no scores.

Source: methods 1.5. Raw answers are stored as they came, so reading them again with a better parser is free:
``ANSWER_PARSER`` names the version that read them.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from claif_tui.core.masking import has_mask
from claif_tui.core.models import AnswerClass
from claif_tui.core.text import squash, storable_text

ANSWER_PARSER = 1

DEFAULT_REFUSALS = (
    r"\bas an? (?:large )?(?:ai|language)(?: language)? (?:model|assistant)\b",
    r"^(?:i(?:['’]?m| am) )?(?:very |really |so )?(?:sorry|afraid),?(?: but)? (?:that )?i "
    r"(?:can(?:no|['’]?)t|can not|am unable|am not able|won['’]?t|will not|must decline)\b",
    r"^i (?:can(?:no|['’]?)t|can not|am unable to|am not able to|won['’]?t|will not) "
    r"(?:assist|comply|fulfil|provide|generate|create|write|rewrite|paraphrase|replace|"
    r"complete (?:this|that|your))",
    r"^(?:please|could you)(?: please)? (?:provide|share|give me|specify) (?:the|a|me|more)\b",
    r"\bthere (?:is|are) no <?masks?>? ?(?:token|in|to)",
    r"\b(?:content|usage|safety) polic(?:y|ies)\b",
)
"""Patterns (any case) of refusals and of requests for more input; narrow, as first-person seeds are common."""

_REWRITE = (
    r"(?:(?:paraphras|rewrit|rephras|restat|contradict|negat)\w*"
    r"|(?:provid|creat|writ|generat|produc|giv|infer|offer)\w* (?:an?|any|the) (?:\w+ ){0,2}"
    r"(?:paraphrase|sentence|contradiction|entailment|rewrite|version|answer|alternative))\b"
)
PARAPHRASE_FAILURES = (
    r"^(?:(?:i['’]?m |i am )?(?:very |so |really )?sorry|(?:my )?(?:sincere )?apologies|i apologi[sz]e)\b.{0,100}"
    r"\b(?:can(?:no|['’]?)t|can not|could not|unable|not able|not possible|impossible|not enough|incomplete|unclear)\b",
    r"^(?:(?:i['’]?m|i am|it is|it['’]?s) )?(?:unable|not able|not possible|impossible) to " + _REWRITE,
    r"^(?:i )?(?:cannot|can not|can['’]?t|could not|couldn['’]?t|failed to) (?:be )?" + _REWRITE,
    r"^(?:the|this|that|your) (?:given |input |provided |original )?(?:sentence|input|text|statement|phrase|fragment)\b"
    r".{0,40}\b(?:can(?:no|['’]?)t be "
    + _REWRITE
    + r"|is (?:incomplete|unclear|not (?:clear|complete|a (?:full|complete) ))"
    r"|does not (?:provide|contain|give) enough)",
    r"^(?:there is |there['’]?s )?(?:not enough|insufficient) (?:context|information)\b",
    r"^(?:no|not) (?:\w+ )?(?:paraphrase|entailment|contradiction)s? (?:is |are )?possible\b",
)
"""Failure texts of models that are to rewrite a sentence, which SynCSE's clean-up removes (methods 10.1)."""

_REFUSAL_WINDOW = 400
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "‘": "’", "'": "'", "`": "`", "「": "」"}
_OPEN_TAG = re.compile(r"<(think|thinking|reasoning)>", re.I)
_CLOSE_TAG = re.compile(r"</(?:think|thinking|reasoning)>", re.I)
_FENCE = re.compile(r"\s*```\w{0,20}\s*")
_WHAT = r"(?:sentences?|paraphrase|version|answer|output|result|response|rewrite|completion|rephrasing)"
_SUCH = (
    r"(?:new|second|other|another|possible|alternative|similar|complete|completed|filled|filled-in|full|final|"
    r"resulting|generated|modified|revised|rewritten|rephrased|paraphrased)"
)
_OPENER = r"(?:sure(?: thing)?|certainly|of course|okay|ok|absolutely|great|no problem|got it|understood)"
_LABEL = (
    r"(?:"
    r"here(?:['’]s| is| are)\b[^:\n]{0,60}\b(?:" + _WHAT + r"|possibility|option|way|one)\b[^:\n]{0,80}:"
    r"|(?:(?:the|a|an|one|my)\s+)?(?:" + _SUCH + r"\s+){0,2}" + _WHAT + r"(?:\s+(?:2|two|b))?"
    r"(?:\s*:|\s+(?:is|are|reads|(?:would|could|can|might|may) be)\s*(?::|(?=[\"“])))"
    r"|assistant\s*:"
    r")"
)
_PREAMBLE = re.compile(rf"\W{{0,4}}(?:{_OPENER}\s*[!.,:]\s*)?{_LABEL}[\s*]*", re.I)
_OPENER_LINE = re.compile(rf"\W{{0,4}}{_OPENER}\s*[!.,:]*", re.I)
_BOTH = re.compile(
    r"\W{0,4}sentence\s*(?:1|one|a)\s*:.{1,2000}?\bsentence\s*(?:2|two|b)\s*:[\s*]*", re.I | re.S
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanAnswer:
    """One answer, read. ``preamble`` is talk before the sentence, if any; ``reasoning`` is thinking."""

    text: str
    answer_class: AnswerClass
    preamble: str | None = None
    reasoning: str = ""


def split_reasoning(raw: str) -> tuple[str, str]:
    """Return (answer, reasoning): ``<think>`` blocks taken out, also one that never closes or never opened."""
    thoughts: list[str] = []
    first_close, first_open = _CLOSE_TAG.search(raw), _OPEN_TAG.search(raw)
    if first_close and (first_open is None or first_close.start() < first_open.start()):
        # Some servers put the opening tag into the prompt, so that only the closing one is answered.
        thoughts.append(raw[: first_close.start()])
        raw = raw[first_close.end() :]
    kept: list[str] = []
    while (start := _OPEN_TAG.search(raw)) is not None:
        kept.append(raw[: start.start()])
        end = _CLOSE_TAG.search(raw, start.end())
        thoughts.append(raw[start.end() : end.start() if end else len(raw)])
        raw = raw[end.end() :] if end else ""
    kept.append(raw)
    return "".join(kept), "\n".join(thought.strip() for thought in thoughts)


def clean_answer(
    raw: str,
    original: str,
    *,
    cut_at_quote: bool = False,
    refusals: tuple[str, ...] = DEFAULT_REFUSALS,
) -> CleanAnswer:
    """Read a generated answer: the sentence, its class, what talk came before it.

    ``cut_at_quote``: the prompt ended with an open double quote (its stop string was one), so the first quote
    ends the answer. A refusal is recognised only if the original does not look like one too.
    """
    body, reasoning = split_reasoning(storable_text(raw)[0])
    if cut_at_quote:
        body = _until_quote(body)
    preamble, line = _sentence_line(body, original)
    bare = _unwrap(original.strip())
    # A seed that is itself a quotation keeps its marks, and so does what is made of it.
    text = squash(line if bare != original.strip() else _unwrap(line))
    return CleanAnswer(
        text=text,
        answer_class=_classify(text, body, (original, bare), refusals),
        preamble=squash(preamble) or None,
        reasoning=reasoning,
    )


def _until_quote(body: str) -> str:
    """Cut at the first double quote; a quote that opens the answer anew is passed over."""
    start = body.lstrip()
    if start.startswith('"'):
        body = start[1:]
    return body.partition('"')[0]


def _sentence_line(body: str, original: str) -> tuple[str, str]:
    """Return (preamble, the line that holds the sentence)."""
    if _PREAMBLE.match(original) or _OPENER_LINE.fullmatch(original):
        return "", _first_line(body)  # the seed itself begins like talk: there is no telling them apart
    if both := _BOTH.match(body):
        return both.group(), _first_line(body[both.end() :])
    preamble = ""
    # Talk may stand on lines of its own ("Sure!", "Here is one:") before the sentence; four is plenty.
    for _ in range(4):
        line = _first_line(body)
        after = body[body.find(line) + len(line) :] if line else ""
        talk = _PREAMBLE.match(line)
        if talk and line[talk.end() :].strip(" *\"'“”"):
            return preamble + talk.group(), line[talk.end() :]
        if not _first_line(after) or not (talk or _OPENER_LINE.fullmatch(line)):
            return (preamble + line, "") if talk else (preamble, line)
        preamble += line + "\n"
        body = after
    return preamble, _first_line(body)


def _first_line(body: str) -> str:
    for line in re.split(r"[\r\n]+", body):
        if line.strip() and not _FENCE.fullmatch(line):
            return line.strip()
    return ""


def _unwrap(line: str) -> str:
    """Strip bold marks and one pair of quotes that wrap the whole line and nothing less."""
    line = line.strip()
    if len(line) > 4 and line.startswith("**") and line.endswith("**"):
        line = line[2:-2].strip()
    if len(line) < 2 or _QUOTES.get(line[0]) != line[-1]:
        return line
    inner = line[1:-1]
    # An apostrophe inside a word closes nothing; any other inner mark means that these are two quotations.
    rest = re.sub(r"(?<=\w)['’](?=\w)", "", inner) if line[-1] in "'’" else inner
    return inner if line[0] not in rest and line[-1] not in rest else line


def _classify(text: str, body: str, originals: tuple[str, str], refusals: tuple[str, ...]) -> AnswerClass:
    if not text:
        return "empty"
    heads = (text[:_REFUSAL_WINDOW], squash(body[: 2 * _REFUSAL_WINDOW])[:_REFUSAL_WINDOW])
    for pattern in refusals:
        found = _compiled(pattern)
        if any(found.search(head) for head in heads) and not found.search(originals[0]):
            return "refusal"
    if has_mask(text):
        return "has_mask"
    return "identical" if text in {squash(original) for original in originals} else "ok"


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.I)
