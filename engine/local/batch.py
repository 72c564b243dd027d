"""Many answers at once: one forward a token for all of them, with a KV cache. No text, no protocol.

A request with several prompts (a decoding rule) has a row for each, and each row is fed the token that was chosen. New
requests come in by computing the whole batch anew, prompts and what was written so far, as soon as half of it is free;
so no cache is ever spliced, whatever a model keeps in it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from engine import decoding
from engine.decoding import Choice
from engine.local.model import LocalModel, out_of_memory

ROWS = 96
"""Prompts computed together at most; halved where memory is full."""


@dataclass(slots=True, eq=False)
class Writing:
    """One answer on its way. `prompts` are token ids, the wanted prompt first; `ended` says how it ended."""

    prompts: list[list[int]]
    choice: Choice
    seed: int
    max_tokens: int
    min_tokens: int = 0
    look: bool = False
    """Only the first distribution is wanted: it is kept in `chances`, and nothing is drawn."""
    tokens: list[int] = field(default_factory=list)
    ended: str = ""
    chances: Tensor | None = None

    @property
    def rows(self) -> int:
        """Rows of the batch that it takes."""
        return len(self.prompts)

    @property
    def length(self) -> int:
        """Tokens of its longest row."""
        return max(map(len, self.prompts)) + len(self.tokens)


class Batch:
    """What is being written now. `add` what waits, then `step`; an answer leaves when its `ended` is set."""

    def __init__(self, model: LocalModel, rows: int = ROWS) -> None:
        self._model = model
        self._rows = rows
        self._live: list[Writing] = []
        self._waiting: list[Writing] = []
        self._state: _State | None = None

    @property
    def busy(self) -> bool:
        """Whether anything is left to be written."""
        return bool(self._live or self._waiting)

    def add(self, writing: Writing) -> None:
        """Take an answer in; it begins as soon as there is room."""
        self._waiting.append(writing)

    def step(self) -> list[Writing]:
        """Write one token of every live answer; return those that got one (or ended). Raises ``RunError``.

        The error means that memory is full for one answer alone, which is ended then as "memory".
        """
        self._drop()
        self._admit()
        if not self._live:
            return []
        try:
            with torch.inference_mode():
                logits = self._forward()
                written = list(self._live)
                self._choose(logits)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as problem:
            if isinstance(problem, RuntimeError) and not _memory(problem):
                raise
            self._shrink()
            return []
        return written

    def _drop(self) -> None:
        """Take out what has ended, with its rows of the cache."""
        if all(not one.ended for one in self._live):
            self._waiting = [one for one in self._waiting if not one.ended]
            return
        kept: list[int] = []
        row = 0
        for one in self._live:
            if not one.ended:
                kept += range(row, row + one.rows)
            row += one.rows
        self._live = [one for one in self._live if not one.ended]
        self._waiting = [one for one in self._waiting if not one.ended]
        if self._state is not None:
            self._state = self._state.only(kept) if kept else None

    def _admit(self) -> None:
        used = sum(one.rows for one in self._live)
        # A decoder of a seq2seq model knows no padding: its answers begin together.
        if not self._waiting or (self._live and (self._model.seq2seq or used > self._rows // 2)):
            return
        while self._waiting and (not self._live or used + self._waiting[0].rows <= self._rows):
            self._live.append(self._waiting.pop(0))
            used += self._live[-1].rows
            self._state = None

    def _shrink(self) -> None:
        """Begin again with half as many: memory was full."""
        self._state = None
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(self._live) == 1:
            alone = self._live[0]
            alone.ended = "memory"
            raise out_of_memory(f"one answer alone with {alone.length:,} tokens on {self._model.device}")
        self._rows = max(1, sum(one.rows for one in self._live) // 2)
        keep = len(self._live) // 2
        # A decoder that begins with padding would be wrong: what has begun together stays in step.
        self._live, back = self._live[:keep], self._live[keep:]
        if self._model.seq2seq:
            for one in back:
                one.tokens.clear()
        self._waiting = back + self._waiting

    def _forward(self) -> Tensor:
        """Next-token logits [rows, V] in float32."""
        if self._state is None:
            begin = _both if self._model.seq2seq else _causal
            self._state, logits = begin(self._model, self._live)
        else:
            last = [one.tokens[-1] for one in self._live for _ in range(one.rows)]
            logits = self._state.next(torch.tensor(last, device=self._model.device))
        return logits.cpu().float() if self._model.device.type == "mps" else logits.float()

    def _choose(self, logits: Tensor) -> None:
        """Choose a token for every answer. On CPU one by one, so that its chances depend on its own logits alone."""
        alike: dict[Any, list[tuple[Writing, Tensor]]] = defaultdict(list)
        row = 0
        for place, one in enumerate(self._live):
            barred = len(one.tokens) < one.min_tokens
            apart = place if logits.device.type == "cpu" else 0
            alike[one.choice, one.rows, barred, one.look, apart].append((one, logits[row : row + one.rows]))
            row += one.rows
        for (choice, _, barred, look, _), members in alike.items():
            stacked = torch.stack([rows for _, rows in members], 1)
            if barred:
                stacked = decoding.without(stacked, self._model.ends)
            chances = decoding.distribution(list(stacked), choice)
            if look:
                for (one, _), row_chances in zip(members, chances, strict=True):
                    one.chances, one.ended = row_chances, "stop"
                continue
            numbers = [decoding.uniform(one.seed, len(one.tokens)) for one, _ in members]
            for (one, _), token in zip(members, decoding.draw(chances, numbers), strict=True):
                one.tokens.append(token)
                self._judge(one)

    def _judge(self, one: Writing) -> None:
        limit = self._model.limit
        if one.tokens[-1] in self._model.ends:
            one.ended = "stop"
        elif len(one.tokens) >= one.max_tokens or (limit is not None and one.length >= limit):
            one.ended = "length"


@dataclass(slots=True)
class _State:
    """A cache with what a step needs beside it. `mask` [rows, length] is of the prompts, padding 0."""

    model: LocalModel
    cache: Any
    mask: Tensor
    encoded: Any = None

    def only(self, rows: list[int]) -> _State | None:
        """The state of some rows; None where the cache cannot be cut, and has to be computed anew."""
        select = getattr(self.cache, "batch_select_indices", None)
        if select is None:
            return None
        index = torch.tensor(rows, device=self.mask.device)
        select(index)
        encoded = None if self.encoded is None else type(self.encoded)(self.encoded[0][index])
        return _State(self.model, self.cache, self.mask[index], encoded)

    def next(self, tokens: Tensor) -> Tensor:
        """Feed one token a row; return the logits [rows, V] after it."""
        given: dict[str, Any] = {_cache_name(self.model): self.cache, "use_cache": True}
        if self.encoded is not None:
            given |= {"encoder_outputs": self.encoded, "attention_mask": self.mask}
            answer = self.model.model(decoder_input_ids=tokens.unsqueeze(-1), **given)
        else:
            self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], -1)
            if self.model.takes("position_ids"):
                given["position_ids"] = self.mask.sum(-1, keepdim=True) - 1
            answer = self.model.model(input_ids=tokens.unsqueeze(-1), attention_mask=self.mask, **given)
        self.cache = answer[_cache_name(self.model)]
        logits: Tensor = answer.logits[:, -1]
        return logits


def _causal(model: LocalModel, live: list[Writing]) -> tuple[_State, Tensor]:
    """Compute prompts and what was written so far, padded on the left so that the last tokens align."""
    rows = [prompt + one.tokens for one in live for prompt in one.prompts]
    ids, mask = _padded(model, rows, left=True)
    given: dict[str, Any] = {"use_cache": True}
    if model.takes("position_ids"):
        given["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
    if model.takes("logits_to_keep"):
        given["logits_to_keep"] = 1  # of a long prompt the others would fill the memory
    answer = model.model(input_ids=ids, attention_mask=mask, **given)
    return _State(model, answer[_cache_name(model)], mask), answer.logits[:, -1]


def _both(model: LocalModel, live: list[Writing]) -> tuple[_State, Tensor]:
    """Encode the prompts and begin to decode; all live answers are equally long here."""
    prompts = [prompt for one in live for prompt in one.prompts]
    ids, mask = _padded(model, prompts, left=False)
    encoded = model.model.get_encoder()(input_ids=ids, attention_mask=mask)
    begun = [[*model.starts, *one.tokens] for one in live for _ in one.prompts]
    answer = model.model(
        encoder_outputs=encoded,
        attention_mask=mask,
        decoder_input_ids=torch.tensor(begun, device=model.device),
        use_cache=True,
    )
    return _State(model, answer[_cache_name(model)], mask, encoded), answer.logits[:, -1]


def _padded(model: LocalModel, rows: list[list[int]], *, left: bool) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), model.pad, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for place, row in enumerate(rows):
        where = slice(width - len(row), None) if left else slice(len(row))
        ids[place, where] = torch.tensor(row)
        mask[place, where] = 1
    return ids.to(model.device), mask.to(model.device)


def _cache_name(model: LocalModel) -> str:
    """What transformers calls the KV cache: it was renamed within its fifth series."""
    return "cache" if model.takes("cache") else "past_key_values"


def _memory(problem: RuntimeError) -> bool:
    return isinstance(problem, torch.OutOfMemoryError) or "not enough memory" in str(problem)
