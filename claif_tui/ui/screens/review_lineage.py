"""Everything one pair came from and went through, as one text to read and copy. No data access but one query."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from textual.content import Content

from claif_tui.core.models import NANO, Call, Decision, Lineage, Pair, ScoreEntry
from claif_tui.ui import safe
from claif_tui.ui.dialogs import TextModal
from claif_tui.ui.widgets.pair_sides import field

if TYPE_CHECKING:
    from claif_tui.ui.screens.review import ReviewScreen

_LIMIT = 6_000
_LABEL = 15


async def show_lineage(screen: ReviewScreen, pair_id: int) -> None:
    """Read a pair's lineage and show it."""
    lineage = await screen.shell.db(lambda store: store.pairs.lineage(pair_id))
    if lineage is None:
        screen.shell.say(f"Pair {pair_id:,} is not there any more.")
        return
    rows = lineage_rows(lineage)
    title = f"Where pair {pair_id:,} comes from"
    plain = "\n".join(f"{label}: {text}" if label else text for label, text in rows)
    shown = content(rows, int(screen.size.width * 0.96) - 8)
    await screen.shell.push_screen_wait(TextModal(title, shown, plain=plain, what="the lineage", wide=True))


def content(rows: list[tuple[str, str]], width: int) -> Content:
    """Return rows as (label, text), texts wrapped beside their labels; a row without a text is a heading."""
    out: list[Content] = []
    for label, text in rows:
        if not text:
            out += [Content(""), safe.line(label, "bold $text-primary")]
        else:
            out.append(field(f"  {label}", safe.block(text, limit=_LIMIT), width, label_width=_LABEL))
    return Content("\n").join(out[1:] if out and not out[0] else out)


def lineage_rows(lineage: Lineage) -> list[tuple[str, str]]:
    """Return the lineage from seed to the last decision as (label, text); headings have no text."""
    pair, rows = lineage.pair, [("Seed", "")]
    rows.append(("text", pair.text_a))
    if lineage.seed is not None:
        number = f"{lineage.seed.id:,}, {lineage.seed_place}, occurs {lineage.seed.count:,} ×"
        rows.append(("number", number))
    if lineage.source is not None:
        source = lineage.source
        rows += [("source", f"{source.path} ({source.format}, {source.role}, by {source.author})"),
                 ("sha256", source.sha256)]  # fmt: skip
    if pair.masked is not None:
        rows += [
            ("Mask", ""),
            ("rate", f"{pair.rate:.1f}" + (", runs merged" if pair.merged else "")),
            ("masked", pair.masked),
        ]
    if lineage.generate_call is not None:
        rows += [("Generation", ""), *_call_rows(lineage.generate_call)]
    rows += (
        [("generated", pair.generated)]
        if lineage.generate_call is not None
        else [("Text", ""), ("generated", pair.generated)]
    )
    if lineage.negative_call is not None:
        rows += [("Hard negative", ""), *_call_rows(lineage.negative_call)]
    if pair.generated_negative is not None:
        rows.append(("negative", pair.generated_negative))
    of_negatives = {entry.negative_key for entry in lineage.scores}
    for call in lineage.score_calls:
        heading = "Scoring of the hard negative" if call.key in of_negatives else "Scoring"
        rows += [("Explanation" if call.stage == "explain" else heading, ""), *_call_rows(call)]
    rows += [("Scores", "")] if lineage.scores else []
    rows += [_score_row(entry, pair) for entry in lineage.scores]
    rows += [("Decisions, newest first", "")] if lineage.decisions else []
    rows += [_decision_row(decision) for decision in lineage.decisions]
    if pair.recipe_id is not None:
        rows += [("Recipe", ""), ("version", pair.recipe_id)]
        if lineage.recipe is not None:
            rows.append(("", lineage.recipe))
    return [(label, text) for label, text in rows]


def _call_rows(call: Call) -> list[tuple[str, str]]:
    model = call.model_returned or call.model
    other = f", asked for {call.model}" if model != call.model else ""
    tries = "1 try" if call.tries == 1 else f"{call.tries} tries"
    took = f", {call.latency_ms:,} ms" if call.latency_ms is not None else ""
    rows = [
        ("model", f"{model} @ {call.profile} ({call.api}){other}"),
        ("sent", f"{call.sent_at}, {tries}{took}"),
        ("prompt", _prompt(call.prompt)),
        ("parameters", call.params),
    ]
    if call.reasoning:
        rows.append(("reasoning", call.reasoning))
    if call.raw is not None:
        rows.append(("raw answer", call.raw or "(empty)"))
    end = call.finish_reason or call.reason or call.state
    tokens = f"{call.prompt_tokens or 0:,} + {call.completion_tokens or 0:,} tokens"
    cost = f"${call.cost_nano / NANO:.6f}" if call.cost_nano else "free"
    rows += [("ended", f"{end}, {tokens}, {cost}"), ("key", call.key)]
    return rows


def _prompt(messages: str) -> str:
    try:
        return "\n".join(f"{role}: {text}" for role, text in json.loads(messages))
    except ValueError:
        return messages


def _score_row(entry: ScoreEntry, pair: Pair) -> tuple[str, str]:
    how = "set by hand" if entry.decision_id is not None else f'said "{entry.raw}"' if entry.raw else "imported"
    other = "" if entry.text_b == pair.text_b else f"; for: {entry.text_b}"
    reason = f"; {entry.reason}" if entry.reason else ""
    if entry.negative is not None:
        said = f', said "{entry.negative_raw}"' if entry.negative_raw else ""
        of = "" if entry.negative_text == pair.hard_negative else f", for: {entry.negative_text}"
        reason += f"; hard negative {entry.negative:.4g}{said}{of}"
    return f"{entry.score:.4g}", f"{how}{other}{reason}"


def _decision_row(decision: Decision) -> tuple[str, str]:
    many = f" of {decision.count:,} pairs" if decision.count != 1 else ""
    extra = {
        key: value
        for key, value in decision.payload.items()
        if key in ("text", "negative", "score", "action", "filter")
    }
    more = ("; " + ", ".join(f"{key}: {value}" for key, value in extra.items())) if extra else ""
    return decision.action, f"{decision.at} by {decision.author}{many}{more}"
