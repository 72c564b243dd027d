"""The offline model behind JSON lines on stdin and stdout: many in flight, answered in any order. No model code.

Requests: {"id", "op": "fill" | "paraphrase", "text", "temperature", "top_p", "seed"},
{"id", "op": "sentences", "topics": [...], "count", "temperature", "top_p", "seed"} (one sentence a line),
{"id", "op": "score", "text_a", "text_b", "top"} (the end of the scale: 1 unless said),
{"id", "op": "similarity", "pairs": [[a, b], ...]}, {"id", "op": "cancel"}.
Answers: {"id", "event": "token", "text"} any number of times, then one "done" or "error". What was asked before the end
of input is still answered.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from engine.offline.files import MissingPart, assets_folder

if TYPE_CHECKING:
    from engine.offline.fill import Sampling

THREADS = 2
MAX_CHARS = 20_000
MAX_PAIRS = 10_000
MAX_SENTENCES = 100

Json = dict[str, Any]
T = TypeVar("T")


class BadRequest(Exception):
    """A request that cannot be answered; the message names the field and what was expected."""


class Cancelled(Exception):
    """The request was called off while it was being worked on."""


def field(request: Json, name: str, kind: type[T] | tuple[type[T], ...], what: str) -> T:
    """One field of a request, of the right type, or `BadRequest` saying what was expected."""
    value = request.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadRequest(f"“{name}” must be {what}")
    return value


def well_formed(text: str) -> str:
    """The text without lone surrogates, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def text_of(request: Json, name: str) -> str:
    """A text field that is not empty, well-formed."""
    text = field(request, name, str, "a text")
    if not text.strip():
        raise BadRequest(f"“{name}” is empty")
    return well_formed(text)


def number_of(request: Json, name: str, default: float, low: float, high: float) -> float:
    """A number within bounds; absent or null means the default."""
    if request.get(name) is None:
        return default
    value = float(field(request, name, (int, float), "a number"))
    if not math.isfinite(value) or not low <= value <= high:
        raise BadRequest(f"“{name}” must be between {low:g} and {high:g}, not {value:g}")
    return value


def sampling_of(request: Json) -> Sampling:
    """Temperature, top-p and seed of a request."""
    from engine.offline.fill import Sampling

    seed = request.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise BadRequest("“seed” must be a whole number, 0 or more")
    return Sampling(
        temperature=number_of(request, "temperature", 0.7, 0.0, 5.0),
        top_p=number_of(request, "top_p", 0.9, 0.0, 1.0),
        seed=seed,
    )


