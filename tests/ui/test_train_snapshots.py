"""Pictures of the Train screen, its form and its freezing, at the two common sizes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core import runs
from claif_tui.core.runs import RunRow
from claif_tui.core.training import Plan
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens import train_form, train_launch, train_state, train_text
from engine.config import TrainConfig
from tests.ui import made_runs
from tests.ui.conftest import AppPilot, idle, screen_text, still, until
from tests.ui.test_train import frozen, reviewed, train

__all__ = ["reviewed"]

SnapCompare = Callable[..., bool]
SMALL, LARGE = (80, 24), (120, 40)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "120x40"])


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same host, times and machine on every machine and day."""
    listed = runs.list_runs

    def rows(project: Path) -> list[RunRow]:
        return [replace(row, host="gpu-box") for row in listed(project)]

    monkeypatch.setattr(train_state, "list_runs", rows)
    monkeypatch.setattr(train_text, "clock_time", clock_time)
    monkeypatch.setattr(train_launch, "GPU_DEVICES", ())
    monkeypatch.setattr("claif_tui.ui.status.saved_text", lambda at: "saved 14:02:11" if at else "")


def clock_time(t: float | None) -> str:
    """The time in UTC."""
    return "        " if t is None else f"{datetime.fromtimestamp(t, UTC):%H:%M:%S}"


def made(project: Path) -> None:
    """Four runs in four states, the newest of them at work in this process."""
    paths = [
        made_runs.whole(project, "claif-1"),
        made_runs.whole(project, "claif-2", last=250, seed=2, end="stopped"),
        made_runs.whole(
            project, "simcse-sup-1", system="simcse-sup", precision="fp32", last=300, seed=-4, end="failed"
        ),
        made_runs.whole(project, "claif-3", last=300, seed=1, end=""),
    ]
    for number, path in enumerate(paths):
        made_runs.at_fixed_times(path, made_runs.START + 3600 * number)


def steps(*keys: str, shows: str) -> Callable[[AppPilot], Awaitable[None]]:
    """Open Train, press keys, wait until what is wanted shows and nothing moves."""

    async def run(pilot: AppPilot) -> None:
        await train(pilot)
        for key in keys:
            await pilot.press(key)
            await idle(pilot)
        await until(pilot, lambda: shows in screen_text(pilot.app), shows)
        await idle(pilot)
        still(pilot.app)
        await pilot.pause()

    return run


@SIZES
@pytest.mark.parametrize(
    ("keys", "shows"),
    [
        pytest.param((), "75 %", id="running"),
        pytest.param(("o", "end", "L", "plus"), "log y", id="overlay"),
        pytest.param(("j",), "is nan", id="failed"),
        pytest.param(("v",), "best", id="one-chart"),
    ],
)
def test_train(
    snap_compare: SnapCompare, project: Path, size: tuple[int, int], keys: tuple[str, ...], shows: str
) -> None:
    made(project)
    assert snap_compare(ClaifApp(project), terminal_size=size, run_before=steps(*keys, shows=shows))


@SIZES
def test_train_without_runs(snap_compare: SnapCompare, reviewed: Path, size: tuple[int, int]) -> None:
    run = steps(shows="t freezes a snapshot")
    assert snap_compare(ClaifApp(reviewed), terminal_size=size, run_before=run)


@SIZES
def test_freezing(snap_compare: SnapCompare, reviewed: Path, size: tuple[int, int]) -> None:
    run = steps("f", shows="pairs looked at")
    assert snap_compare(ClaifApp(reviewed), terminal_size=size, run_before=run)


@SIZES
def test_the_form(
    snap_compare: SnapCompare, reviewed: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen(reviewed)
    default = train_launch.default_config

    def named(*args: Any, **more: Any) -> TrainConfig:
        return replace(default(*args, **more), data="5827a41cb7df")

    def configured(file: object, values: dict[str, Any], **more: object) -> TrainConfig:
        return TrainConfig(**values)

    def planned(config: TrainConfig) -> Plan:
        return Plan(
            rows=5_112,
            steps_per_epoch=160,
            total_steps=480,
            dev={"own": 568},
            remarks=(),
            warnings=(),
            dropped={},
            content={},
        )

    monkeypatch.setattr(train_launch, "default_config", named)
    monkeypatch.setattr(train_form, "configured", configured)
    monkeypatch.setattr(train_form, "planned", planned)
    run = steps("enter", "down", "down", shows="480 steps")
    assert snap_compare(ClaifApp(reviewed), terminal_size=size, run_before=run)


def test_train_without_colours(
    snap_compare: SnapCompare, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    made(project)
    run = steps("o", "end", shows="A claif-3")
    assert snap_compare(ClaifApp(project), terminal_size=SMALL, run_before=run)


def test_train_in_the_light(snap_compare: SnapCompare, project: Path) -> None:
    made(project)
    before = steps(shows="75 %")

    async def light(pilot: AppPilot) -> None:
        await before(pilot)
        pilot.app.theme = "claif-light"
        await idle(pilot)

    assert snap_compare(ClaifApp(project), terminal_size=LARGE, run_before=light)
