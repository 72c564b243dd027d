"""Snapshots: what is frozen, under which id, byte for byte; and that the engine reads and checks them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core import snapshot
from claif_tui.core.errors import FilterError, RecipeError, UsageError
from claif_tui.core.export import write_export
from claif_tui.core.exporting import ExportWish, process
from claif_tui.core.models import NewScore, PairQuery
from claif_tui.core.recipes import Recipe, preset_recipe, recipe_id
from claif_tui.core.snapshot import Created, SnapshotError, SnapshotWish, create, find, pack, snapshots
from claif_tui.core.store.store import Store
from engine.data import read
from engine.datafiles.snapshots import content_id
from engine.errors import DataError
from tests.conftest import ROOT
from tests.core.pair_support import add, make_source, new_pair, project, scored
from tests.core.store_children import new_call

ALL = SnapshotWish(statuses=("pending", "accepted", "rejected"))


def frozen(store: Store, wish: SnapshotWish = ALL, recipe: Recipe | None = None) -> Created:
    return create(store, recipe or Recipe(), wish)


def rows_of(made: Created) -> list[dict[str, Any]]:
    text = (made.snapshot.path / "examples.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_snapshot_holds_what_an_export_of_the_same_wish_holds(tmp_path: Path) -> None:
    with project(tmp_path / "p", 40) as store:
        made = frozen(store)
        with store.read():
            processed, _ = process(store, Recipe(), ExportWish(statuses=ALL.statuses))
            exported = write_export(processed.rows(), tmp_path / "e.jsonl", "jsonl", {})
    assert (made.snapshot.path / "examples.jsonl").read_bytes() == exported.path.read_bytes()
    about = made.snapshot.manifest
    assert about["sha256"] == exported.sha256
    assert about["rows"] == exported.rows == made.funnel.rows == about["funnel"]["rows"] == len(rows_of(made))
    assert about["bytes"] == exported.path.stat().st_size
    assert about["smoothing"] == {"epsilon": 0.2, "applied": True}
    assert about["recipe"]["id"] == recipe_id(Recipe())
    assert about["kinds"] == {"llm": made.funnel.kept, "zero": made.funnel.zero_pairs}
    assert about["splits"] == {"train": about["rows"]}
    assert (about["triplets"], made.snapshot.mixed) == (0, False)
    allowed = {"sentence1", "sentence2", "score", "raw_score", "kind", "split", "pair_id"}
    assert all(set(row) <= allowed for row in rows_of(made))


def test_the_same_project_gives_the_same_bytes_whatever_came_first(tmp_path: Path) -> None:
    def build(name: str, order: int) -> dict[str, bytes]:
        with Store.create(tmp_path / name, author=name) as store:
            source = make_source(store)
            texts = [(f"seed {n} .", n) for n in range(4)]
            store.write(lambda conn: store.seeds.add_batch(conn, source, "train", texts))
            rows = [
                scored(n, n / 12, text_a=texts[n // 3][0], seed_id=seed, generate_key=f"k{n}", rate=n % 3 / 10)
                for n, seed in enumerate(seed for seed in store.seeds.ids() for _ in range(3))
            ]
            add(store, rows[::order])
            for pair in store.pairs.first(PairQuery(filter="score >= 0.3", sort="oldest"), 99):
                store.decisions.decide([pair.id], "accept")
            made = frozen(store, SnapshotWish())
            assert made.funnel.kept == 8
            return {made.snapshot.id: b"", **contents(made.snapshot.path)}

    assert build("one", 1) == build("two", -1)


def test_hash_seeds_do_not_show(tmp_path: Path) -> None:
    project(tmp_path / "p", 30).close()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from claif_tui.core.recipes import Recipe\n"
        "from claif_tui.core.snapshot import SnapshotWish, create\n"
        "from claif_tui.core.store.store import Store\n"
        "with Store.open(Path(sys.argv[1])) as store:\n"
        "    made = create(store, Recipe(), SnapshotWish(statuses=('pending',)))\n"
        "print(made.snapshot.id, made.existed)\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "p")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert said[0][0] == said[1][0]
    assert [existed for _, existed in said] == ["False", "True"]


def test_making_it_again_gives_what_is_there(tmp_path: Path) -> None:
    with project(tmp_path, 10) as store:
        first = frozen(store)
        before = first.snapshot.path.stat().st_mtime_ns
        again = frozen(store)
        assert (first.existed, again.existed) == (False, True)
        assert again.snapshot == first.snapshot
        assert first.snapshot.path.stat().st_mtime_ns == before
        assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [first.snapshot.id]


def test_what_is_chosen_can_be_narrowed(tmp_path: Path) -> None:
    with project(tmp_path, 20) as store:
        store.decisions.decide(list(range(1, 11)), "accept")
        store.decisions.decide([11], "reject")
        store.decisions.edit(4, "another text .")
        store.decisions.set_score(4, 0.5)
        raw = SnapshotWish(preset="raw")
        assert len(rows_of(frozen(store, raw))) == 10
        assert len(rows_of(frozen(store, replace(raw, statuses=("pending", "rejected"))))) == 10
        high = frozen(store, replace(raw, filter="score>=0.5"))
        assert {row["score"] for row in rows_of(high)} == {0.5, 0.6, 0.7, 0.8, 0.9, 1.0}
        assert high.snapshot.manifest["filter"] == "score >= 0.5"
        edited = frozen(store, replace(raw, edited_only=True))
        assert [row["sentence2"] for row in rows_of(edited)] == ["another text ."]
        either = frozen(store, replace(raw, filter="score < 0.2 or score > 0.4", edited_only=True))
        assert len(rows_of(either)) == 1, "edited only holds for both sides of an or"
        assert edited.snapshot.manifest["review"] == {
            "project": {"pending": 9, "accepted": 10, "rejected": 1},
            "matching": {"pending": 0, "accepted": 1, "rejected": 0},
            "chosen": 1,
            "edited": 1,
        }
        assert len({one.id for one in snapshots(tmp_path)}) == 5
        assert frozen(store, replace(raw, filter=" score  >=  0.5 ")).existed, "spelling is no content"


def test_what_differs_has_another_id(tmp_path: Path) -> None:
    with project(tmp_path, 20) as store:
        ids = {frozen(store).snapshot.id}
        ids.add(frozen(store, recipe=Recipe(smoothing=0.1)).snapshot.id)
        ids.add(frozen(store, recipe=Recipe(seed=7)).snapshot.id)
        ids.add(frozen(store, replace(ALL, preset="paper-literal")).snapshot.id)
        store.decisions.decide([1], "accept")
        ids.add(frozen(store).snapshot.id)
        store.decisions.undo()
        assert frozen(store).existed, "an undone decision leaves no trace"
    assert len(ids) == 5


def test_nothing_to_freeze_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with project(tmp_path, 5) as store:
        with pytest.raises(UsageError, match=r"no row is left to freeze \(5 pairs; status 5\)") as caught:
            frozen(store, SnapshotWish())
        assert "--status all" in caught.value.hint
        with pytest.raises(UsageError) as caught:
            frozen(store, replace(ALL, filter="score > 2"))
        assert "score > 2" in caught.value.hint
        with pytest.raises(FilterError):
            frozen(store, replace(ALL, filter="score >"))
        with pytest.raises(RecipeError):
            frozen(store, replace(ALL, preset="nope"))
        with pytest.raises(UsageError, match=r"5 pairs; system 5") as caught:
            frozen(store, replace(ALL, preset="multicsr"))
        assert "multicsr, takes triplets (generated by it or imported" in caught.value.hint
        assert "recipe set system=NAME" in caught.value.hint
    assert list((tmp_path / "snapshots").iterdir()) == []


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with project(tmp_path, 5) as store:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(snapshot, "_put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            frozen(store)
        assert list((tmp_path / "snapshots").iterdir()) == []

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(snapshot, "write_rows", full)
        with pytest.raises(SnapshotError, match="No space left") as caught:
            frozen(store)
        assert caught.value.exit_code == 1
        assert list((tmp_path / "snapshots").iterdir()) == []


def test_pairs_and_triplets_together_are_marked(tmp_path: Path) -> None:
    with project(tmp_path, 3) as store:
        add(store, [new_pair(9, kind="nli", hard_negative="no .")])
        made = frozen(store)
        assert (made.snapshot.mixed, made.snapshot.manifest["triplets"]) == (True, 1)
        with pytest.raises(DataError, match="in the rows before it") as caught:
            read(made.snapshot.path)
        assert "--filter 'kind = llm'" in caught.value.hint
        triplets = frozen(store, replace(ALL, filter="kind = nli"))
        assert read(triplets.snapshot.path).kind == "triplets"


def altered(made: Created, name: str, old: str, new: str) -> None:
    path = made.snapshot.path / name
    path.chmod(0o644)
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_snapshots_are_listed_found_and_checked(tmp_path: Path) -> None:
    assert snapshots(tmp_path) == []
    with project(tmp_path, 10) as store:
        first, second = frozen(store), frozen(store, recipe=Recipe(seed=1))
    (tmp_path / "snapshots" / ".half.part").mkdir()
    assert [one.id for one in snapshots(tmp_path)] == [first.snapshot.id, second.snapshot.id]
    assert find(tmp_path, first.snapshot.id[:6]) == first.snapshot
    for word in ("nope", "", "..", "/"):
        with pytest.raises(UsageError, match="there is no snapshot"):
            find(tmp_path, word)
    altered(first, "examples.jsonl", "seed", "Seed")
    assert "examples.jsonl was altered" in find(tmp_path, first.snapshot.id).problem
    altered(second, "manifest.json", '"epsilon": 0.2', '"epsilon": 0.0')
    assert "manifest.json was altered" in find(tmp_path, second.snapshot.id).problem
    with pytest.raises(SnapshotError, match="altered"):
        pack(tmp_path, first.snapshot.id)
    with Store.open(tmp_path) as store, pytest.raises(SnapshotError, match="is there already, but"):
        frozen(store)


def test_what_is_frozen_is_not_writable(tmp_path: Path) -> None:
    with project(tmp_path, 3) as store:
        made = frozen(store)
    assert {path.stat().st_mode & 0o222 for path in made.snapshot.path.iterdir()} == {0}


def test_an_archive_is_the_same_bytes_and_its_folder_a_snapshot(tmp_path: Path) -> None:
    with project(tmp_path / "p", 30) as store:
        made = frozen(store)
    first = pack(tmp_path / "p", made.snapshot.id)
    for path in made.snapshot.path.iterdir():
        os.utime(path, (1, 1))
    second = pack(tmp_path / "p", made.snapshot.id, tmp_path / "other.zip")
    assert first.path == tmp_path / "p" / "exports" / f"{made.snapshot.id}.zip"
    assert first.path.read_bytes() == second.path.read_bytes()
    assert (first.sha256, first.bytes) == (second.sha256, second.path.stat().st_size)
    with zipfile.ZipFile(second.path) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert contents(tmp_path / "unpacked" / made.snapshot.id) == contents(made.snapshot.path)
    with pytest.raises(UsageError, match="is a folder"):
        pack(tmp_path / "p", made.snapshot.id, tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        pack(tmp_path / "p", made.snapshot.id, tmp_path / "no" / "such.zip")


# The engine's side.


@pytest.fixture
def made(tmp_path: Path) -> Created:
    with project(tmp_path / "p", 30) as store:
        return frozen(store)


def test_the_engine_reads_a_snapshot_wherever_it_is(made: Created, tmp_path: Path) -> None:
    packed = pack(tmp_path / "p", made.snapshot.id, tmp_path / "packed.zip")
    places = [made.snapshot.path, made.snapshot.path / "examples.jsonl", packed.path]
    found = [read(place) for place in places]
    rows = rows_of(made)
    for examples in found:
        batch = examples.batch(range(len(examples)))
        assert examples.columns == ("sentence1", "sentence2", "score", "split", "kind", "pair_id")
        assert all(batch[name] == [row[name] for row in rows] for name in examples.columns)
        assert (examples.report.snapshot, examples.report.smoothing) == (made.snapshot.id, 0.2)
        assert examples.report.warnings == (), "a snapshot says itself that it is smoothed"
    assert len({examples.fingerprint for examples in found}) == 1
    packed.path.unlink()
    assert found[2][0]["sentence1"] == rows[0]["sentence1"], "what was unpacked is the reader's own"


def test_both_sides_agree_on_the_id(made: Created) -> None:
    assert content_id(made.snapshot.manifest) == snapshot.content_id(made.snapshot.manifest) == made.snapshot.id


def test_the_engine_refuses_what_was_altered(made: Created, tmp_path: Path) -> None:
    packed = pack(tmp_path / "p", made.snapshot.id, tmp_path / "packed.zip")
    raw = packed.path.read_bytes()
    with zipfile.ZipFile(tmp_path / "longer.zip", "w") as archive:
        archive.write(made.snapshot.path / "manifest.json", "x/manifest.json")
        archive.writestr("x/examples.jsonl", (made.snapshot.path / "examples.jsonl").read_bytes() + b"{}\n")
    with pytest.raises(DataError, match="has another size than the manifest says"):
        read(tmp_path / "longer.zip")
    data = raw.index(b"examples.jsonl") + len("examples.jsonl")  # what lies before it is names and sizes
    for flipped in range(data, data + 400, 7):
        packed.path.write_bytes(raw[:flipped] + bytes([raw[flipped] ^ 255]) + raw[flipped + 1 :])
        with pytest.raises(DataError):
            read(packed.path)
    packed.path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match="a zip archive") as caught:
        read(packed.path)
    assert "it is cut" in caught.value.hint
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("data.txt", "one\n")
    with pytest.raises(DataError, match="no packed snapshot"):
        read(tmp_path / "other.zip")
    altered(made, "examples.jsonl", "seed", "Seed")
    for place in (made.snapshot.path, made.snapshot.path / "examples.jsonl"):
        with pytest.raises(DataError, match="is not what was frozen"):
            read(place)
    altered(made, "examples.jsonl", "Seed", "seed")
    assert len(read(made.snapshot.path)) == made.snapshot.rows
    altered(made, "manifest.json", '"epsilon": 0.2', '"epsilon": 0.0')
    with pytest.raises(DataError, match="does not match its id"):
        read(made.snapshot.path)
    (made.snapshot.path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        read(made.snapshot.path)


def test_a_snapshot_of_a_newer_version_says_so(made: Created) -> None:
    manifest = {**made.snapshot.manifest, "manifest_version": 99}
    path = made.snapshot.path / "manifest.json"
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="newer version"):
        read(made.snapshot.path)


def test_test_rows_of_a_snapshot_stay_out(tmp_path: Path) -> None:
    with project(tmp_path, 4) as store:
        add(store, [scored(9, 0.5, split="test"), scored(10, 0.5, split="dev")])
        made = frozen(store, replace(ALL, preset="raw"))
    examples = read(made.snapshot.path)
    assert examples.report.dropped == {"of a test split": 1}
    assert examples.report.splits == {"train": 4, "dev": 1}


@pytest.mark.parametrize("side", ["generate_key", "score", "negative_key"])
async def test_an_answer_of_the_offline_model_in_a_kept_row_is_stated(tmp_path: Path, side: str) -> None:
    """By the calls of the rows that are kept, whoever generated and whoever scored."""
    with Store.create(tmp_path / "p") as store:
        for number, profile in enumerate(("openai", "offline")):
            taken = store.runs.start("generate", None, profile, "m", {})
            assert await store.calls.reserve(replace(new_call(f"k{number}", taken.id), profile=profile))
            store.runs.set_state(taken.id, "stopped")
        for number in range(2):
            fields: dict[str, Any] = {"generate_key": f"g{number}", side: f"k{number}"}
            if side == "score":
                fields["score"] = NewScore(score=0.5, raw="0.5", scale="0-1", key=f"k{number}")
            elif side == "negative_key":
                fields["hard_negative"] = f"unlike {number} ."
            row = new_pair(number, **fields) if side == "score" else scored(number, 0.5, **fields)
            add(store, [row])
        assert frozen(store).snapshot.manifest["stand_in"] is True
        assert frozen(store, replace(ALL, filter="id = 1")).snapshot.manifest["stand_in"] is False
        store.decisions.decide([1], "accept")
        assert frozen(store, SnapshotWish()).snapshot.manifest["stand_in"] is False
        store.decisions.decide([2], "accept")
        assert frozen(store, SnapshotWish()).snapshot.manifest["stand_in"] is True
    with project(tmp_path / "imported", 3) as store:
        assert frozen(store).snapshot.manifest["stand_in"] is False


async def test_half_a_triplet_that_the_offline_model_scored_is_stated_too(tmp_path: Path) -> None:
    with Store.create(tmp_path / "p") as store:
        taken = store.runs.start("generate", None, "offline", "m", {})
        assert await store.calls.reserve(replace(new_call("k", taken.id), profile="offline"))
        score = NewScore(score=0.5, raw="0.5", scale="0-1", key="k")
        add(store, [new_pair(1, system="nli", kind="nli", hard_negative="unlike .", score=score)])
        made = frozen(store, recipe=preset_recipe("claif-scaled"))
    assert made.funnel.to_dict()["split"] == 1
    assert made.funnel.drops["unscored"] == 1, "its other half"
    assert made.snapshot.manifest["stand_in"] is True
