"""The lab's window as text to draw: what is set up, how far it is, what came out. Pure; figures come from core."""

from __future__ import annotations

from claif_tui.core.events import Progress
from claif_tui.core.lab import report
from claif_tui.core.lab.models import CellResult, Lab, LabResult, LabSpec
from claif_tui.core.lab.running import Plan
from claif_tui.core.models import NANO
from claif_tui.core.postprocess import RULES
from claif_tui.core.recipes import Recipe
from claif_tui.core.session import NO_CAP
from claif_tui.ui import lab as words
from claif_tui.ui import safe
from claif_tui.ui.recipe_form import form_of
from claif_tui.ui.safe import Content

KINDS = {"score": "Scoring prompts", "generate": "Mask rates"}
HOW_TO_GET_ROWS = {
    "score": (
        "A scoring lab needs pairs with human labels: press esc, 2, i and import a file as gold, or in a shell "
        "claif-tui import --as gold sts-dev.csv (claif-tui data get fetches STS-B). m: mask rates, on your seeds."
    ),
    "generate": "A generation lab needs seeds: press esc, 2, then i, to import some. m: scoring prompts.",
}


def what_helps(kind: str, recipe: Recipe) -> str:
    """Say what to do about a lab that cannot start: get rows, or another system where this one has no such lab."""
    knobs = form_of(recipe).keys
    if ("score.prompt" if kind == "score" else "masks.rates") in knobs or (
        kind == "generate" and "dino.samples" in knobs
    ):
        return HOW_TO_GET_ROWS[kind]
    return "Here: press esc, e, and choose another system or preset. m: the other kind of lab."


def setup(spec: LabSpec, lab: Lab | None, file: str) -> Content:
    """What the lab is made of, in one or two lines."""
    unit = "gold rows" if spec.kind == "score" else "seeds"
    if lab is None:
        rows = f"{spec.rows:,} {unit}"
    else:
        rows = f"{len(lab.gold) or len(lab.seeds):,} of {lab.available:,} {unit}"
    cap = "no cap" if lab is None or lab.cap_nano is None else f"budget ${lab.cap_nano / NANO:,.2f}"
    if lab is None and spec.budget is not None and spec.budget != NO_CAP:
        cap = f"budget ${spec.budget:,.2f}"
    models = "" if lab is None else ", ".join(station.ready.recipe.model for station in lab.stations)
    parts = [rows, f"seed {spec.seed}", cap, *([models] if models else []), *([f"from {file}"] if file else [])]
    return safe.line(" · ".join(parts))


def estimate(plan: Plan, spent_nano: int) -> Content:
    """What is still to be asked, and what it would cost."""
    spent = f" · ${spent_nano / NANO:,.4f} spent" if spent_nano else ""
    if not plan.open:
        return safe.line(f"✓ all {plan.planned:,} questions are answered{spent}", "$text-success")
    if plan.usd is None:
        cost = "cost unknown: no price for this model (set one in 9 Settings)"
    elif plan.usd[1]:
        cost = f"${plan.usd[0]:,.4f}-{plan.usd[1]:,.4f}"
    else:
        cost = "free"
    stored = f", {plan.planned - plan.open:,} answered already" if plan.open < plan.planned else ""
    return safe.line(
        f"{plan.planned:,} questions{stored} · {plan.calls:,} calls · tokens {words.span(plan.tokens)} · {cost}{spent}"
    )


def running(progress: Progress | None, stopping: bool) -> Content:
    """How far a lab is."""
    if progress is None:
        return safe.line("▶ starting …", "$text-primary")
    done, failed = progress.planned - progress.open, sum(progress.failed.values())
    eta = progress.eta_seconds
    parts = [
        f"{'■ stopping' if stopping else '▶'} {done:,} of {progress.planned:,}",
        f"{progress.per_second:,.0f}/s",
    ]
    if eta is not None and not stopping:
        minutes, seconds = divmod(round(eta), 60)
        parts.append(f"ETA {minutes}:{seconds:02d}")
    if progress.spent_nano or progress.cap_nano is not None:
        parts.append(f"${progress.spent_nano / NANO:,.4f}")
    if failed:
        parts.append(f"{failed:,} failed")
    return safe.line(" · ".join(parts), "$text-primary")


