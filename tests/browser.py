"""A headless Chromium, driven over its DevTools protocol: for tests of what raters see in a browser."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

PROGRAM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
"""Where it is; None where it is not installed."""

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--window-size=1000,600",
)
PATIENCE = 60.0
"""Seconds that anything may take before a test gives up."""


class Browser:
    """One browser with one page. ``requested`` is every address that it asked for."""

    def __init__(self, profile: Path) -> None:
        assert PROGRAM is not None
        self._profile = profile
        self._process = subprocess.Popen(
            [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.requested: list[str] = []
        self._number = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        port_file = self._profile / "DevToolsActivePort"
        async with asyncio.timeout(PATIENCE):
            # Another program starts: there is nothing of ours to wait for.
            while not (port_file.exists() and port_file.read_text().count("\n")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            base = f"http://127.0.0.1:{port_file.read_text().splitlines()[0]}"
            pages: list[dict[str, Any]] = []
            while not (pages := [page for page in await self._pages(base) if page["type"] == "page"]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        self._socket = await self._session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
        await self.call("Network.enable")
        await self.call("Page.enable")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()
        await self._session.close()
        self._process.kill()
        self._process.wait()

    async def _pages(self, base: str) -> list[dict[str, Any]]:
        async with self._session.get(f"{base}/json/list") as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        async with asyncio.timeout(PATIENCE):
            while True:
                said = json.loads((await self._socket.receive()).data)
                if said.get("method") == "Network.requestWillBeSent":
                    self.requested.append(said["params"]["request"]["url"])
                if said.get("id") == self._number:
                    assert "error" not in said, said
                    result: dict[str, Any] = said["result"]
                    return result

    async def open(self, url: str) -> None:
        """Go to an address."""
        await self.call("Page.navigate", url=url)

    async def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        found = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return found["result"].get("value")

    async def press(self, key: str) -> None:
        """Press a key that types a character."""
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=key, key=key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self) -> bytes:
        """Return what the page looks like, as a PNG file."""
        found = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(found["data"])
