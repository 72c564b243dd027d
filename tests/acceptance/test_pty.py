"""The app on a real terminal: the demo, the keys a new user presses, a restart, and the terminal given back."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core.models import PairQuery
from claif_tui.core.paths import assets_dir
from claif_tui.core.store.store import Store
from tests.acceptance.support import Shell, Terminal, until
from tests.core.study_support import project

Open = Callable[..., Terminal]
WIDE, SMALL, TINY = (40, 120), (24, 80), (10, 30)
LEFT_BEHIND = {
    b"\x1b[?1049l": "the screen that was there before",
    b"\x1b[?25h": "the cursor",
    b"\x1b[?1000l": "the mouse",
    b"\x1b[?2004l": "bracketed paste",
}
"""What a program sends last to give the terminal back, and what of it."""


@pytest.fixture
def demo(shell: Shell, tmp_path: Path) -> Path:
    pytest.importorskip("tokenizers", reason="the extra claif-tui[offline] is absent")
    if not (assets_dir() / "offline").is_dir():
        pytest.skip("the offline model's files are absent")
    folder = tmp_path / "demo"
    shell("init", folder, "--demo").well()
    return folder


def counts(folder: Path) -> dict[str, int]:
    with Store.open(folder) as store:
        found = store.pairs.counts()
    return {"pending": found.pending, "accepted": found.accepted, "rejected": found.rejected}


def scored(folder: Path) -> int:
    with Store.open(folder) as store:
        return store.pairs.count(PairQuery(filter="score >= 0"))


def go(app: Terminal, key: str, word: str) -> None:
    """Press a key, and wait until the screen it opens has been drawn."""
    since = app.mark()
    app.press(key)
    app.expect(word, since=since)


def decide(app: Terminal, folder: Path, key: str, status: str, count: int) -> None:
    """Press a deciding key, and wait until the decision is on disk."""
    app.press(key)
    until(lambda: app.read() and counts(folder)[status] == count, f"{count} {status} after {key}")


def assert_given_back(app: Terminal, flags: list[Any]) -> None:
    """The terminal is as it was: modes switched off, typed characters echoed and gathered to lines."""
    end = app.output[-4000:]
    assert [name for code, name in LEFT_BEHIND.items() if code not in end] == []
    # What was switched on and off again must end switched off.
    for on, off in ((b"\x1b[?1049h", b"\x1b[?1049l"), (b"\x1b[?1000h", b"\x1b[?1000l")):
        assert app.output.rfind(on) < app.output.rfind(off)
    assert app.flags() == flags
    assert b"Traceback" not in app.output


def test_the_demo_from_the_first_key_to_the_exported_file(shell: Shell, demo: Path, terminal: Open) -> None:
    app = terminal(demo, size=WIDE)
    flags = app.flags()
    app.expect("Project")
    # At once, before the project is open and the screen is drawn: no key of an impatient user is lost.
    app.press("4g")
    until(lambda: app.read() and scored(demo) >= 6, "six scored pairs")
    app.expect("running")
    go(app, "5", "pending · newest first")
    decide(app, demo, "a", "accepted", 1)
    for size in (SMALL, TINY, WIDE):
        app.resize(*size)
        app.read(0.2)
    decide(app, demo, "a", "accepted", 2)
    decide(app, demo, "r", "rejected", 1)
    go(app, "e", "Save")
    # As one packet, as a fast typist's keys come over a slow line: nothing typed before enter may be lost.
    app.press(" and a few more words here\r")

    def edited() -> list[str]:
        app.read()
        with Store.open(demo) as store:
            return [pair.text_b for pair in store.pairs.first(PairQuery(filter="edited = yes"), 9)]

    (text,) = until(edited, "the edit")
    assert text.endswith(" and a few more words here")
    app.press("u")
    until(lambda: not edited(), "the edit taken back")
    go(app, "q", "Still at work")
    app.press("p")
    assert app.end() == 0
    assert_given_back(app, flags)
    kept = counts(demo)
    assert (kept["accepted"], kept["rejected"]) == (2, 1)
    status = shell("status", "-P", demo, "--json").well().doc
    assert status["run"] is None and 0 < status["answered"] < status["planned"] == 540

    again = terminal(demo, size=SMALL)
    again.expect("claif-tui ▸ demo")
    go(again, "5", "where it comes from")
    decide(again, demo, "u", "rejected", 0)
    decide(again, demo, "u", "accepted", 1)
    decide(again, demo, "U", "accepted", 2)
    go(again, "x", "pairs.jsonl")
    go(again, "\x13", "rows written")
    rows = [json.loads(line) for line in (demo / "exports" / "pairs.jsonl").read_text().splitlines()]
    assert len([row for row in rows if row["kind"] == "llm"]) == 2
    again.press("q")
    again.read(0.2)
    again.press("q")
    assert again.end() == 0
    assert_given_back(again, flags)
    assert counts(demo)["accepted"] == 2


def test_the_terminal_that_goes_away_pauses_the_run(shell: Shell, demo: Path, terminal: Open) -> None:
    app = terminal(demo, size=SMALL)
    app.expect("0 of 540 planned pairs")
    go(app, "4", "Nothing has landed yet")
    app.press("g")
    until(lambda: app.read() and scored(demo) >= 3, "three scored pairs")
    app.hang_up()
    assert app.end() == 129
    with Store.open(demo) as store:
        assert store.runs.active() is None
        assert store.ledger.get("").reserved_nano == 0
        last = store.runs.list(1)[0]
    assert last.state == "stopped", last
    kept = scored(demo)
    assert kept >= 3
    told = shell("status", "-P", demo).well().out
    assert "claif-tui generate" in told


def test_a_terminal_whose_end_nobody_tells_ends_the_app_too(demo: Path, terminal: Open) -> None:
    """A hang-up goes to the terminal's first process alone; make waits for its children, and tells them nothing."""
    app = terminal(demo, size=SMALL, below_a_deaf_parent=True)
    app.expect("0 of 540 planned pairs")
    app.hang_up()
    assert app.end() == 129


