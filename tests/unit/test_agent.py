"""The agent's record of what it has written of a container's log."""

from __future__ import annotations

from harness.runtime.containers.agent import Time, Written


def at(fraction: int) -> Time:
    return Time("2026-01-01T00:00:00", f"{fraction:09}")


def test_a_message_is_written_once() -> None:
    written = Written()

    assert [True, True, False, False] == [written.add(at(n), 1) for n in (1, 2, 1, 2)]


def test_the_parts_of_a_long_line_have_one_time_and_are_all_written() -> None:
    written = Written()

    assert [True, True] == [written.add(at(1), part) for part in (1, 2)]
    assert [False, False, True] == [written.add(at(1), part) for part in (1, 2, 3)]


def test_messages_of_two_streams_may_come_out_of_order() -> None:
    written = Written()

    assert [True, True] == [written.add(at(n), 1) for n in (2, 1)]


def test_what_is_older_than_all_that_is_remembered_has_been_written() -> None:
    written = Written()
    assert all(written.add(at(n), 1) for n in range(1, 10_000))

    assert len(written.parts) <= 2 * Written.REMEMBERED
    assert not any(written.add(at(n), 1) for n in range(1, 10_000))
    assert written.add(at(10_000), 1)
