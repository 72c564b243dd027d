"""Everything one can get wrong, through the command line: told in words that name the place, with nothing lost."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from claif_tui.cli.main import run
from tests.acceptance.support import Done, Shell, Terminal, contents, endpoint, finish, seeds_file
from tests.llm_fixtures import Factory
from tests.llm_server_answers import HOSTILE as HOSTILE_ANSWER
from tests.ui.hostile import HOSTILE

Cli = Callable[..., Done]
Make = Callable[[Path], object]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with seeds, two pairs and a decision, made once; each test gets a copy."""
    place = tmp_path_factory.mktemp("template")
    shell, folder = Shell(place / "home"), place / "p"
    pairs = place / "pairs.csv"
    pairs.write_text("sentence1,sentence2,score\na cat,a dog,0.5\na cow,a pig,0.25\n")
    shell("init", folder).well()
    shell("import", "-P", folder, seeds_file(place / "seeds.txt", 2)).well()
    shell("import", "-P", folder, "--as", "pairs", pairs).well()
    shell("review", "accept", 1, "-P", folder).well()
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "p"))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command line in this process: the same way in and out as the real command has."""

    def call(*words: object) -> Done:
        capsys.readouterr()
        code = run([str(word) for word in words], lambda project: pytest.fail("the app was opened"))
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return call


def assert_told(done: Done, *words: str, code: int = 2) -> None:
    """It ended with ``code``, and said what, where and what to do: one line and a hint, no traceback."""
    assert done.code == code, done.err
    assert done.out == ""
    assert "Traceback" not in done.err and "internal error" not in done.err
    told = done.err[done.err.index("error: ") :]
    assert "\n  " in told or ", expected " in told, f"nothing to do about it: {told}"
    for word in words:
        assert word in told, told


IMPORTS: dict[str, tuple[Make, list[str], list[str]]] = {
    "missing": (lambda f: None, [], ["no such file"]),
    "empty": (lambda f: f.touch(), [], ["is empty", "one row per line"]),
    "blank": (lambda f: f.write_text("\n \n\t\n"), [], ["3 rows"]),
    "binary": (lambda f: f.write_bytes(bytes(range(256)) * 20), [], ["binary"]),
    "packed": (lambda f: f.write_bytes(gzip.compress(b"a line\n")), [], ["gzip", "gunzip"]),
    "a folder": (lambda f: f.mkdir(), [], ["is a folder"]),
    "a device": (lambda f: f.symlink_to("/dev/zero"), [], ["not a regular file"]),
    "wrong encoding": (
        lambda f: f.write_bytes(b"plain\ncaf\xe9\n"), ["--encoding", "utf-8"], ["line 2", "--encoding"],
    ),
    "no encoding": (lambda f: f.write_text("a\n"), ["--encoding", "utf-99"], ["utf-99", "utf-8"]),
    "one line of 50 MB": (lambda f: f.write_bytes(b"word " * 10_000_000), [], ["line 1", "8 MiB"]),
    "no such column": (
        lambda f: f.write_text("x,y\n1,2\n"), ["--format", "csv", "--column", "z"], ["'z'", "x, y"],
    ),
    "unclear columns": (lambda f: f.write_text("x,y\n1,2\n"), ["--format", "csv"], ["--column", "x, y"]),
    "broken quotes": (
        lambda f: f.write_text('id,text\n1,"never closed\n2,x\n'), ["--format", "csv"], ["line 2"],
    ),
    "broken rows": (lambda f: f.write_text("{oops\n[1]\n"), ["--format", "jsonl"], ["line 1", "JSON", "--format"]),
    "another format": (lambda f: f.write_text("a b\n"), ["--format", "stsb"], ["seven", "--format"]),
    "no parquet": (lambda f: f.write_text("a b\n"), ["--format", "parquet"], ["Parquet"]),
    "impossible scores": (
        lambda f: f.write_text("sentence1,sentence2,score\na,b,17\n"), ["--as", "pairs", "--format", "csv"],
        ["line 2", "--score-scale"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IMPORTS)
def test_a_seed_file_that_is_none(folder: Path, tmp_path: Path, cli: Cli, name: str) -> None:
    make, options, words = IMPORTS[name]
    path = tmp_path / "rows.txt"
    make(path)
    before = contents(folder)
    for more in ([], ["--dry-run"]):
        done = cli("import", "-P", folder, path, *options, *more)
        if more and done.out:  # a preview shows what it can, and says what an import would refuse
            assert done.code == 2 and "would be refused" in done.out
            continue
        assert_told(done, "rows.txt" if name != "no encoding" else "", *words)
    assert contents(folder) == before


# Modules are loaded as they are needed, and a user without rights may not read them: load them with rights first.
AS_NOBODY = """
import os, sys
from claif_tui.cli.main import run
words = sys.argv[1:]
split = words.index("then")
assert run(words[:split], lambda project: 0) == 0
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(run(words[split + 1 :], lambda project: 0))
"""


@pytest.fixture
def open_place(template: Path) -> Iterator[Path]:
    """A folder that every user may enter, with a project in it; test folders are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        shutil.copytree(template, place / "p")
        yield place
        for path in (place / "p", *(place / "p").rglob("*")):
            path.chmod(0o755)


