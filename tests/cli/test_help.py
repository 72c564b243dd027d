"""Every command and option explains itself, and a crash gives a line and a report instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from claif_tui.cli import crash, diagnostics
from claif_tui.cli.main import COMMANDS, group
from tests.cli.conftest import ROOT, Cli


def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            child = command.get_command(context, word)
            assert child is not None
            yield from walk(f"{name} {word}", child)


EVERY = list(walk("claif-tui", group))


@pytest.mark.parametrize(("name", "command"), EVERY, ids=[name for name, _ in EVERY])
def test_every_command_and_option_has_help(name: str, command: click.Command) -> None:
    assert command.help and command.help.strip().partition("\n")[0].endswith("."), name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name}: {parameter.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_agrees_with_the_modules(name: str) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.name == name


def test_every_command_that_reports_speaks_json() -> None:
    # rate take opens a screen, and reports nothing.
    leaves = [(name, one) for name, one in EVERY if not isinstance(one, click.Group) and one.name != "take"]
    assert [name for name, one in leaves if not any("--json" in p.opts for p in one.params)] == []


def test_help_lists_every_command(cli: Cli) -> None:
    done = cli("--help")
    assert done.code == 0
    for name, words in COMMANDS.items():
        assert name in done.out and words.split(",")[0][:20] in done.out


def test_an_unexpected_error_leaves_a_report_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "abcdef-secret-value")
    monkeypatch.setattr("sys.argv", ["claif-tui", "status", "--project=/private/place", "--json"])

    def work() -> object:
        raise RuntimeError("lost abcdef-secret-value and sk-1234567890abcdef at http://me:pass@host/")

    assert diagnostics.guarded(work) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "internal error: RuntimeError" in said
    (report,) = (tmp_path / "home" / "reports").iterdir()
    text = report.read_text()
    assert str(report) in said
    assert report.stat().st_mode & 0o077 == 0
    assert "RuntimeError" in text and "status --project --json" in text
    for secret in ("abcdef-secret-value", "sk-1234567890abcdef", "me:pass", "/private/place"):
        assert secret not in text
    assert "abcdef" not in said


def test_scrubbing_leaves_ordinary_text() -> None:
    assert crash.scrub("a plain sentence, twice") == "a plain sentence, twice"


def test_one_module_writes_to_each_stream() -> None:
    for path in sorted((ROOT / "claif_tui" / "cli").rglob("*.py")):
        text = path.read_text("utf-8")
        assert ("sys.stdout.write" in text) == (path.name == "output.py")
        assert ("sys.stderr.write" in text) == (path.name == "diagnostics.py")
        assert "click.echo" not in text and "click.secho" not in text
