"""``claif-tui data get`` from terms to checked sets, over loopback."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.cli.conftest import Cli
from tests.file_server import serving


def test_sts_is_fetched_in_two_goes_and_whole(tmp_path: Path, data_dir: Path, cli: Cli) -> None:
    packed = tmp_path / "senteval.tar"
    with tarfile.open(packed, "w") as made:
        for name in ("STS", "SICK"):
            made.add(data_dir / "senteval" / name, f"senteval/{name}")
    out = tmp_path / "senteval"
    with serving() as server:
        server.files["/senteval.tar"] = packed.read_bytes()
        words = ("data", "get", "sts", "--out", out, "--base-url", server.url)
        unasked = cli(*words)
        assert unasked.code == 2 and "CC BY-NC-SA 3.0" in unasked.err and "--yes" in unasked.err
        assert not out.exists() and server.asked == []
        server.cut = 1_000_000
        broken = cli(*words, "--yes", "--json")
        assert broken.code == 1 and "1,000,000 of" in broken.doc["error"]["message"]
        server.cut = None
        done = cli(*words, "--yes", "--json")
    assert done.code == 0, done.err
    about = done.doc["archives"]["senteval.tar"]
    assert (about["resumed_at"], about["held_against"]) == (1_000_000, "first use")
    assert done.doc["complete"] and len(done.doc["sets"]) == 9
    assert (out / "STS/STS13-en-test/STS.gs.SMT.txt").exists()
    tampered = out / "downloads" / "senteval.tar"
    tampered.write_bytes(tampered.read_bytes()[:-1] + b"x")
    again = cli(*words, "--yes")
    assert again.code == 2 and "SHA-256" in again.err
    assert (out / "downloads" / "senteval.tar.refused").exists()
