"""The tables of a report from its facts: which columns, which notes, which digits. Nothing is read or computed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claif_tui.core.models import NANO
from claif_tui.core.paper.examples import Explained, Generated
from claif_tui.core.paper.facts import Facts, Frozen, is_demo
from claif_tui.core.paper.figure import BINS
from claif_tui.core.paper.tables import Cell, Table
from claif_tui.core.publish_text import without_path
from claif_tui.core.store.accounts import Spending

PAPERS = (
    ("Wiki-1M", 1_000_000, "sentences"),
    ("NLI", 275_601, "triplets"),
    ("Dino", 83_497, "pairs"),
    ("CLAIF", 113_773, "pairs"),
    ("CLAIF-scaled", 1_215_618, "pairs"),
)
"""Table 2 of the CLAIF paper (methods 14.1)."""
DEMO = "demo"
_DEMO_NOTE = (
    "demo: made by the built-in stand-in model, which is for trying things out; no result of a language model."
)
_KINDS = {"llm": "scored by a model", "human": "labelled by people", "zero": "zero pairs", "nli": "from NLI"}


def tables(found: Facts) -> list[Table]:
    """Return every table that the project has the facts for."""
    made = [
        statistics(found.frozen) if found.frozen else None,
        generated(found.generated) if found.generated is not None else None,
        explained(found.explained) if found.explained is not None else None,
        cost(found) if found.spending else None,
        funnel(found.frozen[-1]) if found.frozen else None,
    ]
    return [one for one in made if one is not None]


def statistics(frozen: tuple[Frozen, ...]) -> Table:
    """Table 2: how large the data sets are, the papers' above ours."""
    rows: list[tuple[str, ...]] = [(name, f"{count:,}", unit, "", "the paper") for name, count, unit in PAPERS]
    data: list[tuple[Cell, ...]] = [
        (name, count, unit, None, None, None, None, None, "the paper", "no", None)
        for name, count, unit in PAPERS
    ]
    for one in frozen:
        about = one.snapshot.manifest
        kinds = about.get("kinds") or {}
        splits = about.get("splits") or {}
        triplets = int(about.get("triplets", 0))
        unit = "pairs" if not triplets else "triplets" if triplets == one.snapshot.rows else "rows"
        of = ", ".join(f"{int(count):,} {_KINDS.get(str(kind), str(kind))}" for kind, count in kinds.items())
        source = f"this project, {DEMO}" if one.demo else "this project"
        rows.append((f"snapshot {one.snapshot.id}", f"{one.snapshot.rows:,}", unit, of, source))
        counts: list[Cell] = [int(kinds.get(kind, 0)) for kind in _KINDS]
        per_split = "; ".join(f"{split} {count}" for split, count in splits.items())
        data.append(
            (
                *(f"snapshot {one.snapshot.id}", one.snapshot.rows, unit, *counts, per_split, source),
                *("yes" if one.demo else "no", str(about.get("sha256"))),
            )
        )
    return Table(
        name="table-2",
        caption="Statistics of the data sets.",
        head=("Data", "Samples", "Unit", "Of these", "Source"),
        rows=tuple(rows),
        data_head=(
            *("data", "samples", "unit", "llm", "human", "zero", "nli", "splits", "source", "demo", "sha256"),
        ),
        data=tuple(data),
        right=(1,),
        wide=((3, 0.27),),
        breaks=frozenset({len(PAPERS)}),
        notes=(_DEMO_NOTE,) if any(one.demo for one in frozen) else (),
    )


