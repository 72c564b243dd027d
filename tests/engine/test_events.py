from __future__ import annotations

import json
import math
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RunError
from engine.events import CARRIES, EventWriter, Heartbeat, Kind, all_events, last_event, read_events
from tests.engine.run_child import child


def numbers(events: list[dict[str, Any]]) -> list[int]:
    return [event["seq"] for event in events]


def one_of_each(path: Path) -> None:
    with EventWriter(path) as writer:
        writer.write(
            "started", config="ab", device="cpu", rows=64, steps_per_epoch=2, total_steps=4, from_step=0
        )
        writer.write("step", step=2, losses=[0.5, 0.25], lr=1e-5, grad_norm=1.5)
        writer.write("eval", step=2, dev=77.41, best=True)
        writer.write("checkpoint", step=2, name="best")
        writer.write("warning", message="zu spät \x00\u2028 \ud800 [b]")
        writer.beat()
        writer.write("failed", type="RunError", message="no room", hint="")


def test_an_event_is_a_line_with_number_time_and_kind(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    one_of_each(path)
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    events, offset = read_events(path)
    assert [json.loads(line) for line in lines] == events
    assert offset == path.stat().st_size
    assert numbers(events) == [1, 2, 3, 4, 5, 6, 7]
    assert {event["v"] for event in events} == {1}
    assert all(isinstance(event["t"], float) and event["t"] > 1.6e9 for event in events)
    assert [event["kind"] for event in events][-2:] == ["heartbeat", "failed"]
    assert events[1]["losses"] == [0.5, 0.25]
    assert events[4]["message"] == "zu spät \x00\u2028 \ud800 [b]"
    assert last_event(path) == events[-1]


def test_a_number_that_is_none_is_null_and_never_breaks_the_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as writer:
        writer.write("step", step=1, losses=[math.nan, math.inf, 1.0], more={"x": (-math.inf,)})
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["losses"] == [None, None, 1.0]
    assert read_events(path)[0][0]["more"] == {"x": [None]}


@pytest.mark.parametrize("kind", [kind for kind, carried in CARRIES.items() if carried])
def test_an_event_without_what_it_carries_is_a_mistake_of_the_programmer(kind: Kind, tmp_path: Path) -> None:
    with EventWriter(tmp_path / "e") as writer:
        with pytest.raises(ValueError, match=CARRIES[kind][-1]):
            writer.write(kind, **dict.fromkeys(CARRIES[kind][:-1], 1))
        assert writer.next_seq == 1
    assert (tmp_path / "e").read_bytes() == b""


def test_nothing_follows_the_end(tmp_path: Path) -> None:
    path = tmp_path / "e"
    with EventWriter(path) as writer:
        writer.write("stopped", step=3)
        writer.beat()
        with pytest.raises(ValueError, match="after the end"):
            writer.write("step", step=4, losses=[1.0])
    writer.beat()
    with pytest.raises(ValueError, match="after the end"):
        writer.write("step", step=4, losses=[1.0])
    assert [event["kind"] for event in all_events(path)] == ["stopped"]


@pytest.mark.parametrize(
    "torn",
    [b"", b'{"v": 1, "se', b'{"v":1,"seq":8,"t":1.0,"kind":"heartbeat"}', b"\0" * 70_000],
    ids=["nothing", "half", "all but its end", "zeros"],
)
def test_a_resumed_run_cuts_a_torn_line_and_goes_on_counting(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "events.jsonl"
    one_of_each(path)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    before, offset = read_events(path)
    assert offset == len(whole)
    assert last_event(path) == before[-1]
    with EventWriter(path) as writer:
        assert writer.next_seq == 8
        writer.write("warning", message="again")
    after, _ = read_events(path, offset)
    assert numbers(after) == [8]
    assert path.read_bytes().startswith(whole + b'{"v": 1, "seq": 8')


def test_numbers_go_on_after_a_line_longer_than_any_window(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as writer:
        writer.beat()
        writer.write("warning", message="x" * 700_000)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"y" * 900_000)
    with EventWriter(path) as writer:
        assert writer.next_seq == 3
    assert path.stat().st_size == size
    path.write_bytes(b"z" * 300_000)
    with EventWriter(path) as writer:
        assert writer.next_seq == 1
    assert path.read_bytes() == b""


def test_a_line_longer_than_a_block_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as writer:
        writer.beat()
        writer.write("warning", message="x" * 9_000_000)
        writer.beat()
    events = list(all_events(path))
    assert numbers(events) == [1, 2, 3]
    assert len(events[1]["message"]) == 9_000_000
    # Its beginning alone is nothing yet.
    torn = tmp_path / "torn"
    torn.write_bytes(path.read_bytes()[:8_000_000])
    first, offset = read_events(torn)
    assert numbers(first) == [1]
    assert read_events(torn, offset) == ([], offset)


def test_a_damaged_line_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    one_of_each(path)
    lines = path.read_bytes().split(b"\n")
    at = len(lines[0]) + 1
    lines[1] = b"\0" * len(lines[1])
    lines[6] = b'{"kind": "failed"}'
    path.write_bytes(b"\n".join(lines))
    events, offset = read_events(path)
    assert offset == path.stat().st_size
    assert numbers(events) == [1, None, 3, 4, 5, 6, None]
    assert events[1]["kind"] == "warning"
    assert f"the line at byte {at:,} is damaged" in events[1]["message"]
    with EventWriter(path) as writer:
        assert writer.next_seq == 7


def test_before_the_first_event_there_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert read_events(path, 0) == ([], 0)
    assert last_event(path) is None
    path.touch()
    assert read_events(path, 0) == ([], 0)
    assert last_event(path) is None
    assert list(all_events(path)) == []


def test_a_file_that_became_shorter_is_not_read_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    one_of_each(path)
    _, offset = read_events(path)
    path.write_bytes(b"")
    with pytest.raises(RunError, match="it was replaced"):
        read_events(path, offset)


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"gone/events\.jsonl cannot be written: No such file"):
        EventWriter(tmp_path / "gone" / "events.jsonl")
    with pytest.raises(RunError, match="cannot be read: Is a directory"):
        read_events(tmp_path)
    with pytest.raises(RunError, match="cannot be read: Is a directory"):
        last_event(tmp_path)


MESSAGES = st.lists(st.text(max_size=12), max_size=8)


@given(messages=MESSAGES, shares=st.lists(st.floats(0, 1), max_size=5).map(sorted))
def test_wherever_the_writer_is_caught_no_event_is_split_lost_or_read_twice(
    messages: list[str], shares: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("e")
    with EventWriter(folder / "whole") as writer:
        for message in messages:
            writer.write("warning", message=message)
    whole = (folder / "whole").read_bytes()
    offset, read = 0, []
    for share in [*shares, 1.0]:
        cut = round(share * len(whole))
        (folder / "seen").write_bytes(whole[:cut])
        events, offset = read_events(folder / "seen", offset)
        assert offset == whole[:cut].rfind(b"\n") + 1
        read += events
    assert [event["message"] for event in read] == messages
    assert numbers(read) == list(range(1, len(messages) + 1))


def test_following_a_process_that_writes(tmp_path: Path) -> None:
    path, count = tmp_path / "events.jsonl", 1200
    events: list[dict[str, Any]] = []
    offset = 0
    with child("halves", path, count) as writing:
        assert writing.stdin is not None
        assert writing.stdout is not None
        told = False
        while not events or events[-1]["kind"] != "finished":
            fresh, offset = read_events(path, offset)
            events += fresh
            os.sched_yield()
            if len(events) == count // 2 and not told:
                told = True
                writing.stdin.write("\n")
                writing.stdin.flush()
    assert told
    assert numbers(events) == list(range(1, count + 2))
    assert offset == path.stat().st_size > 12 * 200_000
    assert events[99]["note"] == "ß猫 " * 40_000
    assert list(all_events(path)) == events


def test_a_killed_writer_leaves_a_file_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    offset = read = 0
    for _ in range(3):
        with child("endless", path) as writing:
            start = read
            while read < start + 150:
                events, offset = read_events(path, offset)
                read += len(events)
                os.sched_yield()
            writing.kill()
    with EventWriter(path) as writer:
        writer.write("stopped", step=1)
    events = list(all_events(path))
    assert numbers(events) == list(range(1, len(events) + 1))
    assert len(events) > 450


def test_a_full_disk_costs_the_event_that_did_not_fit_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with child("full", path, 20_000) as writing:
        assert writing.stdout is not None
        first, second, third = map(json.loads, writing.stdout)
    assert first == second
    assert first["message"].startswith(f"{path} cannot be written: ")
    assert "space" in first["hint"]
    # The short one still fitted: what had been written of the long one was taken back.
    assert third["next"] == first["next"] + 1
    events = list(all_events(path))
    assert numbers(events) == list(range(1, third["next"]))
    assert path.stat().st_size <= 20_000
    with EventWriter(path) as writer:
        assert writer.next_seq == third["next"]


def test_heartbeats_of_a_thread_keep_their_place_among_the_events(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as writer, Heartbeat(writer, seconds=0.001):
        beats = 0
        while beats < 3:
            writer.write("step", step=1, losses=[])
            beats = sum(event["kind"] == "heartbeat" for event in all_events(path))
        writer.write("finished", step=1)
    events = list(all_events(path))
    assert numbers(events) == list(range(1, len(events) + 1))
    assert events[-1]["kind"] == "finished"
    assert "heartbeat" not in {thread.name for thread in threading.enumerate()}
