"""The agent's record of what it has written of a container's log."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from harness.runtime.containers.agent import LINES, Engine, Follower, Time, Written


def at(fraction: int) -> Time:
    return Time("2026-01-01T00:00:00", f"{fraction:09}")


def test_a_message_is_written_once() -> None:
    written = Written()

    assert [True, True, False, False] == [written.add(at(n), 1) for n in (1, 2, 1, 2)]


def test_the_parts_of_a_long_line_have_one_time_and_are_all_written() -> None:
    written = Written()

    assert [True, True] == [written.add(at(1), part) for part in (1, 2)]
    assert [False, False, True] == [written.add(at(1), part) for part in (1, 2, 3)]


class Played(Engine):
    """An engine that sends one log."""

    def __init__(self, log: bytes) -> None:
        super().__init__("http://127.0.0.1:1")
        self.log = log
        self.asked: list[dict[str, object]] = []

    def stream(self, path: str, **query: object) -> Any:
        """The log, whatever is asked for."""
        self.asked.append(query)
        return io.BytesIO(self.log)


def frame(stream: int, fraction: int, text: str) -> bytes:
    """A message as the engine sends it."""
    body = f"{at(fraction).second}.{at(fraction).fraction}Z {text}\n".encode()
    return bytes([stream, 0, 0, 0]) + len(body).to_bytes(4, "big") + body


def copied(folder: Path, *frames: bytes) -> list[str]:
    """The lines of a log that was copied, and then read again."""
    path = folder / "node.log"
    follower = Follower(Played(b"".join(frames)), "container", str(path))
    follower.copy()
    follower.copy(follow=0)
    return path.read_text().splitlines()


def test_a_stream_that_is_late_by_thousands_of_messages_is_written(tmp_path: Path) -> None:
    """The engine reads stdout and stderr side by side, and stamps what it reads."""
    out = [frame(1, n, f"out {n}") for n in range(2, 5000)]

    lines = copied(tmp_path, *out, frame(2, 1, "error"))

    assert [*(f"out {n}" for n in range(2, 5000)), "error"] == lines


def test_parts_of_a_line_between_which_another_stream_comes_are_all_written(tmp_path: Path) -> None:
    """They have one time, and are counted by stream."""
    lines = copied(tmp_path, frame(1, 5, "one"), frame(2, 6, "error"), frame(1, 5, "two"))

    assert ["one", "error", "two"] == lines


def test_messages_of_a_clock_that_was_set_back_are_written() -> None:
    written = Written()

    assert [True, True] == [written.add(at(n), 1) for n in (2, 1)]


def test_what_is_older_than_all_that_is_remembered_has_been_written() -> None:
    written = Written()
    assert all(written.add(at(n), 1) for n in range(1, 10_000))

    assert len(written.parts) <= 2 * Written.REMEMBERED
    assert not any(written.add(at(n), 1) for n in range(1, 10_000))
    assert written.add(at(10_000), 1)


@pytest.mark.parametrize("state", ["exited", "created", "dead"])
def test_of_a_container_that_has_ended_before_the_last_lines_are_copied_and_it_is_not_followed(
    state: str, tmp_path: Path
) -> None:
    engine = Played(frame(1, 1, "one"))

    Follower(engine, "container", str(tmp_path / "node.log")).begin(state)

    assert "one\n" == (tmp_path / "node.log").read_text()
    assert [(0, LINES)] == [(each["follow"], each["tail"]) for each in engine.asked]
