"""Rating in a spreadsheet: out, filled in, and back; and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core.rating.sheet_files import neutral, read_sheet_file, restored
from tests.cli.conftest import Cli
from tests.core.pair_support import project as make_project


@given(st.text(alphabet=";,\t\n'=+-@ax"))
def test_no_cell_is_run_and_none_is_lost(text: str) -> None:
    held = neutral(text)
    assert restored(held) == text
    assert not held.startswith(("=", "+", "-", "@"))


@pytest.fixture
def studied(tmp_path: Path, cli: Cli) -> Path:
    folder = tmp_path / "studied"
    make_project(folder, 40).close()
    made = cli("rate", "new", "-P", folder, "--rater", "ANNA", "--rater", "BEN", "--sample", 10)
    assert made.code == 0, made.err
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def save(path: Path, rows: list[dict[str, str]], delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_out_and_back(studied: Path, tmp_path: Path, cli: Cli) -> None:
    made = cli("rate", "export", "--sheet", "-P", studied, "--json").doc
    sheet = Path(made["files"]["ANNA"])
    rows = rows_of(sheet)
    fixed = "sample_id text_a text_b label explanation fluent consistent comment expert"
    assert list(rows[0]) == fixed.split() and len(rows) == 5
    assert {row["expert"] for row in rows} == {"ANNA"}
    for row in rows[:4]:
        row |= {"fluent": "Y", "consistent": "0", "comment": "=1+1; 'tis"}
    filled = save(tmp_path / "back.csv", rows, ";")
    words = ("rate", "import", "-P", studied, "--json")
    assert cli(*words, filled, "--dry-run").doc["stored"] is False
    (first,) = cli(*words, filled).doc["raters"]
    assert (first["new"], first["comments"], first["missing"], first["total"]) == (8, 4, 2, 10)
    again = cli(*words, filled)
    assert again.doc["raters"][0] | {"new": 0, "same": 8} == again.doc["raters"][0]
    rows[0]["fluent"] = "no"
    other = save(tmp_path / "other.csv", rows)
    refused = cli(*words, other)
    assert refused.code == 2 and "line 2, fluent" in refused.err and "--replace" in refused.err
    assert cli(*words, other, "--keep").doc["raters"][0]["differing"] == 1
    assert cli(*words, other, "--replace").code == 0
    assert cli(*words, other).doc["raters"][0]["same"] == 8
    assert "Departed" in cli("rate", "show", "-P", studied).out
    assert cli("rate", "export", "--sheet", "-P", studied).code == 2


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("sample_id", "sdeadbeef", "no item of this project"),
        ("text_b", "another text", "not the text"),
        ("fluent", "perhaps", "expected yes or no"),
        ("expert", "BEN", "given to 'ANNA'"),
        ("label", "0,123", "was asked about"),
        ("comment", "x" * 2001, "at most 2,000"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(
    studied: Path, tmp_path: Path, cli: Cli, column: str, value: str, said: str
) -> None:
    sheet = tmp_path / "anna.csv"
    assert cli("rate", "export", "--sheet", "-P", studied, "--rater", "ANNA", "--out", sheet).code == 0
    rows = rows_of(sheet)
    for row in rows:
        row |= {"fluent": "yes", "consistent": "yes"}
    rows[2][column] = value
    done = cli("rate", "import", "-P", studied, save(sheet, rows))
    assert done.code == 2 and f"line 4, {column}" in done.err and said in done.err
    shown = cli("rate", "show", "-P", studied, "--json").doc
    assert [rater["done"] for rater in shown["raters"]] == [0, 0]


def test_quoted_line_ends_and_blank_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(b'\xef\xbb\xbfsep=;\r\nSample_ID;comment\r\ns1;"two\r\nlines"\r\n;;\r\n')
    found = read_sheet_file(path)
    assert [row.cells for row in found.rows] == [{"sample_id": "s1", "comment": "two\nlines"}]
    assert (found.blank, found.rows[0].place) == (1, "line 3")
