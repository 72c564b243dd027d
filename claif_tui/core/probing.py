"""The one small call before a first run, booked like every other: it counts against the budget and is kept."""

from __future__ import annotations

import asyncio

from claif_tui.core.addressing import call_key, messages_json, request_identity, sampling_json
from claif_tui.core.errors import BudgetError, EndpointError
from claif_tui.core.llm.base import RETRYABLE, LLMError, Sampling
from claif_tui.core.llm.budget import worst_case_nano
from claif_tui.core.llm.factory import open_client
from claif_tui.core.llm.probe import ProbeReport, probe, probe_request
from claif_tui.core.models import NewCall, RunState
from claif_tui.core.recipes import recipe_id, requests_id, to_json
from claif_tui.core.session import Ready
from claif_tui.core.store.store import Store
from claif_tui.core.text import storable_text


async def first_probe(store: Store, ready: Ready) -> ProbeReport | None:
    """Probe the endpoint unless this project has had an answer from it; say what the model refuses.

    None: not needed, or a passing fault (the run itself deals with those). Raises ``EndpointError`` when the
    endpoint cannot be used at all, ``BudgetError`` when not even one call fits under the cap.
    """
    recipe, profile = ready.recipe, ready.profile
    scope = requests_id(recipe)
    if profile.here or await asyncio.to_thread(lambda: store.calls.totals(scope).answered > 0):
        return None
    sampling = Sampling(
        temperature=recipe.fill_temperature,
        top_p=recipe.top_p,
        max_tokens=recipe.max_tokens,
        stop=_stop(recipe.api),
    )
    request = probe_request(profile, sampling)
    identity = request_identity(profile.name, recipe.model, profile.api, request.messages, sampling, 0)

    def begin() -> tuple[int, str, int]:
        store.recipes.save(recipe_id(recipe), to_json(recipe))
        run = store.runs.start("try", recipe_id(recipe), profile.name, recipe.model, {"probe": True})
        times = 0
        while store.calls.get(call_key(identity, times, 0)) is not None:
            times += 1
        return run.id, call_key(identity, times, 0), times

    run_id, key, times = await asyncio.to_thread(begin)
    call = NewCall(
        key=key,
        stage="probe",
        recipe_id=scope,
        run_id=run_id,
        seed_id=None,
        pair_id=None,
        rate=None,
        occurrence=times,
        attempt=0,
        profile=profile.name,
        model=recipe.model,
        api=profile.api,
        prompt=messages_json(request.messages),
        params=sampling_json(sampling),
        reserve_nano=worst_case_nano(request, ready.price),
    )
    state: RunState = "failed"
    try:
        if not await store.calls.reserve(call, ready.cap_nano):
            raise BudgetError("the budget leaves no room for a single call", "Raise it with --budget.")
        report = await _booked(store, ready, call, sampling)
        state = "finished"
        return report
    finally:
        await asyncio.to_thread(store.runs.set_state, run_id, state)


async def _booked(store: Store, ready: Ready, call: NewCall, sampling: Sampling) -> ProbeReport | None:
    """Make the call and settle it: at its cost, at nothing if refused, else at its worst case."""
    settled = False
    try:
        report = await probe(ready.profile, open_client, sampling, price=ready.price)
        said = storable_text(report.answer)[0]
        if report.refused:
            # Not answered as asked: until the user agrees to leave that out, the question stands.
            why = f"refused: {', '.join(report.refused)}"
            await store.calls.fail(call.key, "bad_request", why, raw=said, cost_nano=report.cost_nano)
        else:
            await store.calls.answer(
                call.key,
                raw=said,
                finish_reason=report.finish_reason,
                model_returned=storable_text(report.model_returned)[0] if report.model_returned else None,
                cost_nano=report.cost_nano,
            )
        settled = True
    except EndpointError as error:
        cause = error.__cause__
        owed = not isinstance(cause, LLMError) or (cause.sent and cause.billed)
        reason = cause.reason if isinstance(cause, LLMError) else "connection"
        cost = call.reserve_nano if owed else 0
        await store.calls.fail(call.key, reason, storable_text(error.message)[0], cost_nano=cost)
        settled = True
        if reason in RETRYABLE and reason != "connection":  # nothing is there: mostly the URL is wrong
            return None
        raise
    finally:
        if not settled:
            await store.calls.fail(call.key, "cancelled", cost_nano=call.reserve_nano)
    return report


def _stop(api: str) -> tuple[str, ...]:
    """Return the stop string that a run in this API form sends: only completions end at a quote."""
    return ('"',) if api == "completions" else ()
