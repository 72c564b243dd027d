"""``claif-tui serve``: a real server and real children; who gets in, what they can do, and what they never see."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from textual_serve.app_service import AppService

from claif_tui.core.store.process import start_mark
from claif_tui.core.store.store import Store
from claif_tui.web.access import Names
from claif_tui.web.server import STATIC
from claif_tui.web.visitor import Child, Seat
from tests import browser
from tests.acceptance.support import until
from tests.conftest import ROOT
from tests.core.study_support import project, study
from tests.core.test_studies import poison

PATIENCE = 60.0
HIDDEN = (b"CANARY", b"0.123456", b"12345")


@dataclass(frozen=True)
class Served:
    """A server under way, with the links that it printed."""

    folder: Path
    url: str
    links: dict[str, str]
    process: subprocess.Popen[str]

    def answers(self, rater: str) -> list[tuple[int, str, float, str]]:
        """What a rater has on disk: item's position, question, value, source."""
        with Store.open(self.folder) as store:
            data = store.studies.data("s")
        where = {(a.rater, a.item, a.occurrence): a.position for a in data.assignments}
        return [
            (where[a.rater, a.item, a.occurrence], a.criterion, a.value, a.source)
            for a in data.answers
            if a.rater == rater
        ]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start a server on a study of four raters, whose hidden columns hold marks."""
    running: list[subprocess.Popen[str]] = []

    def start(*words: str, preset: str = "rigorous") -> Served:
        folder = tmp_path / "p"
        with project(folder, 60) as store:
            study(store, preset, sample=6, raters=("R1", "R2", "R3", "R4"), practice=0, gold=0, repeats=0)
            if preset == "rigorous":
                store.write(poison)
        process = subprocess.Popen(
            [sys.executable, "-m", "claif_tui", "serve", "-P", str(folder), "--port", "0", "--json", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        said = ""
        while not said.rstrip().endswith("]\n}"):
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            said += line
        doc = json.loads(said)
        return Served(folder, doc["url"], {one["rater"]: one["link"] for one in doc["links"]}, process)

    yield start
    for process in running:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


@asynccontextmanager
async def visitor(served: Served, rater: str | None) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser's session, with the cookie of a rater or without one."""
    jar = aiohttp.CookieJar(unsafe=True)
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(served.url, cookie_jar=jar, timeout=timeout) as session:
        if rater is not None:
            secret = served.links[rater].partition("#")[2]
            async with session.post("/enter", data=secret, headers={"Origin": served.url}) as answer:
                assert answer.status == 204
        yield session


async def refused(session: aiohttp.ClientSession, path: str, **wanted: Any) -> bytes:
    """What a request that must be refused gets."""
    async with session.get(path, **wanted) as answer:
        assert answer.status in {401, 403, 404}, (path, wanted, answer.status)
        return await answer.read()


class Window:
    """A WebSocket with what came through it so far."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.frames = b""

    async def until(self, words: str, seconds: float = PATIENCE) -> None:
        """Wait until these words were drawn, whatever styles stand between their letters."""
        async with asyncio.timeout(seconds):
            while words.replace(" ", "") not in self.text():
                message = await self._socket.receive()
                if message.type is aiohttp.WSMsgType.BINARY:
                    self.frames += message.data
                elif message.type is aiohttp.WSMsgType.TEXT:
                    self.frames += message.data.encode()
                else:
                    raise AssertionError(f"the window was closed ({message.data}): {self.text()[-500:]}")

    async def press_until(self, keys: str, words: str) -> None:
        """Send keys, again if they came before anybody listened, until these words were drawn."""
        async with asyncio.timeout(PATIENCE):
            while words.replace(" ", "") not in self.text():
                await self.type(keys)
                with suppress(TimeoutError):
                    await self.until(words, seconds=1.0)

    def text(self) -> str:
        """All that was drawn, without escape sequences and blanks."""
        plain = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", self.frames.decode("utf-8", "replace"))
        return re.sub(r"\s", "", plain)

    async def type(self, keys: str) -> None:
        """Send keys."""
        await self._socket.send_json(["stdin", keys])


@asynccontextmanager
async def window(served: Served, session: aiohttp.ClientSession) -> AsyncIterator[Window]:
    """A rater's window."""
    url = f"{served.url}/ws?width=100&height=30"
    async with session.ws_connect(url, headers={"Origin": served.url}, max_msg_size=0) as socket:
        yield Window(socket)


