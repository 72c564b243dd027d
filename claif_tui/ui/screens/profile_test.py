"""Test an endpoint: one short request, what came back, and which refused parameters to leave out from now on."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from claif_tui.core.llm.base import Sampling
from claif_tui.core.llm.probe import ProbeReport, probe
from claif_tui.core.llm.profiles import Profile, price_of
from claif_tui.core.models import NANO
from claif_tui.ui import safe
from claif_tui.ui.dialogs import ConfirmModal, InputModal, TextModal

if TYPE_CHECKING:
    from claif_tui.ui.base import ClaifScreen


async def test_profile(screen: ClaifScreen, profile: Profile) -> bool:
    """Probe ``profile`` and show the report; True when settings were changed. Raises ``EndpointError``."""
    from claif_tui.core import settings
    from claif_tui.core.llm.factory import open_client

    shell = screen.shell
    if not profile.model:
        named = await screen.app.push_screen_wait(
            InputModal(f"Model of {profile.name}", placeholder="gpt-4o-mini", hint="The profile names none.")
        )
        if not named:
            return False
        from dataclasses import replace

        profile = replace(profile, model=named)
    price = price_of(profile)
    free = price is not None and not (price.input_usd_per_m or price.output_usd_per_m)
    if not free and not await screen.app.push_screen_wait(_may_ask(profile)):
        return False
    shell.say(f"Asking {profile.name} …")
    sampling = Sampling(temperature=0.7, top_p=0.9, max_tokens=256)
    report = await probe(profile, partial(open_client, environ=dict(os.environ)), sampling, price=price)
    content = describe(profile, report)
    await screen.app.push_screen_wait(
        TextModal(f"Test · {profile.name}", content, plain=content.plain, what="the report")
    )
    if not report.refused:
        return False
    modal = ConfirmModal("Remember?", report.suggestion, yes="Leave them out", no="No")
    if not await screen.app.push_screen_wait(modal):
        return False
    await shell.background(partial(settings.remember_refused, profile, profile.model or "", report.refused))
    return True


def _may_ask(profile: Profile) -> ConfirmModal:
    return ConfirmModal(
        f"Test {profile.name}?",
        f"One short request goes to {profile.base_url or profile.kind} ({profile.model}).",
        detail="It costs what about a hundred tokens cost.",
        yes="Send it",
        no="Not now",
    )


def describe(profile: Profile, report: ProbeReport) -> safe.Content:
    """What one call showed."""
    cost = f"${report.cost_nano / NANO:,.6f}" if report.cost_nano else "nothing, or unknown"
    rows: list[safe.Part] = [
        safe.join(
            ("✓ ", "$text-success"), f"{profile.base_url or profile.name} answers in {report.latency:.2f} s"
        ),
        "",
        safe.join(
            ("model     ", "$text-muted"), report.model_returned or f"{profile.model} (the server does not say)"
        ),
        safe.join(("answer    ", "$text-muted"), safe.block(report.answer, limit=600)),
        safe.join(("streams   ", "$text-muted"), "yes" if report.streamed else "no"),
        safe.join(("usage     ", "$text-muted"), "reported" if report.usage else "not reported"),
        safe.join(("cost      ", "$text-muted"), cost),
    ]
    rows += [safe.join(("! ", "$text-warning"), note) for note in report.notes]
    if report.suggestion:
        rows += ["", safe.line(report.suggestion, "bold")]
    return safe.lines(*rows)
