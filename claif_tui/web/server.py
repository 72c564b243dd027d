"""The server of ``claif-tui serve``: every request passes one guard, and each rater has at most one live session.

It knows names of raters and hashes of links; it never opens the project, which only the children do.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from aiohttp import WSMsgType, web

from claif_tui.core.errors import UsageError
from claif_tui.web.access import WILDCARDS, Links, Names, Visitor, seat_of, site
from claif_tui.web.pages import DOOR, headers, rating_page
from claif_tui.web.visitor import Child, Seat, within

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATIC: dict[str, tuple[str, str]] = {
    "textual.js": ("js/textual.js", "text/javascript"),
    "xterm.css": ("css/xterm.css", "text/css"),
    "roboto-mono.ttf": ("fonts/RobotoMono-VariableFont_wght.ttf", "font/ttf"),
    "roboto-mono-italic.ttf": ("fonts/RobotoMono-Italic-VariableFont_wght.ttf", "font/ttf"),
}
"""The files of textual-serve's front end that are handed out: name, place there, type. There are no others."""
HANDOVER_SECONDS = 5.0
"""How long a new window waits for the former one of the same rater, as on a reload."""
YEAR = 365 * 24 * 3600
_LONGEST_SECRET = 200
_LONGEST_MESSAGE = 64 * 1024

