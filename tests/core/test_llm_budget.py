from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core.errors import BudgetError, UsageError
from claif_tui.core.llm.base import Answer, Price
from claif_tui.core.llm.budget import actual_nano, estimate, prompt_bound, require_bound, worst_case_nano
from claif_tui.core.llm.prices import FREE, describe, listed_model_host, nano, table_price, user_price
from claif_tui.core.models import NANO
from tests.core.llm_helpers import request
from tests.llm_server_answers import count

PRICE = Price(input_usd_per_m=0.15, output_usd_per_m=0.6, as_of="2026-01-01")


def test_costs_are_exact_and_rounded_up() -> None:
    assert nano(PRICE, 1_000_000, 1_000_000) == 750_000_000
    assert nano(PRICE, 1, 0) == 150
    third = Price(input_usd_per_m=1 / 3, output_usd_per_m=0.0, as_of="")
    assert nano(third, 3_000_000, 0) >= NANO
    assert nano(Price(input_usd_per_m=0.0001, output_usd_per_m=0, as_of=""), 1, 0) == 1


@given(st.text(max_size=300), st.text(max_size=300), st.sampled_from(["chat", "completions"]))
def test_a_prompt_never_has_more_tokens_than_its_bound(system: str, user: str, api: str) -> None:
    wanted = replace(request(user, api=api), messages=(("system", system), ("user", user)))  # type: ignore[arg-type]
    if api == "completions":
        wanted = replace(wanted, messages=(("user", user),))
        assert count(user) + 4 <= prompt_bound(wanted)
    else:
        assert count(f"{system}\n{user}") + 4 <= prompt_bound(wanted)


@given(st.text(max_size=200), st.integers(0, 64), st.booleans())
def test_an_answer_never_costs_more_than_its_reservation(text: str, tokens: int, usage: bool) -> None:
    wanted = request(text, max_tokens=64)
    got = Answer(
        text=text,
        finish_reason="stop",
        prompt_tokens=prompt_bound(wanted) if usage else None,
        completion_tokens=tokens if usage else None,
    )
    cost, basis = actual_nano(wanted, got, PRICE)
    assert cost <= worst_case_nano(wanted, PRICE)
    assert basis == ("usage" if usage else "bound")


def test_unknown_and_free_reserve_nothing() -> None:
    assert worst_case_nano(request(), None) == 0 == worst_case_nano(request(), FREE)
    assert actual_nano(request(), Answer(text="x", finish_reason="stop"), None)[0] == 0


def test_a_cap_needs_a_price_and_a_length() -> None:
    require_bound(None, None, "m", None)
    require_bound(PRICE, 5 * NANO, "m", 256)
    require_bound(FREE, 5 * NANO, "m", None)
    with pytest.raises(BudgetError, match="price of 'm' is unknown") as caught:
        require_bound(None, 5 * NANO, "m", 256)
    assert "--price-in" in caught.value.hint and "--price-out" in caught.value.hint
    with pytest.raises(BudgetError, match="max_tokens"):
        require_bound(PRICE, 5 * NANO, "m", None)


def test_an_estimate_is_a_range_below_its_worst_case() -> None:
    sample = [request(f"Replace all <mask> tokens in 'a man {n} <mask> .'") for n in range(10)]
    got = estimate(sample, 94_662, PRICE)
    assert got.usd is not None and got.worst_usd is not None
    assert 0 < got.usd[0] < got.usd[1] < got.worst_usd
    assert got.tokens_in[0] < got.tokens_in[1]
    assert estimate(sample, 10, None).usd is None
    assert estimate([], 0, PRICE).tokens_in == (0, 0)
    ten, hundred = estimate(sample, 10, PRICE), estimate(sample, 100, PRICE)
    assert ten.usd is not None and hundred.usd is not None
    assert hundred.usd[1] == pytest.approx(10 * ten.usd[1], rel=0.01)


def test_listed_prices_name_their_day_and_only_their_host() -> None:
    price = table_price("api.openai.com", "gpt-4o-mini")
    assert price is not None and (price.input_usd_per_m, price.output_usd_per_m) == (0.15, 0.6)
    assert price.as_of in describe(price)
    assert table_price("api.openai.com", "gpt-4o-mini-2024-07-18") == price
    assert table_price("api.openai.com", "gpt-9") is None
    assert table_price("localhost:8000", "gpt-4o-mini") is None
    assert listed_model_host("gpt-4o-mini") == "api.openai.com"
    assert listed_model_host("llama3") == ""


def test_prices_in_words() -> None:
    assert "unknown" in describe(None)
    assert describe(FREE).startswith("free")


def test_a_price_has_two_sides() -> None:
    assert user_price(None, None, "2026-01-01") is None
    own = user_price(0.1, 0.2, "2026-01-01")
    assert own is not None and own.source == "set by you"
    with pytest.raises(UsageError, match="--price-out is missing"):
        user_price(0.1, None, "")
    with pytest.raises(UsageError, match="--price-in"):
        user_price(-1, 0.2, "")
    with pytest.raises(UsageError, match="--price-out"):
        user_price(1, float("nan"), "")
