"""The probe before a first run: booked, made once, and no obstacle when a server only stumbles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from claif_tui.core import session, settings
from claif_tui.core.errors import BudgetError, EndpointError
from claif_tui.core.llm.profiles import Wish
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions
from claif_tui.core.probing import first_probe
from claif_tui.core.recipes import requests_id
from claif_tui.core.store.store import Store
from tests.core.test_pipeline import SEEDS, fill
from tests.llm_fixtures import Factory, LLMServer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as made:
        fill(made, SEEDS[:1])
        yield made


def ready(store: Store, server: LLMServer, budget: float | None = 1.0) -> session.Ready:
    wish = Wish(base_url=server.base_url, model="tiny", price_in=1.0, price_out=4.0)
    return session.prepare(store, settings.load(), session.Wanted(endpoint=wish, budget=budget))


async def test_the_probe_is_booked_kept_and_made_once(store: Store, llm_server: Factory) -> None:
    server = llm_server()
    prepared = ready(store, server)
    report = await first_probe(store, prepared)
    assert report is not None and not report.refused
    assert len(server.log()) == 1
    prompt, completion = server.spent_tokens()
    scope = requests_id(prepared.recipe)
    assert store.ledger.get(scope).spent_nano == prompt * 1000 + completion * 4000
    assert store.ledger.get(scope).reserved_nano == 0
    assert store.calls.stage_counts(scope) == {("probe", "answered"): 1}
    assert await first_probe(store, prepared) is None
    assert len(server.log()) == 1
    assert store.runs.active() is None


async def test_a_refused_parameter_is_named_and_costs_nothing(store: Store, llm_server: Factory) -> None:
    server = llm_server(options={"refuse": ["temperature"]})
    report = await first_probe(store, ready(store, server))
    assert report is not None
    assert report.refused == ("temperature",)
    assert "temperature" in report.suggestion
    again = await first_probe(store, ready(store, server))
    assert again is not None and again.refused, "what nobody agreed to is asked about again"


async def test_a_server_that_stumbles_does_not_stop_the_run(store: Store, llm_server: Factory) -> None:
    server = llm_server(faults=[{"kind": "500", "first": 1}])
    prepared = ready(store, server)
    assert await first_probe(store, prepared) is None
    desk = session.open_desk(store, prepared)
    events = [event async for event in Generation(store, prepared.recipe, RunOptions(), desk).events()]
    assert events[-1].state == "finished"  # type: ignore[union-attr]
    assert store.ledger.get(requests_id(prepared.recipe)).reserved_nano == 0


async def test_a_wrong_key_and_an_empty_purse_are_told_before_anything_runs(
    store: Store, llm_server: Factory
) -> None:
    server = llm_server(options={"key": "right"})
    prepared = ready(store, server)
    with pytest.raises(EndpointError, match="key"):
        await first_probe(store, prepared)
    assert store.ledger.get(requests_id(prepared.recipe)).spent_nano == 0
    with pytest.raises(BudgetError):
        await first_probe(store, ready(store, server, budget=0.0))
