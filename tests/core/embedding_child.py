"""A process that fetches vectors, to be killed: prints how many sentences are there, a line for each progress.

``python -m tests.core.embedding_child FOLDER BASE_URL COUNT``
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from claif_tui.core.events import Progress
from claif_tui.core.store.embeddings import EmbeddingStore
from tests.core.embedding_support import fetching, sentences


async def main(folder: str, base_url: str, count: str) -> None:
    """Run to the end, or to the kill."""
    with EmbeddingStore.open(Path(folder)) as store:
        run = fetching(store, base_url, sentences(int(count)), concurrency=4)
        async for event in run.events():
            if isinstance(event, Progress):
                print(event.answered, flush=True)  # noqa: T201 - this is what the test reads


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
