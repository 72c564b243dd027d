"""A process that runs a generation, to be killed: prints one line for each pair that is scored.

``python -m tests.core.run_child PROJECT BASE_URL API CONCURRENCY [CAP_USD]``; the last line is the end state.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from claif_tui.core import session, settings
from claif_tui.core.events import Finished, PairScored
from claif_tui.core.llm.caller import CallerConfig
from claif_tui.core.llm.profiles import Wish
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions
from claif_tui.core.session import Wanted
from claif_tui.core.store.store import Store


async def main(project: str, base_url: str, api: str, concurrency: str, cap: str = "") -> None:
    """Run to the end, or to the kill."""
    with Store.open(Path(project)) as store:
        wish = Wish(
            base_url=base_url,
            model="tiny",
            api="completions" if api == "completions" else "chat",
            concurrency=int(concurrency),
            price_in=1.0,
            price_out=4.0,
        )
        fields = {"model.max_tokens": 48}
        wanted = Wanted(endpoint=wish, fields=fields, budget=float(cap) if cap else None)
        ready = session.prepare(store, settings.load(), wanted)
        session.save_recipe(store.folder, ready.recipe)
        config = CallerConfig(tries=6, backoff_base=0.001, backoff_max=0.02)
        desk = session.open_desk(store, ready, config=config)
        async for event in Generation(store, ready.recipe, RunOptions(), desk).events():
            if isinstance(event, PairScored):
                print(event.pair_id, flush=True)  # noqa: T201 - this is what the test reads
            elif isinstance(event, Finished):
                print(event.state, event.message, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
