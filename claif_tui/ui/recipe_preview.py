"""The preview of the recipe screen: what a system plans for one seed or triplet, and the exact request of each part.

Pure: recipe and texts in, ``Content`` out. What is sent is asked of the system, never rebuilt here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from claif_tui.core.errors import ClaifError
from claif_tui.core.llm.base import Sampling
from claif_tui.core.llm.rules import Contrast, Debias, Rule
from claif_tui.core.masking import MASK
from claif_tui.core.models import Seed
from claif_tui.core.recipes import Recipe
from claif_tui.core.store.seeds import Which
from claif_tui.core.systems.base import Ask, PlanItem, System
from claif_tui.core.systems.material import material_of
from claif_tui.core.systems.registry import system_of
from claif_tui.core.systems.sentences import wish
from claif_tui.ui import safe
from claif_tui.ui.safe import Content

GENERATED, NEGATIVE = "‹the generated sentence›", "‹the hard negative›"
"""Stand where a request will hold what is not there yet."""
PARTS = ("positive", "hard negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Triplet:
    """An imported triplet."""

    anchor: str
    positive: str
    hard_negative: str


EXAMPLE = Seed(id=0, text="three men are playing chess .", split="train", source_id=0, line=1)
"""Shown while a project has no seeds yet; it says so."""
EXAMPLE_TRIPLET = Triplet(
    anchor="three men are playing chess .",
    positive="Some people play a board game.",
    hard_negative="Three men are asleep on a bench.",
)
"""Shown while a project has no triplets yet; it says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is in view: a seed and a triplet, each at its place among so many; None while there is none."""

    seed: Seed | None = None
    seeds: int = 0
    triplet: Triplet | None = None
    triplets: int = 0
    at: int = 0
    which: Which = False
    """Which seeds these are: all that no model wrote, or those written for the recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the preview and the request behind it."""

    label: str
    sent: str
    note: str
    ask: Ask
    title: str
    """What the request is for: "at 0.3", "for the hard negative"."""
    part: int = 0
    masked: bool = False
    """Whether ``sent`` is a masked sentence, to be seen whole; else it is the beginning of a request."""
    scores: bool = False
    """Whether the request asks for a score of texts that are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Everything that is planned for a subject, or why nothing can be planned (``problem``)."""

    recipe: Recipe
    subject: Subject
    planned: tuple[Entry, ...] = ()
    scored: tuple[Entry, ...] = ()
    """The questions about the triplet."""
    problem: str = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All lines, in order."""
        return self.planned + self.scored

    def chosen(self, index: int) -> Entry | None:
        """The line at ``index``, or the last one."""
        return self.entries[min(index, len(self.entries) - 1)] if self.entries else None


def look(recipe: Recipe, subject: Subject) -> Preview:
    """Ask the system what it plans for the subject."""
    system = system_of(recipe)
    try:
        planned = (*_written(recipe, subject.at), *_planned(system, recipe, subject.seed or EXAMPLE))
        scored = _scored(system, recipe, subject.triplet or EXAMPLE_TRIPLET) if _wants(system, subject) else ()
    except ClaifError as error:
        return Preview(recipe=recipe, subject=subject, problem=f"{error.message} {error.hint}".strip())
    return Preview(recipe=recipe, subject=subject, planned=planned, scored=scored)


def needs_triplets(system: System) -> bool:
    """Whether the system makes nothing of its own kind without imported triplets."""
    return system.reads == {"triplets"} or ("triplets" in system.reads and system.makes == "pairs")


def _wants(system: System, subject: Subject) -> bool:
    """Whether triplets are in view: always for a system that needs them, else where the project has some."""
    return needs_triplets(system) or ("triplets" in system.reads and bool(subject.triplets))


def _written(recipe: Recipe, at: int) -> tuple[Entry, ...]:
    """One of the requests for sentences that a system from nothing begins with."""
    if recipe.system != "syncse-scratch":
        return ()
    asked = wish(recipe, material_of(recipe), at)
    return (Entry(label="sentences", sent=asked.title, note="first", ask=asked.ask, title="for sentences"),)


