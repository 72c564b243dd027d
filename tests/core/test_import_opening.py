"""Files as they come: kinds that are no text, encodings, line ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.importing.opening import MAX_LINE, examine, open_lines


def write(folder: Path, content: bytes, name: str = "seeds.txt") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def lines(path: Path, encoding: str | None = None) -> list[str]:
    return [text for _, text in open_lines(examine(path, encoding))]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\x1f\x8b\x08\x00rest", "gzip"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"SQLite format 3\x00rest", "SQLite"),
        (bytes(range(256)) * 64, "binary"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
    ],
)
def test_what_is_no_text_is_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError, match=says) as caught:
        examine(path)
    assert str(path) in caught.value.message


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    write(tmp_path, b"one\n", "seeds.txt")
    with pytest.raises(InputError, match="no such file") as caught:
        examine(tmp_path / "sedes.txt")
    assert "seeds.txt" in caught.value.hint


def test_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        examine(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        examine(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, b"one\n")
    path.chmod(0)
    with pytest.raises(InputError, match="no permission"):
        examine(path)


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        ("café\nnaïve\n".encode(), "utf-8-sig"),
        ("café\nnaïve\n".encode("utf-8-sig"), "utf-8-sig"),
        ("café\nnaïve\n".encode("utf-16"), "utf-16"),
        ("café\nnaïve\n".encode("utf-16-be"), "utf-16-be"),
        ("café\nnaïve\n".encode("latin-1"), "cp1252"),
        ("café\r\nnaïve\r\n".encode(), "utf-8-sig"),
        ("café\rnaïve\r".encode(), "utf-8-sig"),
    ],
)
def test_encodings_are_found_and_read(tmp_path: Path, raw: bytes, encoding: str) -> None:
    path = write(tmp_path, raw)
    facts = examine(path)
    assert facts.encoding == encoding
    assert [text for _, text in open_lines(facts)][:2] == ["café", "naïve"]


def test_a_fallback_is_said(tmp_path: Path) -> None:
    facts = examine(write(tmp_path, b"plain\ncaf\xe9 \x93quoted\x94\n"))
    assert [text for _, text in open_lines(facts)] == ["plain", "café “quoted”"]
    assert any("from line 2" in note and "latin-1" in note for note in facts.notes)


def test_one_broken_line_among_good_ones_is_an_error_not_a_guess(tmp_path: Path) -> None:
    path = write(tmp_path, "naïve déjà vu\n".encode() * 3 + b"caf\xe9\n")
    with pytest.raises(InputError, match="line 4 is not valid UTF-8"):
        examine(path)
    assert lines(path, "latin-1")[3] == "café"


def test_unknown_encodings_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, b"one\n")
    for name in ("utf-9", "hex"):
        with pytest.raises(UsageError, match=name):
            examine(path, name)


def test_a_named_encoding_that_does_not_fit_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line"):
        examine(write(tmp_path, b"one\ncaf\xe9\n"), "ascii")


def test_a_huge_line_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.write(b"short\n")
        file.truncate(1 << 30)  # sparse: a gigabyte of zeros on no disk
        file.seek(6)
        file.write(b"x" * (MAX_LINE + (2 << 20)))
    with pytest.raises(InputError, match="line 2 is longer than 8 MiB"):
        examine(path)


def test_only_line_feeds_end_lines(tmp_path: Path) -> None:
    text = "a\u2028b\u2029c\x0bd\x0ce\x85f\x1cg\rh"
    assert lines(write(tmp_path, f"{text}\nnext\n".encode())) == [text, "next"]


def test_lone_surrogates_in_utf8_reach_the_reader(tmp_path: Path) -> None:
    assert lines(write(tmp_path, b"good\nbad \xed\xa0\x80 end\n")) == ["good", "bad \ud800 end"]


def test_a_byte_order_mark_alone_is_no_line(tmp_path: Path) -> None:
    facts = examine(write(tmp_path, b"\xef\xbb\xbf"), "utf-8")
    assert (facts.lines, list(open_lines(facts))) == (0, [])
    assert examine(write(tmp_path, b"\xef\xbb\xbfone\ntwo")).lines == 2


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs", "Cc"]), max_size=30),
        min_size=1,
    ),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
)
def test_text_survives_whatever_it_holds(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], encoding: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "rows.txt"
    raw = "\n".join(rows).encode(encoding)
    path.write_bytes(raw)
    named = "utf-8" if encoding == "utf-8-sig" else encoding
    if not raw:
        return
    facts = examine(path, named)
    got = [text for _, text in open_lines(facts)]
    expected = rows if rows[-1] else rows[:-1]
    if rows[0].startswith("\ufeff") and encoding == "utf-8":
        return  # a mark at the start is taken as one
    assert got == expected
    assert facts.lines == len(expected)
