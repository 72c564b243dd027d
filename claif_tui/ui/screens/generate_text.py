"""The words and numbers of the flight deck, from plain data; no widget and no data access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.content import Content

from claif_tui.core.events import Finished, Progress
from claif_tui.core.models import NANO, Run
from claif_tui.ui import safe
from claif_tui.ui.screens.generate_deck import Deck

BAR = 10
CURATED = ("both high", "alpha", "beta", "gamma")
"""The rules of MultiCSR's filter, in their order."""
WORDS = {
    "queued": ("·", "starting", "$text-muted"),
    "running": ("▶", "running", "$text-success"),
    "pausing": ("‖", "pausing: what is in flight lands", "$text-warning"),
    "paused": ("‖", "paused", "$text-warning"),
    "stopping": ("■", "stopping: what is in flight lands", "$text-warning"),
    "done": ("✓", "done", "$text-success"),
    "stopped": ("■", "stopped", "$text-warning"),
    "budget": ("■", "budget reached", "$text-warning"),
    "failed": ("✗", "ended early", "$text-error"),
    "idle": ("·", "not running", "$text-muted"),
}
"""Glyph, words and colour of each state of a run."""
LIVE_WORDS = frozenset({"queued", "running", "pausing", "paused", "stopping"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the project could run now, read from disk while nothing runs here."""

    seeds: int = 0
    planned: int = 0
    answered: int = 0
    failed: int = 0
    endpoint: str = ""
    estimate: str = ""
    """Tokens and money of what is left, as a range; empty when nothing is left."""
    priced: bool = False
    other: Run | None = None
    """A live run of another process."""
    problem: str = ""
    """Why a run cannot start: a recipe or endpoint that does not stand, or nothing that its system works on."""
    missing: int = 0
    """Sentences that the model writes before anything is made of them."""
    system: str = "claif"
    unit: str = "pairs"

    @property
    def left(self) -> int:
        """Planned pairs without an outcome."""
        return max(0, self.planned - self.answered - self.failed)


def state_of(job_state: str, finished: Finished | None) -> str:
    """Return how a run stands in one word of ``WORDS``; an ended run says how it ended."""
    if finished is None:
        return job_state
    return {"finished": "done", "paused": "stopped"}.get(finished.state, finished.state)


def usd(nano: int) -> str:
    """Return nano-dollars as dollars; small sums keep enough digits to be seen."""
    dollars = nano / NANO
    return f"${dollars:,.2f}" if dollars >= 0.01 or nano == 0 else f"${dollars:.5f}"


def clock(seconds: float | None) -> str:
    """Return a duration as m:ss or h:mm:ss; a dash when unknown."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def bar(done: int, total: int, width: int = BAR) -> Content:
    """Return a progress bar with its percentage; never 100 % before the end."""
    share = done / total if total else 0.0
    full = width if total and done >= total else min(width - 1, int(share * width)) if width else 0
    percent = 100 if total and done >= total else min(99, int(100 * share))
    return safe.join(
        ("█" * full, "$text-primary"), ("░" * (width - full), "$text-muted"), (f" {percent:3d} %", "bold")
    )


def money(progress: Progress) -> str:
    """Return what is spent, of which cap."""
    spent = usd(progress.spent_nano)
    if progress.cap_nano is None:
        return f"{spent} spent" if progress.spent_nano else "free"
    return f"{spent} of {usd(progress.cap_nano)} cap"


def limit(progress: Progress, before: int) -> str:
    """Return the concurrency limit and where it is going; ``before`` is the limit a little earlier."""
    arrow = "▲" if progress.limit > before else "▼" if progress.limit < before else " "
    late = f" · 429s: {progress.rate_limited}" if progress.rate_limited else ""
    return f"limit {progress.limit} {arrow}{late}".rstrip()


def run_box(state: str, progress: Progress, before: int, width: int, unit: str = "pairs") -> Content:
    """Return the box that says how the run is doing; ``unit`` is what it makes."""
    glyph, word, style = WORDS[state]
    done = progress.planned - progress.open
    eta = f"   ETA {clock(progress.eta_seconds)}" if state == "running" else ""
    phase = [("1 of 2: sentences to begin with", "$text-muted")] if progress.unit == "sentences" else []
    rows: list[safe.Part] = [
        safe.join((f"{glyph} {word}", style)),
        *phase,
        bar(done, progress.planned, max(6, width - 6)),
        f"{done:,} / {progress.planned:,} {unit}",
    ]
    if state in LIVE_WORDS:
        rows += [f"{progress.per_second:,.1f} calls/s{eta}", money(progress), limit(progress, before)]
        rows += [("few at once: small cap", "$text-muted")] if progress.held_by_cap else []
    else:
        rows += [f"{progress.calls:,} calls", money(progress)]
        rows.append((ending_key(progress), "bold $text-primary"))
    return safe.lines(*rows)


def ending_key(progress: Progress) -> str:
    """Return the next useful key after a run."""
    return "g goes on" if progress.open else "5 reviews what landed"


def run_line(state: str, progress: Progress, before: int) -> Content:
    """Return the same as one line, for a narrow terminal."""
    glyph, word, style = WORDS[state]
    done = progress.planned - progress.open
    unit = " sentences" if progress.unit == "sentences" else ""
    counts = f"  {done:,}/{progress.planned:,}{unit}"
    head = safe.join((f"{glyph} ", style), bar(done, progress.planned, 8), counts)
    spent = usd(progress.spent_nano) if progress.spent_nano or progress.cap_nano is not None else "free"
    spent += "" if progress.cap_nano is None else f"/{usd(progress.cap_nano)}"
    if state not in LIVE_WORDS:
        return safe.join(head, f" · {word} · {spent}   ", (ending_key(progress), "bold $text-primary"))
    eta = f"ETA {clock(progress.eta_seconds)}" if state == "running" else word.split(":")[0]
    arrow = "▲" if progress.limit > before else "▼" if progress.limit < before else ""
    few = " · small cap" if progress.held_by_cap else ""
    return safe.join(
        head, f" · {progress.per_second:,.0f}/s · {eta} · {spent} · limit {progress.limit}{arrow}{few}"
    )


def idle_box(plan: Plan) -> Content:
    """Return the box while nothing runs here: what a run would do, and the key for it."""
    if plan.other is not None:
        run = plan.other
        return safe.lines(
            (f"▶ run {run.id} elsewhere: {run.state}", "$text-success"),
            bar(plan.planned - plan.left, plan.planned, 14),
            f"{plan.planned - plan.left:,} / {plan.planned:,} {plan.unit}",
            f"process {run.pid} on {run.host}",
            (("g resumes it  " if run.state == "paused" else "p pauses it  ") + "x stops it", "$text-primary"),
        )
    if plan.problem:
        return safe.lines(("✗ cannot start", "$text-error"), safe.block(plan.problem))
    rows: list[safe.Part] = [
        ("✓ all asked" if plan.planned and not plan.left else "· not running", "$text-muted"),
        bar(plan.planned - plan.left, plan.planned, 14),
        f"{plan.planned - plan.left:,} / {plan.planned:,} {plan.unit}",
        (plan.endpoint, "$text-muted"),
    ]
    if plan.missing:
        rows.append(f"{plan.missing:,} sentences are written first")
    if plan.estimate:
        rows.append(plan.estimate)
    if plan.left:
        word = "goes on" if plan.answered or plan.failed else "starts"
        rows.append((f"g {word}", "bold $text-primary"))
    elif plan.planned:
        rows.append(("5 reviews what landed", "bold $text-primary"))
    return safe.lines(*rows)


def idle_line(plan: Plan) -> Content:
    """Return the same as one line."""
    if plan.other is not None:
        run = plan.other
        return safe.join(
            (f"▶ run {run.id} ({run.state}) goes on in process {run.pid} on {run.host}", "$text-success"),
            ("   p pause  x stop", "$text-primary"),
        )
    if plan.problem:
        return safe.join(("✗ cannot start: ", "$text-error"), plan.problem)
    head = f"  {plan.planned - plan.left:,}/{plan.planned:,} {plan.unit} · {plan.endpoint}"
    begun = "goes on" if plan.answered or plan.failed else "starts"
    tail = f"g {begun}" if plan.left else "5 reviews what landed" if plan.planned else ""
    return safe.join(
        bar(plan.planned - plan.left, plan.planned, 8),
        head
        + (f" · {plan.missing:,} sentences first" if plan.missing else "")
        + (f" · {plan.estimate}" if plan.estimate else ""),
        (f"   {tail}", "bold $text-primary"),
    )


def troubles_box(troubles: dict[str, int], failed: dict[str, int]) -> Content:
    """Return the troubles by class: how often, and what became of them."""
    rows: list[safe.Part] = []
    for reason in sorted(
        {*troubles, *failed}, key=lambda name: (-troubles.get(name, failed.get(name, 0)), name)
    ):
        count = max(troubles.get(reason, 0), failed.get(reason, 0))
        lost = failed.get(reason, 0)
        fate = (
            ("failed" if lost == count else f"{lost:,} lost", "$text-error")
            if lost
            else ("retried", "$text-muted")
        )
        rows.append(safe.join(f"{trouble_name(reason):<15}{count:>6,}  ", fate))
    return safe.lines(*rows) if rows else safe.line("none", "$text-muted")


def troubles_line(troubles: dict[str, int], failed: dict[str, int], dropped: dict[str, int]) -> Content:
    """Return troubles and drops as one line."""
    parts = []
    for reason in sorted({*troubles, *failed}):
        count = max(troubles.get(reason, 0), failed.get(reason, 0))
        lost = failed.get(reason, 0)
        fate = "" if not lost else " failed" if lost == count else f" ({lost:,} lost)"
        parts.append(f"{trouble_name(reason)} {count:,}{fate}")
    drops = [f"{name} {count:,}" for name, count in dropped.items()]
    left = (
        safe.line("! " + " · ".join(parts) + " (e)", "$text-warning")
        if parts
        else safe.line("no troubles", "$text-muted")
    )
    if not drops:
        return left
    return safe.join(left, ("   drops so far: " + " · ".join(drops), "$text-muted"))


def funnel_box(dropped: dict[str, int], landed: int, swapped: int | None = None) -> Content:
    """Return what post-processing would drop of what has landed, by rule; ``swapped`` where roles may change places."""
    rows: list[safe.Part] = [f"{'landed':<15}{landed:>6,}"]
    rows += [safe.join((f"− {name:<13}{count:>6,}", "$text-muted")) for name, count in dropped.items()]
    if swapped is not None:
        rows.append((f"⇄ {'swapped':<13}{swapped:>6,}", "$text-muted"))
    return safe.lines(*rows)


def rules_of(deck: Deck, classes: Mapping[str, int]) -> dict[str, int]:
    """Return the counts with those of the system's own rules there even while they are 0."""
    own = CURATED if deck.curation is not None else ("off label",) if deck.checks else ()
    return {
        **{name: count for name, count in classes.items() if name not in own},
        **{n: classes.get(n, 0) for n in own},
    }


def trouble_name(reason: str) -> str:
    """Return a failure class in words."""
    names = {"rate_limited": "429 rate limit", "unparsed": "unparsed score", "server_error": "5xx"}
    return names.get(reason, reason.replace("_", " "))
