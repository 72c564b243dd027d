"""``api:MODEL`` on the command line: what it would cost, the question, fetching, scoring. No logic of a fetch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claif_tui.cli import diagnostics, output, running
from claif_tui.cli.shared import budget_of, settings
from claif_tui.core.errors import BudgetError, ClaifError, EndpointError, UsageError
from claif_tui.core.models import NANO

if TYPE_CHECKING:
    from claif_tui.core.embedding_evaluation import Scored
    from claif_tui.core.embedding_fetch import Refusal
    from claif_tui.core.embeddings import EmbeddingPlan
    from claif_tui.core.evaluating import EvaluationWish, Progress
    from claif_tui.core.evaluations import Evaluation
    from claif_tui.core.events import Finished
    from claif_tui.core.store.embeddings import EmbeddingStore

OPTIONS = (
    *("profile", "base_url", "api_key_env", "concurrency", "rpm", "tpm"),
    *("budget", "price_in", "anew", "dry_run", "yes"),
)
"""What ``shared.embedding_options`` adds to a command."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one model came to: its result, None if fetching was stopped, and how the command ends."""

    evaluation: Evaluation | None
    facts: Mapping[str, Any]
    exit_code: int
    stopped: bool = False


def open_store() -> AbstractContextManager[EmbeddingStore]:
    """Open the user's store of fetched vectors."""
    from claif_tui.core.paths import data_dir
    from claif_tui.core.store.embeddings import EmbeddingStore

    return EmbeddingStore.open(data_dir())


def refuse_without_api(flags: Mapping[str, Any]) -> None:
    """Refuse endpoint options where no model is asked by them."""
    given = [name for name in OPTIONS if flags[name] and name != "yes"]
    if given:
        raise UsageError(
            f"--{given[0].replace('_', '-')} concerns models named api:MODEL, and none is",
            "Name one, as in api:text-embedding-3-small, or leave the option out.",
        )


def plans(
    store: EmbeddingStore, models: Sequence[str], wish: EvaluationWish, flags: Mapping[str, Any]
) -> dict[str, EmbeddingPlan]:
    """Return for each ``api:`` model among ``models`` what is to be fetched."""
    from claif_tui.core.embeddings import EmbeddingWish, needed, plan
    from claif_tui.core.evaluating import check_whitening
    from claif_tui.core.llm.profiles import Wish
    from claif_tui.core.provenance import VECTORS, is_api

    if wish.pooling is not None:
        raise UsageError("--pooling: the vectors of an API are pooled already", "Leave --pooling out.")
    check_whitening(VECTORS, wish)
    names = ("profile", "base_url", "api_key_env", "concurrency", "rpm", "tpm", "price_in")
    wanted = EmbeddingWish(
        endpoint=Wish(**{name: flags[name] for name in names}),
        budget=budget_of(flags["budget"]),
        anew=flags["anew"],
    )
    sentences = needed(wish.data, wish.tasks)
    known = settings()
    return {model: plan(store, known, model, sentences, wanted) for model in models if is_api(model)}


def agree(planned: Mapping[str, EmbeddingPlan], yes: bool) -> None:
    """Show what all of them take, and ask once where it may cost money; a missing key is said before."""
    from claif_tui.core.embedding_words import plan_words
    from claif_tui.core.llm.keys import find_key

    for one in planned.values():
        if one.missing:
            find_key(one.profile)
    lines = [line for one in planned.values() for line in plan_words(one)]
    running.agree(any(one.costs for one in planned.values()), lines, yes)


def show_plans(planned: Mapping[str, EmbeddingPlan], as_json: bool) -> None:
    """Print what would be asked."""
    from claif_tui.core.embedding_words import plan_words

    if not as_json:
        for one in planned.values():
            for line in plan_words(one):
                output.line(line)
        return
    documents = [
        {
            "model": one.spec,
            "plan": {
                **_facts(one),
                "requests": one.requests,
                "tokens": list(one.tokens),
                "usd": None if one.cost_nano is None else [nano / NANO for nano in one.cost_nano],
                "price_as_of": None if one.price is None else one.price.as_of,
            },
        }
        for one in planned.values()
    ]
    output.document(documents[0] if len(documents) == 1 else {"evaluations": documents})


