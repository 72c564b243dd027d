"""What a live run owes the other processes of its project: a sign of life, and an ear for their wishes. No requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from claif_tui.core.models import RunState

if TYPE_CHECKING:
    from claif_tui.core.store.runs import Ask, RunsRepo

POLL_SECONDS = 0.5
"""How often a run looks for wishes."""
HEARTBEAT_SECONDS = 15.0


async def watch(runs: RunsRepo, run_id: int, obey: Callable[[Ask], RunState | None]) -> None:
    """Say that the run is alive and hand each wish to ``obey``, which returns the run's new state if it has one.

    Goes on until it is cancelled.
    """
    beats = 0.0
    while True:
        await asyncio.sleep(POLL_SECONDS)
        beats += POLL_SECONDS
        if beats >= HEARTBEAT_SECONDS:
            beats = 0.0
            await asyncio.to_thread(runs.heartbeat, run_id)
        wish = await asyncio.to_thread(runs.requested, run_id)
        state = None if wish is None else obey(wish)
        if state is not None:
            await asyncio.to_thread(runs.set_state, run_id, state)
