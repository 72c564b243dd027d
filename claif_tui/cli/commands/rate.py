"""``claif-tui rate``: human evaluation, from the frozen study to the report."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

VERBS: dict[str, tuple[str, str]] = {
    "new": ("rate_study", "Draw a sample and freeze a study."),
    "list": ("rate_study", "List the studies and how far their raters are."),
    "show": ("rate_study", "Show a study: protocol, hash, plan, progress, what departed from the plan."),
    "explain": ("rate_explain", "Ask a model why, for the items of a study that lack an explanation."),
    "take": ("rate_take", "Rate one's items in this terminal."),
    "answer": ("rate_answer", "Rate one item from a script, or see the next one."),
    "export": ("rate_sheets", "Write sheets or packets for raters elsewhere."),
    "import": ("rate_sheets", "Read sheets that raters filled in."),
    "merge": ("rate_packets", "Merge packets that raters answered."),
    "report": ("rate_report", "Report what raters said, with intervals and agreement."),
}
"""Every verb, the module that has it, and its line of help."""


class RateGroup(click.Group):
    """Verbs from the table, imported when chosen."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb's module."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"claif_tui.cli.commands.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.group("rate", cls=RateGroup)
def command() -> None:
    """Have people judge a sample of the pairs, and report what they say.

    \b
    A study is frozen before its first rating: sample, questions, raters, rules.
      claif-tui rate new --preset paper --rater ANNA --rater BEN
      claif-tui rate take --rater ANNA
    """


study_option = click.option("--study", metavar="NAME", help="Which study, where there are several.")
rater_option = click.option("--rater", required=True, metavar="NAME", help="Under which name.")
out_path = click.Path(path_type=Path)
