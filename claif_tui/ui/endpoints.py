"""From a recipe to the endpoint it asks: profile, price and desk, as the screens need them. No widget, no requests.

``endpoint_of`` reads the settings file: call it in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from claif_tui.core.llm.base import Price
from claif_tui.core.llm.budget import require_bound
from claif_tui.core.llm.profiles import Profile, Wish, length_limit, price_of, resolve

if TYPE_CHECKING:
    from claif_tui.core.desk import Desk
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.session import Ready
    from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A resolved profile with its price (None: unknown), whether answers stream, and the cap that holds."""

    profile: Profile
    price: Price | None
    streaming: bool
    cap_nano: int | None
    """The recipe's budget in nano-dollars, or the settings' default; None: no cap."""

    @property
    def free(self) -> bool:
        """Whether a request certainly costs nothing; an unknown price is not free."""
        return self.price is not None and not (self.price.input_usd_per_m or self.price.output_usd_per_m)

    @property
    def name(self) -> str:
        """``gpt-4o-mini @ api``, or ``offline``."""
        return endpoint_name(self.profile.name, self.profile.model or "")


def endpoint_name(profile: str, model: str) -> str:
    """How an endpoint is written: model and profile, once where they are the same."""
    return profile if profile == model else f"{model} @ {profile}"


def endpoint_of(recipe: Recipe, store: Store) -> Endpoint:
    """Find the endpoint a recipe names; raises ``UsageError`` (no such profile) or ``InputError`` (bad settings)."""
    from claif_tui.core import session, settings

    known = settings.load()
    profiles = {**session.remembered_endpoints(store), **known.profiles}
    profile = resolve(profiles, Wish(profile=recipe.profile, model=recipe.model, api=recipe.api))
    cap = session.cap_of(store, known, recipe)
    return Endpoint(profile=profile, price=price_of(profile), streaming=known.flag("stream"), cap_nano=cap)


def ready_of(recipe: Recipe, endpoint: Endpoint, cap_nano: int | None) -> Ready:
    """Put together what a run needs to know; raises ``BudgetError`` when the cap could not be kept."""
    from claif_tui.core.session import Ready

    if not endpoint.free:
        limit = length_limit(endpoint.profile, recipe.max_tokens)
        require_bound(endpoint.price, cap_nano, recipe.model, limit)
    return Ready(
        recipe=recipe, profile=endpoint.profile, price=endpoint.price, cap_nano=cap_nano, changed=False
    )


def open_desk(store: Store, recipe: Recipe, endpoint: Endpoint, cap_nano: int | None) -> Desk:
    """Make the desk of one run, still to be opened; raises ``BudgetError`` when the cap could not be kept.

    May look for a key (environment, keyring, file): call it in a thread.
    """
    from claif_tui.core import session

    return session.open_desk(store, ready_of(recipe, endpoint, cap_nano), streaming=endpoint.streaming)
