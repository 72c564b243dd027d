"""``claif-tui serve``: the rating screen in browsers, by secret links."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import json_option, open_project, project_folder, project_option

if TYPE_CHECKING:
    from claif_tui.web.server import RatingServer

PORT = 8765


@click.command("serve")
@click.option("--study", metavar="NAME", help="Which study, where there are several.")
@click.option(
    "--rater", "raters", multiple=True, metavar="NAME", help="A link for this rater only; repeatable."
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Port; 0 is any free one."
)
@click.option(
    "--max-visitors", type=click.IntRange(1, 200), default=8, show_default=True, help="At once, at most."
)
@click.option(
    "--public-url", metavar="URL", help="Address that browsers use, e.g. of a proxy: https://rate.example.org"
)
@click.option("--same-person", is_flag=True, help="Raters may go on from another browser or terminal.")
@json_option
@project_option
def command(
    study: str | None,
    raters: tuple[str, ...],
    host: str,
    port: int,
    max_visitors: int,
    public_url: str | None,
    same_person: bool,
    as_json: bool,
    project: Path | None,
) -> int:
    """Let raters rate in their browsers, each by a secret link, until Ctrl-C.

    Only this machine can connect, unless --host says otherwise. There is no encryption: docs/serve.md shows the SSH
    tunnel and the proxy that add it. Links are valid until the server stops.
    """
    import asyncio
    import importlib.util

    from claif_tui.core.errors import MissingExtraError

    if importlib.util.find_spec("textual_serve") is None:
        raise MissingExtraError(
            "serve needs an extra (textual-serve missing)", "pip install 'claif-tui[serve]'"
        )
    from claif_tui.core.store.process import this_host
    from claif_tui.web.access import LOOPBACK, chosen
    from claif_tui.web.server import Plan, RatingServer

    with open_project(project) as store:
        found = store.studies.get(study)
    plan = Plan(
        project=project_folder(project),
        study=found.name,
        raters=chosen(found.protocol.raters, raters),
        host=host,
        port=port,
        max_visitors=max_visitors,
        here=this_host(),
        public_url=public_url,
        same_person=same_person,
    )
    server = RatingServer(plan, diagnostics.note)
    if host not in LOOPBACK:
        diagnostics.warn(
            f"other machines can connect to {host}, and there is no encryption: whoever is on the way can read and"
            " change what is rated. An SSH tunnel needs no --host (docs/serve.md)."
        )
    _tell(server, plan.study, {rater: server.link(rater) for rater in plan.raters}, as_json=as_json)
    return 128 + asyncio.run(server.run())


def _tell(server: RatingServer, study: str, links: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        listed = [{"rater": rater, "link": link} for rater, link in links.items()]
        output.document({"study": study, "url": server.url, "links": listed})
        return
    output.line(f"{study} · {len(links)} rater(s) · {server.url}")
    output.line()
    output.table(list(links.items()))
    output.line()
    output.line("Each link is for one person, and as good as a key. Ctrl-C ends the server and its links.")
