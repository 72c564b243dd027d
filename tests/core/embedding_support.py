"""Fetching vectors from the loopback server, and what that server says of it: shared by tests and their child."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence

from claif_tui.core import settings
from claif_tui.core.embedding_fetch import Fetch
from claif_tui.core.embeddings import EmbeddingWish, Needed, fetch, plan
from claif_tui.core.events import Finished
from claif_tui.core.llm.caller import CallerConfig
from claif_tui.core.llm.profiles import Wish
from claif_tui.core.session import NO_CAP
from claif_tui.core.store.embeddings import EmbeddingStore, text_key
from tests.llm_fixtures import LLMServer
from tests.llm_server_embeddings import vector

QUICK = CallerConfig(tries=6, backoff_base=0.001, backoff_max=0.02)
PRICE = 0.5
MODEL = "tiny"


def sentences(count: int) -> list[str]:
    return [f"sentence number {n} tells of {n * 7 % 31} things ." for n in range(count)]


def fetching(
    store: EmbeddingStore,
    base_url: str,
    texts: Sequence[str],
    *,
    cap: float | None = None,
    price: float | None = PRICE,
    concurrency: int = 8,
    anew: bool = False,
    key_env: str | None = None,
    model: str = MODEL,
) -> Fetch:
    endpoint = Wish(base_url=base_url, concurrency=concurrency, price_in=price, api_key_env=key_env)
    wish = EmbeddingWish(endpoint=endpoint, budget=NO_CAP if cap is None else cap, anew=anew)
    wanted = Needed(sentences=tuple(texts), tasks={"STS16": tuple(range(len(texts)))})
    found = plan(store, settings.load(), f"api:{model}", wanted, wish)
    return fetch(store, found, QUICK)


async def ended(run: Fetch) -> Finished:
    last = None
    async for event in run.events():
        last = event
    assert isinstance(last, Finished)
    return last


def account(store: EmbeddingStore, server: LLMServer, model: str = MODEL) -> int:
    return store.account(f"127.0.0.1:{server.port}", model).id


def have(store: EmbeddingStore, server: LLMServer, texts: Sequence[str], model: str = MODEL) -> list[bool]:
    """Whether each text has the very vector that the server gives it."""
    found = store.vectors(account(store, server, model), [text_key(text) for text in texts])
    return [got == struct.pack("<8f", *vector(text, 8)) for text, got in zip(texts, found, strict=True)]


def billed(server: LLMServer, model: str = MODEL) -> Counter[str]:
    """How often the server computed each text."""
    return Counter(
        text
        for line in server.log()
        if line["prompt_tokens"] and line["model"] == model
        for text in line["prompt"].split("\n")
    )


def tokens(server: LLMServer, model: str = MODEL) -> int:
    """How many tokens the server computed."""
    return sum(line["prompt_tokens"] for line in server.log() if line["model"] == model)


def money(server: LLMServer, model: str = MODEL) -> int:
    """What the server would bill, in nano-dollars."""
    return round(tokens(server, model) * PRICE * 1000)
