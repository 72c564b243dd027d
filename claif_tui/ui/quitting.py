"""What leaving means while work is under way: nothing that was paid for or decided may hang on the answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from claif_tui.ui.dialogs import Choice, ChooseModal
from claif_tui.ui.jobs import BUSY

if TYPE_CHECKING:
    from claif_tui.ui.app import ClaifApp
    from claif_tui.ui.jobs import Job

WAIT_SECONDS = 20.0
"""How long leaving waits for requests in flight before it goes anyway; a kill loses nothing but those."""


async def ask_and_quit(app: ClaifApp) -> None:
    """Ask what becomes of the busy jobs, do it, and leave unless the user would rather stay."""
    busy = app.jobs.busy()
    detachable = all(job.can_detach for job in busy)
    pausable = all(job.can_pause for job in busy)
    names = ", ".join(job.title for job in busy)
    choices = []
    if pausable:
        choices.append(
            Choice(
                key="p",
                value="pause",
                label="Pause and quit",
                meaning="finish what is in flight; go on next time",
            )
        )
    else:
        choices.append(
            Choice(key="s", value="stop", label="Stop and quit", meaning="what is done so far is kept")
        )
    if detachable:
        choices.append(
            Choice(
                key="l",
                value="detach",
                label="Leave it running",
                meaning="in a process of its own; the app attaches to it again",
            )
        )
    choices.append(Choice(key="c", value="", label="Cancel", meaning="stay here"))
    answer = await app.push_screen_wait(ChooseModal("Quit", f"Still at work: {names}.", choices))
    if answer == "detach":
        results = [await job.detach() for job in busy]
        if not all(results):
            app.say("It could not be handed over; nothing was stopped.", severity="error")
            return
    elif answer == "pause":
        for job in busy:
            job.pause()
    elif answer == "stop":
        for job in busy:
            job.stop()
    else:
        return
    if answer != "detach":
        await _settled(app, busy)
    app.exit()


async def _settled(app: ClaifApp, jobs: list[Job]) -> None:
    """Wait until no job is at work any more."""
    app.say("Finishing what is in flight…")
    settled = asyncio.Event()

    def look(_: Job) -> None:
        if not any(job.state in BUSY for job in jobs):
            settled.set()

    stop = app.jobs.listen(look)
    look(jobs[0])
    try:
        await asyncio.wait_for(settled.wait(), WAIT_SECONDS)
    except TimeoutError:
        app.say("Leaving now; requests in flight are sent again next time.", severity="warning")
    finally:
        stop()
