"""Evaluating an API's model through the keyboard: the question comes first, and the progress of its vectors shows."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from claif_tui.core import engine_child, settings
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.dialogs import ConfirmModal
from claif_tui.ui.screens import evaluate_job
from claif_tui.ui.screens.evaluate_job import summary
from claif_tui.ui.screens.evaluate_wish import REMOTE, EvaluateModal
from claif_tui.ui.widgets.fields import Field
from tests.ui.conftest import idle, opened, screen_text, type_text, until

CODE = """
import os, pathlib, signal, sys
pathlib.Path({given!r}).write_text("\\n".join([*sys.argv[1:], os.environ.get("LAB_API_KEY", "none")]))
print("text-embed: 640 of 1,867 12.0 calls/s · 3 in flight · $0.0012 · 0:40 left", file=sys.stderr, flush=True)
signal.pause()
"""


async def test_what_it_costs_is_asked_before_anything_is_sent(
    project: Path, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = replace(settings.load().profiles["openai"], name="lab", base_url="http://127.0.0.1:9/v1")
    settings.save_profile(
        replace(lab, api_key_env="LAB_API_KEY", model="text-embed", price_in=0.1, price_out=0.0)
    )
    monkeypatch.setenv("LAB_API_KEY", "sk-secret")
    script, given = tmp_path / "child.py", tmp_path / "given"
    script.write_text(CODE.format(given=str(given)))
    monkeypatch.setattr(evaluate_job, "COMMAND", (sys.executable, str(script)))
    monkeypatch.setattr(engine_child, "_TRAIN", ())
    app = ClaifApp(project)
    async with app.run_test(size=(100, 34), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("8", "v")
        await until(pilot, lambda: isinstance(app.screen, EvaluateModal), "the dialog")

        def field(key: str) -> Field:
            return next(one for one in app.screen.query(Field) if one.key == key)

        assert not field("endpoint").display and not field("budget").display
        field("model").focus_editor()
        await pilot.press("left", "left")
        assert field("model").text == REMOTE and field("endpoint").display
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "name a model of the endpoint" in screen_text(app), "the problem")
        for key, text in (("path", "text-embed"), ("budget", "2"), ("data", str(data_dir))):
            field(key).focus_editor()
            await pilot.pause()
            await type_text(pilot, text)
        field("tasks").show("STS16")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the question")
        shown = screen_text(app)
        assert "1,867 sentences" in shown and "$2.00" in shown and "$0.1 per million" in shown
        assert not given.exists()
        await pilot.press("y")
        await until(pilot, lambda: "640 of 1,867 · $0.0012 · 0:40 left" in screen_text(app), "the progress")
        assert given.read_text().split("\n") == [
            *("--yes", "--budget", "2.0", "-P", str(project), "--json", "--data", str(data_dir)),
            *("--tasks", "STS16", "--mode", "full", "--", "api:text-embed", "sk-secret"),
        ]
        await pilot.press("x")
        await until(pilot, lambda: not app.jobs.live(), "the end")
        await idle(pilot)


def test_tasks_without_all_vectors_are_named() -> None:
    told = {"name": "m", "tasks": {"STS12": {}}, "api": {"incomplete": {"STS13": 4}}}
    assert summary(told) == "m: 1 task scored, not scored for want of vectors: STS13."
