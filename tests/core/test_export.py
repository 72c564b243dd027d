"""Files: every format read back, the manifest, atomicity, and the same bytes twice."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core import export
from claif_tui.core.errors import InputError, MissingExtraError, UsageError
from claif_tui.core.export import (
    ExportError,
    ExportFormat,
    manifest_of,
    neutral_cell,
    restore_cell,
    write_export,
)
from claif_tui.core.postprocess import Example, options_of, postprocess
from claif_tui.core.recipes import Recipe, recipe_id
from tests.core.pairs import claif_like

TRICKY = ["=1+1", "+a", "-b", "@c", "\td", "'=e", "a,b", 'say "x"', "line\u2028mark", "naïve 日本"]
ROWS = [
    Example(
        sentence1=text, sentence2="y", kind="llm", split="train", pair_id=f"p{i}", score=0.74, raw_score=0.8
    )
    for i, text in enumerate(TRICKY)
]
TRIPLET = Example(sentence1="a", sentence2="b", hard_negative="c", kind="nli", split="train", pair_id="t")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_jsonl_holds_every_field_that_there_is(tmp_path: Path) -> None:
    out = tmp_path / "d.jsonl"
    result = write_export([*ROWS, TRIPLET], out, "jsonl", {})
    rows = lines(out)
    assert [row["sentence1"] for row in rows] == [*TRICKY, "a"]
    assert rows[0] == {
        "sentence1": "=1+1",
        "sentence2": "y",
        "score": 0.74,
        "raw_score": 0.8,
        "kind": "llm",
        "split": "train",
        "pair_id": "p0",
    }
    assert rows[-1] == {
        "sentence1": "a",
        "sentence2": "b",
        "hard_negative": "c",
        "kind": "nli",
        "split": "train",
        "pair_id": "t",
    }
    assert len(out.read_text(encoding="utf-8").splitlines()) == len(rows) == result.rows
    assert result.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()


def test_csv_runs_no_formula_and_can_be_undone(tmp_path: Path) -> None:
    out = tmp_path / "d.csv"
    write_export(ROWS, out, "csv", {})
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == export.COLUMNS
    assert not any(row["sentence1"].startswith(tuple("=+-@\t\r")) for row in rows)
    assert [restore_cell(row["sentence1"]) for row in rows] == TRICKY
    assert float(rows[0]["score"]) == 0.74
    assert rows[0]["hard_negative"] == ""


@given(st.text() | st.text("'=+-@\t\r a", max_size=5))
def test_any_cell_is_harmless_and_comes_back(text: str) -> None:
    cell = neutral_cell(text)
    assert not cell.startswith(tuple("=+-@\t\r"))
    assert restore_cell(cell) == text


def test_dino_labels_are_numbers(tmp_path: Path) -> None:
    out = tmp_path / "d.jsonl"
    write_export(ROWS, out, "dino", {})
    assert lines(out)[1] == {"text_a": "+a", "text_b": "y", "label": 0.74}
    with pytest.raises(InputError, match="three sentences"):
        write_export([TRIPLET], out, "dino", {})
    assert len(lines(out)) == len(ROWS)


def test_parquet_round_trip(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "d.parquet"
    result = write_export([*ROWS, TRIPLET], out, "parquet", {})
    table = parquet.read_table(out)
    assert tuple(table.column_names) == export.COLUMNS
    assert table.column("sentence1").to_pylist() == [*TRICKY, "a"]
    assert table.column("score").to_pylist() == [0.74] * len(ROWS) + [None]
    assert result.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert write_export([*ROWS, TRIPLET], tmp_path / "e.parquet", "parquet", {}).sha256 == result.sha256
    write_export([], out, "parquet", {})
    assert parquet.read_table(out).num_rows == 0


def test_sentence_transformers_columns(tmp_path: Path) -> None:
    out = tmp_path / "d.jsonl"
    write_export(ROWS, out, "sentence-transformers", {})
    assert list(lines(out)[0]) == ["sentence1", "sentence2", "score"]
    write_export([TRIPLET], out, "sentence-transformers", {})
    assert lines(out) == [{"anchor": "a", "positive": "b", "negative": "c"}]
    parquet = pytest.importorskip("pyarrow.parquet")
    write_export(ROWS, tmp_path / "d.parquet", "sentence-transformers", {})
    assert parquet.read_table(tmp_path / "d.parquet").column_names == ["sentence1", "sentence2", "score"]
    with pytest.raises(InputError, match="one kind in a file"):
        write_export([*ROWS, TRIPLET], out, "sentence-transformers", {})
    with pytest.raises(UsageError, match=r"\.jsonl or \.parquet"):
        write_export(ROWS, tmp_path / "d.csv", "sentence-transformers", {})


def test_parquet_without_its_extra_names_the_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError) as caught:
        write_export(ROWS, tmp_path / "d.parquet", "parquet", {})
    assert caught.value.hint == "pip install 'claif-tui[parquet]'"
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_tells_how_it_came_about(tmp_path: Path) -> None:
    pairs, recipe = claif_like(20), Recipe()
    options = options_of(recipe, ["accepted"])
    done = postprocess(lambda: pairs, options)
    out = tmp_path / "d.jsonl"
    manifest = manifest_of(done.funnel, options, recipe=recipe, preset="claif")
    result = write_export(done.rows(), out, "dino", manifest, done.dropped())
    about = json.loads(result.manifest.read_text(encoding="utf-8"))
    assert result.manifest.name == "d.jsonl.manifest.json"
    assert about["rows"] == result.rows == done.funnel.rows == about["funnel"]["rows"]
    assert about["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert about["recipe"]["id"] == recipe_id(recipe)
    assert about["smoothing"] == {"epsilon": 0.2, "applied": True}
    assert set(done.funnel.drops) == set(about["rules"])
    assert result.dropped is not None
    losses = lines(result.dropped)
    assert len(losses) == about["dropped"]["rows"] == sum(done.funnel.drops.values()) > 0
    assert all(row["reason"] == about["rules"][row["rule"]] for row in losses)
    assert about["dropped"]["sha256"] == hashlib.sha256(result.dropped.read_bytes()).hexdigest()


def test_two_folders_hold_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        pairs = claif_like(15)
        done = postprocess(lambda pairs=pairs: pairs, options_of(Recipe()))  # type: ignore[misc]
        manifest = manifest_of(done.funnel, options_of(Recipe()), recipe=Recipe())
        write_export(done.rows(), tmp_path / name / "d.csv", "csv", manifest, done.dropped())
        contents.append({item.name: item.read_bytes() for item in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 3


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "d.jsonl"
    write_export(ROWS, out, "jsonl", {})
    before = {item.name: item.read_bytes() for item in tmp_path.iterdir()}

    def broken() -> Iterator[Example]:
        yield ROWS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_export(broken(), out, "jsonl", {})
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == before


def test_permissions_are_the_usual_ones(tmp_path: Path) -> None:
    out = tmp_path / "d.jsonl"
    write_export(ROWS, out, "jsonl", {})
    (tmp_path / "plain").touch()
    assert out.stat().st_mode == (tmp_path / "plain").stat().st_mode
    out.chmod(0o600)
    write_export(ROWS, out, "jsonl", {})
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("form", export.FORMATS)
def test_places_that_cannot_be_written(tmp_path: Path, form: ExportFormat) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        write_export(ROWS, tmp_path, form, {})
    with pytest.raises(UsageError, match="does not exist"):
        write_export(ROWS, tmp_path / "none" / "d.jsonl", form, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ExportError, match="cannot be written to"):
            write_export(ROWS, tmp_path / "d.jsonl", "jsonl", {})
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is staged goes to the device that is always full: a real ENOSPC from a real write."""
    opened = os.open

    def full(path: object, flags: int, mode: int = 0o777) -> int:
        return opened("/dev/full", os.O_RDWR) if str(path).endswith(".part") else opened(str(path), flags, mode)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(ExportError, match="the disk is full"):
        write_export(ROWS, tmp_path / "d.jsonl", "jsonl", {})


def test_a_file_too_large_for_the_system_is_an_error_not_a_crash(tmp_path: Path) -> None:
    """A limit on the size of files, in a child: the write fails part way and leaves nothing behind."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "from claif_tui.core.export import ExportError, write_export\n"
        "from claif_tui.core.postprocess import Example\n"
        "row = Example(sentence1='x' * 100, sentence2='y', kind='llm', split='train', pair_id='p', score=0.5)\n"
        "try:\n"
        "    write_export([row] * 1000, Path(sys.argv[1]), 'jsonl', {})\n"
        "except ExportError as error:\n"
        "    print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "d.jsonl")],
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("cannot write")
    assert list(tmp_path.iterdir()) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 2000