def test_who_has_no_link_or_comes_from_elsewhere_gets_nothing(serve: Callable[..., Served]) -> None:
    served = serve("--rater", "R1", "--rater", "R2")
    assert sorted(served.links) == ["R1", "R2"]
    tell_tale = (b"R1", b"human", b"study", *HIDDEN)

    async def knock() -> None:
        seen = []
        async with visitor(served, None) as stranger:
            for path in ("/", "/ws", "/static/", "/static/textual.js", "/static/../server.py", "/claif.db"):
                seen.append(await refused(stranger, path))
            for wrong in ("", "x" * 43, "R1", served.links["R1"][-43:-1]):
                async with stranger.post("/enter", data=wrong, headers={"Origin": served.url}) as answer:
                    assert answer.status == 403
                    seen.append(await answer.read())
        async with visitor(served, "R1") as rater:
            strange = ("http://evil.example", "null", served.url.replace("http:", "https:"))
            for origin in strange:
                with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                    await rater.ws_connect("/ws", headers={"Origin": origin})
                assert caught.value.status == 403
                seen.append(await refused(rater, "/", headers={"Origin": origin}))
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await rater.ws_connect("/ws")  # no Origin at all
            seen.append(await refused(rater, "/", headers={"Host": "rebound.example"}))
            for path in ("/static/", "/static/js/", "/static/..%2f..%2fserver.py", "/download/x", "/claif.db"):
                seen.append(await refused(rater, path))
            async with rater.get("/static/textual.js") as answer:
                assert answer.status == 200
            async with rater.get("/") as answer:
                page = await answer.text()
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert not re.findall(r"https?://(?!127\.0\.0\.1)", page)
        for body in seen:
            assert not [word for word in tell_tale if word in body]

    asyncio.run(knock())
    served.process.send_signal(signal.SIGINT)
    out, err = served.process.communicate(timeout=PATIENCE)
    assert served.process.returncode == 130
    for link in served.links.values():
        assert link.partition("#")[2] not in err
    assert "Traceback" not in out + err
    assert "Refused a request with a secret that is in no link" in err
    assert not any(path.name.endswith(".log") for path in served.folder.rglob("*"))


def test_a_rater_rates_in_a_window_and_sees_nothing_that_unblinds(serve: Callable[..., Served]) -> None:
    served = serve("--max-visitors", "1")

    async def rate() -> bytes:
        async with visitor(served, "R1") as rater, window(served, rater) as first:
            await first.until("enter Go on")  # the footer is right before any key
            # The footer says which question takes keys: a key counts only for what is in sight.
            await first.press_until("\r", "1-5 Answer")
            # No palette, no other screen: keys of the app mean nothing here.
            await first.type("\x109")
            await first.type("4")
            await asyncio.to_thread(until, lambda: len(served.answers("R1")) == 1, "the first answer")
            await first.until("0-9 Score")
            await first.type("7\r")
            await asyncio.to_thread(until, lambda: len(served.answers("R1")) == 2, "the second answer")
            async with visitor(served, "R2") as other, window(served, other) as second:
                await second.until("Too many people are rating")
            async with window(served, rater) as second:
                await second.until("You are rating in another window already")
        # The place is free again; but the same link in another browser is somebody else.
        async with visitor(served, "R1") as other, window(served, other) as second:
            await second.until("R1 has rated from another seat so far")
            assert "browser:" not in second.text()
        return first.frames

    frames = asyncio.run(rate())
    answers = served.answers("R1")
    assert sorted(answers) == [(1, "fluency", 4.0, "browser"), (1, "similarity", 0.7, "browser")]
    assert served.answers("R2") == []
    for mark in HIDDEN:
        assert mark not in frames
    assert b"R2" not in frames
    secrets = [link.partition("#")[2].encode() for link in served.links.values()]
    kept = [path.read_bytes() for path in served.folder.rglob("*") if path.is_file()]
    assert kept and not [secret for secret in secrets for content in kept if secret in content]


