"""The flight deck through the keyboard, on real runs against a loopback server and on scripted ones."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from claif_tui.core import recipe_file, settings
from claif_tui.core.events import Event
from claif_tui.core.llm.profiles import Profile
from claif_tui.core.recipes import Recipe
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens.generate import GenerateScreen
from claif_tui.ui.screens.generate_deck import Deck
from claif_tui.ui.screens.generate_job import GenerateJob
from claif_tui.ui.screens.generate_state import LANDED, Flight
from claif_tui.ui.screens.review import ReviewScreen
from tests.llm_fixtures import Factory, LLMServer
from tests.ui.conftest import AppPilot, idle, opened, screen_text, until
from tests.ui.hostile import FORBIDDEN, HOSTILE, LITERALS
from tests.ui.scripted import ScriptedRun, flight, item, progress

WIDE = (120, 40)
SMALL = (80, 24)


def aim(folder: Path, server: LLMServer, *, price: float | None = 0.0, cap: float | None = None) -> None:
    """Point the project at a loopback server with a price in dollars per million tokens."""
    settings.save_profile(
        Profile(
            name="test",
            base_url=server.base_url,
            concurrency=4,
            price_in=price,
            price_out=price,
            price_as_of="" if price is None else "2026-01-01",
        )
    )
    recipe = Recipe(profile="test", model="tiny", rates=(0.0, 0.3), max_tokens=64)
    recipe_file.save(folder / "recipe.toml", recipe)
    if cap is not None:
        from claif_tui.core.recipes import requests_id

        with Store.open(folder) as store:
            store.ledger.set_cap(requests_id(recipe), round(cap * 1e9))


async def deck(pilot: AppPilot) -> GenerateScreen:
    """Open Generate and wait until it knows where the project stands."""
    await opened(pilot)
    await pilot.press("4")
    screen = pilot.app.screen
    assert isinstance(screen, GenerateScreen)
    await idle(pilot)
    return screen


async def done(pilot: AppPilot) -> None:
    """Wait until no run goes on."""
    app = pilot.app
    assert isinstance(app, ClaifApp)
    await until(pilot, lambda: app.jobs.all() and not app.jobs.live(), "the end of the run")
    await idle(pilot)


def scripted(screen: GenerateScreen, run: ScriptedRun, system: Deck | None = None) -> GenerateJob:
    """Let the app fly a scripted run."""
    job = GenerateJob(run, screen.store, deck=system)
    screen.shell.jobs.start(job)
    screen.adopt(job)
    return job


# -- real runs ---------------------------------------------------------------------------------------------


async def test_a_free_run_starts_at_once_lands_scores_and_opens_in_review(
    project: Path, llm_server: Factory
) -> None:
    server = llm_server()
    aim(project, server)
    async with ClaifApp(project).run_test(size=WIDE, notifications=True) as pilot:
        await deck(pilot)
        assert "0 / 10 pairs" in screen_text(pilot.app) and "g starts" in screen_text(pilot.app)
        await pilot.press("g")
        await done(pilot)
        text = screen_text(pilot.app)
        assert "10 / 10 pairs" in text and "10 pairs, 10 scores" in text and "ø" in text
        with Store.open(project) as store:
            assert store.pairs.counts().pending == 10
        sent = len(server.log())
        await pilot.press("g")
        await idle(pilot)
        assert len(server.log()) == sent
        assert "Everything planned is asked" in screen_text(pilot.app)
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ReviewScreen), "Review")
        review = pilot.app.screen
        assert isinstance(review, ReviewScreen)
        await until(pilot, lambda: review.card.pair is not None, "the pair")


async def test_a_priced_run_asks_first_with_the_estimate_and_the_cap(
    project: Path, llm_server: Factory
) -> None:
    server = llm_server()
    aim(project, server, price=1.0, cap=0.5)
    async with ClaifApp(project).run_test(size=SMALL, notifications=True) as pilot:
        await deck(pilot)
        await pilot.press("g")
        await until(pilot, lambda: "This may cost money" in screen_text(pilot.app), "the question")
        text = screen_text(pilot.app)
        assert "10 planned pairs" in text and "about $" in text and "never more than $0.50" in text
        await pilot.press("enter")
        await idle(pilot)
        assert server.log() == []
        await pilot.press("g")
        await until(pilot, lambda: "This may cost money" in screen_text(pilot.app), "the question")
        await pilot.press("y")
        await done(pilot)
        assert "/$0.50" in screen_text(pilot.app)
        with Store.open(project) as store:
            assert store.pairs.counts().pending == 10


async def test_an_unknown_price_is_said_to_be_unknown(project: Path, llm_server: Factory) -> None:
    server = llm_server()
    aim(project, server, price=None)
    async with ClaifApp(project).run_test(size=WIDE, notifications=True) as pilot:
        await deck(pilot)
        assert "price unknown" in screen_text(pilot.app)
        await pilot.press("g")
        await until(pilot, lambda: "no price is known for this model" in screen_text(pilot.app), "the question")
        await pilot.press("escape")
        await idle(pilot)
        assert server.log() == []


async def test_a_refused_parameter_is_named_and_remembered_with_consent(
    project: Path, llm_server: Factory
) -> None:
    server = llm_server(options={"refuse": ["temperature"]})
    aim(project, server)
    async with ClaifApp(project).run_test(size=WIDE, notifications=True) as pilot:
        await deck(pilot)
        await pilot.press("g")
        await until(pilot, lambda: "refuses temperature" in screen_text(pilot.app), "the question")
        await pilot.press("n")
        await idle(pilot)
        assert not settings.load().profiles["test"].refused
        await pilot.press("g")
        await until(pilot, lambda: "refuses temperature" in screen_text(pilot.app), "the question")
        await pilot.press("y")
        await done(pilot)
        assert settings.load().profiles["test"].refused == {"tiny": ("temperature",)}
        assert "10 / 10 pairs" in screen_text(pilot.app)


async def test_troubles_show_reason_and_raw_answer_and_are_retried(project: Path, llm_server: Factory) -> None:
    server = llm_server(faults=[{"kind": "unparsable", "rate": 1.0, "match": "similarity score"}])
    aim(project, server)
    async with ClaifApp(project).run_test(size=SMALL, notifications=True) as pilot:
        await deck(pilot)
        await pilot.press("g")
        await done(pilot)
        assert "unparsed score" in screen_text(pilot.app)
        await pilot.press("e")
        await until(pilot, lambda: "Troubles ·" in screen_text(pilot.app), "the list")
        await idle(pilot)
        await until(pilot, lambda: "answer" in screen_text(pilot.app), "the raw answer")
        assert "They are quite similar, I would say." in screen_text(pilot.app)
        server.control(faults=[])
        await pilot.press("s")
        await done(pilot)
        with Store.open(project) as store:
            assert store.pairs.counts().pending == 10
        assert "10/10 pairs" in screen_text(pilot.app) or "10/10 ·" in screen_text(pilot.app)
        assert "no troubles" in screen_text(pilot.app)


async def test_an_endpoint_that_is_not_there_says_so_and_loses_nothing(
    project: Path, llm_server: Factory
) -> None:
    server = llm_server()
    aim(project, server)
    server.stop()
    async with ClaifApp(project).run_test(size=WIDE, notifications=True) as pilot:
        await deck(pilot)
        await pilot.press("g")
        await until(pilot, lambda: "What to do" in screen_text(pilot.app), "the error")
        await pilot.press("escape")
        await idle(pilot)
        assert "g starts" in screen_text(pilot.app)


async def test_pause_resume_and_stop_by_key(project: Path, llm_server: Factory) -> None:
    server = llm_server(options={"latency": 0.4})
    aim(project, server)
    app = ClaifApp(project)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await deck(pilot)
        await pilot.press("g")
        await until(pilot, lambda: "▶ running" in screen_text(app), "the run")
        await pilot.press("p")
        await until(pilot, lambda: app.jobs.live() and app.jobs.live()[0].state == "paused", "the pause")
        await until(pilot, lambda: "‖ paused" in screen_text(app), "the word")
        server.control(options={"latency": 0.0})
        sent = len(server.log())
        await pilot.press("g")
        await until(pilot, lambda: len(server.log()) > sent, "more requests")
        await pilot.press("x")
        await done(pilot)
        text = screen_text(app)
        assert "stopped" in text or "10 / 10 pairs" in text


async def test_a_run_of_another_process_is_shown_and_can_be_asked_to_stop(project: Path) -> None:
    child = other_process(project)
    assert child.stdout is not None
    try:
        assert child.stdout.readline().strip() == "running"
        async with ClaifApp(project).run_test(size=WIDE, notifications=True) as pilot:
            await deck(pilot)
            assert f"process {child.pid}" in screen_text(pilot.app)
            await pilot.press("g")
            await idle(pilot)
            assert "goes on in process" in screen_text(pilot.app)
            await pilot.press("x")
            await idle(pilot)
            assert await asyncio.to_thread(child.stdout.readline) == "asked to stop\n"
            await until(pilot, lambda: "g starts" in screen_text(pilot.app), "the end of the other run")
    finally:
        child.kill()
        child.communicate()


def other_process(project: Path) -> subprocess.Popen[str]:
    """Start a process that holds a run until it is asked something."""
    command = [sys.executable, "-c", _OTHER, str(project)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


_OTHER = """
import sys, time
from pathlib import Path
from claif_tui.core.store.store import Store
store = Store.open(Path(sys.argv[1]))
run = store.runs.start("generate", None, "offline", "offline", {})
print("running", flush=True)
while (ask := store.runs.requested(run.id)) is None:
    time.sleep(0.02)
