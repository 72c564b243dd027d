"""``rate explain``: a reason for the score of every item of a study that has none yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.commands.rate import study_option
from claif_tui.cli.shared import endpoint_options, json_option, open_project, project_option, yes_option

if TYPE_CHECKING:
    from claif_tui.cli.running import Ended
    from claif_tui.core.llm.budget import Estimate
    from claif_tui.core.rating.explaining import Work
    from claif_tui.core.session import Ready
    from claif_tui.core.store.store import Store

_OFFLINE = (
    "the offline model names the words that differ; that is no reason for a score, and good for a trial only"
)


@click.command("explain")
@study_option
@endpoint_options
@click.option(
    "--without", multiple=True, metavar="PARAM", help="Don't send this parameter to the model; remembered."
)
@click.option("--dry-run", is_flag=True, help="Only show what would be asked, and its cost.")
@yes_option
@json_option
@project_option
def explain_command(**flags: Any) -> int:
    """Ask a model for the reason of each score in a study, where none is stored.

    Only the study's own items are asked about. A reason that came with the score is taken as it is. Items that
    somebody rated stay as they were, and explanations after the first rating are listed as a deviation.
    """
    from claif_tui.cli import running
    from claif_tui.core.rating.explaining import Explaining, estimate, use_own, work
    from claif_tui.core.session import open_desk

    with open_project(flags["project"]) as store:
        found = work(store, flags["study"])
        ready = running.prepared(store, flags)
        planned = estimate(store, ready.recipe, found.ask, ready.price)
        lines = _plan(found, ready, planned)
        if flags["dry_run"] or not (found.ask or found.own):
            return _tell_plan(store, found, ready, planned, lines, flags["as_json"])
        if ready.profile.kind == "offline" and found.ask:
            diagnostics.warn(_OFFLINE)
        running.agree(ready.costs and planned.calls > 0, lines, flags["yes"])
        use_own(store, found)
        if not found.ask:
            return _tell(store, found, ready, None, 0, flags["as_json"])
        desk = open_desk(store, ready, streaming=False)
        run = Explaining(store, ready.recipe, desk, found)
        ended = running.run(lambda: run, "explain")
        return _tell(store, found, ready, ended, run.late, flags["as_json"])


def _plan(found: Work, ready: Ready, planned: Estimate) -> list[str]:
    lines = [f"study {found.study.name}: {found.there:,} items have their explanation"]
    if found.own:
        lines.append(f"{len(found.own):,} are taken from the pairs' own score calls")
    if found.rated:
        lines.append(f"{found.rated:,} were rated without one and stay so")
    if not found.ask:
        return lines
    stored = len(found.ask) - planned.calls
    answered = f", {stored:,} of them from stored answers" if stored else ""
    lines.append(f"{len(found.ask):,} are asked of {ready.recipe.model}{answered}")
    if planned.calls and planned.usd is None:
        lines.append("cost unknown: no price is known for this model (--price-in, --price-out)")
    elif planned.calls and planned.usd and planned.usd[1] > 0:
        lines.append(f"cost ${planned.usd[0]:,.2g} to ${planned.usd[1]:,.2g}")
    else:
        lines.append("cost nothing")
    return lines


def _tell_plan(
    store: Store, found: Work, ready: Ready, planned: Estimate, lines: list[str], as_json: bool
) -> int:
    if as_json:
        output.document(
            {
                **_document(store, found, ready),
                "calls": planned.calls,
                "usd": None if planned.usd is None else list(planned.usd),
            }
        )
        return 0
    for line in lines:
        output.line(line)
    if not (found.ask or found.own):
        output.line("There is nothing to ask.")
    return 0


def _tell(store: Store, found: Work, ready: Ready, ended: Ended | None, late: int, as_json: bool) -> int:
    from claif_tui.core.rating.explaining import FAR, apart

    progress = None if ended is None else ended.finished.progress
    explained = len(found.own) + (0 if progress is None else progress.answered - late)
    failed = {} if progress is None else progress.failed
    far = apart(store, found.study)
    if as_json:
        state = "finished" if ended is None else ended.finished.state
        extra = {"explained": explained, "failed": failed, "rated_meanwhile": late, "state": state}
        output.document({**_document(store, found, ready), **extra})
    else:
        output.line(f"{explained:,} explanations are stored, {found.there:,} were there before")
        if failed:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in failed.items())
            output.line(f"{sum(failed.values()):,} got none: {reasons}. The same command asks again.")
        if found.rated + late:
            output.line(f"{found.rated + late:,} were rated without one and stay so")
        if far:
            items = ", ".join(str(one.item) for one in far[:10]) + (", …" if len(far) > 10 else "")
            output.line(
                f"{len(far):,} explanations came with a score more than {FAR:g} from the stored one, which raters see: "
                f"items {items}"
            )
    if ended is not None and ended.finished.state != "finished":
        diagnostics.note(ended.finished.message)
    return 0 if ended is None else ended.exit_code


def _document(store: Store, found: Work, ready: Ready) -> dict[str, Any]:
    from dataclasses import asdict

    from claif_tui.core.rating.explaining import apart

    return {
        "study": found.study.name,
        "model": ready.recipe.model,
        "asked": len(found.ask),
        "own": len(found.own),
        "there": found.there,
        "rated": found.rated,
        "apart": [asdict(one) for one in apart(store, found.study)],
    }
