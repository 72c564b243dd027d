"""``claif-tui review``: pairs and what people decide about them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import json_option, open_project, project_option
from claif_tui.core.errors import InputError, UsageError

if TYPE_CHECKING:
    from claif_tui.core.models import Action, Call, Decision, Lineage, Pair, PairQuery
    from claif_tui.core.store.store import Store

F = TypeVar("F", bound=Callable[..., Any])
SORTS = ("newest", "oldest", "score", "rate", "length", "disagreement")


@click.group("review")
def command() -> None:
    """List, accept, reject or edit pairs; undo and redo; judge the scores.

    \b
    Filters: field op value, joined by and, or, not and parentheses, e.g.
      'score >= 0.5 and status = pending'   'rate = 0.3 or model ~ gpt'
    Fields: score rate status system model flag length author kind class split
    source stale edited gold encoder gap triplet negative id.
    Operators: = != < <= > >= ~
    """


def selection(command: F) -> F:
    """Add the options that choose pairs."""
    options = (
        click.option("--filter", "expression", default="", metavar="EXPR", help="Only pairs that match."),
        click.option("--search", default="", metavar="WORDS", help="Only pairs that hold all these words."),
        click.option("--sample", type=click.IntRange(1), metavar="N", help="A random sample of N of them."),
        click.option("--sample-seed", type=int, default=42, show_default=True, help="Seed of the sample."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@command.command("list")
@selection
@click.option("--sort", type=click.Choice(SORTS), default="newest", show_default=True, help="Order.")
@click.option("--descending", is_flag=True, help="Largest first.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Pairs to list.")
@json_option
@project_option
def list_(sort: Any, descending: bool, limit: int, as_json: bool, project: Path | None, **chosen: Any) -> None:
    """List pairs with their numbers."""
    with open_project(project) as store:
        query = _query(chosen, sort=sort, descending=descending)
        total = store.pairs.count(query)
        pairs = store.pairs.first(query, limit)
    if as_json:
        output.document({"total": total, "pairs": [_document(pair) for pair in pairs]})
        return
    head: tuple[str, ...] = ("pair", "status", "score", "rate", "first sentence", "second sentence")
    triplets = any(pair.hard_negative is not None for pair in pairs)
    if triplets:
        head = (*head, "negative score", "hard negative")
    rows = [
        (
            pair.id,
            pair.status + (" !stale" if pair.stale else ""),
            "" if pair.score is None else f"{pair.score:.2f}",
            "" if pair.rate is None else f"{pair.rate:g}",
            pair.text_a[:200],
            pair.text_b[:200],
            "" if pair.negative_score is None else f"{pair.negative_score:.2f}",
            (pair.hard_negative or "")[:200],
        )[: len(head)]
        for pair in pairs
    ]
    output.table(rows, head=head, right=(0, 2, 3, 6) if triplets else (0, 2, 3))
    if total > len(pairs):
        output.line(f"{len(pairs):,} of {total:,}; --limit shows more")
    elif not total:
        output.line("No pair matches.")


@command.command("show")
@click.argument("pair_id", type=int)
@json_option
@project_option
def show(pair_id: int, as_json: bool, project: Path | None) -> None:
    """Show one pair with everything it came from: seed, mask, request, raw answer, scores, decisions."""
    with open_project(project) as store:
        lineage = store.pairs.lineage(pair_id)
    if lineage is None:
        raise InputError(
            f"There is no pair {pair_id}", "claif-tui review list shows the pairs and their numbers."
        )
    if as_json:
        output.document(asdict(lineage))
        return
    _show_pair(lineage)


def _decider(action: Action, words: str) -> click.Command:
    @click.argument("ids", nargs=-1, type=int, metavar="[PAIR]...")
    @selection
    @json_option
    @project_option
    def decide(ids: tuple[int, ...], as_json: bool, project: Path | None, **chosen: Any) -> None:
        with open_project(project) as store:
            if action != "pend" and _names_nothing(ids, chosen):
                raise UsageError(
                    "no pair is named", "Name pairs by number, or choose them: --filter 'score >= 0.5'"
                )
            decision = store.decisions.decide(_pairs(ids, chosen), action)
            _tell(store, decision, as_json)

    return click.command(action, help=f"{words} It is one decision, undone as one.")(decide)


def _names_nothing(ids: tuple[int, ...], chosen: dict[str, Any]) -> bool:
    return not ids and not chosen["expression"] and not chosen["search"] and chosen["sample"] is None


command.add_command(_decider("accept", "Accept pairs, by number or by filter."))
command.add_command(_decider("reject", "Reject pairs, by number or by filter."))
command.add_command(_decider("pend", "Set pairs back to pending, by number or by filter."))


@command.command("edit")
@click.argument("pair_id", type=int)
@click.argument("text", required=False)
@click.option("--negative", metavar="TEXT", help="The new hard negative of a triplet.")
@json_option
@project_option
def edit(pair_id: int, text: str | None, negative: str | None, as_json: bool, project: Path | None) -> None:
    """Change the second sentence of a pair, the hard negative of a triplet, or both. Its scores become stale.

    Without TEXT and --negative the second sentence is read from stdin.
    """
    if text is None and negative is None:
        if sys.stdin.isatty():
            diagnostics.note("Type the sentence, then Ctrl-D.")
        text = sys.stdin.read()
    with open_project(project) as store:
        _tell(store, store.decisions.edit(pair_id, text, negative=negative), as_json)


@command.command("set-score")
@click.argument("pair_id", type=int)
@click.argument("value", type=float)
@click.option("--negative", type=float, metavar="VALUE", help="The score of a triplet's hard negative as well.")
@json_option
@project_option
def set_score(pair_id: int, value: float, negative: float | None, as_json: bool, project: Path | None) -> None:
    """Give a pair a score (0 to 1) by hand."""
    with open_project(project) as store:
        _tell(store, store.decisions.set_score(pair_id, value, negative=negative), as_json)


@command.command("rescore")
@click.argument("ids", nargs=-1, type=int, metavar="[PAIR]...")
@selection
@json_option
@project_option
def rescore(ids: tuple[int, ...], as_json: bool, project: Path | None, **chosen: Any) -> None:
    """Mark pairs for a new score; claif-tui score then asks for it."""
    if _names_nothing(ids, chosen):
        raise UsageError("no pair is named", "Name pairs by number, or choose them: --filter 'score >= 0.5'")
    with open_project(project) as store:
        _tell(store, store.decisions.rescore(_pairs(ids, chosen)), as_json)


@command.command("undo")
@json_option
@project_option
def undo(as_json: bool, project: Path | None) -> None:
    """Take back your last decision, also after a restart. Pairs that others decided since stay."""
    with open_project(project) as store:
        _tell(store, store.decisions.undo(), as_json, nothing="You have no decision to undo.")


@command.command("redo")
@json_option
@project_option
def redo(as_json: bool, project: Path | None) -> None:
    """Put back what you undid last."""
    with open_project(project) as store:
        _tell(store, store.decisions.redo(), as_json, nothing="There is nothing to redo.")


@command.command("log")
@click.option("--pair", "pair_id", type=int, help="Only decisions about this pair.")
@click.option("--author", help="Only decisions of this person.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Decisions to list.")
@json_option
@project_option
def log(pair_id: int | None, author: str | None, limit: int, as_json: bool, project: Path | None) -> None:
    """List decisions, newest first."""
    with open_project(project) as store:
        found = store.decisions.list(pair_id=pair_id, author=author, limit=limit)
    if as_json:
        output.document({"decisions": [asdict(decision) for decision in found]})
        return
    rows = [
        (one.id, one.at[:19].replace("T", " "), one.author, one.action, f"{one.count:,}", one.pair_id or "")
        for one in found
    ]
    output.table(rows, head=("no.", "when (UTC)", "who", "what", "pairs", "pair"), right=(0, 4, 5))


@command.command("scores")
@selection
@json_option
@project_option
def scores(as_json: bool, project: Path | None, **chosen: Any) -> None:
    """Say how good the AI's scores are: against encoder, gold labels and decisions; heaping; by mask rate.

    Pairs of every status count, whatever the filter says about status.
    """
    from claif_tui.core.quality import quality

    with open_project(project) as store:
        found = quality(store, _query(chosen))
    if as_json:
        output.document(found.to_dict())
        return
    from claif_tui.cli.scores import tell

    tell(found)


def _query(chosen: dict[str, Any], **order: Any) -> PairQuery:
    from claif_tui.core.models import PairQuery

    sample = None if chosen["sample"] is None else (chosen["sample_seed"], chosen["sample"])
    return PairQuery(filter=chosen["expression"], search=chosen["search"], sample=sample, **order)


def _pairs(ids: tuple[int, ...], chosen: dict[str, Any]) -> list[int] | PairQuery:
    if not ids:
        return _query(chosen)
    if not _names_nothing((), chosen):
        raise UsageError("pairs are named by number and by filter at once", "Use one of the two.")
    return list(dict.fromkeys(ids))


def _tell(store: Store, decision: Decision | None, as_json: bool, nothing: str = "") -> None:
    counts = store.pairs.counts()
    pairs = {"pending": counts.pending, "accepted": counts.accepted, "rejected": counts.rejected}
    if decision is None:
        diagnostics.note(nothing)
        if as_json:
            output.document({"action": None, "count": 0, "decision": None, "pairs": pairs})
        return
    keys = ("unchanged", "skipped", "of")
    payload: dict[str, object] = {key: decision.payload[key] for key in keys if key in decision.payload}
    if as_json:
        output.document(
            {
                "action": decision.action,
                "count": decision.count,
                "decision": decision.id or None,
                **payload,
                "pairs": pairs,
            }
        )
        return
    remarks = [
        f"{count:,} {word}"
        for word, count in payload.items()
        if word != "of" and isinstance(count, int) and count
    ]
    what = (
        f"{decision.action} {decision.payload['action']}" if "action" in decision.payload else decision.action
    )
    output.line(f"{what}: {decision.count:,} pairs" + (f" ({', '.join(remarks)})" if remarks else ""))
    output.line(f"now {counts.pending:,} pending, {counts.accepted:,} accepted, {counts.rejected:,} rejected")


def _document(pair: Pair) -> dict[str, object]:
    names = (
        *("id", "status", "text_a", "text_b", "score", "rate", "stale", "reason", "kind", "system", "model"),
        *("hard_negative", "negative_score", "generated_negative", "gold", "encoder", "flags", "author"),
        *("split", "seed_id", "source_id"),
    )
    values = {name: getattr(pair, name) for name in names}
    return {**values, "edited": pair.edited, "class": pair.answer_class}


def _show_pair(lineage: Lineage) -> None:
    from claif_tui.core.history import describe

    pair = lineage.pair
    rows: list[tuple[str, object]] = [
        ("pair", f"{pair.id} ({pair.status}{', stale score' if pair.stale else ''})"),
        ("first", pair.text_a),
        ("second", pair.text_b),
    ]
    if pair.text_edited:
        rows.append(("generated", pair.generated))
    if pair.hard_negative is not None:
        rows.append(("hard negative", pair.hard_negative))
    if pair.negative_edited:
        rows.append(("generated", pair.generated_negative))
    rows.append(("score", "none" if pair.score is None else f"{pair.score:g} (said: {pair.score_raw})"))
    if pair.negative_score is not None:
        rows.append(("negative score", f"{pair.negative_score:g}"))
    if pair.reason:
        rows.append(("reason", pair.reason))
    if pair.masked:
        rows.append(("masked", f"{pair.masked} (rate {pair.rate:g})"))
    if lineage.source is not None:
        place = f", {lineage.seed_place}" if pair.source_id is None else ""
        rows.append(("from", f"{lineage.source.path}{place}"))
    rows += _call_rows("asked", lineage.generate_call)
    rows += _call_rows("negative by", lineage.negative_call)
    of_negatives = {entry.negative_key for entry in lineage.scores}
    for call in lineage.score_calls:
        name = "negative scored by" if call.key in of_negatives else "scored by"
        rows += _call_rows("explained by" if call.stage == "explain" else name, call)
    for decision in lineage.decisions:
        rows.append(("decision", f"{decision.at[:19]} {decision.author}: {describe(decision)}"))
    if pair.recipe_id:
        rows.append(("recipe", pair.recipe_id))
    output.table(rows)


def _call_rows(name: str, call: Call | None) -> list[tuple[str, object]]:
    if call is None:
        return []
    model = call.model_returned or call.model
    return [(name, f"{model} at {call.profile}, {call.sent_at[:19]}"), ("  said", (call.raw or "")[:500])]
