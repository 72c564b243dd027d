"""Making a study: protocol, population, sample, gold and plan, checked and frozen under a hash. No answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from claif_tui.core.errors import UsageError
from claif_tui.core.rating.assigning import assign
from claif_tui.core.rating.gold import MIN_WORDS, make_gold
from claif_tui.core.rating.models import Assignment, Item, Protocol, Study
from claif_tui.core.rating.sampling import draw, population
from claif_tui.core.text import cell_width, display_text

if TYPE_CHECKING:
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.store.store import Store

MAX_NAME = 40
MAX_RATERS = 200


@dataclass(frozen=True, slots=True)
class Draft:
    """A study as it would be frozen: nothing is stored yet. ``left_out`` counts pairs by reason."""

    protocol: Protocol
    items: tuple[Item, ...]
    assignments: tuple[Assignment, ...]
    population: int
    left_out: dict[str, int]

    @property
    def hash(self) -> str:
        """The hash that the study would have."""
        return study_hash(self.protocol, self.items, self.assignments)


def check(protocol: Protocol) -> None:
    """Raise ``UsageError`` for a protocol that cannot be, naming the field."""
    _check_name("study", protocol.name)
    if not protocol.raters:
        raise UsageError("a study needs at least one rater", "Name them: --rater ANNA --rater BEN")
    if len(protocol.raters) > MAX_RATERS:
        raise UsageError(f"{len(protocol.raters)} raters are more than {MAX_RATERS}")
    for rater in protocol.raters:
        _check_name("rater", rater)
    folded = [rater.casefold() for rater in protocol.raters]
    twice = next((rater for rater in protocol.raters if folded.count(rater.casefold()) > 1), None)
    if twice is not None:
        raise UsageError(
            f"two raters are called {twice!r}",
            "Give each person a name of their own; capitals don't tell them apart.",
        )
    if protocol.sample < 1:
        raise UsageError(f"the sample has {protocol.sample} pairs: expected 1 or more")
    if not 1 <= protocol.per_item <= len(protocol.raters):
        raise UsageError(
            f"{protocol.per_item} raters an item, of {len(protocol.raters)}: expected 1 to {len(protocol.raters)}",
            "Name more raters, or lower --per-item.",
        )
    if min(protocol.practice, protocol.gold, protocol.repeats) < 0:
        raise UsageError("practice, gold and repeats count items: expected 0 or more")
    if protocol.exclusion.min_gold is not None and not 0 <= protocol.exclusion.min_gold <= 1:
        raise UsageError(f"the share of gold to pass is {protocol.exclusion.min_gold}: expected 0 to 1")
    blind = [criterion.name for criterion in protocol.criteria if criterion.blind]
    if blind and (protocol.shows_score or protocol.shows_explanation):
        raise UsageError(f"{blind[0]} is judged blind, so neither the score nor its explanation can be shown")


def draft(store: Store, protocol: Protocol, recipe: Recipe) -> Draft:
    """Return the study that a protocol means on this project. Raises ``UsageError`` where it cannot be. Blocks."""
    check(protocol)
    if store.studies.has(protocol.name):
        raise UsageError(
            f"there is a study {protocol.name!r} already",
            "A frozen study stays as it is. Give the new one a name.",
        )
    found = population(store, protocol, recipe)
    need = protocol.sample + protocol.practice
    if len(found.items) < need:
        raise UsageError(
            _too_small(protocol, len(found.items), need, found.left_out), _smaller(protocol, len(found.items))
        )
    drawn = draw(found.items, protocol)
    sample, practice, spare = drawn[: protocol.sample], drawn[protocol.sample : need], drawn[need:]
    gold = make_gold(protocol, spare or drawn)
    if len(gold) < protocol.gold:
        raise UsageError(
            f"only {len(gold)} of {protocol.gold} gold items can be made from the pairs that are not in the sample",
            f"They are made of first sentences of {MIN_WORDS} words and more. Lower --gold, or import more seeds.",
        )
    items = (
        *(replace(item, n=n) for n, item in enumerate(sample, 1)),
        *(replace(item, n=need - protocol.practice + n, role="practice") for n, item in enumerate(practice, 1)),
        *(replace(item, n=need + n) for n, item in enumerate(gold, 1)),
    )
    if not protocol.shows_explanation:
        items = tuple(replace(item, explanation=None) for item in items)
    _check_repeats(protocol, assignments := assign(protocol, items))
    return Draft(
        protocol=protocol,
        items=items,
        assignments=tuple(assignments),
        population=len(found.items),
        left_out=found.left_out,
    )


def freeze(store: Store, made: Draft) -> Study:
    """Store a study. From here on nothing of it changes but what is listed as an event."""
    return store.studies.add(
        made.protocol,
        made.hash,
        made.items,
        made.assignments,
        {"population": made.population, "left_out": made.left_out},
    )


def next_name(store: Store) -> str:
    """Return the first free name of the form human-eval-N."""
    taken = set(store.studies.names())
    return next(name for n in range(1, len(taken) + 2) if (name := f"human-eval-{n}") not in taken)


def study_hash(protocol: Protocol, items: Sequence[Item], assignments: Sequence[Assignment]) -> str:
    """Return the SHA-256 over all that is frozen. Explanations come later and tokens are random: neither counts."""
    content = {
        "v": 1,
        "protocol": asdict(protocol),
        "items": [
            {key: value for key, value in asdict(item).items() if key != "explanation"}
            for item in sorted(items, key=lambda item: item.n)
        ],
        "assignments": sorted((a.rater, a.position, a.item, a.occurrence) for a in assignments),
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _check_name(what: str, name: str) -> None:
    if not name.strip() or name != name.strip():
        raise UsageError(f"the {what}'s name is {name!r}: expected some letters, without blanks at its ends")
    if "/" in name or "\\" in name or name.startswith("."):
        raise UsageError(
            f"the {what}'s name is {name!r}: it becomes part of file names",
            "Leave out /, \\ and a leading dot.",
        )
    if display_text(name, one_line=True) != name or cell_width(name) > MAX_NAME:
        raise UsageError(f"the {what}'s name {name[:80]!r} is not plain text of up to {MAX_NAME} characters")


def _check_repeats(protocol: Protocol, assignments: Sequence[Assignment]) -> None:
    for rater in protocol.raters:
        again = sum(one.occurrence for one in assignments if one.rater == rater)
        if again < protocol.repeats:
            raise UsageError(
                f"only {again} of {protocol.repeats} items can be shown to {rater} again",
                f"Only the first half of a rater's items are. Ask for --repeats {again}, or for a larger sample.",
            )


def _too_small(protocol: Protocol, found: int, need: int, left_out: dict[str, int]) -> str:
    parts = [f"{protocol.sample:,} to rate"]
    if protocol.practice:
        parts.append(f"{protocol.practice:,} to practise on")
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
    said = f" (left out: {reasons})" if reasons else ""
    return f"the study needs {need:,} pairs ({', '.join(parts)}) and the population has {found:,}{said}"


def _smaller(protocol: Protocol, found: int) -> str:
    room = found - protocol.practice
    if room < 1:
        return "Generate and score pairs first: claif-tui generate"
    return f"Ask for at most --sample {room}, widen --filter, or generate more pairs."
