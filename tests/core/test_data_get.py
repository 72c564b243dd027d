"""Fetching over real loopback HTTP, and unpacking what may be hostile."""

from __future__ import annotations

import hashlib
import io
import resource
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import Message
from pathlib import Path
from urllib.request import Request

import pytest

from claif_tui.core.data_fetch import Fetched, FetchError, _SafeRedirects, fetch
from claif_tui.core.data_get import get
from claif_tui.core.data_sources import GROUPS, SETS, Archive, Wanted, terms, wanted
from claif_tui.core.data_unpack import unpack
from claif_tui.core.errors import BusyError, ClaifError, InputError, UsageError
from tests.file_server import FileServer, serving

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.files["/a.tar"] = CONTENT
        yield running


def take(server: FileServer, folder: Path, *, sha256: str | None = SHA256, limit: int = 1 << 24) -> Fetched:
    return fetch(f"{server.url}/a.tar", folder / "a.tar", sha256=sha256, limit=limit)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_broke_off_is_taken_up_where_it_was(server: FileServer, tmp_path: Path) -> None:
    server.cut = 300_000
    with pytest.raises(FetchError, match=r"300,000 of 1,024,000 bytes") as broken:
        take(server, tmp_path)
    assert "same command" in broken.value.hint
    assert names(tmp_path) == {"a.tar.part", "a.tar.part.json"}
    server.cut = None
    assert take(server, tmp_path) == Fetched(sha256=SHA256, bytes=1_024_000, resumed_at=300_000)
    assert server.asked == [("/a.tar", None), ("/a.tar", "bytes=300000-")]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert names(tmp_path) == {"a.tar"}


@pytest.mark.parametrize("how", ["without ranges", "changed", "whole"])
def test_a_part_that_does_not_fit_is_begun_anew(server: FileServer, tmp_path: Path, how: str) -> None:
    server.cut = 300_000
    with pytest.raises(FetchError):
        take(server, tmp_path)
    server.cut = None
    if how == "without ranges":
        server.ranges = False
    elif how == "changed":
        server.files["/a.tar"] = CONTENT[::-1]
    else:  # a part as long as the file: the server has nothing left to send
        (tmp_path / "a.tar.part").write_bytes(b"x" * len(CONTENT))
    done = take(server, tmp_path, sha256=hashlib.sha256(server.files["/a.tar"]).hexdigest())
    assert done.resumed_at == 0
    assert (tmp_path / "a.tar").read_bytes() == server.files["/a.tar"]


def test_another_content_is_refused_and_kept_aside(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"SHA-256 {SHA256}, expected {'0' * 64}"):
        take(server, tmp_path, sha256="0" * 64)
    assert names(tmp_path) == {"a.tar.refused"}


def test_what_goes_wrong_on_the_way_is_told(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="1,000 at most"):
        take(server, tmp_path, limit=1000)
    with pytest.raises(FetchError, match="answers 404"):
        fetch(f"{server.url}/none", tmp_path / "none", sha256=None, limit=1000)
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch("http://127.0.0.1:1/a.tar", tmp_path / "a.tar", sha256=None, limit=1000)
    with pytest.raises(FetchError, match="unencrypted"):
        _SafeRedirects().redirect_request(
            Request("https://a.example/x"), io.BytesIO(), 302, "Found", Message(), "http://a.example/x"
        )
    with pytest.raises(FetchError, match="No such file"):
        take(server, tmp_path / "no-folder")


