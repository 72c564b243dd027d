"""Server-sent events out of a byte stream, split wherever the network likes. No JSON, no HTTP."""

from __future__ import annotations

_FOREIGN = 16_000
"""Bytes kept of a line that is no event: more than is shown, so that a key in it can be masked whole."""


class EventLines:
    """Turns chunks of bytes into the payloads of ``data:`` lines.

    One payload per line, as every OpenAI-compatible server sends it; comments (keep-alives) and other fields
    are left out. ``limit`` is the longest line kept, in bytes.
    """

    __slots__ = ("_rest", "foreign", "limit", "named_error")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.foreign = b""
        """The first line that is no event at all: HTML or plain JSON where a stream should be."""
        self.named_error = False
        """Whether an ``event: error`` line was seen."""
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the payloads completed by ``chunk``; raises ``OverflowError`` past ``limit``."""
        data = self._rest + chunk if self._rest else chunk
        lines = data.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > self.limit:
            raise OverflowError
        return [payload for line in lines if (payload := self._payload(line))]

    def finish(self) -> list[bytes]:
        """Return what a last line without a line break holds."""
        line, self._rest = self._rest, b""
        payload = self._payload(line)
        return [payload] if payload else []

    def _payload(self, line: bytes) -> bytes:
        if line.startswith(b"data:"):
            return line[5:].strip()
        stripped = line.strip()
        if not stripped or stripped.startswith((b":", b"event:", b"id:", b"retry:")):
            if stripped.startswith(b"event:") and stripped[6:].strip() == b"error":
                self.named_error = True
            return b""
        if not self.foreign:
            self.foreign = stripped[:_FOREIGN]
        return b""