def evaluate(
    store: EmbeddingStore,
    planned: EmbeddingPlan,
    wish: EvaluationWish,
    tell: Callable[[diagnostics.Bar], Progress],
    partial: Callable[[Evaluation], object] | None,
) -> Outcome:
    """Fetch what is missing, then score what is complete; raises ``ClaifError`` where that is nothing."""
    from claif_tui.core.embedding_evaluation import score
    from claif_tui.core.embeddings import fetch

    finished: Finished | None = None
    refusals: list[Refusal] = []
    if planned.missing:
        made = []

        def make() -> Any:
            made.append(fetch(store, planned))
            return made[0]

        ended = running.run(make, planned.model)
        finished, refusals = ended.finished, made[0].refusals
        for refusal in refusals:
            diagnostics.warn(f"no vector for {refusal.text[:100]!r}: {refusal.reason} ({refusal.detail})")
        if ended.signal is not None:
            diagnostics.note(finished.message)
            return Outcome(None, {}, ended.exit_code, stopped=True)
        if planned.anew and not finished.progress.answered:
            raise _not_anew(planned, finished)
    with diagnostics.Bar(planned.model) as bar:
        scored = score(store, planned, wish, progress=tell(bar), partial=partial)
    if scored.evaluation is None:
        raise _nothing(planned, scored, finished)
    if finished is not None:
        diagnostics.note(finished.message)
    for task, count in scored.incomplete.items():
        diagnostics.warn(f"{task} is not scored: {count:,} of its sentences have no vector")
    facts = {
        **_facts(planned),
        "model_returned": next(iter(scored.bought.models), None),
        "asked": [scored.bought.first, scored.bought.last],
        "tokens": scored.bought.tokens,
        "cost_usd": None if scored.bought.cost_nano is None else scored.bought.cost_nano / NANO,
        "spent_usd": store.money(planned.account.id).spent_nano / NANO,
        "failed": dict(finished.progress.failed) if finished is not None else {},
        "refused": [{"text": one.text, "reason": one.reason, "detail": one.detail} for one in refusals],
        "incomplete": dict(scored.incomplete),
    }
    return Outcome(scored.evaluation, facts, 1 if scored.incomplete else 0)


def _facts(planned: EmbeddingPlan) -> dict[str, Any]:
    return {
        "endpoint": planned.profile.name,
        "host": planned.profile.host,
        "model": planned.model,
        "sentences": sum(map(bool, planned.needed.sentences)),
        "stored": planned.stored,
        "missing": len(planned.missing),
        "cap_usd": None if planned.cap_nano is None else planned.cap_nano / NANO,
    }


def _not_anew(planned: EmbeddingPlan, finished: Finished) -> ClaifError:
    """Return why nothing was asked again; the vectors of before are no answer to that wish."""
    kind = BudgetError if finished.state == "budget" else EndpointError
    return kind(
        f"{planned.spec}: {finished.message.rstrip('.')}",
        "Not one vector came, so those of before are kept; leave --anew out to score them.",
    )


def _nothing(planned: EmbeddingPlan, scored: Scored, finished: Finished | None) -> ClaifError:
    """Return why no task could be scored."""
    message = finished.message if finished is not None else "its vectors are incomplete"
    kinds = {"budget": BudgetError, "failed": EndpointError}
    kind = kinds.get(finished.state if finished is not None else "", EndpointError)
    open_ = min(scored.incomplete.values(), default=0)
    return kind(
        f"{planned.spec}: {message.rstrip('.')}",
        f"No task is complete; the nearest lacks {open_:,} vectors. What was fetched is stored, and not asked again.",
    )
