"""The demo project: sixty seed sentences of our own and the default recipe, made in one step."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

from claif_tui.core.paths import asset
from claif_tui.core.recipes import Recipe
from claif_tui.core.session import RECIPE_FILE, save_recipe
from claif_tui.core.store.store import Store


def create_demo(folder: Path) -> None:
    """Make the demo in ``folder``; one that is there already is left as it is. Raises ``StoreError``."""
    if not (folder / "claif.db").exists():
        Store.create(folder).close()
    with Store.open(folder) as store:
        if store.seeds.count() == 0:
            _add_seeds(store)
    if not (folder / RECIPE_FILE).exists():
        save_recipe(folder, Recipe())


def _add_seeds(store: Store) -> None:
    raw = asset("demo/seeds.txt").read_bytes()
    sentences = raw.decode().splitlines()

    def work(conn: sqlite3.Connection) -> None:
        source = store.sources.begin(
            conn,
            path="demo/seeds.txt",
            role="seeds",
            format="text",
            split="train",
            sha256=hashlib.sha256(raw).hexdigest(),
        )
        rows = [(sentence, line) for line, sentence in enumerate(sentences, 1)]
        result = store.seeds.add_batch(conn, source, "train", rows)
        store.sources.finish(
            conn,
            source,
            rows=len(rows),
            sentences=len(rows),
            unique=result.unique,
            duplicates=0,
            empty=0,
            dropped={},
        )

    store.write(work)
