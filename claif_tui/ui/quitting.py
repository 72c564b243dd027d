"""What leaving means while work is under way: nothing that was paid for or decided may hang on the answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from claif_tui.ui.dialogs import Choice, ChooseModal
from claif_tui.ui.jobs import LIVE

if TYPE_CHECKING:
    from claif_tui.ui.app import ClaifApp
    from claif_tui.ui.jobs import Job

WAIT_SECONDS = 20.0
"""How long leaving waits for requests in flight before it goes anyway; a kill loses nothing but those."""


async def ask_and_quit(app: ClaifApp) -> None:
    """Ask what becomes of the busy jobs, do it, and leave unless the user would rather stay."""
    busy = app.jobs.busy()
    if busy:
        answer = await app.push_screen_wait(ChooseModal("Quit", _question(busy), _choices(busy)))
        if not answer:
            return
        if answer == "detach":
            await _hand_over(app, busy)
            return
    await settle(app)
    app.exit()


def _question(busy: list[Job]) -> str:
    return f"Still at work: {', '.join(job.title for job in busy)}."


def _choices(busy: list[Job]) -> list[Choice]:
    choices = []
    if all(job.can_detach for job in busy):
        meaning = "in a process of its own; the app shows it again"
        choices.append(Choice(key="l", value="detach", label="Leave it running", meaning=meaning))
    if all(job.can_pause for job in busy):
        meaning = "finish what is in flight; go on next time"
        choices.append(Choice(key="p", value="stop", label="Pause and quit", meaning=meaning))
    else:
        meaning = "what is done so far is kept"
        choices.append(Choice(key="s", value="stop", label="Stop and quit", meaning=meaning))
    return [*choices, Choice(key="c", value="", label="Cancel", meaning="stay here")]


async def _hand_over(app: ClaifApp, busy: list[Job]) -> None:
    """Let processes of their own go on with the jobs; stay when that fails, so that it is seen."""
    app.say("Finishing what is in flight, then a process of its own goes on …")
    for job in busy:
        if not await job.detach():
            app.say("It could not be handed over; it is paused, and nothing is lost.", severity="error")
            return
    await settle(app)
    app.exit()


async def settle(app: ClaifApp) -> None:
    """Stop every job, paused ones too, and wait until what is in flight has landed."""
    jobs = app.jobs.live()
    if not jobs:
        return
    app.say("Finishing what is in flight …")
    settled = asyncio.Event()

    def look(_: Job) -> None:
        if not any(job.state in LIVE for job in jobs):
            settled.set()

    stop = app.jobs.listen(look)
    for job in jobs:
        job.stop()
    look(jobs[0])
    try:
        await asyncio.wait_for(settled.wait(), WAIT_SECONDS)
    except TimeoutError:
        app.say("Leaving now; requests in flight are sent again next time.", severity="warning")
    finally:
        stop()
