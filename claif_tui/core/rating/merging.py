"""Packets out of a project and back into it: whose they are, that nothing in them was changed, what they say."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from claif_tui.core.errors import InputError
from claif_tui.core.rating.outgoing import chosen_raters, places, write_all
from claif_tui.core.rating.packet_files import packet_bytes, project_key, read_packet, sign
from claif_tui.core.store.returned import Batch, Cell, Version

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


def export_packets(
    store: Store, study: str, raters: Sequence[str], out: Path, *, force: bool = False
) -> dict[str, Path]:
    """Write one packet a rater and return where. Errors as ``export_sheets``."""
    study_id, criteria = store.ratings.criteria(study)
    chosen = chosen_raters(store.ratings.raters(study_id), raters)
    where = places(out, study, chosen, ".packet.jsonl")
    key = project_key(store.folder, make=True)
    files = {
        where[rater]: packet_bytes(key, study, rater, criteria, store.ratings.all_shown(study_id, rater))
        for rater in chosen
    }
    write_all(files, force=force)
    return where


def read_merge(store: Store, path: Path, study: str | None = None) -> tuple[Batch, bool]:
    """Check a packet whole; return what it says, and whether its last record is torn.

    ``InputError`` for one of another project or study, edited by hand, or cut off within its items.
    """
    packet = read_packet(path)
    key = project_key(store.folder, make=False)
    for line, body in enumerate(packet.bodies, 1):
        plain = {name: value for name, value in body.items() if name != "sig"}
        if not hmac.compare_digest(sign(key, plain).encode(), str(body.get("sig")).encode("utf-8", "replace")):
            raise InputError(
                f"{path}: line {line} is not as this project signed it",
                "It comes from another project, or was edited by hand.",
            )
        if line > 1 and body["packet"] != packet.head["packet"]:
            raise InputError(f"{path}: line {line} belongs to another packet", "Was it edited by hand?")
    name, rater = packet.head["study"], packet.head["rater"]
    if study is not None and name != study:
        raise InputError(f"{path}: is of the study {name!r}, not of {study!r}")
    study_id, _ = store.ratings.criteria(name)
    owners = store.returned.owners(item.token for item in packet.items)
    for item in packet.items:
        owner = owners.get(item.token)
        if owner is None or (owner.study, owner.rater) != (name, rater):
            raise InputError(f"{path}: item {item.position} is none of {rater}'s in {name!r} now")
    items = {item.token: item for item in packet.items}
    cells: list[Cell] = []
    for (token, criterion), versions in packet.versions().items():
        last = versions[-1]
        base = items[token].comment or None if criterion is None else items[token].mine.get(criterion)
        earlier: set[Version] = {(one.value, one.at) for one in versions[:-1] if one.value is not None}
        if base is not None:
            earlier.add((base, ""))
        cells.append(
            Cell(
                token=token,
                criterion=criterion,
                value=last.value,
                at=last.at,
                elapsed=last.elapsed,
                who=last.who,
                place=f"line {last.line}",
                earlier=frozenset(earlier),
            )
        )
    batch = Batch(
        study_id=study_id,
        rater=rater,
        source="packet",
        file=path.name,
        cells=tuple(cells),
        mark=packet.head["packet"],
    )
    return batch, packet.torn
