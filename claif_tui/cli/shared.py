"""What many commands share: their options, and opening the project and the settings. Nothing heavy at import."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from claif_tui.cli import diagnostics
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.session import Wanted
    from claif_tui.core.settings import Settings
    from claif_tui.core.status import Status
    from claif_tui.core.store.store import Store

F = TypeVar("F", bound=Callable[..., Any])

project_option = click.option(
    "-P",
    "--project",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Project folder.  [default: .]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Don't ask before money is spent.")


_PROFILE = click.option("--profile", metavar="NAME", help="Endpoint profile from your settings.")
_BASE_URL = click.option("--base-url", metavar="URL", help="Any OpenAI-compatible endpoint.")
_ACCESS = (
    click.option("--api-key-env", metavar="NAME", help="Environment variable that holds the key."),
    click.option("--concurrency", type=int, metavar="N", help="Requests in flight at most."),
    click.option("--rpm", type=int, metavar="N", help="Requests a minute at most."),
    click.option("--tpm", type=int, metavar="N", help="Tokens a minute at most."),
)


def endpoint_options(command: F) -> F:
    """Add the options that say which model is asked, where, how fast and for how much."""
    options = (
        _PROFILE,
        click.option(
            "--model",
            metavar="M",
            help="Model; offline is the built-in one, local:PATH-OR-NAME runs here, litellm:… is LiteLLM's.",
        ),
        _BASE_URL,
        click.option("--api", type=click.Choice(["chat", "completions"]), help="Form of the requests."),
        *_ACCESS,
        click.option(
            "--budget", metavar="USD", help="Never spend more on this recipe; none takes the cap away."
        ),
        click.option("--price-in", type=float, metavar="USD_PER_M", help="Price of a million prompt tokens."),
        click.option("--price-out", type=float, metavar="USD_PER_M", help="Price of a million answer tokens."),
    )
    return _with(command, options)


def embedding_options(command: F) -> F:
    """Add the options that say where ``api:MODEL`` is asked, how fast and for how much."""
    options = (
        _PROFILE,
        _BASE_URL,
        *_ACCESS,
        click.option(
            "--budget", metavar="USD", help="Never spend more on this model's vectors; none takes the cap away."
        ),
        click.option("--price-in", type=float, metavar="USD_PER_M", help="Price of a million tokens."),
        click.option("--anew", is_flag=True, help="Ask again for vectors that are stored."),
        click.option("--dry-run", is_flag=True, help="Only show what would be asked, and its cost."),
        yes_option,
    )
    return _with(command, options)


def _with(command: F, options: Sequence[Callable[[F], F]]) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def wanted_of(flags: dict[str, Any], fields: dict[str, object] | None = None) -> Wanted:
    """Return what the endpoint options of one command ask for; ``fields`` are recipe fields by name."""
    from claif_tui.core.llm.profiles import Wish
    from claif_tui.core.session import Wanted

    names = ("profile", "model", "base_url", "api", "api_key_env", "concurrency", "rpm", "tpm")
    wish = Wish(
        **{name: flags[name] for name in names}, price_in=flags["price_in"], price_out=flags["price_out"]
    )
    return Wanted(endpoint=wish, fields=fields or {}, budget=budget_of(flags["budget"]))


def budget_of(text: str | None) -> float | None:
    """Return a budget in dollars as ``--budget`` has it, ``NO_CAP`` for none."""
    from claif_tui.core.session import NO_CAP

    if text is None:
        return None
    if text.strip().lower() == "none":
        return NO_CAP
    try:
        value = float(text.strip().removeprefix("$"))
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise UsageError(f"--budget is {text!r}: expected dollars, 0 or more, or none")
    return value


def project_folder(project: Path | None) -> Path:
    """Return the project folder: the command's own -P, else the one before the command, else here."""
    if project is not None:
        return project
    meta = click.get_current_context().meta
    given: Path | None = meta.get("project")
    return given if given is not None else Path()


def settings() -> Settings:
    """Read the user's settings."""
    from claif_tui.core.settings import load

    return load()


@contextmanager
def open_project(project: Path | None) -> Iterator[Store]:
    """Open the project a command is about, with the author from the settings; say what is to be said once."""
    from claif_tui.core.store.store import Store

    author = settings().text("author") or None
    with Store.open(project_folder(project), author=author) as store:
        for notice in store.notices:
            diagnostics.note(notice)
        yield store


def spent(found: Status) -> str:
    """Write what a recipe has spent; what was sent at an unknown price is never shown as nothing."""
    if not found.unpriced:
        return usd(found.spent_nano)
    counted = f"{usd(found.spent_nano)} and an " if found.spent_nano else ""
    return f"{counted}unknown amount (no price was given for some requests)"


def usd(nano: int | None) -> str:
    """Write nano-dollars for people."""
    if nano is None:
        return "no cap"
    value = nano / 1_000_000_000
    return f"${value:,.2f}" if value == 0 or value >= 0.01 else f"${value:.2g}"