def as_nobody(shell: Shell, place: Path, *words: object) -> Done:
    """Run a command as a user without rights, after running it on a copy as one who has them."""
    copy = Path(shutil.copytree(place / "p", place / "copy"))
    first = [copy if word == place / "p" else word for word in words]
    code = [sys.executable, "-P", "-c", AS_NOBODY, *first, "then", *words]
    env = {**shell.env, "CLAIF_TUI_HOME": str(place / "home")}
    return finish(
        subprocess.Popen(
            list(map(str, code)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
    )


def test_a_file_that_may_not_be_read(shell: Shell, open_place: Path) -> None:
    secret = open_place / "secret.txt"
    secret.write_text("a line\n")
    secret.chmod(0o600 if os.getuid() == 0 else 0)
    for path in (open_place / "p", *(open_place / "p").rglob("*")):
        path.chmod(0o777)
    if os.getuid() != 0:
        pytest.skip("only root can let another user try")
    before = contents(open_place / "p")
    done = as_nobody(shell, open_place, "import", "-P", open_place / "p", secret)
    assert_told(Done(done.code, "", done.err), "secret.txt", "not readable")
    assert contents(open_place / "p") == before


RECIPES: dict[str, tuple[list[str], list[str]]] = {
    "no placeholder": (["recipe", "set", "prompts.chat.fill=fill it"], ["prompts.chat.fill", "{masked}"]),
    "a rate above 1": (["recipe", "set", "rates=0.1,1.5"], ["masks.rates", "1.5", "0 to 1"]),
    "a rate below 0": (["generate", "--rates=-0.1", "--yes"], ["masks.rates", "-0.1"]),
    "no rate": (["generate", "--rates", "much", "--yes"], ["masks.rates", "'much'"]),
    "no such field": (["recipe", "set", "prompts.fil=x"], ["prompts.fil"]),
    "no such preset": (["export", "--preset", "claf"], ["'claf'", "claif"]),
    "no such profile": (["generate", "--profile", "opnai", "--yes"], ["'opnai'", "openai"]),
    "no such model": (["generate", "--model", "gpt-99", "--yes"], ["'gpt-99'", "--base-url"]),
    "a model that writes the clipboard": (
        ["generate", "--base-url", "http://127.0.0.1:9/v1", "--model", "m\x1b]52;c;aGk=\x07", "--yes"],
        ["model.name", "control characters"],
    ),
    "no URL": (["generate", "--base-url", "gpu7", "--model", "m", "--yes"], ["'gpu7'", "http"]),
    "a key in the URL": (
        ["generate", "--base-url", "http://a:pw12345@host/v1", "--model", "m", "--yes"], ["--api-key-env"],
    ),
    "a cap without a price": (
        ["generate", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--budget", "1", "--yes"],
        ["price", "--price-in"],
    ),
    "no such field in a filter": (["review", "list", "--filter", "scor > 1"], ["column 1", '"score"', "^^^^"]),
    "an open parenthesis": (["review", "accept", "--filter", "(score > 1"], ["^"]),
    "no such pair": (["review", "edit", "99", "text"], ["99", "review list"]),
    "no text": (["review", "edit", "1", "  "], ["empty"]),
    "no such folder": (["export", "--out", "no/such/file.jsonl"], ["no/such"]),
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_words_that_make_no_sense(folder: Path, cli: Cli, name: str) -> None:
    words, told = RECIPES[name]
    before = contents(folder)
    done = cli(*words, "-P", folder)
    assert_told(done, *told, code=1 if name == "a cap without a price" else 2)
    assert not [mark for mark in ("pw12345", "\x1b", "\x07") if mark in done.err]
    assert contents(folder) == before


FILES: dict[str, tuple[Make, list[str]]] = {
    "no placeholder": (lambda f: edit(f, "fill = ", 'fill = "fill it"'), ["line ", "fill", "{masked}"]),
    "a rate above 1": (lambda f: edit(f, "rates = ", "rates = [0.1, 7]"), ["line ", "masks.rates", "7"]),
    "an unknown field": (lambda f: edit(f, "merge = ", "marge = 0.5"), ["line ", "marge"]),
    "no TOML": (lambda f: f.write_text("rates = ["), ["TOML"]),
    "no text": (lambda f: f.write_bytes(b"\xff\xfe\x00rates"), ["UTF-8"]),
}


def edit(path: Path, start: str, line: str) -> None:
    lines = path.read_text("utf-8").splitlines()
    place = next(number for number, text in enumerate(lines) if text.startswith(start))
    path.write_text("\n".join([*lines[:place], line, *lines[place + 1 :]]) + "\n", "utf-8")


@pytest.mark.parametrize("name", FILES)
def test_a_recipe_file_that_is_none(folder: Path, cli: Cli, name: str) -> None:
    spoil, told = FILES[name]
    spoil(folder / "recipe.toml")
    before = contents(folder)
    for words in (["recipe", "validate"], ["generate", "--yes"], ["status"], ["recipe", "set", "seed=7"]):
        assert_told(cli(*words, "-P", folder), "recipe.toml", *told)
    assert contents(folder) == before


ENDPOINTS = {
    "not there": ("", "", ["127.0.0.1:9", "server running"]),
    "another path": ("", "/v2", ["not an OpenAI-compatible", "/v2/chat/completions", "--base-url"]),
    "a web page": ("html", "/v1", ["not an OpenAI-compatible", "a web page"]),
    "other JSON": ("not_openai", "/v1", ["not an OpenAI-compatible", "--base-url"]),
    "elsewhere": ("redirect", "/v1", ["redirects to other.invalid"]),
    "no such model": ("404_model", "/v1", ["model", "does not exist", "--model"]),
    "no credit": ("429_quota", "/v1", ["credit"]),
    "a key is wanted": ("401", "/v1", ["key", "--api-key-env"]),
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_that_cannot_be_used(folder: Path, cli: Cli, llm_server: Factory, name: str) -> None:
    kind, path, told = ENDPOINTS[name]
    server = llm_server(faults=[{"kind": kind}] if kind else [])
    url = server.base_url.removesuffix("/v1") + path if path else "http://127.0.0.1:9/v1"
    words = ["generate", "-P", folder, "--base-url", url, "--model", "m", "--rates", "0.0", "--yes"]
    done = cli(*words)
    assert done.code == 1, done.err
    assert "Traceback" not in done.err and "internal error" not in done.err
    for word in told:
        assert word in done.err
    assert len(server.log()) <= 12, "nobody asks in vain for long"
    kept = cli("status", "-P", folder, "--json").doc
    assert (kept["answered"], kept["failed"], sum(kept["pairs"].values()), kept["run"]) == (0, {}, 2, None)
    server.control(faults=[])
    mended = ["--base-url", server.base_url, "--model", "m", "--rates", "0.0", "--yes", "--json"]
    assert cli("generate", "-P", folder, *mended).doc["answered"] == 2


def test_a_key_is_wanted_wrong_or_right_and_never_kept(shell: Shell, folder: Path, llm_server: Factory) -> None:
    server = llm_server(options={"key": "sk-right-0123456789abcdef"})
    words = ["generate", "-P", folder, "--rates", "0.0", *endpoint(server, "--api-key-env", "MY_KEY")]
    absent = shell(*words)
    assert_told(Done(absent.code, "", absent.err), "$MY_KEY is not set", code=1)
    empty = shell(*words, env={"MY_KEY": "two words"})
    assert_told(Done(empty.code, "", empty.err), "$MY_KEY", code=1)
    assert server.log() == []
    wrong = shell(*words, env={"MY_KEY": "sk-wrong-0123456789abcdef"})
    assert wrong.code == 1
    assert "refused" in wrong.err and "***" in wrong.err
    detached = shell(*words, "--detach", env={"MY_KEY": "sk-wrong-0123456789abcdef"})
    right = shell(*words, env={"MY_KEY": "sk-right-0123456789abcdef"}).well()
    assert right.doc["answered"] == 2
    other = shell("generate", "-P", folder, "--profile", "openai", "--model", "m", "--budget", "none", "--yes")
    assert other.code == 1 and "OPENAI_API_KEY" in other.err, "a key goes to its own endpoint alone"
    said = [text for done in (absent, empty, wrong, detached, right, other) for text in (done.out, done.err)]
    kept = contents(folder) | contents(Path(shell.env["CLAIF_TUI_HOME"]).parent / "home")
    for key in ("sk-wrong", "sk-right", "two words"):
        assert not [text for text in said if key in text]
        assert not [name for name, data in kept.items() if key.encode() in data]


DATABASES: dict[str, tuple[Make, list[str]]] = {
    "empty": (lambda f: f.write_bytes(b""), ["not a claif-tui project"]),
    "text": (lambda f: f.write_text("a letter\n" * 999), ["not a SQLite database"]),
    "foreign": (lambda f: rewrite(f, "CREATE TABLE notes(text)"), ["not a claif-tui project"]),
    "newer": (lambda f: spoil(f, "PRAGMA user_version=999"), ["newer claif-tui", "999", "Upgrade"]),
    "cut short": (lambda f: os.truncate(f, f.stat().st_size // 2), ["damaged", "backup"]),
    "overwritten": (lambda f: overwrite(f), ["damaged", "backup"]),
    "a folder": (lambda f: shutil.copytree(f.parent / "runs", aside(f)), ["is not a file"]),
}


def rewrite(path: Path, sql: str) -> None:
    path.unlink()
    spoil(path, sql)


def aside(path: Path) -> Path:
    path.unlink()
    return path


def spoil(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute(sql)
        connection.commit()


def overwrite(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:8192] + b"\xff" * (len(data) - 8192))


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_that_cannot_be_used_stays_as_it_is(folder: Path, cli: Cli, name: str) -> None:
    harm, told = DATABASES[name]
    harm(folder / "claif.db")
    before = contents(folder)
    for words in (["status"], ["review", "accept", "1"], ["generate", "--yes"], ["export"]):
        assert_told(cli(*words, "-P", folder), "claif.db", *told, code=1)
    assert_told(cli("init", folder), "already is a project", code=1)
    doctor = cli("doctor", "-P", folder)
    assert doctor.code == 1 and "PROBLEM" in doctor.out
    assert contents(folder) == before


def test_no_project_and_no_folder(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").write_text("x")
    for place, told in (("nowhere", "No such folder"), ("file", "is a file"), (".", "is not a project")):
        assert_told(cli("status", "-P", tmp_path / place), told, code=1)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["file"]


def test_a_locked_database_is_read_but_not_written(
    folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from claif_tui.core.store import connection

    monkeypatch.setattr(connection, "BUSY_MS", 100)
    with closing(sqlite3.connect(folder / "claif.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert cli("status", "-P", folder).code == 0
        assert_told(cli("review", "accept", 2, "-P", folder), "claif.db", "another process", code=1)
        other.execute("ROLLBACK")
    assert cli("review", "accept", 2, "-P", folder, "--json").doc["pairs"]["accepted"] == 2


def test_a_read_only_project(shell: Shell, open_place: Path) -> None:
    project = open_place / "p"
    words = ("review", "accept", 2, "-P", project)
    before = contents(project)
    for path in (*project.rglob("*"), project):
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = as_nobody(shell, open_place, *words) if os.getuid() == 0 else shell(*words)
    assert_told(Done(done.code, "", done.err), "read-only", code=1)
    assert contents(project) == before


def limited(shell: Shell, blocks: int, *words: object) -> Done:
    """Run a command that may not make a file longer than ``blocks`` of 512 bytes: a disk that is full."""
    script = f'ulimit -f {blocks}; exec "$@"'
    process = subprocess.Popen(
        ["sh", "-c", script, "sh", *shell.argv(*words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=shell.env,
    )
    return finish(process)


def test_a_full_disk_loses_nothing(shell: Shell, folder: Path, tmp_path: Path, llm_server: Factory) -> None:
    server = llm_server()
    shell("import", "-P", folder, seeds_file(tmp_path / "more.txt", 40, start=100)).well()
    with closing(sqlite3.connect(folder / "claif.db")) as connection:
        connection.execute("VACUUM")
    room = (folder / "claif.db").stat().st_size // 512 + 100
    words = ["generate", "-P", folder, *endpoint(server, "--concurrency", 8)]
    full = limited(shell, room, *words)
    # The run ends in words where closing it still fits on the disk, else as an error: the same words either way.
    assert full.code == 1 and "claif.db" in full.err and "full disk" in full.err
    assert "Traceback" not in full.err and "internal error" not in full.err
    shell("doctor", "-P", folder).well()
    kept = shell("status", "-P", folder, "--json").well().doc
    assert 0 < sum(kept["pairs"].values()) < kept["planned"]
    assert kept["run"] is None
    done = shell(*words).well().doc
    assert done["answered"] == done["planned"] == 42 * 9
    # What had landed is not asked again: only what was in flight then.
    assert len(server.log()) <= 2 * 42 * 9 + 2 * 8 + 1
    exported = folder / "exports" / "jsonl.jsonl"
    shell("export", "-P", folder, "--status", "all").well()
    before = exported.read_bytes()
    full = limited(shell, len(before) // 1024, "export", "-P", folder, "--status", "all", "--preset", "raw")
    assert (full.code == 1 and "was not written" in full.err) or "cannot write" in full.err
    assert exported.read_bytes() == before
    assert not [path for path in (folder / "exports").iterdir() if path.name.startswith((".", "tmp"))]


FORBIDDEN = (b"\x1b]", b"\x1bP", b"\x1b[31m", b"\x1b[2J", b"\x07", b"\x08", b"\x7f", b"\x00")


def assert_harmless(output: bytes) -> None:
    """No control sequence, C1 control or bidi mark that came from data is among what a terminal got."""
    assert not [mark for mark in FORBIDDEN if mark in output], output[-2000:]
    text = output.decode("utf-8")  # raw C1 bytes are no UTF-8
    assert not {
        char for char in text if "\x80" <= char <= "\x9f" or char in "\u202a\u202b\u202d\u202e\u2066\u2069"
    }


@pytest.fixture
def hostile(shell: Shell, tmp_path: Path, llm_server: Factory) -> Iterator[tuple[Path, list[object]]]:
    """A project with hostile seeds, and the words that ask a hostile server."""
    folder = tmp_path / "p"
    shell("init", folder).well()
    rows = tmp_path / "seeds.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in HOSTILE))
    shell("import", "-P", folder, rows).well()
    server = llm_server(faults=[{"kind": "big", "first": 1, "match": "Replace all"}, {"kind": "hostile"}])
    yield folder, ["--base-url", server.base_url, "--model", "m\x9b31m\u202e", "--rates", "0.0,0.5", "--yes"]


def test_hostile_text_never_steers_the_terminal(
    shell: Shell, hostile: tuple[Path, list[object]], terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    folder, ask = hostile
    shell.env["NO_COLOR"] = "1"
    evil = tmp_path / "\x1b[31mevil\x07.txt"
    evil.write_text("a [MASK] line\n" + "\u202e\x1b[2J\n")
    spoken: list[tuple[object, ...]] = [
        ("import", "-P", folder, evil, "--dry-run"),
        ("import", "-P", folder, evil, "--show-dropped"),
        ("sources", "-P", folder),
        ("generate", "-P", folder, *ask),
        ("status", "-P", folder),
        ("review", "list", "-P", folder, "--limit", 200),
        ("review", "list", "-P", folder, "--json"),
        ("review", "show", 3, "-P", folder),
        ("recipe", "try", "--seeds", 2, "-P", folder, *ask),
        ("recipe", "set", "prompts.system=\x1b]52;c;aGk=\x07", "-P", folder),
        ("recipe", "show", "--toml", "-P", folder),
        ("review", "accept", "--filter", "\x1b[31mscore", "-P", folder),
        ("import", "-P", folder, "no\x1b]0;title\x07such.txt"),
    ]
    shown = b""
    for words in spoken:
        screen = terminal(*words, size=(50, 200))
        code = screen.end()
        assert code in (0, 1, 2) and b"Traceback" not in screen.output, (words, screen.output[-500:])
        assert b"internal error" not in screen.output, screen.output[-500:]
        assert_harmless(screen.output)
        shown += screen.output
    for text in ("[MASK]", "[bold]markup[/bold]", "[@click=app.quit]press me[/]", "{masked} {sentence}"):
        assert text in shown.decode()
    assert "\u241b]52" in shown.decode(), "an escape shows as a mark"


def test_hostile_answers_are_kept_as_they_came(shell: Shell, hostile: tuple[Path, list[object]]) -> None:
    folder, ask = hostile
    done = shell("generate", "-P", folder, *ask, "--json")
    planned = 2 * len(HOSTILE)
    assert done.doc["answered"] + sum(done.doc["failed"].values()) == done.doc["planned"] == planned
    pairs = shell("review", "list", "-P", folder, "--limit", 100, "--json").well().doc["pairs"]
    assert max(len(pair["text_b"]) for pair in pairs) > 500_000, "an answer of a megabyte"
    told = HOSTILE_ANSWER.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")[:20]
    assert sum(told in pair["text_b"] for pair in pairs) > planned // 2
    exported = shell("export", "-P", folder, "--status", "all", "--format", "csv", "--json").well().doc
    table = Path(exported["path"]).read_text("utf-8")
    assert "\n=" not in table and ',"=' not in table and ",=" not in table, "no formula is left"
