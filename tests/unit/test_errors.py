"""Messages name the object, what was expected, the last fact, the budget and the next step."""

from __future__ import annotations

import pytest

from harness.core import errors


def test_a_message_has_every_part_in_order() -> None:
    """Subject first, then expectation, last fact, budget, next step."""
    error = errors.NotReady("kafka", expected="an answer", last="refused", budget=2.5, hint="look")

    assert str(error).splitlines() == [
        "kafka",
        "  expected: an answer",
        "  last seen: refused",
        "  waited: 2.5 s",
        "  next step: look",
    ]


def test_parts_that_are_not_known_are_left_out() -> None:
    """No empty labels."""
    assert str(errors.ConfigError("wrong")) == "wrong"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ConfigError, 2),
        (errors.Unavailable, 3),
        (errors.NotReady, 4),
        (errors.PortTaken, 4),
        (errors.AppFailed, 1),
        (errors.ProbeTimeout, 1),
    ],
)
def test_each_kind_has_the_exit_code_of_its_class(kind: type[Exception], code: int) -> None:
    """The table of the CLI."""
    assert kind("x").exit_code == code  # type: ignore[attr-defined]


def test_failures_of_the_system_are_assertions_and_ours_are_not() -> None:
    """pytest tells FAILED from ERROR by that."""
    assert issubclass(errors.ProbeTimeout, AssertionError)
    assert issubclass(errors.AppFailed, AssertionError)
    assert not issubclass(errors.HarnessError, AssertionError)