def generated(found: Generated) -> Table:
    """Table 9: what was generated at each mask rate, with the score as given."""
    rows, data, breaks = [], [], set()
    before = None
    for number, pair in enumerate(found.pairs):
        if before is not None and pair.text_a != before:
            breaks.add(number)
        marks = "".join(mark for mark, on in (("*", pair.status == "rejected"), ("+", pair.edited)) if on)
        first = pair.text_a if pair.text_a != before else ""
        before = pair.text_a
        assert pair.score is not None and pair.rate is not None
        rows.append(
            (first, f"{pair.rate:.1f}", f"{pair.text_b}{f' {marks}' if marks else ''}", f"{pair.score:.2f}")
        )
        data.append(
            (
                *(pair.text_a, pair.rate, pair.masked, pair.text_b, pair.score, pair.score_raw, pair.status),
                *("yes" if pair.edited else "no", pair.model, "yes" if is_demo(pair.model) else "no"),
            )
        )
    notes = [
        f"Model: {without_path(found.model)}. Scores as given, before smoothing. The originals were drawn at random "
        f"(seed {found.seed}) from the {found.originals:,} that have a scored pair at each rate, reviewed or not."
    ]
    if any(pair.status == "rejected" for pair in found.pairs):
        notes.append("*: rejected in review.")
    if any(pair.edited for pair in found.pairs):
        notes.append("+: edited by a person.")
    if is_demo(found.model):
        notes.append(_DEMO_NOTE)
    return Table(
        name="table-9",
        caption=f"Generated sentence pairs with their similarity scores{_demo(is_demo(found.model))}.",
        head=("Original", "Mask rate", "Generated", "Score"),
        rows=tuple(rows),
        data_head=(
            *(
                "original",
                "mask_rate",
                "masked",
                "generated",
                "score",
                "said",
                "status",
                "edited",
                "model",
                "demo",
            ),
        ),
        data=tuple(data),
        right=(1, 3),
        wide=((0, 0.3), (2, 0.42)),
        breaks=frozenset(breaks),
        notes=tuple(notes),
    )


def explained(found: Explained) -> Table:
    """Table 10: scores with their explanations, and what people answered to each question."""
    names = [name for name, _ in found.questions]
    scales = dict(found.questions)
    rows, data = [], []
    for one in found.examples:
        said = dict(one.said)
        told = [_said(said.get(name, ()), scales[name]) for name in names]
        score = "" if one.score is None else f"{one.score:.2f}"
        rows.append((one.text_a, one.text_b, score, one.explanation, *told))
        values = ["; ".join(f"{value:g}" for value in said.get(name, ())) for name in names]
        demo = "yes" if is_demo(one.model) else "no"
        data.append((one.text_a, one.text_b, one.score, one.explanation, one.model, demo, *values))
    demo_rows = any(is_demo(one.model) for one in found.examples)
    drawn = (
        f"The first of the sample of study {found.study} that have an explanation, in the order of the draw."
        if found.study
        else "Pairs whose score came with a reason, drawn by the hash of their request. Nobody rated them."
    )
    return Table(
        name="table-10",
        caption=f"Similarity scores with their explanations{_demo(demo_rows)}.",
        head=("Original", "Generated", "Score", "Explanation", *names),
        rows=tuple(rows),
        data_head=("original", "generated", "score", "explanation", "model", "demo", *names),
        data=tuple(data),
        right=(2,),
        wide=((0, 0.2), (1, 0.2), (3, 0.26)),
        breaks=frozenset(range(1, len(rows))),
        notes=(drawn, *((_DEMO_NOTE,) if demo_rows else ())),
    )


def cost(found: Facts) -> Table:
    """What was asked of which model, and what it took, by stage."""
    rows, data = [], []
    for one in found.spending:
        unpriced = (one.profile, one.asked) in found.unpriced
        rows.append(
            (
                one.stage,
                model_words(one),
                f"{one.answered:,}",
                f"{one.failed:,}",
                _tokens(one.prompt_tokens, one),
                _tokens(one.completion_tokens, one),
                price_words(one, unpriced),
            )
        )
        data.append(
            (
                *(
                    one.stage,
                    one.profile,
                    without_path(one.asked),
                    None if one.model is None else without_path(one.model),
                ),
                *(one.answered, one.failed, one.prompt_tokens, one.completion_tokens, one.unmetered),
                *(exact_usd(one.cost_nano), "no" if unpriced else "yes"),
                *(one.first, one.last, "yes" if is_demo(one.asked) or is_demo(one.model) else "no"),
            )
        )
    notes = ["Models as the endpoint named them. Cost with all tries, lost ones included."]
    if any(one.unmetered and one.prompt_tokens for one in found.spending):
        notes.append("≥: some answers came without a count of tokens.")
    if found.unpriced:
        notes.append(
            "unknown: requests were sent while no price was known; a figure beside it counts the others."
        )
    if any(is_demo(one.asked) for one in found.spending):
        notes.append(_DEMO_NOTE)
    return Table(
        name="cost",
        caption="Requests, tokens and cost by stage and model.",
        head=("Stage", "Model", "Answered", "Failed", "Tokens in", "Tokens out", "USD"),
        rows=tuple(rows),
        data_head=(
            *("stage", "endpoint", "asked_for", "model", "answered", "failed", "prompt_tokens"),
            *("completion_tokens", "answers_without_usage", "usd", "priced", "first", "last", "demo"),
        ),
        data=tuple(data),
        right=(2, 3, 4, 5, 6),
        notes=tuple(notes),
    )