class Server:
    """Reads requests, works on THREADS of them at a time, writes events; each line is written whole."""

    def __init__(self, answers: BinaryIO, assets: Path) -> None:
        # Here and not at the top: the model needs packages that may be missing, and main() says which.
        from engine.offline import engine as loaded

        self._loaded = loaded.load(assets)
        self._answers = answers
        self._writing = threading.Lock()
        self._live: dict[int | str, threading.Event] = {}
        self.say(event="ready", model=loaded.NAME, version=self._loaded.version, note=loaded.NOTE)

    def say(self, **event: Any) -> None:
        """Write one event as one line. A reader that is gone ends the process: nobody is left to answer."""
        line = json.dumps(event).encode() + b"\n"
        try:
            with self._writing:
                self._answers.write(line)
                self._answers.flush()
        except (BrokenPipeError, ValueError):
            os._exit(0)

    def serve(self, requests: BinaryIO) -> None:
        """Answer every line of `requests`; returns when they have ended and all answers are out."""
        with ThreadPoolExecutor(THREADS) as pool:
            for line in requests:
                if line.strip():
                    self._take(line, pool)

    def _take(self, line: bytes, pool: ThreadPoolExecutor) -> None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as problem:
            self.say(
                id=None, event="error", message=f"a request must be one line of JSON ({type(problem).__name__})"
            )
            return
        if not isinstance(request, dict):
            self.say(id=None, event="error", message="a request must be a JSON object")
            return
        number = request.get("id")
        if isinstance(number, bool) or not isinstance(number, int | str):
            self.say(id=None, event="error", message="“id” must be a number or a text")
        elif request.get("op") == "cancel":
            if number in self._live:
                self._live[number].set()
        elif number in self._live:
            self.say(id=number, event="error", message="a request with this id is still being answered")
        else:
            self._live[number] = threading.Event()
            pool.submit(self._answer, number, request)

    def _answer(self, number: int | str, request: Json) -> None:
        cancelled = self._live[number]

        def told(piece: str) -> None:
            if cancelled.is_set():
                raise Cancelled
            if piece:
                self.say(id=number, event="token", text=piece)

        try:
            told("")
            done = self._work(request, told)
        except Cancelled:
            done = {"event": "error", "message": "cancelled"}
        except BadRequest as problem:
            done = {"event": "error", "message": str(problem)}
        except Exception as problem:  # noqa: BLE001 - a thread's outermost edge: a fault of one request must not silence it
            done = {
                "event": "error",
                "message": f"the offline model failed: {type(problem).__name__}: {problem}",
            }
        # Freed before the answer is seen, so that the id can be used again at once.
        del self._live[number]
        self.say(id=number, **done)

    def _work(self, request: Json, told: Callable[[str], None]) -> Json:
        op = request.get("op")
        if op in ("fill", "paraphrase"):
            return self._make(op, request, told)
        if op == "sentences":
            return self._write(request, told)
        if op == "score":
            top = number_of(request, "top", 1.0, 1.0, 100.0)
            return self._score(text_of(request, "text_a"), text_of(request, "text_b"), top, told)
        if op == "similarity":
            return self._similarity(request, told)
        raise BadRequest("“op” must be fill, paraphrase, sentences, score, similarity or cancel")

    def _make(self, op: str, request: Json, told: Callable[[str], None]) -> Json:
        from engine.offline.fill import NothingToDo

        sampling = sampling_of(request)
        work = self._loaded.filler.fill if op == "fill" else self._loaded.filler.paraphrase
        text = text_of(request, "text")
        if len(text) > MAX_CHARS:
            raise BadRequest(
                f"“text” has {len(text):,} characters; the offline model takes at most {MAX_CHARS:,}"
            )
        try:
            return {"event": "done", "text": work(text, sampling, told)}
        except NothingToDo as problem:
            raise BadRequest(str(problem)) from problem

    def _write(self, request: Json, told: Callable[[str], None]) -> Json:
        from engine.offline.sentences import write

        topics = field(request, "topics", list, "a list of texts")
        if not topics or not all(isinstance(topic, str) and topic.strip() for topic in topics):
            raise BadRequest("“topics” must be a list of texts, at least one")
        if sum(len(topic) for topic in topics) > MAX_CHARS:
            raise BadRequest(f"“topics” hold more than {MAX_CHARS:,} characters")
        count = field(request, "count", int, "a whole number")
        if not 1 <= count <= MAX_SENTENCES:
            raise BadRequest(f"“count” must be between 1 and {MAX_SENTENCES}, not {count}")
        wanted = [well_formed(topic) for topic in topics]
        text = write(self._loaded.filler, wanted, count, sampling_of(request), told)
        return {"event": "done", "text": text}

    def _score(self, first: str, second: str, top: float, told: Callable[[str], None]) -> Json:
        # The encoder reads the beginning of a text alone, so a long one can be scored all the same.
        result = self._loaded.scorer.score(first[:MAX_CHARS], second[:MAX_CHARS])
        text = f"{result.score:.2f}" if top == 1.0 else f"{result.score * top:.1f}"
        told(text)
        return {
            "event": "done",
            "text": text,
            "score": result.score,
            "cosine": result.cosine,
            "reason": result.reason,
        }

    def _similarity(self, request: Json, told: Callable[[str], None]) -> Json:
        pairs = field(request, "pairs", list, "a list of [text, text]")
        if len(pairs) > MAX_PAIRS:
            raise BadRequest(f"“pairs” holds {len(pairs):,} pairs; at most {MAX_PAIRS:,} at a time")
        cosines = []
        for pair in pairs:
            told("")
            if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(t, str) for t in pair)):
                raise BadRequest("“pairs” must be a list of [text, text]")
            first, second = (well_formed(text)[:MAX_CHARS] for text in pair)
            cosines.append(round(self._loaded.scorer.cosine(first, second), 6))
        return {"event": "done", "cosines": cosines}


def run(assets: Path | None) -> int:
    """Serve stdin until it ends; exit code 1 after a "failed" event when a part is missing."""
    answers = sys.stdout.buffer
    try:
        server = Server(answers, assets or assets_folder())
    except (MissingPart, ModuleNotFoundError) as problem:
        missing = (
            problem
            if isinstance(problem, MissingPart)
            else MissingPart(f"The offline model needs the package “{problem.name}”, which is not installed.")
        )
        event = {"event": "failed", "message": str(missing), "hint": missing.hint}
        answers.write(json.dumps(event).encode() + b"\n")
        answers.flush()
        return 1
    server.serve(sys.stdin.buffer)
    return 0