@pytest.mark.parametrize("url", ["http://[/a.tar", "http://127.0.0.1:no/a.tar", "http://\u00e9\u2026..x/a.tar"])
def test_an_address_that_is_none_is_told(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch(url, tmp_path / "a.tar", sha256=None, limit=100)


def test_a_redirect_leaves_neither_encryption_nor_http() -> None:
    for start, to in (("https://a/x", "http://a/x"), ("http://a/x", "ftp://a/x")):
        with pytest.raises(FetchError, match="leads to an"):
            _SafeRedirects().redirect_request(Request(start), io.BytesIO(), 302, "", Message(), to)


def test_a_full_disk_keeps_what_is_there(server: FileServer, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
    try:
        with pytest.raises(FetchError, match="the disk is full"):
            take(server, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert take(server, tmp_path).resumed_at == 400_000
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_two_do_not_fetch_one_file(server: FileServer, tmp_path: Path) -> None:
    def rival(done: int, total: int | None, name: str) -> None:
        if done:
            with pytest.raises(BusyError):
                take(server, tmp_path)

    fetch(f"{server.url}/a.tar", tmp_path / "a.tar", sha256=SHA256, limit=1 << 24, progress=rival)


def archive(form: str = "tar", *, limit: int = 100_000) -> Archive:
    return Archive(name="x", url="", about="", form=form, sha256=None, limit=limit)  # type: ignore[arg-type]


WANTED = Wanted(archive=archive(), folders=("STS/STS12-en-test", "MR"))


def tar(path: Path, members: list[tuple[str, bytes | str]]) -> Path:
    """A tar file; a text instead of bytes is where a link leads."""
    with tarfile.open(path, "w") as made:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                made.addfile(info)
            else:
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))
    return path


def test_only_what_is_wanted_is_unpacked_and_the_same_again_changes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    path = tar(
        tmp_path / "x.tar",
        [
            ("./data/downstream/STS/STS12-en-test/STS.gs.a.txt", b"1\n"),
            ("data/downstream/MR/rt.pos", b"good\n"),
            ("data/downstream/MR/._rt.pos", b"of a mac"),
            ("data/downstream/CR/custrev.pos", b"other\n"),
            ("data/downstream/CR/link", "/etc/passwd"),
        ],
    )
    found = unpack(path, WANTED, out)
    assert (found.files, found.left) == (("STS/STS12-en-test/STS.gs.a.txt", "MR/rt.pos"), 3)
    assert {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()} == set(found.files)
    unpack(path, WANTED, out)
    (out / "MR/rt.pos").write_text("mine")
    with pytest.raises(InputError, match=r"rt\.pos is there already with another content"):
        unpack(path, WANTED, out)
    assert (out / "MR/rt.pos").read_text() == "mine"


BAD: dict[str, Callable[[Path], object]] = {
    "outside": lambda path: tar(path, [("MR/../../evil", b"x")]),
    "absolute": lambda path: tar(path, [("/MR/evil", b"x")]),
    "link": lambda path: tar(path, [("MR/a", "/etc/passwd")]),
    "twice": lambda path: tar(path, [("MR/a", b"x"), ("b/MR/a", b"y")]),
    "too large": lambda path: tar(path, [("MR/a", b"x" * 60_000), ("MR/b", b"x" * 60_000)]),
    "nothing wanted": lambda path: tar(path, [("CR/a", b"x")]),
    "no archive": lambda path: path.write_bytes(b"<html>moved</html>"),
    "cut": lambda path: path.write_bytes(tar(path, [("MR/a", b"x" * 50_000)]).read_bytes()[:20_000]),
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_archive_leaves_nothing_behind(tmp_path: Path, how: str) -> None:
    out = tmp_path / "below" / "out"
    out.mkdir(parents=True)
    BAD[how](tmp_path / "x.tar")
    with pytest.raises(InputError, match="is not the archive that is meant"):
        unpack(tmp_path / "x.tar", WANTED, out)
    assert names(out) == set()
    assert names(tmp_path) == {"below", "x.tar"}


HEAD = "gold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1\tsentence2"


def snli(path: Path, rows: str, head: str = HEAD) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for split in ("train", "dev", "test"):
            made.writestr(f"snli_1.0/snli_1.0_{split}.txt", f"{head}\n{rows}")
        made.writestr("__MACOSX/snli_1.0/._snli_1.0_train.txt", "x")
        made.writestr("snli_1.0/README.txt", "x")
    return path


def test_snli_becomes_three_files_a_split(tmp_path: Path) -> None:
    rows = (
        "entailment\t( ( A man ) ( -LRB- old ) )\t( A ( man . ) )\t_\t_\n"
        "-\t( A b )\t( C d )\t_\t_\n"
        "neutral\t( `` Hi )\t( No . )\t_\t_\n"
    )
    asked = Wanted(archive=archive("zip"), folders=("SNLI",))
    path = snli(tmp_path / "snli.zip", rows)
    found = unpack(path, asked, tmp_path)
    assert (len(found.files), found.left) == (9, 2)
    assert "SNLI dev: 2 pairs; 1 without a gold label left out" in found.notes
    assert (tmp_path / "SNLI/s1.test").read_text() == "A man ( old\n`` Hi\n"
    assert (tmp_path / "SNLI/s2.train").read_text() == "A man .\nNo .\n"
    assert (tmp_path / "SNLI/labels.dev").read_text() == "entailment\nneutral\n"
    with pytest.raises(InputError, match="more than 200 bytes"):
        unpack(path, replace(asked, archive=archive("zip", limit=200)), tmp_path)
    with pytest.raises(InputError, match="no column gold_label"):
        unpack(snli(path, rows, "a\tb"), asked, tmp_path)


def test_a_zip_file_with_a_password_is_refused(tmp_path: Path) -> None:
    path = snli(tmp_path / "snli.zip", "")
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        unpack(path, Wanted(archive=archive("zip"), folders=("SNLI",)), tmp_path)


def test_triplets_are_looked_at_before_they_count(tmp_path: Path) -> None:
    asked = Wanted(archive=archive("file"), folders=("NLI",))
    path = tmp_path / "nli.csv"
    path.write_text('sent0,sent1,hard_neg\na,b,"c, d"\n')
    assert unpack(path, asked, tmp_path).notes == ("NLI/x: 1 triplets",)
    path.write_text("<html>moved</html>")
    with pytest.raises(InputError, match="expected sent0, sent1, hard_neg"):
        unpack(path, asked, tmp_path)


def test_first_use_is_recorded_and_another_content_later_refused(server: FileServer, tmp_path: Path) -> None:
    server.files["/senteval.tar"] = tar(tmp_path / "one", [("MR/rt-polarity.pos", b"good\n")]).read_bytes()
    out = tmp_path / "out"
    got = get(["transfer"], out, base_url=server.url)
    assert [(one.trust, one.fetched) for one in got.archives] == [("first use", True)]
    assert {one.name for one in got.sets} == set(SETS["transfer"]) and not got.complete
    place = out / "downloads" / "senteval.tar"
    place.unlink()
    server.files["/senteval.tar"] = tar(tmp_path / "two", [("MR/rt-polarity.pos", b"bad\n")]).read_bytes()
    with pytest.raises(InputError, match="nothing of it was unpacked"):
        get(["transfer"], out, base_url=server.url)
    assert (out / "MR/rt-polarity.pos").read_text() == "good\n"
    assert names(out / "downloads") == {"record.json", "senteval.tar.refused"}
    server.files["/snli_1.0.zip"] = b"not what Stanford published"
    with pytest.raises(InputError, match="expected afb3d70a5af5d8de"):
        get(["nli"], out, base_url=server.url)
    (out / "downloads" / "record.json").write_text("[]")
    with pytest.raises(ClaifError, match="not the record"):
        get(["transfer"], out, base_url=server.url)


def test_the_table_is_whole() -> None:
    for group in GROUPS:
        assert terms([group])
        for one in wanted([group]):
            assert one.archive.url.startswith("https://") and one.archive.url.endswith(one.archive.name)
    assert [one.archive.name for one in wanted(["sts", "transfer"])] == ["senteval.tar"]
    assert "MR" in wanted(["sts", "transfer"])[0].folders
    with pytest.raises(UsageError, match="http"):
        wanted(["sts"], "file:///etc")
