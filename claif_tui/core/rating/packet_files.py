"""A packet file: signed items of one rater, and the answers appended to it in a chain. Reading and checking only.

JSON Lines: a head, the items, then records. Items are signed with the project's key (HMAC-SHA256); each record holds
the SHA-256 of the one before. That finds accidents and foreign items, not a rater who computes the chain anew.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import secrets
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from claif_tui.core.errors import InputError, StoreError
from claif_tui.core.rating.models import Criterion, Shown
from claif_tui.core.rating.outgoing import read_whole
from claif_tui.core.rating.values import on_scale

FORMAT = "claif-tui packet"
KEY_FILE = "rating.key"
MAX_BYTES = 256 << 20
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing the rater did. ``criterion`` None: a comment, in ``value``; ``value`` None: taken back."""

    token: str
    criterion: str | None
    value: float | str | None
    elapsed: float | None
    at: str
    who: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A packet as read. ``good`` is the length in bytes of its whole lines; ``torn``: half a record follows."""

    path: Path
    head: dict[str, Any]
    criteria: tuple[Criterion, ...]
    items: tuple[Shown, ...]
    bodies: tuple[dict[str, Any], ...]
    records: tuple[Record, ...]
    last_hash: str
    good: int
    torn: bool

    def versions(self) -> dict[tuple[str, str | None], list[Record]]:
        """Return what was said on each question of each item, in order; the last counts."""
        found: dict[tuple[str, str | None], list[Record]] = defaultdict(list)
        for record in self.records:
            found[record.token, record.criterion].append(record)
        return found


def canonical(body: object) -> bytes:
    """Return the bytes that are signed and hashed."""
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def sign(key: bytes, body: dict[str, Any]) -> str:
    """Return the signature of a head or an item."""
    return hmac.new(key, canonical(body), hashlib.sha256).hexdigest()


def project_key(folder: Path, *, make: bool) -> bytes:
    """Return the project's key, for its owner alone to read; made on first use. ``StoreError`` without one."""
    path = folder / KEY_FILE
    try:
        if make and not path.exists():
            staged = folder / f".{KEY_FILE}.{secrets.token_hex(6)}"
            handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(staged, path)
            except FileExistsError:
                pass  # another process was first: its key counts
            finally:
                staged.unlink()
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        raise StoreError(
            f"{path} is missing: packets cannot be checked without the key that signed them",
            "Restore it from a copy of the project.",
        ) from None
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be used ({getattr(error, 'strerror', None) or 'it is damaged'})",
            "Restore it from a copy of the project.",
        ) from None
    if len(key) != 32:
        raise StoreError(f"{path} is damaged", "Restore it from a copy of the project.")
    return key


def packet_bytes(
    key: bytes, study: str, rater: str, criteria: tuple[Criterion, ...], items: list[Shown]
) -> bytes:
    """Return a new packet."""
    packet = secrets.token_hex(8)
    head: dict[str, Any] = {
        "format": FORMAT,
        "v": _VERSION,
        "packet": packet,
        "study": study,
        "rater": rater,
        "items": len(items),
        "criteria": [asdict(criterion) for criterion in criteria],
    }
    bodies = [{"packet": packet, **asdict(item)} for item in items]
    return b"".join(line_of({**body, "sig": sign(key, body)}) for body in (head, *bodies))


def line_of(body: dict[str, Any]) -> bytes:
    """Return one line of the file; nothing but ASCII, so that no mail or terminal changes it."""
    return json.dumps(body).encode("ascii") + b"\n"


def chained(body: dict[str, Any], previous: str) -> dict[str, Any]:
    """Return a record with the hash of the one before and its own."""
    linked = {**body, "previous": previous}
    return {**linked, "hash": hashlib.sha256(canonical(linked)).hexdigest()}


def read_packet(path: Path) -> Packet:
    """Read a packet and check its chain. ``InputError`` names the line that is cut off or was changed."""
    data = read_whole(path, MAX_BYTES)
    lines = data.split(b"\n")
    torn = lines.pop() != b""
    good = data.rfind(b"\n") + 1
    try:
        bodies = [_object(line) for line in lines]
        head = bodies[0]
        if head.get("format") != FORMAT:
            raise ValueError
    except (ValueError, IndexError, RecursionError):
        raise InputError(
            f"{path}: is no whole packet",
            "Cut off or edited? Ask for the file again. A sheet is read by: claif-tui rate import",
        ) from None
    if head.get("v") != _VERSION:
        raise InputError(f"{path}: is a packet of another version", "Update claif-tui.")
    line = 1
    try:
        criteria = tuple(Criterion(**criterion) for criterion in head["criteria"])
        count = int(head["items"])
        if len(bodies) <= count:
            raise InputError(
                f"{path}: is cut off: {len(bodies) - 1} of {count} items are there", "Ask for the file again."
            )
        items = []
        for line, body in enumerate(bodies[1 : count + 1], 2):  # noqa: B007  (named in the error)
            fields = {name: value for name, value in body.items() if name not in ("packet", "sig")}
            items.append(Shown(**fields))
        tokens = {item.token for item in items}
        by_name = {criterion.name: criterion for criterion in criteria}
        previous = first_hash(bodies[: count + 1])
        records = []
        for line, body in enumerate(bodies[count + 1 :], count + 2):
            linked = {name: value for name, value in body.items() if name != "hash"}
            if linked["previous"] != previous or chained_hash(linked) != body["hash"]:
                raise ValueError
            previous = body["hash"]
            records.append(_record(linked, line, tokens, by_name))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path}: line {line} was changed, or is damaged", "Ask the rater for the file as it was."
        ) from None
    return Packet(
        path=path,
        head=head,
        criteria=criteria,
        items=tuple(items),
        bodies=tuple(bodies[: count + 1]),
        records=tuple(records),
        last_hash=previous,
        good=good,
        torn=torn,
    )


def first_hash(bodies: list[dict[str, Any]]) -> str:
    """Return what the first record is chained to: head and items as they are."""
    return hashlib.sha256(canonical(bodies)).hexdigest()


def chained_hash(linked: dict[str, Any]) -> str:
    """Return the hash of a record that names its predecessor."""
    return hashlib.sha256(canonical(linked)).hexdigest()


def _object(line: bytes) -> dict[str, Any]:
    found = json.loads(line.decode("utf-8"))
    if not isinstance(found, dict):
        raise ValueError
    return found


def _record(body: dict[str, Any], line: int, tokens: set[str], criteria: dict[str, Criterion]) -> Record:
    token, criterion, value, elapsed = (body[name] for name in ("token", "criterion", "value", "elapsed"))
    if token not in tokens or not isinstance(body["who"], str):
        raise ValueError
    if criterion is None:
        if value is not None and not isinstance(value, str):
            raise ValueError
    elif value is not None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        value = on_scale(value, criteria[criterion])
    if elapsed is not None and not (isinstance(elapsed, int | float) and math.isfinite(elapsed)):
        raise ValueError
    datetime.fromisoformat(body["at"])
    return Record(
        token=token,
        criterion=criterion,
        value=value,
        elapsed=elapsed,
        at=body["at"],
        who=body["who"],
        line=line,
    )
