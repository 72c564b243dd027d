"""The command group: which words are commands, imported when chosen; anything else is a project to open."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from claif_tui import __version__
from claif_tui.cli import diagnostics
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.rating.desk import RaterDesk

OpenApp = Callable[[Path | None], int]
OpenRating = Callable[[Callable[[], "RaterDesk"]], int]

COMMANDS: dict[str, str] = {
    "init": "Make a project folder, empty or with a demo in it.",
    "import": "Bring in seeds, or other people's pairs, triplets or gold labels.",
    "sources": "List what was imported, and the rows that were dropped.",
    "recipe": "Show, change, check, compare or try the recipe.",
    "generate": "Generate and score pairs for every seed, as the recipe says.",
    "score": "Score pairs that have no score, or a stale one.",
    "retry": "Ask again for what failed.",
    "lab": "Compare prompts, models or mask rates on the same rows.",
    "status": "Say where the project stands.",
    "review": "List, accept, reject or edit pairs; undo and redo.",
    "rate": "Have people judge a sample, and report what they say.",
    "serve": "Let people rate in their browsers, by secret links.",
    "snapshot": "Freeze training data under a hash; list, check and pack it.",
    "export": "Write training data, with its funnel and manifest.",
    "train": "Train a model on a snapshot or a file.",
    "runs": "List, show, follow, stop and bring in training runs.",
    "evaluate": "Score models on STS and transfer tasks.",
    "experiment": "Run systems x backbones x seeds from one file, to the papers' tables.",
    "leaderboard": "Show the project's results among the papers' rows.",
    "report": "Write a paper's tables and figure, with cost, dates and hashes.",
    "publish": "Prepare data set and model folders for the Hugging Face Hub.",
    "data": "Fetch and check the evaluation data, and NLI.",
    "doctor": "Check this installation, the terminal and the project.",
    "config": "Show or change your settings.",
}
"""Every command with its one line of help; the modules themselves are imported when chosen."""


class LazyGroup(click.Group):
    """Commands by name from ``cli.commands``; a word that is none of them opens the app on that folder."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command's module."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"claif_tui.cli.commands.{cmd_name.replace('import', 'import_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take an unknown word for a folder, if it can be one."""
        word = args[0]
        if word in COMMANDS:
            return super().resolve_command(ctx, args)
        if word.startswith("-"):
            raise click.NoSuchOption(word, ctx=ctx)
        if "/" not in word and not Path(word).is_dir():
            close = difflib.get_close_matches(word, COMMANDS, 1)
            hint = f"Did you mean {close[0]}?" if close else "claif-tui --help lists the commands."
            raise UsageError(
                f"there is no command and no folder {word!r}", f"{hint} To make a project: init {word}"
            )
        return word, _open_command(Path(word)), args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _open_command(folder: Path) -> click.Command:
    """Return the command that opens the app on ``folder``."""

    @click.pass_context
    def callback(ctx: click.Context) -> int:
        return _open(ctx, folder)

    return click.Command("open", callback=callback, help="Open the app on a project.")


def _open(ctx: click.Context, folder: Path | None) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "the app needs a terminal, and stdin or stdout is none",
            "In scripts use the commands: claif-tui --help lists them.",
        )
    open_app: OpenApp = ctx.find_root().meta["open_app"]
    return open_app(folder)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Without a command, or with a folder instead of one, the app opens: claif-tui [PROJECT]",
)
@click.option(
    "-P", "--project", type=click.Path(path_type=Path), metavar="DIR", help="Project folder.  [default: .]"
)
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal: select and copy as usual.")
@click.version_option(__version__, prog_name="claif-tui", message="%(prog)s %(version)s")
@click.pass_context
def group(ctx: click.Context, project: Path | None, no_mouse: bool) -> int | None:
    """Build training data for sentence embeddings from LLM feedback, and show that it is good."""
    if project is not None:
        ctx.meta["project"] = project
    if no_mouse:
        os.environ["CLAIF_TUI_MOUSE"] = "no"  # the setting's own variable
    if ctx.invoked_subcommand is None:
        here = Path("claif.db").is_file()
        return _open(ctx, project or (Path() if here else None))
    return None


def run(argv: Sequence[str], open_app: OpenApp, open_rating: OpenRating | None = None) -> int:
    """Run one command line and return its exit code.

    ``open_app`` opens the terminal app on a folder or on none, ``open_rating`` rater mode at a desk.
    """

    def work() -> object:
        # Click hands the context's ``meta`` on to every command.
        with group.make_context("claif-tui", list(argv)) as ctx:
            ctx.meta["open_app"], ctx.meta["open_rating"], ctx.meta["argv"] = open_app, open_rating, list(argv)
            return group.invoke(ctx)

    def translated() -> object:
        try:
            return work()
        except click.exceptions.Exit as stop:
            return stop.exit_code

    return diagnostics.guarded(translated, as_json="--json" in argv)
