"""The two pages that a browser gets, and the headers that keep them to themselves: nothing from outside is loaded."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

# The secret stands behind the # of a link: browsers send that part to nobody, so no log on the way can hold it.
# What it is traded for is a cookie; then the address is wiped. And the terminal makes addresses in texts clickable,
# which would lead a rater away: nothing opens.
_ENTER = """
window.open = () => null;
async function enter() {
  const secret = location.hash.slice(1);
  if (!secret) return;
  history.replaceState(null, "", "/");
  for (const one of document.querySelectorAll(".textual-terminal")) one.className = "";
  const answer = await fetch("/enter", {method: "POST", body: secret});
  if (answer.ok) location.replace("/");
  else document.body.className = "refused";
}
addEventListener("hashchange", enter);
addEventListener("DOMContentLoaded", () => {
  enter();
  const again = document.querySelector("button");
  if (again) again.onclick = () => location.reload();
});
addEventListener("load", () => setTimeout(() => {
  const keys = document.querySelector(".xterm-helper-textarea");
  if (keys) keys.focus();
}, 0));
"""

_STYLE = """
html, body { margin: 0; height: 100%; background: #101418; color: #d8dee4;
  font: 16px/1.5 "Roboto Mono", ui-monospace, monospace; }
main { max-width: 40em; margin: 0 auto; padding: 20vh 1em 0; }
.refused-only, .closed { display: none; }
.refused .refused-only { display: block; }
.textual-terminal { width: 100vw; height: 100vh; }
.-closed .closed { display: flex; position: fixed; inset: auto 0 0 0; z-index: 20; gap: 1em;
  align-items: center; justify-content: center; padding: 1em; background: #26313c; }
button { font: inherit; padding: .3em 1em; }
"""


# Not for the door: who stands there gets no files.
_FONTS = """
@font-face { font-family: "Roboto Mono"; src: url("/static/roboto-mono.ttf"); font-weight: 100 700; }
@font-face { font-family: "Roboto Mono"; font-style: italic; src: url("/static/roboto-mono-italic.ttf"); }
"""


def _page(body: str, head: str = "") -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Rating</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"{head}<style>{_STYLE}</style><script>{_ENTER}</script></head><body>{body}</body></html>\n"
    )


DOOR = _page(
    '<main><p class="refused-only">This link is not valid, or no longer.</p>'
    "<p>To rate, open the link that you were given. Links end with the server that made them:"
    " ask for a new one if yours does not work.</p><noscript>This page needs JavaScript.</noscript></main>"
)
"""What a browser without a cookie gets: it takes the secret from the link, and says nothing else."""

_TERMINAL = (
    '<div id="terminal" class="textual-terminal" data-session-websocket-url="{socket}" data-font-size="16"></div>'
    '<div class="closed"><span>This window is not connected. Every answer was kept as it was given.</span>'
    '<button type="button">Go on</button></div>'
)
_FRONT_END = (
    f"<style>{_FONTS}</style>"
    '<link rel="preload" as="font" type="font/ttf" crossorigin href="/static/roboto-mono.ttf">'
    '<link rel="stylesheet" href="/static/xterm.css"><script src="/static/textual.js"></script>'
)


def rating_page(socket: str) -> str:
    """Return the page with the terminal; ``socket`` is the WebSocket's address and needs no escaping."""
    return _page(_TERMINAL.format(socket=socket), _FRONT_END)


def headers(socket: str) -> dict[str, str]:
    """Return what goes with every answer. The terminal writes its own style sheets, hence unsafe-inline there."""
    script = b64encode(sha256(_ENTER.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'self' 'sha256-{script}'; style-src 'self' 'unsafe-inline';"
        f" font-src 'self'; img-src 'self' data:; connect-src 'self' {socket};"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Server": "claif-tui",
    }
