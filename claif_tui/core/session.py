"""From a project and what a user wishes to something that can run: recipe, endpoint, price, budget, desk.

The app and the command line both come through here, so that the same words mean the same run. No flags, no screens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from claif_tui.core import recipe_file
from claif_tui.core.desk import Desk
from claif_tui.core.errors import UsageError
from claif_tui.core.estimate import Plan, estimate_plan
from claif_tui.core.llm.base import Price
from claif_tui.core.llm.budget import require_bound
from claif_tui.core.llm.caller import CallerConfig
from claif_tui.core.llm.factory import open_client
from claif_tui.core.llm.pace import Pace
from claif_tui.core.llm.profiles import Profile, Wish, length_limit, price_of, require_logits, resolve
from claif_tui.core.models import NANO, Seed
from claif_tui.core.planning import require_work
from claif_tui.core.recipes import Recipe, requests_id, set_field
from claif_tui.core.settings import Settings
from claif_tui.core.store.store import Store
from claif_tui.core.systems.registry import system_of

RECIPE_FILE = "recipe.toml"
NO_CAP = -1.0
"""As a wished budget: take the cap away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A recipe with the endpoint it means. ``cap_nano`` in nano-dollars; ``price`` None: unknown.

    ``changed``: the recipe differs from the project's file, because the wish said so.
    """

    recipe: Recipe
    profile: Profile
    price: Price | None
    cap_nano: int | None
    changed: bool

    @property
    def costs(self) -> bool:
        """Whether requests may cost money: a price above zero, or one that is not known."""
        return self.price is None or self.price.input_usd_per_m > 0 or self.price.output_usd_per_m > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one command wants other than the project's recipe says. ``fields`` are recipe fields by name.

    ``budget`` is in dollars; None keeps the cap there is, ``NO_CAP`` takes it away.
    """

    endpoint: Wish = field(default_factory=Wish)
    fields: Mapping[str, object] = field(default_factory=dict)
    budget: float | None = None


def load_recipe(folder: Path) -> Recipe:
    """Return the project's recipe, or the default one where there is no recipe.toml yet."""
    path = folder / RECIPE_FILE
    return recipe_file.load(path) if path.exists() else Recipe()


def save_recipe(folder: Path, recipe: Recipe) -> None:
    """Write recipe.toml, keeping the user's comments."""
    recipe_file.save(folder / RECIPE_FILE, recipe)


def prepare(
    store: Store, settings: Settings, wanted: Wanted | None = None, recipe: Recipe | None = None
) -> Ready:
    """Return what a command on this project means. Raises ``ClaifError`` for what cannot be.

    An endpoint that a command named by URL is remembered by the project, under its profile name.
    """
    wanted = wanted or Wanted()
    stored = recipe if recipe is not None else load_recipe(store.folder)
    changed = stored
    for name, value in wanted.fields.items():
        changed = set_field(changed, name, value)
    wish = wanted.endpoint
    if wish.profile is None and wish.base_url is None and wish.model is None:
        wish = replace(wish, profile=changed.profile, model=changed.model)
    elif wish.profile is None and wish.base_url is None and _keeps_endpoint(changed, wish.model):
        wish = replace(wish, profile=changed.profile)
    wish = replace(wish, api=wish.api or changed.api)
    profiles = {**remembered_endpoints(store), **settings.profiles}
    profile = resolve(profiles, wish, default=settings.text("profile"), today=date.today().isoformat())
    if wish.api_key_env and not wish.base_url and profile.base_url and profile.name not in settings.profiles:
        raise UsageError(
            f"that {profile.name} is at {profile.base_url} is this project's word, not yours",
            f"Whoever made the project chose it. To send a key there, say so: --base-url {profile.base_url}",
        )
    final = set_field(changed, "model.profile", profile.name)
    final = set_field(final, "model.name", profile.model or changed.model)
    final = set_field(final, "model.api", profile.api)
    price = price_of(profile)
    cap = cap_of(store, settings, final, wanted.budget)
    if price is None or price.input_usd_per_m > 0 or price.output_usd_per_m > 0:
        require_bound(price, cap, final.model, length_limit(profile, final.max_tokens))
    elif wanted.budget is None:
        cap = store.ledger.get(requests_id(final)).cap_nano
    return Ready(recipe=final, profile=profile, price=price, cap_nano=cap, changed=final != stored)