store.runs.set_state(run.id, "stopped")
store.close()
print("asked to", ask, flush=True)
sys.stdin.read()
"""


# -- scripted runs -----------------------------------------------------------------------------------------


async def test_the_deck_shows_tokens_pairs_scores_money_and_troubles(project: Path) -> None:
    async with ClaifApp(project).run_test(size=WIDE, notifications=True) as pilot:
        screen = await deck(pilot)
        run = ScriptedRun(flight(40), progress())
        scripted(screen, run)
        await until(pilot, lambda: "57,743 / 94,662 pairs" in screen_text(pilot.app), "the figures")
        text = screen_text(pilot.app)
        for words in (
            "64 in flight",
            "three men are pl▌",
            "generated sentence number 40 .",
            "288.0 calls/s   ETA 2:08",
            "$1.62 of $5.00 cap",
            "429s: 3",
            "429 rate limit",
            "unparsed score     12  failed",
            "at 0.8",
        ):
            assert words in text
        await pilot.press("p", "g", "x")
        assert run.steered == ["pause", "resume", "stop"]
        await until(pilot, lambda: "■ stopped" in screen_text(pilot.app), "the end")
        assert "g goes on" in screen_text(pilot.app)


@pytest.mark.parametrize(("size", "words"), [(WIDE, "few at once: small cap"), ((100, 24), "small cap")])
async def test_why_few_are_in_flight_under_a_small_cap_is_said(
    project: Path, size: tuple[int, int], words: str
) -> None:
    async with ClaifApp(project).run_test(size=size, notifications=True) as pilot:
        screen = await deck(pilot)
        scripted(screen, ScriptedRun(flight(40), progress(held_by_cap=True)))
        await until(pilot, lambda: words in screen_text(pilot.app), "the reason")


async def test_at_80x24_the_right_column_folds_into_two_lines(project: Path) -> None:
    async with ClaifApp(project).run_test(size=SMALL, notifications=True) as pilot:
        screen = await deck(pilot)
        scripted(screen, ScriptedRun(flight(40), progress()))
        await until(pilot, lambda: "57,743/94,662" in screen_text(pilot.app), "the figures")
        lines = screen_text(pilot.app).splitlines()
        assert "61 %" not in lines[2] and "60 %" in lines[2] and "$1.62/$5.00" in lines[2]
        assert "unparsed score 12 failed" in lines[3]
        for size in ((60, 20), (200, 60), (50, 15), (80, 24)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: "generated sen" in screen_text(pilot.app), "the landed list")


async def test_a_flood_of_events_is_drawn_calmly_while_the_app_stays_usable(project: Path) -> None:
    events = flight(4_000)
    assert len(events) > 20_000
    async with ClaifApp(project).run_test(size=WIDE, notifications=True) as pilot:
        screen = await deck(pilot)
        drawn = 0
        show = screen.query_one("#streams").show  # type: ignore[attr-defined]

        def counted(streams: object) -> None:
            nonlocal drawn
            drawn += 1
            show(streams)

        screen.query_one("#streams").show = counted  # type: ignore[attr-defined]
        run = ScriptedRun(events, progress())
        job = scripted(screen, run)
        await pilot.press("5")
        assert isinstance(pilot.app.screen, ReviewScreen)
        await pilot.press("4")
        await until(pilot, lambda: run.played, "all events")
        await until(pilot, lambda: "4,000 pairs, 4,000 scores" in screen_text(pilot.app), "the totals")
        assert drawn < 500
        assert job.flight.generated == 4_000
        assert "generated sentence number 4000 ." in screen_text(pilot.app)


def test_a_flight_keeps_little_however_long_the_run() -> None:
    deck = Flight()
    for event in flight(3 * LANDED):
        deck.feed(event)
    assert len(deck.landed_ids()) == len(deck.take_fresh()) == LANDED
    assert deck.landed_ids()[0] == 3 * LANDED
    assert deck.take_fresh() == []
    assert sum(sum(bins) for bins in deck.histogram.values()) == 3 * LANDED
    assert [stream.text for stream in deck.streams() if not stream.done] == ["three men are pl"]


@pytest.mark.parametrize("size", [WIDE, (60, 20)])
async def test_hostile_answers_are_shown_as_text(project: Path, size: tuple[int, int]) -> None:
    seen = ""
    async with ClaifApp(project).run_test(size=size, notifications=True) as pilot:
        screen = await deck(pilot)
        events: list[Event] = []
        for n, text in enumerate(HOSTILE, 1):
            events += item(n, text, f"{text} again", 0.5, None if n % 3 == 0 else 0.5)
        run = ScriptedRun(events, progress())
        scripted(screen, run)
        await until(pilot, lambda: run.played and "57,743" in screen_text(pilot.app), "the answers")
        for _ in HOSTILE:
            seen += screen_text(pilot.app)
            await pilot.press("j")
        await pilot.press("home")
        assert not set(seen) & FORBIDDEN
        if size == WIDE:
            assert LITERALS[0] in seen and LITERALS[1] in seen


# -- nothing to run ----------------------------------------------------------------------------------------


async def test_without_a_project_or_seeds_the_next_key_is_named(tmp_path: Path) -> None:
    async with ClaifApp().run_test(size=SMALL, notifications=True) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "Press 1 to open one" in screen_text(pilot.app), "the empty state")
        await pilot.press("g", "p", "x", "e", "enter", "y")
        await idle(pilot)
    with Store.create(tmp_path / "empty"):
        pass
    async with ClaifApp(tmp_path / "empty").run_test(size=SMALL, notifications=True) as pilot:
        await deck(pilot)
        assert "Press 2 to import sentences" in screen_text(pilot.app)
        await pilot.press("g", "p", "x", "enter")
        await idle(pilot)


async def test_a_recipe_that_does_not_read_is_named_and_nothing_starts(project: Path) -> None:
    (project / "recipe.toml").write_text("rates = [2.0]\n")
    async with ClaifApp(project).run_test(size=WIDE, notifications=True) as pilot:
        await deck(pilot)
        assert "cannot start" in screen_text(pilot.app)
        await pilot.press("g")
        await until(pilot, lambda: "recipe" in screen_text(pilot.app).lower(), "the error")
        with Store.open(project) as store:
            assert store.runs.list() == []
