"""The local model behind JSON lines on stdin and stdout: many in flight, answered together. No model code.

Requests: {"id", "op": "generate", "messages": [[role, text], ...], "form": "chat" | "completions", "temperature",
"top_p", "top_k", "max_tokens", "min_tokens", "stop": [...], "seed", "rule"}; {"op": "next", "top", ...} for the
likeliest next tokens with their chances; {"id", "op": "cancel"}. A rule is {"name": "debias", "lambda", "floor",
"against": [messages, ...]} or {"name": "contrast", "omega", "plausibility", "against": messages}.
Answers: {"id", "event": "token", "text"} any number of times, then one "done" or "error". What was asked before the end
of input is still answered; an end of input with nothing to do ends the process at once, also while the model loads.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, BinaryIO

from engine.decoding import FLOOR, LAMBDA, OMEGA, PLAUSIBILITY, Choice, Contrast, Debias
from engine.errors import EngineError
from engine.local.batch import Batch, Writing
from engine.local.model import LocalModel
from engine.local.text import Stream, prompt_tokens
from engine.offline.server import BadRequest, Json, number_of, well_formed

MAX_TOKENS = 256
"""Of an answer, where a request says nothing."""


@dataclass(slots=True, eq=False)
class _Job:
    """One request being answered."""

    number: int | str
    writing: Writing
    stream: Stream
    top: int
    cancelled: bool = False


@dataclass(slots=True)
class Inbox:
    """What has come in on stdin, read by a thread from the very start, so that the end of input is noticed."""

    lines: SimpleQueue[bytes | None] = field(default_factory=SimpleQueue)
    open: int = 0
    """Requests that came in and were not answered."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: bool = False

    def read(self, requests: BinaryIO) -> None:
        """Read to the end of input; ends the process there if nobody waits for an answer."""
        for line in requests:
            if line.strip():
                with self.lock:
                    self.open += 1
                self.lines.put(line)
        with self.lock:
            self.ended = True
            if not self.open:
                os._exit(0)
        self.lines.put(None)

    def answered(self) -> None:
        """One line is done with."""
        with self.lock:
            self.open -= 1


class Server:
    """Takes requests out of an inbox, writes all of them on together, and tells what comes."""

    def __init__(self, model: LocalModel, inbox: Inbox, answers: BinaryIO) -> None:
        self._model, self._inbox, self._answers = model, inbox, answers
        self._batch = Batch(model)
        self._jobs: dict[int | str, _Job] = {}
        self.say(
            event="ready",
            model=model.name,
            version=model.version,
            note=model.note,
            kind="seq2seq" if model.seq2seq else "causal",
            template=bool(model.tokenizer.chat_template),
        )

    def say(self, **event: Any) -> None:
        """Write one event as one line. A reader that is gone ends the process: nobody is left to answer."""
        say(self._answers, event)

    def serve(self) -> None:
        """Answer until the input has ended and all answers are out."""
        ended = False
        while not (ended and not self._jobs):
            while not ended and (not self._jobs or not self._inbox.lines.empty()):
                line = self._inbox.lines.get()
                ended = line is None
                if line is not None:
                    self._take(line)
            self._step()

    def _take(self, line: bytes) -> None:
        number: int | str | None = None
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise BadRequest("a request must be a JSON object")
            given = request.get("id")
            if isinstance(given, bool) or not isinstance(given, int | str):
                raise BadRequest("“id” must be a number or a text")
            if request.get("op") == "cancel":
                if given in self._jobs:
                    self._jobs[given].cancelled = True
                self._inbox.answered()
                return
            number = given
            if number in self._jobs:
                raise BadRequest("a request with this id is still being answered")
            job = self._job(number, request)
        except BadRequest as problem:
            self._end(number, event="error", reason=_reason(problem), message=str(problem))
        except (ValueError, RecursionError) as problem:
            said = f"a request must be one line of JSON ({type(problem).__name__})"
            self._end(number, event="error", reason="bad_request", message=said)
        except Exception as problem:  # noqa: BLE001 - a template is a program of its own; its fault concerns one request
            said = f"the model's tokenizer failed: {type(problem).__name__}: {problem}"
            self._end(number, event="error", reason="bad_request", message=said)
        else:
            self._jobs[number] = job
            self._batch.add(job.writing)

    def _job(self, number: int | str, request: Json) -> _Job:
        op = request.get("op")
        if op not in ("generate", "next"):
            raise BadRequest("“op” must be generate, next or cancel")
        form = request.get("form", "chat")
        if form not in ("chat", "completions"):
            raise BadRequest("“form” must be chat or completions")
        rule, against = rule_of(request.get("rule"))
        prompts = [_messages(request.get("messages"), "messages")]
        if rule is not None and not rule.idle:
            prompts += against
        ids = [prompt_tokens(self._model, messages, form) for messages in prompts]
        self._check(ids)
        seed = request.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise BadRequest("“seed” must be a whole number")
        stops = request.get("stop") or []
        if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
            raise BadRequest("“stop” must be a list of texts")
        most = int(number_of(request, "max_tokens", MAX_TOKENS, 1, 1_000_000))
        writing = Writing(
            prompts=ids,
            choice=Choice(
                temperature=number_of(request, "temperature", 1.0, 0.0, 5.0),
                top_k=int(number_of(request, "top_k", 0, 0, 1e9)),
                top_p=number_of(request, "top_p", 1.0, 0.0, 1.0),
                rule=rule,
            ),
            seed=seed,
            max_tokens=most,
            min_tokens=int(number_of(request, "min_tokens", 0, 0, most)),
            look=op == "next",
        )
        top = int(number_of(request, "top", 10, 1, 1000))
        return _Job(number=number, writing=writing, stream=Stream(self._model.tokenizer, stops), top=top)

    def _check(self, prompts: list[list[int]]) -> None:
        if not all(prompts):
            raise BadRequest("the prompt is empty")
        longest, limit = max(map(len, prompts)), self._model.limit
        if limit is not None and longest >= limit:
            raise BadRequest(f"the prompt is too long for the model: {longest:,} tokens of {limit:,}")

    def _step(self) -> None:
        for job in [job for job in self._jobs.values() if job.cancelled]:
            job.writing.ended = "cancelled"
            self._finish(job, event="error", reason="cancelled", message="cancelled")
        try:
            written = set(map(id, self._batch.step()))
        except EngineError as problem:
            for job in [job for job in self._jobs.values() if job.writing.ended == "memory"]:
                self._finish(job, event="error", reason="bad_request", message=problem.line)
            return
        except Exception as problem:  # noqa: BLE001 - a model is foreign code: say what it said, and go on with others
            said = f"the local model failed: {type(problem).__name__}: {problem}"
            for job in list(self._jobs.values()):
                job.writing.ended = "failed"
                self._finish(job, event="error", reason="bad_request", message=said)
            return
        for job in [job for job in self._jobs.values() if id(job.writing) in written]:
            self._tell(job)

    def _tell(self, job: _Job) -> None:
        writing, stream = job.writing, job.stream
        if writing.look:
            self._finish(job, event="done", text="", next=self._likeliest(job))
            return
        piece = stream.take(writing.tokens, last=bool(writing.ended))
        if stream.stopped:
            writing.ended = "stop"
        if piece:
            self.say(id=job.number, event="token", text=piece)
        if writing.ended:
            self._finish(
                job,
                event="done",
                text=stream.text,
                finish_reason=writing.ended,
                prompt_tokens=sum(map(len, writing.prompts)),
                completion_tokens=len(writing.tokens),
            )

    def _likeliest(self, job: _Job) -> list[list[Any]]:
        chances = job.writing.chances
        assert chances is not None
        found = chances.topk(min(job.top, len(chances)))
        pairs = zip(found.indices.tolist(), found.values.tolist(), strict=True)
        return [[self._model.tokenizer.decode([token]), token, chance] for token, chance in pairs]

    def _finish(self, job: _Job, **event: Any) -> None:
        del self._jobs[job.number]
        self._end(job.number, **event)

    def _end(self, number: int | str | None, **event: Any) -> None:
        self.say(id=number, **event)
        self._inbox.answered()


