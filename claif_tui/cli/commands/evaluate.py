"""``claif-tui evaluate``: score models on STS and transfer tasks."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import embedding_options, json_option, project_folder, project_option
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.embeddings import EmbeddingPlan
    from claif_tui.core.evaluating import Progress
    from claif_tui.core.evaluations import Evaluation
    from claif_tui.core.significance import Contest

SUPERVISION = ("none", "ai", "human", "human+ai")


@click.command("evaluate")
@click.argument("models", nargs=-1, required=True, metavar="MODEL|vectors:FILE|api:MODEL...")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of the evaluation data (SentEval's layout); claif-tui data check DIR says what it holds. Of rerank "
    "a .jsonl file, or a folder of such files.",
)
@click.option(
    "--tasks",
    default="all",
    show_default=True,
    metavar="sts|transfer|all|rerank|TASK,…",
    help="Tasks to score, as in sts or STS12,MR; all is both of the papers' kinds, without rerank.",
)
@click.option(
    "--mode",
    type=click.Choice(("full", "fast")),
    default="full",
    show_default=True,
    help="Protocol of the transfer tasks; papers report the full one.",
)
@click.option(
    "--pooling",
    metavar="P",
    help="Another pooling than the model's own: mean, cls, cls_before_pooler, avg_first_last, static_last, avg_top2.",
)
@click.option(
    "--whitening",
    metavar="CORPUS|target",
    help="Whiten the vectors with the sentences of a file, or each STS task with its own (target).",
)
@click.option(
    "--whitening-dim",
    type=click.IntRange(1),
    metavar="K",
    help="Dimensions that the whitening keeps.  [default: all]",
)
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="DIR", help="Keep the whitened model as a folder."
)
@click.option("--max-seq-length", type=click.IntRange(3), metavar="N", help="Tokens kept of a text.")
@click.option(
    "--precision",
    type=click.Choice(("fp32", "bf16", "fp16")),
    default="fp32",
    show_default=True,
    help="Arithmetic of the encoder.",
)
@click.option("--own-pooler", is_flag=True, help="The checkpoint keeps the trained head of cls as its pooler.")
@click.option("--allow-pickle", is_flag=True, help="Read weights that are pickles; they can run code.")
@click.option("--threads", type=click.IntRange(0), default=0, metavar="N", help="CPU threads.  [default: all]")
@click.option(
    "--name", metavar="NAME", help="Its name in the leaderboard.  [default: the run's or the folder's]"
)
@click.option("--backbone", metavar="NAME", help="State it where it is not known, as in bert-base.")
@click.option("--supervision", type=click.Choice(SUPERVISION), help="State what it was trained with.")
@embedding_options
@json_option
@project_option
def command(models: tuple[str, ...], as_json: bool, project: Path | None, **flags: Any) -> int:
    """Score models: a folder, a run directory, the name of a run, a hub name, vectors in a file, or an API's model.

    api:MODEL fetches vectors from an OpenAI-compatible endpoint (the options from --profile to --yes concern it alone).
    What was fetched is stored for all projects and never bought again, also after a stop, a crash or a kill.

    Results are kept in evaluations/ of the project, part by part, and stand in the leaderboard; outside a project they
    are only printed. Figures are x100: Spearman over all pairs of a task, accuracy of the official protocol. Of several
    models each is tested against the first.

    rerank orders the documents of each query by cosine and gives the mean average precision (MAP) over queries. Each
    line of its files is an object with query, positives and negatives; documents that are equally similar share one
    place, and queries without positives or negatives are left out and counted.
    """
    from claif_tui.cli import embedding
    from claif_tui.core.evaluating import EvaluationWish, evaluate, require
    from claif_tui.core.evaluations import FOLDER, save
    from claif_tui.core.provenance import VECTORS, is_api
    from claif_tui.core.runs import told
    from claif_tui.core.store.project import DATABASE
    from engine.tasks import select

    folder = project_folder(project)
    keeps = (folder / DATABASE).is_file()
    if not keeps:
        diagnostics.note(f"There is no project in {folder.absolute()}: the result is printed and not kept.")
    if flags["name"] and len(models) > 1:
        raise UsageError("--name names one model, and several are given", "Evaluate them one by one.")
    if flags["save"] and len(models) > 1:
        raise UsageError("--save keeps one model, and several are given", "Evaluate them one by one.")
    from_api = {name: flags.pop(name) for name in embedding.OPTIONS}
    wish = EvaluationWish(**flags)
    keep = (lambda one: save(folder, one)) if keeps else None
    results: list[Evaluation] = []
    documents: list[dict[str, Any]] = []
    code = 0
    with ExitStack() as stack:
        planned: dict[str, EmbeddingPlan] = {}
        if any(map(is_api, models)):
            with told():
                require(VECTORS, select(wish.tasks))
            store = stack.enter_context(embedding.open_store())
            planned = embedding.plans(store, models, wish, from_api)
            if from_api["dry_run"]:
                embedding.show_plans(planned, as_json)
                return 0
            embedding.agree(planned, from_api["yes"])
        else:
            embedding.refuse_without_api(from_api)
        for model in models:
            if model in planned:
                tell = partial(_teller, model)
                outcome = embedding.evaluate(store, planned[model], wish, tell, keep)
                code = max(code, outcome.exit_code)
                if outcome.stopped:
                    return code
                assert outcome.evaluation is not None
                results.append(outcome.evaluation)
                documents.append({**outcome.evaluation.document(), "api": dict(outcome.facts)})
            else:
                model = _of_run(folder, model)
                with diagnostics.Bar(Path(model).name) as bar:
                    results.append(evaluate(model, wish, progress=_teller(model, bar), partial=keep))
                documents.append(results[-1].document())
            if keeps:
                diagnostics.note(f"kept in {folder / FOLDER}")
    _tell_results(results, documents, as_json)
    return code


def _tell_results(results: list[Evaluation], documents: list[dict[str, Any]], as_json: bool) -> None:
    """Print the results, and how each other one compares with the first."""
    contests = _contests(results)
    if as_json:
        from claif_tui.core.significance_formats import document

        compared = [document(one) for one in contests]
        output.document(
            documents[0] if len(documents) == 1 else {"evaluations": documents, "comparisons": compared}
        )
        return
    _show(results)
    if contests:
        from claif_tui.cli.comparing import show

        output.line()
        show(contests)


def _teller(model: str, bar: diagnostics.Bar) -> Progress:
    return partial(_tell, bar, model)


def _contests(results: list[Evaluation]) -> list[Contest]:
    """Compare the first result with each other one, on the kinds of tasks that both have."""
    from claif_tui.core.reference import TASKS
    from claif_tui.core.significance import contest, own_side

    found = []
    for other in results[1:]:
        for kind in TASKS:
            first, second = own_side(kind, results[0], None), own_side(kind, other, None)
            if first is not None and second is not None:
                found.append(contest(kind, first, second))
    return found


def _tell(bar: diagnostics.Bar, model: str, done: int, total: int, what: str) -> None:
    """Show a part as it begins: on the bar, or where there is none as a line."""
    bar.update(done, total, what)
    if not sys.stderr.isatty():
        diagnostics.note(f"{Path(model).name}: {what} ({done + 1} of {total})")


def _of_run(folder: Path, model: str) -> str:
    """Take a word for a run of the project if there is one of that name, and no such folder here."""
    run = folder / "runs" / model
    if "/" not in model and not Path(model).exists() and (run / "run.json").is_file():
        return str(run)
    return model


def _show(results: list[Evaluation]) -> None:
    from claif_tui.core.leaderboard_formats import SHORT
    from engine.tasks import EVERY, RERANK, STS, TRANSFER

    kinds = (
        (STS, "STS, Spearman x100"),
        (TRANSFER, "Transfer, accuracy x100"),
        ((RERANK,), "Reranking, mean average precision x100"),
    )
    for tasks, title in kinds:
        chosen = [task for task in EVERY if task in tasks and any(task in one.tasks for one in results)]
        if not chosen:
            continue
        output.line(title)
        rows = [
            (
                one.name,
                *(_figure(one.value(task)) for task in chosen),
                *([_figure(one.average(tasks))] if len(tasks) > 1 else _queries(one)),
            )
            for one in results
        ]
        head = ("model", *(SHORT.get(task, task) for task in chosen), "avg" if len(tasks) > 1 else "queries")
        output.table(rows, head=head, right=tuple(range(1, len(head))))
    for one in results:
        for task, about in one.tasks.items():
            if about.get("reason"):
                output.line(f"{one.name}: {task} has no figure: {about['reason']}")
            for reason, count in dict(about.get("left_out") or {}).items():
                output.line(f"{one.name}: {task}, left out: {reason}: {count:,}")


def _queries(one: Evaluation) -> list[str]:
    """How many queries the figure of reranking rests on."""
    n = one.tasks.get("rerank", {}).get("n")
    return [f"{n:,}" if isinstance(n, int) else ""]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
