"""Handing a run over to a process of its own, which outlives the app. No widget."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

START_SECONDS = 60.0
"""How long the new process may take to say that its run is on."""


async def hand_over(folder: Path) -> bool:
    """Start the project's run in the background, as ``generate --detach`` does; True once it is on.

    The run of this process must have ended before: a project has one run at a time.
    """
    # -P: a file where the user stands must not be taken for a module of ours.
    command = [
        sys.executable,
        "-P",
        "-m",
        "claif_tui",
        "generate",
        "-P",
        str(folder),
        "--yes",
        "--detach",
        "--json",
    ]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        return await asyncio.wait_for(process.wait(), START_SECONDS) == 0
    except (OSError, TimeoutError):
        return False