def outcome(result: LabResult) -> Content:
    """Verdict, cells, comparisons, charts: everything there is, top down by importance."""
    out: list[safe.Part] = [
        safe.line(
            f"{'✓' if result.supported else '≈'} {result.verdict}",
            "bold $text-success" if result.supported else "bold",
        ),
        "",
    ]
    for cell in result.cells:
        out += _cell(cell, result)
    if result.contrasts:
        out += ["", ("Differences (95 % interval, p by Holm; * supported)", "bold $text-primary")]
        out += [_contrast(row) for row in report.contrast_rows(result)]
    failures = report.failures(result)
    if failures:
        out += ["", ("Without an outcome, by reason", "bold $text-primary")]
        out += [safe.line(f"  {line}") for line in failures]
    out += ["", ("Scores", "bold $text-primary"), *(safe.line(line) for line in report.charts(result))]
    out += ["", *(safe.line(note, "$text-muted") for note in (*result.notes, *report.method(result)))]
    return safe.lines(*out)


def _cell(cell: CellResult, result: LabResult) -> list[safe.Part]:
    leads = cell.cell.name == result.leader
    mark = ("▸ " if result.supported else "~ ") if leads else "  "
    style = "bold" if leads else ""
    if cell.score is not None:
        ends = cell.score.spearman
        figure = cell.score.why_not or "undefined"
        if ends is not None:
            figure = f"{100 * ends.value:.2f} ({100 * ends.low:.1f} to {100 * ends.high:.1f})"
        head = f"{mark}{cell.cell.name}   Spearman {figure} over {cell.spread.scored:,} rows"
        parts = [
            _told("calibration error", cell.score.error, ".3f"),
            _told("bias", cell.score.bias, "+.3f"),
            _told("heaped", cell.spread.heaped, ".0%"),
            f"unread {sum(cell.failed.values()):,}",
            f"re-asked {cell.reasked:,}",
            _told("$/1,000", report.per_thousand(cell), ".4g"),
        ]
        return [safe.line(head, style), safe.line("    " + " · ".join(filter(None, parts)), "$text-muted")]
    made = cell.made
    assert made is not None
    share = "" if made.yielded is None else f" = {100 * made.yielded.value:.0f} %"
    head = f"{mark}{cell.cell.name}   kept {made.kept:,} of {cell.planned - cell.open:,}{share}"
    drops = ", ".join(f"{RULES.get(rule, rule)} {count:,}" for rule, count in made.drops.items())  # type: ignore[call-overload]
    parts = [
        _told("score", cell.spread.mean, ".2f"),
        _told("new words", made.novelty, ".0%"),
        _told("unseen", made.unseen, ".0%"),
        _told("edit", made.edit, ".2f"),
        _told("distinct-2", made.distinct[1], ".2f"),
        _told("near dup.", made.near, ".0%"),
        _told("$/kept", report.per_kept(cell), ".3g"),
        _told("$/accepted", report.per_accepted(cell), ".3g"),
        f"people accepted {made.accepted:,} of {made.decided:,}" if made.decided else "",
    ]
    lines: list[safe.Part] = [safe.line(head, style)]
    lines.append(safe.line("    " + " · ".join(filter(None, parts)), "$text-muted"))
    return [*lines, *([safe.line(f"    dropped: {drops}", "$text-muted")] if drops else [])]


def _contrast(row: list[str]) -> Content:
    name, value, ends, _, p, n, needed = row
    if not value:
        return safe.line(f"  {name}   {needed}")
    more = "" if not needed.strip() else f" · {needed} rows needed" if needed != "-" else " · as good as equal"
    return safe.line(
        f"  {name}   {value} ({ends})   p {p.strip()} · {n} rows{more}", "bold" if "*" in p else ""
    )


def _told(name: str, value: float | None, form: str) -> str:
    return "" if value is None else f"{name} {value:{form}}".replace("%", " %")
