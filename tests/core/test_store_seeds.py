"""Seeds, where they came from, and recipe versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from claif_tui.core.models import BatchResult, Duplicate, Split
from claif_tui.core.store.sources import INTERRUPTED
from claif_tui.core.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as opened:
        yield opened


def begin(store: Store, path: str = "a.txt") -> int:
    return store.write(
        lambda conn: store.sources.begin(
            conn, path=path, role="seeds", format="text", split="train", sha256="0"
        )
    )


def add(store: Store, source: int, split: Split, *texts: str) -> BatchResult:
    rows = [(text, line) for line, text in enumerate(texts, 1)]
    return store.write(lambda conn: store.seeds.add_batch(conn, source, split, rows))


def test_duplicates_are_counted_and_name_the_first(store: Store) -> None:
    first, second = begin(store), begin(store, "b.txt")
    assert add(store, first, "train", "a", "b", "a") == BatchResult(
        unique=2, duplicates=(Duplicate(3, 1, first),)
    )
    assert add(store, second, "train", "c", "b") == BatchResult(unique=1, duplicates=(Duplicate(2, 2, first),))
    assert [(seed.id, seed.text, seed.count) for seed in store.seeds.iter()] == [
        (1, "a", 2),
        (2, "b", 2),
        (3, "c", 1),
    ]
    assert store.seeds.count() == 3


def test_splits_are_kept_apart(store: Store) -> None:
    source = begin(store)
    add(store, source, "train", "a", "b")
    assert add(store, source, "test", "a", "z").unique == 2
    assert [seed.text for seed in store.seeds.iter()] == ["a", "b"], "only train, unless asked"
    assert [seed.text for seed in store.seeds.iter(("train", "test"))] == ["a", "b", "a", "z"]
    assert store.seeds.by_splits() == {"train": 2, "test": 2}
    assert store.seeds.count("test") == 2
    assert [seed.text for seed in store.seeds.page(split="test")] == ["a", "z"]


def test_pages_chunks_and_places_follow_import_order(store: Store) -> None:
    source = begin(store)
    add(store, source, "train", *(f"s{n}" for n in range(25)))
    texts = [f"s{n}" for n in range(25)]
    assert [seed.text for seed in store.seeds.iter(chunk=7)] == texts
    assert [seed.text for seed in store.seeds.iter(chunk=5)] == texts
    assert [seed.text for seed in store.seeds.iter(limit=12, chunk=5)] == texts[:12]
    assert list(store.seeds.iter(limit=0)) == []
    ids = store.seeds.ids()
    assert ids.itemsize == 8
    assert [seed.text for seed in store.seeds.page(ids[9], 3)] == texts[10:13]
    at = store.seeds.at(24)
    assert at is not None
    assert (at.text, at.line) == ("s24", 25)
    assert store.seeds.at(25) is None
    assert store.seeds.get(ids[3]) == store.seeds.at(3)
    assert store.seeds.get(999) is None


def test_iterating_goes_on_while_others_write(store: Store) -> None:
    source = begin(store)
    add(store, source, "train", "a", "b", "c")
    seen = []
    for seed in store.seeds.iter(chunk=1):
        seen.append(seed.text)
        if seed.text == "b":
            add(store, source, "train", "d")
    assert seen == ["a", "b", "c", "d"]


def test_search_takes_wildcards_as_text(store: Store) -> None:
    add(store, begin(store), "train", "100% sure", "100 sure", "snake_case", "snakecase", "back\\slash", "SURE")
    find = store.seeds.search
    assert [seed.text for seed in find("0%")] == ["100% sure"]
    assert [seed.text for seed in find("e_c")] == ["snake_case"]
    assert [seed.text for seed in find("k\\s")] == ["back\\slash"]
    assert [seed.text for seed in find("sure", limit=2)] == ["100% sure", "100 sure"]


def test_a_source_is_interrupted_until_it_is_finished(store: Store) -> None:
    source = begin(store)
    store.write(
        lambda conn: store.sources.add_issues(conn, source, [(9, "empty", ""), (2, "duplicate", "x" * 500)])
    )
    assert store.sources.list()[0].notes == (INTERRUPTED,)
    store.write(
        lambda conn: store.sources.finish(
            conn,
            source,
            rows=10,
            sentences=8,
            unique=7,
            duplicates=1,
            empty=1,
            dropped={"nul": 1},
            notes=["BOM"],
        )
    )
    done = store.sources.get(source)
    assert done is not None
    assert (done.rows, done.sentences, done.unique, done.duplicates, done.empty) == (10, 8, 7, 1, 1)
    assert (done.dropped, done.notes, done.author) == ({"nul": 1}, ("BOM",), "tester")
    assert store.sources.issues(source) == [(2, "duplicate", "x" * 200), (9, "empty", "")]
    assert store.sources.issues(source, limit=1, offset=1) == [(9, "empty", "")]
    assert store.sources.get(99) is None


def test_a_recipe_version_is_kept_once(store: Store) -> None:
    store.recipes.save("abc", '{"a": 1}', "anna")
    store.recipes.save("abc", "something else")
    store.recipes.save("def", "{}")
    assert store.recipes.get("abc") == '{"a": 1}'
    assert store.recipes.get("nope") is None
    assert [(name, json) for name, _, json in store.recipes.list()] == [("abc", '{"a": 1}'), ("def", "{}")]
