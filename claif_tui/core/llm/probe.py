"""One small call before a first run: what this model refuses, and how it answers. It changes nothing by itself.

A model that refuses a parameter is asked again without it, at most once per parameter; refusals cost nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from claif_tui.core.errors import EndpointError
from claif_tui.core.llm.base import Answer, Delta, LLMClient, LLMError, Price, Request, Sampling, Task, problem
from claif_tui.core.llm.budget import actual_nano
from claif_tui.core.llm.explain import endpoint_error
from claif_tui.core.llm.profiles import Profile, refused_by

PROMPT = "Write this sentence again in other words: 'A man is playing a flute.' Answer with the sentence only."
_ADJUSTABLE = frozenset({"temperature", "top_p", "max_tokens", "max_completion_tokens", "stop"})
_WORDS = {
    "temperature": "the vendor's own temperature is used",
    "top_p": "the vendor's own top_p is used",
    "max_tokens": "max_completion_tokens is sent in its place",
    "max_completion_tokens": "answers have no length limit, so a budget cannot be kept",
    "stop": "answers are not stopped early, only cut afterwards",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """What one call showed. ``refused`` are parameters the model refuses beyond those already remembered.

    ``latency`` in seconds; ``cost_nano`` what the call cost, 0 if the price is unknown.
    """

    answer: str
    reasoning: bool
    model_returned: str | None
    finish_reason: str | None
    refused: tuple[str, ...]
    notes: tuple[str, ...]
    streamed: bool
    usage: bool
    latency: float
    cost_nano: int

    @property
    def suggestion(self) -> str:
        """What to ask the user to agree to, or an empty text."""
        if not self.refused:
            return ""
        parts = [f"{name} ({_WORDS[name]})" for name in self.refused]
        return "this model refuses " + ", ".join(parts) + ". Remember it and go on without?"


def probe_request(profile: Profile, sampling: Sampling) -> Request:
    """Return the question a probe asks."""
    return Request(
        key="probe",
        stage="probe",
        model=profile.model or "",
        api=profile.api,
        messages=(("user", PROMPT),),
        sampling=sampling,
        task=Task(op="paraphrase", text="A man is playing a flute."),
    )


async def probe(
    profile: Profile,
    make_client: Callable[[Profile], LLMClient],
    sampling: Sampling,
    *,
    price: Price | None = None,
) -> ProbeReport:
    """Ask the profile's model one short question with the run's parameters and report what happened.

    ``make_client`` is ``factory.open_client`` or a variant of it. Raises ``EndpointError`` when the endpoint
    cannot be used, with what to do.
    """
    model = profile.model or ""
    refused: list[str] = []
    request = probe_request(profile, sampling)
    while True:
        known = {**profile.refused, model: (*refused_by(profile), *refused)}
        client = make_client(replace(profile, refused=known))
        await client.open()
        started = time.monotonic()
        try:
            answer, deltas = await _ask(client, request)
        except LLMError as error:
            name = error.parameter
            if error.reason != "bad_request" or name not in _ADJUSTABLE or name in refused:
                raise endpoint_error(error, profile) from error
            refused.append(name)
            continue
        finally:
            await client.close()
        return _report(request, answer, deltas, tuple(refused), time.monotonic() - started, price)


async def _ask(client: LLMClient, request: Request) -> tuple[Answer, int]:
    """Return the answer and how many pieces it came in. Usage wishes that are refused are dropped at once."""
    for attempt in (1, 2):
        deltas = 0
        try:
            async for item in client.stream(request):
                if isinstance(item, Delta):
                    deltas += 1
                else:
                    return item, deltas
        except LLMError as error:
            if error.parameter != "stream_options" or attempt == 2:
                raise
    raise EndpointError("the endpoint gave no answer")


def _report(
    request: Request, answer: Answer, deltas: int, refused: tuple[str, ...], latency: float, price: Price | None
) -> ProbeReport:
    notes: list[str] = []
    thinks = bool(answer.reasoning) or "<think>" in answer.text
    usage = answer.prompt_tokens is not None and answer.completion_tokens is not None
    if thinks:
        notes.append(
            "the model reasons before it answers: reasoning is stored apart, and counts as output tokens"
        )
    if not usage:
        notes.append("no usage is reported: spending is counted at its upper bound")
    trouble = problem(answer)
    if trouble == "cut_off":
        notes.append("the answer was cut off: max_tokens is too small for this model")
    elif trouble is not None:
        notes.append(f"the answer is {trouble}: look at it before a run")
    if answer.model and answer.model != request.model:
        notes.append(f"the server answers as {answer.model}")
    return ProbeReport(
        answer=answer.text,
        reasoning=thinks,
        model_returned=answer.model,
        finish_reason=answer.finish_reason,
        refused=refused,
        notes=tuple(notes),
        streamed=deltas > 1,
        usage=usage,
        latency=latency,
        cost_nano=actual_nano(request, answer, price)[0],
    )