def open_desk(
    store: Store, ready: Ready, *, streaming: bool = True, config: CallerConfig | None = None
) -> Desk:
    """Return the desk of a run; nothing is sent before it is opened. Raises ``EndpointError`` without a key."""
    profile = ready.profile
    if profile.base_url is not None:
        store.endpoints.remember(
            profile.name, base_url=profile.base_url, model=ready.recipe.model, api=profile.api
        )
    return Desk(
        store,
        open_client(profile, streaming=streaming),
        price=ready.price,
        cap_nano=ready.cap_nano,
        pace=Pace(profile.concurrency, rpm=profile.rpm, tpm=profile.tpm),
        config=config,
    )


def plan_of(store: Store, ready: Ready, limit: int | None = None) -> Plan:
    """Estimate a run over the first ``limit`` training seeds and triplets, from a sample of them."""
    return estimate_plan(store, ready.recipe, ready.price, limit)


def require_run(store: Store, recipe: Recipe, profile: Profile) -> None:
    """Raise ``ClaifError`` where a run could only fail: nothing to work on, or a model without the logits it takes."""
    require_work(store, recipe)
    require_decoding(recipe, profile)


def require_decoding(recipe: Recipe, profile: Profile) -> None:
    """Raise ``UsageError`` where the recipe's way of decoding is not for the profile's model; it says what is."""
    system = system_of(recipe)
    if profile.kind == "local" or "seeds" not in system.reads:
        return
    example = Seed(id=1, text="two children are playing in the snow .", split="train", source_id=1, line=1)
    samplings = [ask.sampling for item in system.plan(recipe, [example]) for ask in item.asks]
    for sampling in samplings:
        if sampling.rule is not None:
            require_logits(profile, sampling.rule)
    for sampling in samplings:
        for name in ("top_k", "min_tokens"):
            if getattr(sampling, name) is not None:
                raise UsageError(
                    f"{recipe.preset} decodes with {name}, and the endpoint {profile.name!r} cannot",
                    "Local models can: --model local:PATH-OR-NAME.",
                )


def _keeps_endpoint(recipe: Recipe, model: str | None) -> bool:
    """Whether naming only a model means that model at the recipe's own endpoint."""
    if model is None:
        return True
    if recipe.profile == "offline":
        return model == "offline"
    return model != "offline" and not model.startswith(("litellm:", "local:"))


def cap_of(store: Store, settings: Settings, recipe: Recipe, wished: float | None = None) -> int | None:
    """Return the cap in nano-dollars: the wished budget, else the one kept with the recipe, else the settings'.

    A recipe that was not run yet goes on with the cap of the last run at its endpoint: a changed word in a prompt
    must not lift it.
    """
    if wished == NO_CAP:
        return None
    if wished is not None:
        return round(wished * NANO)
    kept = store.ledger.get(requests_id(recipe)).cap_nano
    if kept is None:
        kept = _last_cap(store, recipe.profile)
    if kept is not None:
        return kept
    default = settings.dollars("budget")
    return None if default is None else round(default * NANO)


def _last_cap(store: Store, profile: str) -> int | None:
    last = store.runs.last("generate", "retry", profile=profile)
    cap = None if last is None else last.args.get("cap_nano")
    return cap if isinstance(cap, int) else None


def remembered_endpoints(store: Store) -> dict[str, Profile]:
    """Return the endpoints that commands on this project named by URL, by profile name."""
    return {
        name: Profile(
            name=name, base_url=base_url, model=model, api="completions" if api == "completions" else "chat"
        )
        for name, base_url, model, api in store.endpoints.all()
    }
