"""What the Rate screen says of studies. For who runs them: pure functions of ``StudyData``, never for a rater."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claif_tui.core.rating.progress import deviations, progress
from claif_tui.ui import safe

if TYPE_CHECKING:
    from claif_tui.core.rating.freezing import Draft
    from claif_tui.core.rating.models import Protocol, StudyData

BAR = 16


def empty(project: bool) -> safe.Content:
    """What to do when there is no study."""
    if not project:
        return safe.line("No project is open: press 1.")
    return safe.lines(
        "No study yet. A study draws a sample of the scored pairs and has people judge it, blind to each other.",
        "",
        safe.join(("n", "bold $primary"), "  makes one: the paper's protocol, or a stricter one"),
    )


def row(data: StudyData) -> safe.Content:
    """One line of the list."""
    each = progress(data)
    done, total = sum(one.done for one in each), sum(one.total for one in each)
    percent = 100 * done // total if total else 0
    return safe.join((data.study.name, "bold"), f"  {percent} %  ", (data.study.created[:10], "$text-muted"))


def study(data: StudyData) -> safe.Content:
    """Protocol, raters, hash, and what departed from the plan."""
    frozen = f"{data.study.created[:16].replace('T', ' ')} UTC by {data.study.author}"
    rows: list[safe.Part] = [*_protocol(data.study.protocol), _fact("frozen", frozen)]
    rows += [_fact("hash", data.study.hash), "", ("Raters", "bold $primary")]
    for one in progress(data):
        filled = round(BAR * one.done / one.total) if one.total else 0
        last = f"  last {one.last[:16].replace('T', ' ')}" if one.last else ""
        counts = f" {one.done:>4} of {one.total}"
        rows.append(
            safe.join(
                f"{one.rater:<12} ",
                ("█" * filled + "░" * (BAR - filled), "$primary"),
                counts,
                (last, "$text-muted"),
            )
        )
    said = deviations(data)
    rows += [
        "",
        (f"Departed from the plan ({len(said)})" if said else "Nothing departed from the plan", "bold"),
    ]
    rows += [safe.line(f"! {one}", "$text-warning") for one in said]
    return safe.lines(*rows)


def draft(made: Draft) -> safe.Content:
    """A study as it would be frozen."""
    each = dict.fromkeys(made.protocol.raters, 0)
    for assignment in made.assignments:
        each[assignment.rater] += 1
    rows: list[safe.Part] = [_fact("population", f"{made.population:,} pairs")]
    rows += [
        safe.line(f"{'':<12}− {count:,} {reason}", "$text-muted") for reason, count in made.left_out.items()
    ]
    rows += [
        _fact("to rate", ", ".join(f"{rater} {count}" for rater, count in each.items())),
        _fact("hash", made.hash),
    ]
    return safe.lines(*rows)


def _protocol(protocol: Protocol) -> list[safe.Part]:
    extra = (("practice", protocol.practice), ("gold", protocol.gold), ("repeated", protocol.repeats))
    by = f", in proportion by {' and '.join(protocol.stratify)}" if protocol.stratify else ""
    rows: list[safe.Part] = [
        _fact("protocol", f"{protocol.preset}, seed {protocol.seed}"),
        _fact("sample", f"{protocol.sample:,} pairs{by}, {protocol.per_item} rater(s) on each"),
    ]
    if protocol.population:
        rows.append(_fact("filter", protocol.population))
    if any(count for _, count in extra):
        rows.append(_fact("each also", ", ".join(f"{count} {what}" for what, count in extra if count)))
    rows += [_fact("question", criterion.question) for criterion in protocol.criteria]
    return rows


def _fact(name: str, value: str) -> safe.Content:
    return safe.join((f"{name:<12}", "$text-muted"), value)