def funnel(one: Frozen) -> Table:
    """How the pairs of the project became the rows of the newest snapshot."""
    about = one.snapshot.manifest
    counts: Mapping[str, Any] = about.get("funnel") or {}
    rules: Mapping[str, Any] = about.get("rules") or {}
    steps = [(str(name), int(count), str(rules.get(name, ""))) for name, count in counts.items()]
    return Table(
        name="funnel",
        caption=f"From pairs to the rows of snapshot {one.snapshot.id}{_demo(one.demo)}.",
        head=("Step", "Rows", "Meaning"),
        rows=tuple((name.replace("_", " "), f"{count:,}", words) for name, count, words in steps),
        data_head=("step", "rows", "meaning"),
        data=tuple(steps),
        right=(1,),
        notes=("A rule's count is what it took out.", *((_DEMO_NOTE,) if one.demo else ())),
    )


def histogram(found: Facts) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """Figure 2 as rows: a count for each mask rate and bin, with n and mean of the rate."""
    rows: list[tuple[Cell, ...]] = [
        (panel.rate, index / BINS, (index + 1) / BINS, count, panel.n, round(panel.mean, 6))
        for panel in found.panels
        for index, count in enumerate(panel.counts)
    ]
    return ("mask_rate", "score_from", "score_to", "pairs", "pairs_at_rate", "mean_score"), rows


def figure_mark(found: Facts) -> str:
    """What must stand in figure 2 itself: that scores or sentences are a stand-in's."""
    models = {one.model or one.asked for one in found.spending if one.stage in ("generate", "score")}
    return f"{DEMO}: with pairs of the built-in stand-in model" if any(map(is_demo, models)) else ""


def about_figure(found: Facts) -> str:
    """What figure 2 shows, in words."""
    mark = figure_mark(found)
    demo = f" {mark[:1].upper()}{mark[1:]}." if mark else ""
    return (
        "AI similarity scores, unsmoothed, of all pairs of the project at each mask rate, reviewed or not; bins of "
        f"0.1, the last one with 1.0.{demo}"
    )


def model_words(one: Spending) -> str:
    """A model as it named itself, else as it was asked for; a stand-in says so."""
    name = without_path(one.model or one.asked)
    unnamed = "" if one.model is not None else " (as asked)"
    return f"{name}{unnamed}{f' ({DEMO})' if is_demo(one.model) or is_demo(one.asked) else ''}"


def price_words(one: Spending, unpriced: bool) -> str:
    """What calls cost, without false digits; what was sent at an unknown price is never shown as nothing."""
    if unpriced:
        return f"{usd(one.cost_nano)} + unknown" if one.cost_nano else "unknown"
    return usd(one.cost_nano)


def usd(nano: int) -> str:
    """Dollars to the cent; below that, two digits that count."""
    value = nano / NANO
    if value == 0 or value >= 0.01:
        return f"{value:,.2f}" if value else "0"
    return f"{float(f'{value:.2g}'):.9f}".rstrip("0")


def exact_usd(nano: int) -> str:
    """Dollars to the last nano-dollar."""
    return f"{nano // NANO}.{nano % NANO:09d}".rstrip("0").rstrip(".")


def _said(values: tuple[float, ...], scale: str) -> str:
    if not values:
        return ""
    if scale == "yesno":
        yes = sum(value == 1.0 for value in values)
        return ("yes" if yes else "no") if len(values) == 1 else f"yes {yes} of {len(values)}"
    return ", ".join(f"{value:g}" for value in values)


def _tokens(count: int, one: Spending) -> str:
    if one.unmetered == one.answered and not count:
        return "" if one.answered else "0"
    return f"{'≥' if one.unmetered else ''}{count:,}"


def _demo(on: bool) -> str:
    return f" ({DEMO})" if on else ""