VISITOR: web.RequestKey[Visitor] = web.RequestKey("visitor", Visitor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is served to whom. ``host`` and ``port`` are bound (0: any free port); ``here`` is this machine's name.

    ``public_url`` is the address that browsers use where that is another, as behind a proxy with TLS.
    """

    project: Path
    study: str
    raters: tuple[str, ...]
    host: str
    port: int
    max_visitors: int
    here: str = ""
    public_url: str | None = None
    same_person: bool = False


class RatingServer:
    """One study in the browser. ``say`` gets a line for whoever watches the server; never a secret."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan, self._say = plan, say
        self._links = Links()
        self._names = Names(plan.host, here=plan.here, public_url=plan.public_url)
        self._live: dict[str, asyncio.Event] = {}
        self._sockets: set[web.WebSocketResponse] = set()
        self._refused: Counter[str] = Counter()
        self._listener = _listen(plan.host, plan.port)
        self.port: int = self._listener.getsockname()[1]
        host = (plan.here or plan.host) if plan.host in WILDCARDS else plan.host
        self.url = self._names.public or site(host, self.port)
        """Where browsers find the server."""
        # Cookies are not told apart by port, so the port is in the name.
        self._cookie = "__Host-claif_rater" if self._names.secure else f"claif_rater_{self.port}"

    def link(self, rater: str) -> str:
        """Return a new secret link for a rater."""
        return f"{self.url}/#{self._links.issue(rater)}"

    async def run(self) -> int:
        """Serve until SIGINT, SIGTERM or SIGHUP; then end every child and return the signal's number."""
        quiet = logging.getLogger("claif_tui.web")
        quiet.addHandler(logging.NullHandler())
        quiet.propagate = False
        # No access log: nothing of what browsers send is written anywhere.
        runner = web.AppRunner(self._app(), access_log=None, logger=quiet, shutdown_timeout=10.0)
        await runner.setup()
        try:
            await web.SockSite(runner, self._listener).start()
            number = await _told_to_stop()
        finally:
            await runner.cleanup()
            if self._refused:
                told = ", ".join(f"{count:,} {why}" for why, count in self._refused.most_common())
                self._say(f"Requests refused: {told}")
        return number

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=_LONGEST_SECRET)
        app.add_routes(
            [
                web.get("/", self._index),
                web.post("/enter", self._enter),
                web.get("/ws", self._socket),
                web.get("/static/{name}", self._static),
            ]
        )
        app.on_response_prepare.append(self._add_headers)
        app.on_shutdown.append(self._close_all)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through, or refuse it without a word about what is here."""
        try:
            why = self._refusal(request)
            if why is not None:
                self._count(why)
                return web.Response(status=403, text="Not allowed.\n")
            return await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=f"{error.reason}.\n")

    def _count(self, why: str) -> None:
        """Count a refusal; the first of its kind is told of at once."""
        self._refused[why] += 1
        if self._refused[why] == 1:
            self._say(f"Refused a request {why}.")

    def _refusal(self, request: web.Request) -> str | None:
        host, origin = request.headers.get("Host"), request.headers.get("Origin")
        if not self._names.called(host):
            return "under a name that is not this server's (Host)"
        needs_origin = request.path == "/ws" or request.method not in {"GET", "HEAD"}
        if (needs_origin or origin is not None) and not self._names.ours(origin, host):
            return "from a page that is not this server's (Origin)"
        rater = self._links.holder(request.cookies.get(self._cookie))
        if rater is not None:
            request[VISITOR] = Visitor(rater, seat_of(request.cookies.get("claif_seat")))
        elif request.path not in {"/", "/enter"}:
            return "without a link"
        return None

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(headers(self._socket_address(request)))

    def _socket_address(self, request: web.Request) -> str:
        host = request.headers.get("Host", "")
        if not self._names.called(host):
            return ""
        # Which of the two addresses the page came from cannot be seen behind a proxy: the public one then.
        base = self._names.public or f"http://{host}"
        return f"ws{base.removeprefix('http')}/ws"

    async def _index(self, request: web.Request) -> web.Response:
        if VISITOR not in request:
            return web.Response(status=401, text=DOOR, content_type="text/html")
        return web.Response(text=rating_page(self._socket_address(request)), content_type="text/html")

    async def _enter(self, request: web.Request) -> web.Response:
        """Trade a link's secret for a cookie. It is taken from the body alone."""
        rater = self._links.redeem((await request.read()).decode("utf-8", "replace"))
        if rater is None:
            self._count("with a secret that is in no link")
            return web.Response(status=403, text="Not allowed.\n")
        response = web.Response(status=204)
        for name, value, age in (
            (self._cookie, self._links.cookie(rater), None),
            ("claif_seat", seat_of(request.cookies.get("claif_seat")), YEAR),
        ):
            response.set_cookie(
                name, value, max_age=age, path="/", secure=self._names.secure, httponly=True, samesite="Strict"
            )
        return response

    async def _static(self, request: web.Request) -> web.Response:
        if request.match_info["name"] not in STATIC:
            raise web.HTTPNotFound
        place, kind = STATIC[request.match_info["name"]]
        return web.Response(body=(files("textual_serve") / "static" / place).read_bytes(), content_type=kind)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        visitor = request[VISITOR]
        window = web.WebSocketResponse(heartbeat=15, max_msg_size=_LONGEST_MESSAGE)
        await window.prepare(request)
        self._sockets.add(window)
        try:
            refusal = await self._wait_for_place(visitor.rater)
            if refusal is not None:
                self._say(f"{visitor.rater} was turned away: {refusal}")
                await window.send_bytes(f"\r\n  {refusal}\r\n".encode())
                await window.close(code=4409)
                return window
            ended = self._live[visitor.rater] = asyncio.Event()
            try:
                await self._attend(window, visitor, request.query)
            finally:
                del self._live[visitor.rater]
                ended.set()
        finally:
            self._sockets.discard(window)
        return window

    async def _wait_for_place(self, rater: str) -> str | None:
        """Return why there is no place, None where there is one; a rater's former window may just be closing."""
        try:
            async with asyncio.timeout(HANDOVER_SECONDS):
                while (other := self._live.get(rater)) is not None:
                    await other.wait()
        except TimeoutError:
            return "You are rating in another window already. Close that one first, then go on here."
        if len(self._live) >= self._plan.max_visitors:
            return "Too many people are rating at this moment. Try again later."
        return None

    async def _attend(self, window: web.WebSocketResponse, visitor: Visitor, asked: Mapping[str, str]) -> None:
        plan, rater = self._plan, visitor.rater
        seat = Seat(
            project=plan.project,
            study=plan.study,
            rater=rater,
            who=f"browser:{visitor.seat[:8]}",
            same_person=plan.same_person,
        )
        child = Child(seat, write=window.send_bytes, close=window.close)
        self._say(f"{rater} came ({len(self._live)} of {plan.max_visitors} places taken).")
        try:
            await child.start(_number(asked.get("width"), 80), _number(asked.get("height"), 24))
            await _hand_on(window, child)
        except OSError as error:
            self._say(f"{rater}'s session could not be kept up: {error.strerror or error}")
        finally:
            await asyncio.shield(child.stop())
            self._say(f"{rater} left.")

    async def _close_all(self, _: web.Application) -> None:
        for window in tuple(self._sockets):
            await window.close(code=1001)


async def _hand_on(window: web.WebSocketResponse, child: Child) -> None:
    """Hand keys and sizes on to the child until the window closes; anything else ends the session."""
    async for message in window:
        if message.type is not WSMsgType.TEXT:
            return
        try:
            said = json.loads(message.data)
        except (ValueError, RecursionError):
            return
        match said:
            case ["stdin", str(keys)]:
                await child.send_bytes(keys.encode("utf-8", "replace"))
            case ["resize", {"width": int(width), "height": int(height)}]:
                await child.set_terminal_size(*within(width, height))
            case ["ping", str(mark)]:
                await window.send_json(["pong", mark[:40]])
            case ["focus"] | ["blur"]:
                pass  # rating goes on where it was
            case _:
                return


async def _told_to_stop() -> int:
    loop = asyncio.get_running_loop()
    told: asyncio.Future[int] = loop.create_future()
    numbers = [
        n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN
    ]

    def stop(number: int) -> None:
        if not told.done():
            told.set_result(number)

    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        return await told
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (while")[0]  # Python says again where
        raise UsageError(
            f"cannot listen on {host} port {port}: {why}",
            "--host is an address of this machine; --port 0 takes any free port.",
        ) from None


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 6 else default
