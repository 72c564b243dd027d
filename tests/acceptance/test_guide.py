"""The user's guide knows every command and every key that a footer shows, and says nothing that is not so."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import shlex
from collections.abc import Iterator

import click
import pytest
from textual.binding import Binding

import claif_tui.ui
from claif_tui.cli.main import COMMANDS, group
from claif_tui.core.recipes import PRESET_NAMES
from claif_tui.core.store.filters import FIELDS
from claif_tui.ui.help import key_name
from claif_tui.ui.keymap import PLACES
from tests.conftest import ROOT

GUIDE = (ROOT / "docs" / "guide.md").read_text("utf-8")
KEYS = set(re.findall(r"`([^`\s]+)`", GUIDE))


def shown_bindings() -> Iterator[tuple[str, Binding]]:
    """Every binding of a screen, window or widget that stands in its footer."""
    for module in pkgutil.walk_packages(claif_tui.ui.__path__, "claif_tui.ui."):
        for name, item in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(item) and item.__module__ == module.name:
                for binding in vars(item).get("BINDINGS", ()):
                    if isinstance(binding, Binding) and binding.show and binding.description:
                        yield f"{name}: {binding.description}", binding


def keys_of(binding: Binding) -> list[str]:
    return [key_name(part) for part in (binding.key_display or binding.key).split(",")]


SHOWN = dict(shown_bindings())


@pytest.mark.parametrize("where", SHOWN)
def test_every_key_of_a_footer_is_in_the_guide(where: str) -> None:
    binding = SHOWN[where]
    assert binding.description in GUIDE
    assert KEYS & set(keys_of(binding)), keys_of(binding)


def test_every_command_screen_preset_and_filter_field_is_in_the_guide() -> None:
    assert [name for name in COMMANDS if f"`{name}`" not in GUIDE] == []
    assert [place.title for place in PLACES if place.title not in GUIDE] == []
    assert [name for name in (*PRESET_NAMES, "raw") if name not in GUIDE] == []
    assert [name for name in FIELDS if f"`{name}`" not in GUIDE] == []


def _lines() -> list[str]:
    found = re.findall(r"`(claif-tui [^`]+)`", GUIDE.replace("\n", " "))
    for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL):
        found += [line.partition(" #")[0] for line in block.splitlines()]
    return sorted(set(found))


@pytest.mark.parametrize("line", _lines())
def test_every_command_line_of_the_guide_parses(line: str) -> None:
    words = shlex.split(line.replace("…", ""))[1:]
    command: click.Command = group
    context = click.Context(group)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            assert command is group and words == ["stsb"], f"there is no command {words[0]}"
            return
        command, words = found, words[1:]
    # Flags may be named without what they want; given with it they are read as the command reads them.
    known = {
        option for item in (*command.params, *group.params) for option in (*item.opts, *item.secondary_opts)
    }
    assert [word for word in words if word.startswith("--") and word not in known] == []


def test_the_links_of_the_guide_lead_somewhere() -> None:
    pages = [link for link in re.findall(r"\]\(([^)#]+)", GUIDE) if "://" not in link]
    assert [link for link in pages if not (ROOT / "docs" / link).exists()] == []
    heads = [re.sub(r"[^a-z0-9 -]", "", head.lower()) for head in re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)]
    assert set(re.findall(r"\]\(#([^)]+)\)", GUIDE)) <= {head.replace(" ", "-") for head in heads}
    assert "docs/guide.md" in (ROOT / "README.md").read_text("utf-8")
