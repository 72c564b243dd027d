"""The same project gives the same bytes: whatever the hash seed, the concurrency and the order of the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pytest

from claif_tui.core.paths import assets_dir
from tests.acceptance.support import Shell, contents, endpoint, seeds_file
from tests.llm_fixtures import Factory

FORMS = ("jsonl", "csv", "parquet", "dino")


@dataclass(frozen=True)
class Way:
    """One way to the same project."""

    hash_seed: str
    concurrency: int
    steps: int = 1
    """In how many parts the seeds come, with a run after each."""


WAYS = (Way("0", 1), Way("1", 32), Way("random", 8, steps=2))


def exports(
    place: Path, way: Way, files: Sequence[Path], ask: Sequence[object], forms: Sequence[str] = FORMS
) -> dict[str, bytes]:
    """Make a project in ``place`` in one way, and return every file that its exports are."""
    shell, folder = Shell(place / "home", PYTHONHASHSEED=way.hash_seed), place / "p"
    shell("init", folder).well()
    run = ["generate", "-P", folder, *ask, "--concurrency", way.concurrency]
    per_step = -(-len(files) // way.steps)
    for first in range(0, len(files), per_step):
        shell("import", "-P", folder, *files[first : first + per_step]).well()
        if way.steps > 1:
            shell(*run).well()
    done = shell(*run).well().doc
    assert done["answered"] == done["planned"] > 0
    shell("review", "accept", "-P", folder, "--filter", "score >= 0.0").well()
    for form in forms:
        assert shell("export", "-P", folder, "--format", form, "--json").well().doc["rows"] > 0
    return contents(folder / "exports")


def assert_equal(found: dict[Way, dict[str, bytes]], files: int) -> None:
    for one, other in combinations(found, 2):
        assert len(found[one]) == files
        differing = [name for name in found[one] if found[one][name] != found[other].get(name)]
        assert (differing, found[one].keys()) == ([], found[other].keys()), (one, other)


def test_hash_seed_concurrency_order_and_steps_do_not_show(tmp_path: Path, llm_server: Factory) -> None:
    server = llm_server(options={"jitter": 0.02})
    files = [seeds_file(tmp_path / f"{part}.txt", 3, start=3 * part) for part in range(2)]
    found = {
        way: exports(tmp_path / way.hash_seed, way, files, endpoint(server, "--rates", "0.0,0.1,0.3,0.5,0.8"))
        for way in WAYS
    }
    # Each form is a file with its manifest and the list of what was dropped.
    assert_equal(found, 3 * len(FORMS))
    asked = Counter(line["sha"] for line in server.log())
    assert {count % len(WAYS) for count in asked.values()} == {0}, "each way asks the same"


def test_repeated_seeds_under_the_official_preset(tmp_path: Path, llm_server: Factory) -> None:
    server = llm_server(options={"jitter": 0.02})
    seeds = seeds_file(tmp_path / "seeds.txt", 3)
    # At rate 0.8 such short seeds are all masks: identical requests, told apart by their rank in the plan alone.
    short = "so be it .\nas you say .\n"
    seeds.write_text(seeds.read_text() + short + seeds.read_text() + short)
    ask = endpoint(server, "--preset", "official-code", "--rates", "0.0,0.4,0.8")
    forms = ("jsonl", "dino")
    found = {
        way: exports(tmp_path / way.hash_seed, way, [seeds], ask, forms) for way in (Way("0", 1), Way("1", 32))
    }
    assert_equal(found, 3 * len(forms))
    rows = found[Way("0", 1)]["dino.jsonl"].decode().splitlines()
    assert len(set(rows)) == len(rows)


def test_the_offline_model_gives_the_same_text_however_it_is_asked(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="the extra claif-tui[offline] is absent")
    if not (assets_dir() / "offline").is_dir():
        pytest.skip("the offline model's files are absent")
    seeds = seeds_file(tmp_path / "seeds.txt", 2)
    ask = ["--model", "offline", "--json"]
    found = {
        way: exports(tmp_path / way.hash_seed, way, [seeds], ask, ("jsonl",))
        for way in (Way("0", 1), Way("1", 32))
    }
    assert_equal(found, 3)
