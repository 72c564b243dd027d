"""Packets: out, answered without the project, and back; and what is found at merge."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from claif_tui.core.errors import BusyError, UsageError
from claif_tui.core.rating.packets import PacketSession
from tests.cli.conftest import Cli
from tests.cli.test_rate_sheets import studied as studied
from tests.core.pair_support import project as make_project


def answer_some(path: Path, count: int, who: str = "anna@far", value: float = 1.0) -> None:
    with PacketSession(path, who) as session:
        for _ in range(count):
            shown = session.current()
            assert shown is not None
            session.answer(shown.token, "fluent", value)
            session.answer(shown.token, "consistent", 0.0)
        assert shown is not None
        session.comment(shown.token, "=hostile\x1b[31m")


def test_the_round_trip(studied: Path, tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "anna.jsonl"
    assert cli("rate", "export", "--packet", "-P", studied, "--rater", "ANNA", "--out", path).code == 0
    key = (studied / "rating.key").read_text().strip()
    assert (studied / "rating.key").stat().st_mode & 0o777 == 0o600 and key not in path.read_text()
    answer_some(path, 3)
    words = ("rate", "merge", "-P", studied, "--json")
    (first,) = cli(*words, path).doc["raters"]
    assert (first["new"], first["comments"], first["missing"]) == (6, 1, 4)
    assert cli(*words, path).doc["raters"][0]["same"] == 6
    with path.open("ab") as file:
        file.write(b'{"token": "half')  # killed while it wrote
    with PacketSession(path, "anna@far") as session:
        assert session.desk.done == 3
        with pytest.raises(BusyError):
            PacketSession(path, "anna@far")
        undone = session.undo()
        assert undone is not None
        session.answer(undone.token, "consistent", 1.0)
    with pytest.raises(UsageError):
        PacketSession(path, "ben@far")
    assert cli(*words, path).doc["raters"][0]["changed"] == 1


def test_what_was_changed_or_is_foreign_is_found(studied: Path, tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "anna.jsonl"
    assert cli("rate", "export", "--packet", "-P", studied, "--rater", "ANNA", "--out", path).code == 0
    answer_some(path, 2)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for wrong, said in (
        (b"".join(lines[:3]), "cut off"),
        (b"".join([*lines[:-2], lines[-1]]), "was changed"),
        (whole.replace(b'"value": 1.0', b'"value": 0.0', 1), "was changed"),
        (b"".join([lines[0], lines[1].replace(b"generated", b"changed"), *lines[2:6]]), "not as this project"),
    ):
        path.write_bytes(wrong)
        done = cli("rate", "merge", "-P", studied, path)
        assert done.code == 2 and said in done.err
    path.write_bytes(whole)
    assert cli("rate", "answer", "-P", studied, "--rater", "ANNA", "fluent=no").code == 0
    strange = cli("rate", "merge", "-P", studied, path)
    assert strange.code == 2 and "--same-person" in strange.err
    differs = cli("rate", "merge", "-P", studied, path, "--same-person")
    assert differs.code == 2 and "--keep" in differs.err
    kept = cli("rate", "merge", "-P", studied, path, "--same-person", "--keep", "--json").doc["raters"][0]
    assert (kept["new"], kept["differing"]) == (3, 1)


def test_nothing_that_unblinds_leaves(tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "blind"
    make_project(folder, 60).close()
    small = ("--preset", "rigorous", "--sample", 10, "--gold", 0, "--repeats", 2, "--name", "s")
    assert cli("rate", "new", "-P", folder, *small).code == 0
    with closing(sqlite3.connect(folder / "claif.db")) as conn, conn:
        conn.execute(
            "UPDATE study_items SET score = 0.7654321, rate = 0.7654321, explanation = 'CANARY', system = 'CANARY',"
            " model = 'CANARY', recipe_id = 'CANARY', status = 'CANARY', explanation_key = 'CANARY',"
            ' gold = \'[{"criterion": "CANARY", "low": 0.7654321, "high": 1}]\''
        )
    for kind in ("--sheet", "--packet"):
        made = cli("rate", "export", kind, "-P", folder, "--out", tmp_path, "--json").doc["files"]
        for path in map(Path, made.values()):
            assert b"CANARY" not in path.read_bytes() and b"7654321" not in path.read_bytes()
            assert b"practice" in path.read_bytes() and b"gold" not in path.read_bytes()


def test_packets_of_other_projects_and_of_studies_that_are_gone_are_foreign(
    studied: Path, tmp_path: Path, cli: Cli
) -> None:
    other = tmp_path / "other"
    make_project(other, 20).close()
    assert cli("rate", "new", "-P", other, "--sample", 4, "--rater", "ANNA").code == 0
    foreign, mine = tmp_path / "foreign.jsonl", tmp_path / "mine.jsonl"
    assert cli("rate", "export", "--packet", "-P", other, "--rater", "ANNA", "--out", foreign).code == 0
    answer_some(foreign, 1)
    without_key = cli("rate", "merge", "-P", studied, foreign)
    assert without_key.code == 1 and "rating.key is missing" in without_key.err
    assert cli("rate", "export", "--packet", "-P", studied, "--rater", "ANNA", "--out", mine).code == 0
    answer_some(mine, 1)
    for files in ((foreign,), (mine, foreign)):
        done = cli("rate", "merge", "-P", studied, *files)
        assert done.code == 2 and "not as this project signed it" in done.err
    assert cli("rate", "report", "-P", studied, "--json").doc["criteria"][0]["given"] == 0
    wrong = cli("rate", "merge", "-P", studied, mine, "--study", "elsewhere")
    assert wrong.code == 2 and "not of 'elsewhere'" in wrong.err


def test_two_raters_answers_in_one_file_are_found(studied: Path, tmp_path: Path, cli: Cli) -> None:
    anna, ben = tmp_path / "anna.jsonl", tmp_path / "ben.jsonl"
    for name, path in (("ANNA", anna), ("BEN", ben)):
        assert cli("rate", "export", "--packet", "-P", studied, "--rater", name, "--out", path).code == 0
        answer_some(path, 1, who=f"{name.lower()}@far")
    records = [line for line in ben.read_bytes().splitlines(keepends=True) if b'"who"' in line]
    anna.write_bytes(anna.read_bytes() + b"".join(records))
    done = cli("rate", "merge", "-P", studied, anna)
    assert done.code == 2 and "was changed" in done.err