def _planned(system: System, recipe: Recipe, seed: Seed) -> tuple[Entry, ...]:
    found: dict[tuple[object, ...], tuple[PlanItem, int]] = {}
    for item in system.plan(recipe, [seed]):
        key = (item.slot, *(ask.identity for ask in item.asks))
        found[key] = (item, found[key][1] + 1) if key in found else (item, 1)
    begins = _beginnings([ask for item, _ in found.values() for ask in item.asks])
    return tuple(
        _entry(item, part, copies, begins) for item, copies in found.values() for part in range(len(item.asks))
    )


def _entry(item: PlanItem, part: int, copies: int, begins: Mapping[bytes, str]) -> Entry:
    ask = item.asks[part]
    notes = [] if copies == 1 else [f"× {copies}"]
    triplet = len(item.asks) > 1
    if item.masked is not None:
        sent = item.masked.text
        notes += ["paraphrase"] if not item.masked.k else ["merged"] if item.masked.joined else []
    else:
        sent = begins[ask.identity]
    label = PARTS[part] if triplet else item.title
    words = f"for the {label}" if triplet else f"at {label}" if item.rate is not None else f"for {label}"
    masked = item.masked is not None
    return Entry(label=label, sent=sent, note=" · ".join(notes), ask=ask, title=words, part=part, masked=masked)


def _scored(system: System, recipe: Recipe, triplet: Triplet) -> tuple[Entry, ...]:
    asks = system.score_asks(recipe, triplet.anchor, triplet.positive, triplet.hard_negative)
    return tuple(
        Entry(
            label=PARTS[part],
            sent=(triplet.positive, triplet.hard_negative)[part],
            note="",
            ask=ask,
            title=f"for a score of the {PARTS[part]}",
            part=part,
            scores=True,
        )
        for part, ask in enumerate(asks)
    )


def _beginnings(asks: Sequence[Ask]) -> dict[bytes, str]:
    """What each request says first (the system line aside), from the first line in which they are not all alike."""
    texts = {ask.identity: next((text for role, text in ask.messages if role != "system"), "") for ask in asks}
    lines = [text.splitlines() for text in texts.values()]
    alike = 0
    if len(lines) > 1:
        while all(len(one) > alike + 1 for one in lines) and len({one[alike] for one in lines}) == 1:
            alike += 1
    return {identity: "\n".join(text.splitlines()[alike:]) for identity, text in texts.items()}


def drawn(preview: Preview, index: int, width: int) -> Content:
    """The lines (the one at ``index`` marked), and below them the exact requests of that one."""
    if preview.problem:
        return safe.block(f"✗ {preview.problem}", "$text-error")
    recipe, subject, chosen = preview.recipe, preview.subject, preview.chosen(index)
    out: list[safe.Part] = []
    if preview.planned:
        out += [safe.line((subject.seed or EXAMPLE).text, "bold"), ""]
        out += _lines(preview.planned, chosen, width)
    if preview.scored:
        triplet = subject.triplet or EXAMPLE_TRIPLET
        out += ["", *_triplet_head(subject)] if preview.planned else _triplet_head(subject)
        out.append(safe.line(triplet.anchor, "bold"))
        out += _lines(preview.scored, chosen, width)
        if len(preview.scored) == 1:
            text = safe.clip(triplet.hard_negative, max(10, width - len(PARTS[1]) - 17))
            out.append(safe.join((f"  {PARTS[1]} ", "$text-muted"), text, ("  not scored", "$text-muted")))
    if chosen is None:
        return safe.lines(*out)
    out += ["", _rule(f"request {chosen.title} · {recipe.api}", width), *_request(chosen.ask)]
    if not chosen.scores:
        out += ["", *_scoring(recipe, (subject.seed or EXAMPLE).text, chosen.part, width)]
    return safe.lines(*out)


def _triplet_head(subject: Subject) -> list[safe.Part]:
    if subject.triplet is None:
        return [("an example triplet, as the project has none", "$text-muted")]
    at = subject.at % subject.triplets + 1
    return [(f"imported triplet {at:,} of {subject.triplets:,}", "$text-muted")]


def _lines(entries: tuple[Entry, ...], chosen: Entry | None, width: int) -> list[safe.Part]:
    label = max(4, *(len(PARTS[1]) if entry.label in PARTS else len(entry.label) for entry in entries))
    return [
        safe.join(
            (
                f"{'▸' if entry is chosen else ' '} {entry.label:<{label}} ",
                "bold $primary" if entry is chosen else "$text-muted",
            ),
            mark_masks(entry.sent)
            if entry.masked
            else safe.line(safe.clip(entry.sent, max(10, width - label - len(entry.note) - 5))),
            (f"  {entry.note}" if entry.note else "", "$text-muted"),
        )
        for entry in entries
    ]


