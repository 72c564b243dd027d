"""What a command on a project comes to: the endpoint that is meant, the cap that holds, and who may be sent a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from claif_tui.core import settings
from claif_tui.core.errors import BudgetError, UsageError
from claif_tui.core.llm.profiles import Profile, Wish
from claif_tui.core.models import NANO
from claif_tui.core.recipes import Recipe, requests_id, set_field
from claif_tui.core.session import NO_CAP, Ready, Wanted, prepare
from claif_tui.core.store.store import Store

URL = "http://gpu7:8000/v1"
PRICED = Wish(base_url=URL, model="m", price_in=1.0, price_out=2.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as made:
        yield made


def ran(store: Store, ready: Ready) -> None:
    """Leave what a run of ``ready`` leaves."""
    run = store.runs.start(
        "generate", None, ready.profile.name, ready.recipe.model, {"limit": None, "cap_nano": ready.cap_nano}
    )
    store.runs.set_state(run.id, "finished")
    store.ledger.set_cap(requests_id(ready.recipe), ready.cap_nano)


def test_a_budget_without_any_length_limit_is_refused(store: Store) -> None:
    settings.remember_refused(Profile(name="gpu7:8000", base_url=URL), "m", ["max_tokens"])
    assert prepare(store, settings.load(), Wanted(endpoint=PRICED, budget=1.0)).cap_nano == NANO
    settings.remember_refused(settings.load().profiles["gpu7:8000"], "m", ["max_completion_tokens"])
    with pytest.raises(BudgetError, match="no upper price"):
        prepare(store, settings.load(), Wanted(endpoint=PRICED, budget=1.0))
    assert prepare(store, settings.load(), Wanted(endpoint=PRICED)).cap_nano is None


def test_a_budget_goes_on_to_hold_when_the_recipe_changes(store: Store) -> None:
    first = prepare(store, settings.load(), Wanted(endpoint=PRICED, budget=5.0))
    ran(store, first)
    changed = set_field(first.recipe, "model.temperature", "0.9")
    ready = prepare(store, settings.load(), Wanted(endpoint=PRICED), changed)
    assert requests_id(ready.recipe) != requests_id(first.recipe)
    assert ready.cap_nano == 5 * NANO
    ran(store, prepare(store, settings.load(), Wanted(endpoint=PRICED, budget=NO_CAP), changed))
    other = set_field(changed, "model.temperature", "0.8")
    assert prepare(store, settings.load(), Wanted(endpoint=PRICED), other).cap_nano is None


def test_a_price_of_nothing_does_not_take_the_cap_away(store: Store) -> None:
    first = prepare(store, settings.load(), Wanted(endpoint=PRICED, budget=5.0))
    ran(store, first)
    free = Wish(base_url=URL, model="m", price_in=0.0, price_out=0.0)
    assert prepare(store, settings.load(), Wanted(endpoint=free)).cap_nano == 5 * NANO


def test_a_key_goes_to_no_host_that_only_the_project_names(store: Store) -> None:
    store.endpoints.remember("api.openai.com", base_url="https://elsewhere.example/v1", model="m", api="chat")
    recipe = Recipe(profile="api.openai.com", model="m")
    wanted = Wanted(endpoint=Wish(model="m", api_key_env="OPENAI_API_KEY"))
    with pytest.raises(UsageError, match=r"elsewhere\.example") as caught:
        prepare(store, settings.load(), wanted, recipe)
    assert "--base-url" in caught.value.hint
    assert prepare(store, settings.load(), Wanted(), recipe).profile.api_key_env is None, "without a key it may"
    told = Wanted(endpoint=Wish(base_url="https://elsewhere.example/v1", model="m", api_key_env="MY_KEY"))
    assert prepare(store, settings.load(), told, recipe).profile.api_key_env == "MY_KEY"


def test_a_recipe_that_went_through_litellm_goes_on_without_flags(store: Store) -> None:
    ready = prepare(store, settings.load(), Wanted(endpoint=Wish(model="litellm:anthropic/claude")))
    again = prepare(store, settings.load(), Wanted(), ready.recipe)
    assert (again.profile.kind, again.recipe.model) == ("litellm", "anthropic/claude")


def test_a_model_name_is_no_way_to_another_host(store: Store) -> None:
    recipe = Recipe(profile="litellm", model="huggingface/https://elsewhere.example/x")
    with pytest.raises(UsageError, match="URL"):
        prepare(store, settings.load(), Wanted(), recipe)