def rule_of(given: Any) -> tuple[Debias | Contrast | None, list[list[tuple[str, str]]]]:
    """The decoding rule of a request, and the other prompts that it looks at; ``BadRequest`` where it is none."""
    if given is None:
        return None, []
    if not isinstance(given, dict):
        raise BadRequest("“rule” must be an object")
    against = given.get("against")
    if given.get("name") == "debias":
        if not isinstance(against, list):
            raise BadRequest("“against” must be a list of prompts")
        debias = Debias(
            number_of(given, "lambda", LAMBDA, 0.0, 1e9), number_of(given, "floor", FLOOR, 0.0, 1.0)
        )
        return debias, [_messages(one, "against") for one in against]
    if given.get("name") == "contrast":
        contrast = Contrast(
            number_of(given, "omega", OMEGA, 0.0, 1e6),
            number_of(given, "plausibility", PLAUSIBILITY, 0.0, 1.0),
        )
        return contrast, [_messages(against, "against")]
    raise BadRequest("the rule's “name” must be debias or contrast")


def _messages(given: Any, name: str) -> list[tuple[str, str]]:
    if not isinstance(given, list) or not given:
        raise BadRequest(f"“{name}” must be a list of [role, text]")
    for one in given:
        if not (isinstance(one, list) and len(one) == 2 and all(isinstance(part, str) for part in one)):
            raise BadRequest(f"“{name}” must be a list of [role, text]")
    return [(role, well_formed(text)) for role, text in given]


def _reason(problem: BadRequest) -> str:
    return "context_length" if "too long for the model" in str(problem) else "bad_request"


def say(answers: BinaryIO, event: Json) -> None:
    """Write one event as one line; a reader that is gone ends the process."""
    try:
        answers.write(json.dumps(event).encode() + b"\n")
        answers.flush()
    except (BrokenPipeError, ValueError):
        os._exit(0)


def run(spec: str, *, device: str, dtype: str) -> int:
    """Load the model and serve stdin until it ends; exit code 1 after a "failed" event when it cannot be loaded."""
    # Whatever a library prints goes to stderr: a stray line among the answers would end everything.
    answers, inbox = os.fdopen(os.dup(1), "wb"), Inbox()
    os.dup2(2, 1)
    threading.Thread(target=inbox.read, args=(sys.stdin.buffer,), daemon=True).start()
    from engine.local.model import load

    try:
        model = load(spec, device=device, dtype=dtype)
    except EngineError as problem:
        say(answers, {"event": "failed", "message": problem.message, "hint": problem.hint})
        return 1
    Server(model, inbox, answers).serve()
    return 0