def _scoring(recipe: Recipe, anchor: str, part: int, width: int) -> list[safe.Part]:
    """How what comes back is scored, or that it is not."""
    system = system_of(recipe)
    triplets = system.makes == "triplets"
    asks = system.score_asks(recipe, anchor, GENERATED, NEGATIVE if triplets else None)
    if not asks:
        words = "triplets are trained on without scores" if triplets else "the label is the score"
        return [_rule("scoring", width), (f"No score is asked: {words}.", "$text-muted")]
    how = recipe.score_prompt if system.scale(recipe) == "0-1" else f"from {system.scale(recipe)}"
    return [_rule(f"scoring · {how}", width), *_request(asks[min(part, len(asks) - 1)])]


def _request(ask: Ask) -> list[safe.Part]:
    out: list[safe.Part] = [*_messages(ask.messages), (sampling_line(ask.sampling), "$text-muted")]
    rule = ask.sampling.rule
    if rule is not None:
        prompts = against(rule)
        for number, messages in enumerate(prompts, 1):
            out.append((f"against {number} of {len(prompts)}:", "bold"))
            out += _messages(messages)
    return out


def request_text(preview: Preview, index: int) -> str:
    """The request that is shown, as plain text to copy; empty when none is."""
    chosen = preview.chosen(index)
    return "" if chosen is None else safe.lines(*_request(chosen.ask)).plain


def title_of(preview: Preview) -> str:
    """The preview's title: which seed or triplet of how many."""
    subject = preview.subject
    if preview.scored and not preview.planned:
        at = subject.at % max(1, subject.triplets) + 1
        return (
            f"Preview · triplet {at:,} of {subject.triplets:,}"
            if subject.triplet
            else "Preview · example triplet"
        )
    if subject.seed is None:
        return "Preview · example sentence"
    return f"Preview · seed {subject.at % max(1, subject.seeds) + 1:,} of {subject.seeds:,}"


def keys_of(preview: Preview) -> str:
    """The keys that step through what is shown."""
    what = "triplet" if preview.scored and not preview.planned else "seed"
    masked = preview.planned and preview.planned[0].masked and not preview.scored
    return f"◂ {what} ▸  ▴ {'rate' if masked else 'item'} ▾"


def mark_masks(text: str) -> Content:
    """A masked sentence with its masks standing out (without colour too: bold)."""
    parts = safe.plain(text).split(MASK)
    out: list[safe.Part] = [parts[0]]
    for part in parts[1:]:
        out += [(MASK, "bold $warning"), part]
    return safe.join(*out)


def sampling_line(sampling: Sampling) -> str:
    """The sampling parameters as they are sent; what is not sent is not named."""
    parts = []
    for name in ("temperature", "top_p", "top_k", "min_tokens", "max_tokens"):
        value = getattr(sampling, name)
        if value is not None:
            parts.append(f"{name} {value}")
    if sampling.stop:
        parts.append("stop " + " ".join(json.dumps(stop) for stop in sampling.stop))
    if sampling.rule is not None:
        parts.append(rule_words(sampling.rule))
    return " · ".join(parts)


def rule_words(rule: Rule) -> str:
    """A decoding rule with its parameters."""
    if isinstance(rule, Debias):
        return f"self-debiasing λ {rule.decay:g}, floor {rule.floor:g}"
    return f"contrastive decoding ω {rule.omega:g}, plausibility {rule.plausibility:g}"


def against(rule: Rule) -> tuple[tuple[tuple[str, str], ...], ...]:
    """The prompts that a decoding rule looks at beside the request's own."""
    return (rule.against,) if isinstance(rule, Contrast) else rule.against


def _messages(messages: tuple[tuple[str, str], ...]) -> list[Content]:
    return [safe.join((f"{role}: ", "bold $primary"), safe.block(text)) for role, text in messages]


def _rule(title: str, width: int) -> Content:
    return safe.line(f"─ {title} " + "─" * max(0, width - len(title) - 3), "$text-muted")
