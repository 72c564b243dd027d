"""What the lab's tests and its benchmark share: labelled pairs in a project, a server of known skill, one lab run."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

from claif_tui.core.events import Finished
from claif_tui.core.lab.cells import set_up
from claif_tui.core.lab.models import Lab, LabResult, LabSpec
from claif_tui.core.lab.result import result
from claif_tui.core.lab.running import Laboratory
from claif_tui.core.llm.caller import CallerConfig
from claif_tui.core.llm.profiles import Wish
from claif_tui.core.models import NewPair
from claif_tui.core.session import Wanted
from claif_tui.core.settings import load as load_settings
from claif_tui.core.store.store import Store
from tests.llm_fixtures import LLMServer

FAVOURED = "reason-then-score"
MARK = "First say"
"""Words that only the favoured prompt holds."""
PRICE_IN, PRICE_OUT = 1.0, 4.0
QUICK = CallerConfig(tries=4, backoff_base=0.001, backoff_max=0.01)

Rows = list[tuple[str, str, float]]


def sts_dev(data: Path) -> Rows:
    """Return the STS-B dev pairs below ``data`` (the folder that holds ``STS/``) with labels in 0..1."""
    path = data / "STS" / "STSBenchmark" / "sts-dev.csv"
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(line[5], line[6], float(line[4]) / 5) for line in lines if len(line) >= 7]


def made_up(count: int) -> Rows:
    """Return pairs whose labels cover 0..1 evenly."""
    return [
        (f"the {n} cats sleep on a mat .", f"a mat holds the {n} cats' beds .", n % 21 / 20)
        for n in range(count)
    ]


def fill_gold(store: Store, rows: Rows) -> None:
    """Put labelled pairs into a project, as ``import --as gold`` does."""
    pairs = [
        NewPair(system="import", kind="human", text_a=a, generated=b, gold=label, split="dev", line=line)
        for line, (a, b, label) in enumerate(rows, 1)
    ]
    store.write(lambda connection: [store.pairs.add(connection, pair) for pair in pairs])


def world(path: Path, rows: Rows, noise: dict[str, float], other: float) -> str:
    """Write what a server of known skill knows; return the name of the file, for its option ``gold``."""
    path.write_text(json.dumps({"gold": rows, "noise": noise, "other": other}), "utf-8")
    return str(path)


def lab_of(
    store: Store, server: LLMServer, spec: LabSpec, *, model: str | None = "tiny", priced: bool = True
) -> Lab:
    """Set a lab up against a server."""
    wish = Wish(base_url=server.base_url, model=model, concurrency=32)
    if priced:
        wish = replace(wish, price_in=PRICE_IN, price_out=PRICE_OUT)
    wanted = Wanted(endpoint=wish, fields={"model.max_tokens": 48})
    return set_up(store, load_settings(), spec, wanted)


async def ask(
    store: Store, server: LLMServer, spec: LabSpec, *, model: str | None = "tiny", priced: bool = True
) -> tuple[LabResult, Finished]:
    """Run a lab to its end and read its result."""
    lab = lab_of(store, server, spec, model=model, priced=priced)
    last = None
    async for event in Laboratory(store, lab, config=QUICK).events():
        last = event
    assert isinstance(last, Finished)
    return result(store, lab), last


def spent(server: LLMServer) -> float:
    """Return what the server's own log of tokens comes to, in dollars."""
    prompt, completion = server.spent_tokens()
    return (prompt * PRICE_IN + completion * PRICE_OUT) / 1e6
