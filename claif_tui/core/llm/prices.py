"""What well-known models cost, with the day each price was read. A model not listed has no known price."""

from __future__ import annotations

from fractions import Fraction

from claif_tui.core.errors import UsageError
from claif_tui.core.llm.base import Price

_SOURCE = "OpenAI's price list"
_READ = "2026-03-21"

_TABLE: dict[str, dict[str, tuple[float, float]]] = {
    "api.openai.com": {
        "gpt-5.4": (2.5, 15.0),
        "gpt-5.1": (1.25, 10.0),
        "gpt-5": (1.25, 10.0),
        "gpt-5-mini": (0.25, 2.0),
        "gpt-5-nano": (0.05, 0.4),
        "gpt-4.1": (2.0, 8.0),
        "gpt-4.1-mini": (0.4, 1.6),
        "gpt-4.1-nano": (0.1, 0.4),
        "gpt-4o": (2.5, 10.0),
        "gpt-4o-mini": (0.15, 0.6),
        "o3": (2.0, 8.0),
        "o3-mini": (1.1, 4.4),
        "o4-mini": (1.1, 4.4),
        "gpt-3.5-turbo": (0.5, 1.5),
        "text-embedding-3-small": (0.02, 0.0),
        "text-embedding-3-large": (0.13, 0.0),
        "text-embedding-ada-002": (0.1, 0.0),
    },
}

FREE = Price(input_usd_per_m=0.0, output_usd_per_m=0.0, as_of="", source="runs on this machine")


def table_price(host: str, model: str) -> Price | None:
    """Return the listed price of ``model`` at ``host`` (also ``gpt-4o-2024-08-06`` for ``gpt-4o``), or None."""
    models = _TABLE.get(host, {})
    found = models.get(model)
    if found is None:
        base, _, date = model.partition("-20")
        found = models.get(base) if date else None
    if found is None:
        return None
    return Price(input_usd_per_m=found[0], output_usd_per_m=found[1], as_of=_READ, source=_SOURCE)


def listed_model_host(model: str) -> str:
    """Return the host whose price list names ``model``, or an empty text."""
    return next((host for host in _TABLE if table_price(host, model) is not None), "")


def user_price(price_in: float | None, price_out: float | None, as_of: str) -> Price | None:
    """Return the price a user gave, or None when none was; half a price raises ``UsageError``.

    Dollars per million tokens, >= 0.
    """
    if price_in is None and price_out is None:
        return None
    if price_in is None or price_out is None:
        missing = "--price-in" if price_in is None else "--price-out"
        raise UsageError(
            f"{missing} is missing: a price has two sides", "Give both, in dollars per million tokens."
        )
    for name, value in (("--price-in", price_in), ("--price-out", price_out)):
        if not 0 <= value < 1_000_000:
            raise UsageError(f"{name} is {value}: expected dollars per million tokens, 0 or more")
    return Price(input_usd_per_m=price_in, output_usd_per_m=price_out, as_of=as_of, source="set by you")


def nano(price: Price, prompt_tokens: int, completion_tokens: int) -> int:
    """Return the cost of one answer in whole nano-dollars, rounded up."""
    exact = _micro(price.input_usd_per_m) * prompt_tokens + _micro(price.output_usd_per_m) * completion_tokens
    return -(-exact // 1000)


def _micro(usd_per_m: float) -> int:
    """Return micro-dollars per million tokens, rounded up: the unit in which sums stay whole numbers."""
    known = _MICRO.get(usd_per_m)
    if known is None:
        exact = Fraction(str(usd_per_m)) * 1_000_000
        known = _MICRO[usd_per_m] = -(-exact.numerator // exact.denominator)
    return known


_MICRO: dict[float, int] = {}


def describe(price: Price | None) -> str:
    """Return one line for a screen: both sides, the day and the source, or that it is unknown."""
    if price is None:
        return "price unknown (set --price-in and --price-out, in dollars per million tokens)"
    if not price.input_usd_per_m and not price.output_usd_per_m:
        return f"free ({price.source})" if price.source else "free"
    day = f", {price.as_of}" if price.as_of else ""
    sides = f"${price.input_usd_per_m:g} in, ${price.output_usd_per_m:g} out"
    return f"{sides} per million tokens ({price.source}{day})"
