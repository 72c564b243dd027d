"""Cosines of the packaged encoder for all pairs, filled in meanwhile, for Review's sort and for the score quality."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from claif_tui.core.models import PairQuery
from claif_tui.ui.jobs import Job, JobProgress

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store
    from claif_tui.ui.app import ClaifApp

CHUNK = 256
"""Pairs that are encoded and stored at a time."""


class EncoderJob(Job):
    """Fills in the cosines that are missing; what it has done stays when it is stopped."""

    kind = "encoder"
    title = "encoder cosines"

    def __init__(self, store: Store, total: int) -> None:
        super().__init__()
        self._store = store
        self._stopping = False
        self.progress = JobProgress(total=total, unit="pairs")

    async def work(self, app: ClaifApp) -> None:
        """Encode chunk by chunk in the offline model's child; without it ``MissingExtraError`` says what to do."""
        from claif_tui.core.llm.offline import OfflineClient

        client = OfflineClient()
        done, after = 0, 0
        try:
            await client.open()
            while not self._stopping and app.store is self._store:
                rows = await asyncio.to_thread(self._store.pairs.without_encoder, CHUNK, after)
                if not rows:
                    break
                cosines = await client.similarity([(text_a, text_b) for _, text_a, text_b in rows])
                found = [(row[0], cosine) for row, cosine in zip(rows, cosines, strict=True)]
                await asyncio.to_thread(self._store.pairs.set_encoder, found)
                done, after = done + len(rows), rows[-1][0]
                self.report(progress=JobProgress(done=done, total=self.progress.total, unit="pairs"))
        finally:
            await client.close()
        app.changed()

    def stop(self) -> None:
        """End after the chunk at hand."""
        self._stopping = True
        self.report(state="stopping")


async def encode(shell: ClaifApp, after: str) -> None:
    """Start filling in missing cosines; say how many are missing, and what comes ``after`` they are there."""
    store = shell.store
    if store is None or shell.jobs.live("encoder"):
        return
    missing = await shell.db(lambda opened: opened.pairs.count(PairQuery(filter="encoder = none")))
    if not missing:
        return
    shell.jobs.start(EncoderJob(store, missing))
    shell.say(f"Encoding {missing:,} pairs in the background; {after}.")