def test_children_end_with_a_server_that_is_killed(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "SECRET-OF-OURS")
    monkeypatch.setenv("CLAIF_TUI_OTHER_KEY", "SECRET-OF-OURS")
    served = serve()

    async def come() -> list[int]:
        async with visitor(served, "R3") as rater, window(served, rater) as mine:
            await mine.until("Guidelines")
            found = children_of(served.process.pid)
            served.process.kill()
            return found

    gone = asyncio.run(come())
    assert len(gone) == 1

    until(lambda: not any(start_mark(pid) for pid in gone), "the end of the child")


def test_what_is_replaced_of_textual_serve_is_still_there() -> None:
    """Its files and private methods are pinned, and a rise of the pin that moves them must not pass unseen."""
    ours = {name for name in vars(Child) if not name.startswith("__")} - {"_seat"}
    assert ours == {"_open_app_process", "_build_environment", "run", "on_data", "on_meta", "on_packed", "stop"}
    assert not [name for name in ours if not hasattr(AppService, name)]
    front_end = files("textual_serve") / "static"
    assert all((front_end / place).is_file() for place, _ in STATIC.values())
    script = (front_end / "js/textual.js").read_text("utf-8")
    for needed in (
        "sessionWebsocketUrl",
        ".textual-terminal",
        "-first-byte",
        "-closed",
        "xterm-helper-textarea",
    ):
        assert needed in script

    async def nothing(_: bytes = b"") -> None:
        raise AssertionError("an opened link or a delivered file came through")

    async def deliver() -> None:
        seat = Seat(project=Path(), study="s", rater="R1", who="browser:x")
        child = Child(seat, write=nothing, close=nothing)
        await child.on_meta(b'{"type": "open_url", "url": "http://evil.example", "new_tab": true}')
        start = {"type": "deliver_file_start", "key": "k", "path": "x", "open_method": "download"}
        await child.on_meta(json.dumps({**start, "mime_type": "", "encoding": ""}).encode())
        await child.on_packed(b"whatever")

    asyncio.run(deliver())


def children_of(pid: int) -> list[int]:
    """The live child processes of a process; on Linux."""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("needs /proc to find the children")
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    environment = [Path(f"/proc/{child}/environ").read_bytes() for child in found]
    assert all(b"CLAIF_RATING" in one for one in environment)
    assert not any(b"SECRET-OF-OURS" in one for one in environment)
    return [int(child) for child in found]


@pytest.mark.skipif(browser.PROGRAM is None, reason="no Chromium is installed (Debian: apt install chromium)")
def test_in_a_real_browser(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(preset="paper")

    async def rate() -> list[str]:
        async with browser.Browser(tmp_path / "profile") as page:
            await page.open(served.links["R1"])
            await drawn(page)
            async with asyncio.timeout(PATIENCE):
                # A key that comes before the screen listens is lost, so they are pressed until answers are on disk.
                while len(served.answers("R1")) < 2:
                    await page.press("\r")
                    await page.press("y")
                    await asyncio.sleep(0.3)
            assert await page.evaluate("location.href") == f"{served.url}/"
            assert await page.evaluate("document.cookie") == ""
            assert await page.evaluate("window.open('http://evil.example')") is None
            pictures = os.environ.get("CLAIF_TEST_PICTURES")
            if pictures:
                await asyncio.to_thread((Path(pictures) / "serve.png").write_bytes, await page.picture())
            return page.requested

    requested = asyncio.run(rate())
    assert all(url.startswith((served.url, "data:")) for url in requested), requested
    assert {source for *_, source in served.answers("R1")} == {"browser"}


async def drawn(page: browser.Browser) -> None:
    """Wait until the terminal in the page shows something."""
    async with asyncio.timeout(PATIENCE):
        while "-first-byte" not in (await page.evaluate("document.body.className") or ""):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("127.0.0.1:8765", True),
        ("localhost:9000", True),
        ("[::1]:8765", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:8765", False),
        ("user@127.0.0.1", False),
        ("[::1]evil.example", False),
        ("127.0.0.1:x", False),
        ("", False),
        (None, False),
    ],
)
def test_names_of_this_server(host: str | None, good: bool) -> None:
    names = Names("127.0.0.1")
    assert names.called(host) is good
    assert names.ours(f"http://{host}", host) is good
    assert not names.ours("http://evil.example", host)
