"""``api:MODEL``: what an embedding API would be asked for an evaluation, where, and for how much. Nothing is sent here.

An endpoint means what it means for ``generate``; no project has a say in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from claif_tui.core.embedding_fetch import BATCH, Fetch
from claif_tui.core.engine_child import ask
from claif_tui.core.errors import BudgetError, UsageError
from claif_tui.core.evaluating import check_data
from claif_tui.core.llm.base import Price
from claif_tui.core.llm.budget import worst_case_nano
from claif_tui.core.llm.caller import CallerConfig
from claif_tui.core.llm.embedding_client import EmbeddingClient
from claif_tui.core.llm.embedding_wire import embedding_request
from claif_tui.core.llm.keys import find_key
from claif_tui.core.llm.pace import Pace
from claif_tui.core.llm.prices import nano, table_price
from claif_tui.core.llm.profiles import Profile, Wish, price_of, resolve
from claif_tui.core.models import NANO
from claif_tui.core.provenance import API
from claif_tui.core.runs import told
from claif_tui.core.session import NO_CAP
from claif_tui.core.settings import Settings
from claif_tui.core.store.embeddings import Account, EmbeddingStore, text_key
from engine.tasks import select

_WHERE = "Say where it runs: --base-url URL, or --profile NAME of your settings (the app: choose an endpoint)."


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingWish:
    """What one command wants of embedding APIs.

    ``budget`` in dollars; None keeps the cap there is, ``NO_CAP`` lifts it. ``anew``: ask again for what is stored.
    """

    endpoint: Wish
    budget: float | None = None
    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """The sentences of some tasks, each once, and for each task which of them it needs."""

    sentences: tuple[str, ...]
    tasks: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingPlan:
    """What is needed of one model, what is missing, and what that takes.

    Money in nano-dollars; ``price`` None: unknown. An empty sentence has no vector anywhere: it is never asked for, and
    counts as a vector of zeros.
    """

    spec: str
    profile: Profile
    account: Account
    needed: Needed
    missing: tuple[str, ...]
    price: Price | None
    cap_nano: int | None
    anew: bool = False

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self.account.model

    @property
    def stored(self) -> int:
        """How many of the sentences have a vector already."""
        return sum(map(bool, self.needed.sentences)) - len(self.missing)

    @property
    def requests(self) -> int:
        """How many requests the missing sentences take."""
        return -(-len(self.missing) // BATCH)

    @property
    def tokens(self) -> tuple[int, int]:
        """What the missing sentences take, low and high: English has 3 to 5 bytes a token."""
        size = sum(len(text.encode()) for text in self.missing)
        return size // 5, size // 3 + len(self.missing)

    @property
    def cost_nano(self) -> tuple[int, int] | None:
        """What they cost, low and high; None when the price is unknown."""
        if self.price is None:
            return None
        low, high = self.tokens
        return nano(self.price, low, 0), nano(self.price, high, 0)

    @property
    def worst_nano(self) -> int:
        """What is put aside for them in all; without lost tries no run costs more."""
        request = embedding_request("", self.model, self.missing)
        return worst_case_nano(request, self.price) if self.missing else 0

    @property
    def costs(self) -> bool:
        """Whether fetching may cost money: there is a price, or none is known and a key says who is asking."""
        if not self.missing:
            return False
        return self.profile.wants_key if self.price is None else self.price.input_usd_per_m > 0


def needed(data: Path, tasks: str) -> Needed:
    """Return the sentences that ``tasks`` are scored on. Blocks for seconds; ``ClaifError`` as for an evaluation."""
    with told():
        names = select(tasks)
    check_data(data, names)
    found = ask("engine.evaluate.sentences", [str(data.absolute()), tasks])
    return Needed(
        sentences=tuple(found["sentences"]),
        tasks={name: tuple(places) for name, places in found["tasks"].items()},
    )


def plan(
    store: EmbeddingStore, settings: Settings, spec: str, wanted: Needed, wish: EmbeddingWish
) -> EmbeddingPlan:
    """Return what fetching takes. Raises ``UsageError`` for an endpoint that cannot be, ``BudgetError`` for a cap that
    could not be kept.
    """
    model = spec.removeprefix(API)
    if not model:
        raise UsageError(
            f"{spec} names no model", "Write it behind the colon, as in api:text-embedding-3-small"
        )
    endpoint = replace(wish.endpoint, model=model, price_out=None if wish.endpoint.price_in is None else 0.0)
    try:
        profile = resolve(
            settings.profiles, endpoint, default=settings.text("profile"), today=date.today().isoformat()
        )
    except UsageError:
        if endpoint.profile is not None or endpoint.base_url is not None:
            raise
        raise UsageError(f"{spec}: which endpoint has this model is not known", _WHERE) from None
    if profile.kind != "openai" or profile.base_url is None:
        raise UsageError(
            f"{spec}: embeddings are asked of OpenAI-compatible endpoints alone, and {profile.name} is none",
            _WHERE,
        )
    price = _price(profile, settings.profiles.get(profile.name), priced=endpoint.price_in is not None)
    account = store.account(profile.name, model)
    cap = _cap(account, settings, wish.budget)
    if cap is not None and price is None:
        if wish.budget is not None or account.cap_nano is not None or profile.wants_key:
            raise BudgetError(
                f"a budget is set, but the price of {model!r} is unknown",
                "Give --price-in (dollars per million tokens; 0 if it is free), or --budget none.",
            )
        cap = None
    have = set() if wish.anew else store.keys(account.id)
    missing = tuple(text for text in wanted.sentences if text and text_key(text) not in have)
    return EmbeddingPlan(
        spec=spec,
        profile=profile,
        account=account,
        needed=wanted,
        missing=missing,
        price=price,
        cap_nano=cap,
        anew=wish.anew,
    )


def fetch(store: EmbeddingStore, planned: EmbeddingPlan, config: CallerConfig | None = None) -> Fetch:
    """Return the run that fetches what is missing. Raises ``EndpointError`` when a key is wanted and not found."""
    profile = planned.profile
    assert profile.base_url is not None
    client = EmbeddingClient(profile.base_url, key=find_key(profile), ca_file=profile.ca_file)
    return Fetch(
        store,
        planned.account,
        planned.missing,
        client,
        price=planned.price,
        cap_nano=planned.cap_nano,
        pace=Pace(profile.concurrency, rpm=profile.rpm, tpm=profile.tpm),
        anew=planned.anew,
        config=config,
    )


def _price(profile: Profile, saved: Profile | None, *, priced: bool) -> Price | None:
    """Return the price of a text's tokens. What a profile says of money is about the model that it names."""
    if priced:
        found = price_of(profile)
    else:
        found = table_price(profile.host, profile.model or "")
        if found is None and saved is not None and saved.model in (None, profile.model):
            found = price_of(profile)
    return None if found is None else replace(found, output_usd_per_m=0.0)


def _cap(account: Account, settings: Settings, wished: float | None) -> int | None:
    """Return the cap of all that is ever spent on the model's vectors: as wished, else as kept, else the settings'."""
    if wished == NO_CAP:
        return None
    if wished is not None:
        return round(wished * NANO)
    if account.cap_nano is not None:
        return account.cap_nano
    default = settings.dollars("budget")
    return None if default is None else round(default * NANO)
