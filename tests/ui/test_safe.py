"""The one door: whatever comes in, nothing a terminal acts on comes out, and nothing is read as markup."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.ui import safe
from tests.ui.hostile import HOSTILE, leaks

UI = Path(__file__).parents[2] / "claif_tui" / "ui"


@pytest.mark.parametrize("raw", HOSTILE, ids=range(len(HOSTILE)))
def test_every_way_through_is_harmless(raw: str) -> None:
    for shown in (
        safe.line(raw).plain,
        safe.line(raw, "bold $error").plain,
        safe.block(raw).plain,
        safe.join("a", (raw, "$text-muted"), raw).plain,
        safe.lines(raw, (raw, "bold")).plain,
        safe.fill("[b]$value[/b]", value=raw).plain,
        safe.cell(raw).plain,
        safe.plain(raw),
        safe.editable(raw),
        safe.clip(raw, 80),
    ):
        assert not leaks(shown)


@given(st.text())
def test_no_text_is_read_as_markup(raw: str) -> None:
    assert safe.line(raw).plain == safe.plain(raw)
    assert not leaks(safe.join((raw, "bold"), raw).plain)


def test_markup_in_data_stays_text_and_has_no_actions() -> None:
    content = safe.join("[@click=app.quit]x[/]", ("[MASK]", "bold"))
    assert content.plain == "[@click=app.quit]x[/][MASK]"
    assert all("@click" not in str(span.style) for span in content.spans)
    assert safe.fill("[b]$name[/b]", name="[red]x").plain == "[red]x"


def test_what_is_cut_off_is_said() -> None:
    assert safe.clip("abcdef", 4) == "abc…"
    assert safe.clip("abcd", 4) == "abcd"
    assert safe.line("x" * 5_000).plain.endswith("… (+3,000 characters)")


def test_data_reaches_widgets_through_the_door_only() -> None:
    """A widget that parses markup is given a constant, or what ``safe`` made."""
    for path in sorted(UI.rglob("*.py")):
        tree = ast.parse(path.read_text("utf8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name not in {"Static", "Label", "Button"} or not node.args:
                continue
            first = node.args[0]
            literal = isinstance(first, ast.Constant)
            assert literal or not isinstance(first, ast.JoinedStr), (
                f"{path.name}:{node.lineno}: an f-string in {name}"
            )
        assert "escape(" not in path.read_text("utf8").replace("safe.escape(", ""), path.name