def test_without_a_project_the_app_offers_one(shell: Shell, terminal: Open, tmp_path: Path) -> None:
    app = terminal(cwd=tmp_path, size=SMALL)
    flags = app.flags()
    app.expect("New", "new")
    app.press("q")
    assert app.end() == 0
    assert_given_back(app, flags)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".db"]


def test_ctrl_c_ends_nothing_and_sigterm_ends_in_order(shell: Shell, demo: Path, terminal: Open) -> None:
    app = terminal(demo, size=SMALL)
    flags = app.flags()
    app.expect("0 of 540 planned pairs")
    app.press("\x03")
    go(app, "2", "60 train")
    os.kill(app.pid, signal.SIGTERM)
    assert app.end() == 143
    assert_given_back(app, flags)


def test_four_raters_at_once_and_one_is_killed(shell: Shell, terminal: Open, tmp_path: Path) -> None:
    """No answer is lost, and whoever comes back goes on at the same item."""
    folder = tmp_path / "p"
    project(folder, 20).close()
    shell("rate", "new", "-P", folder, "--sample", 12).well()

    def given(rater: str) -> int:
        with Store.open(folder) as store:
            return sum(answer.rater == rater for answer in store.studies.data().answers)

    def begin(rater: str) -> Terminal:
        return terminal("rate", "take", "-P", folder, "--rater", rater, size=SMALL)

    names = ("R1", "R2", "R3", "R4")
    desks = {name: begin(name) for name in names}
    flags = {name: desk.flags() for name, desk in desks.items()}
    for desk in desks.values():
        desk.expect("Go on")
        go(desk, "\r", "▸ Is the generated")
    done = dict.fromkeys(names, 0)

    def press(name: str, key: str, shows: str) -> None:
        """Answer, wait until it is on disk and the next question in sight."""
        done[name] += 1
        since = desks[name].mark()
        desks[name].press(key)
        until(lambda: desks[name].read() and given(name) == done[name], f"answer {done[name]} of {name}")
        desks[name].expect(shows, since=since)

    for key, shows in (("y", "▸ Is the score"), ("n", "▸ Is the generated"), ("y", "▸ Is the score")):
        for name in names:
            press(name, key, shows)
    os.kill(desks["R3"].pid, signal.SIGKILL)
    assert desks["R3"].end() == -signal.SIGKILL
    assert given("R3") == 3
    desks["R3"] = begin("R3")
    flags["R3"] = desks["R3"].flags()
    desks["R3"].expect("2 of 3")
    desks["R3"].expect("▸ Is the score")
    for key, shows in (("n", "▸ Is the generated"), ("y", "▸ Is the score"), ("y", "Thank you")):
        for name in names:
            press(name, key, shows)
    for name, desk in desks.items():
        desk.press("\x1b")
        assert desk.end() == 0
        assert desk.flags() == flags[name]
        assert b"\x1b[?1049l" in desk.output[-4000:] and b"Traceback" not in desk.output
    with Store.open(folder) as store:
        data = store.studies.data()
    order = {(a.rater, a.item): a.position for a in data.assignments}
    values = sorted((a.rater, order[a.rater, a.item], a.criterion, a.value) for a in data.answers)
    once = [(1, "consistent", 0.0), (1, "fluent", 1.0), (2, "consistent", 0.0), (2, "fluent", 1.0)]
    once += [(3, "consistent", 1.0), (3, "fluent", 1.0)]
    assert values == [(name, *each) for name in names for each in once]
