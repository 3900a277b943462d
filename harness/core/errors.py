"""The error classes: what failed, what was expected, the last fact seen, and what to do next.

::

    HarnessError                 the harness: pytest shows ERROR   exit code 4
    |-- ConfigError              the description is invalid        2
    |-- Unavailable              a prerequisite is missing         3
    |-- LaunchError              a process could not be started    4
    |   `-- PortTaken            the port is already in use        4
    |-- NotReady                 a readiness check timed out       4
    |-- InstanceDied             a process exited while needed     4
    |-- ProbeError               a probe could not observe         4
    `-- TeardownError            something could not be removed    4
    SystemFailure(AssertionError)  the system under test: FAILED   1
    |-- AppFailed                the app did not start
    `-- ProbeTimeout             an expected event did not happen; shows what happened instead
    DaprError                    daprd answered with an error status (raised by the clients)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any


class _Told:
    """A message that contains the facts a reader needs, in the order in which they are needed."""

    def __init__(
        self,
        subject: str,
        *,
        expected: str = "",
        last: str = "",
        budget: float | None = None,
        hint: str = "",
    ) -> None:
        self.subject = subject
        self.expected = expected
        self.last = last
        self.budget = budget
        self.hint = hint
        super().__init__(subject)  # type: ignore[call-arg]  # the next class is an exception

    def __str__(self) -> str:
        rows = [
            ("expected", self.expected),
            ("last seen", self.last),
            ("waited", "" if self.budget is None else f"{self.budget:g} s"),
            ("next step", self.hint),
        ]
        return "\n".join([self.subject, *(f"  {label}: {text}" for label, text in rows if text)])


class HarnessError(_Told, Exception):
    """The harness failed, not the system under test."""

    exit_code = 4


class ConfigError(HarnessError):
    """A topology, a setting or a resource file is invalid; nothing was started."""

    exit_code = 2


class Unavailable(HarnessError):
    """A prerequisite (a binary, a runtime, the network, disk space) is missing."""

    exit_code = 3


class LaunchError(HarnessError):
    """A process could not be started: not found, not executable, or it exited at once."""


class PortTaken(LaunchError):
    """A port that a node must listen on is already in use.

    Attributes:
        port: its number; 0 if it is not known.
    """

    def __init__(self, subject: str, *, port: int = 0, **facts: Any) -> None:
        super().__init__(subject, **facts)
        self.port = port


class NotReady(HarnessError):
    """A readiness check did not pass within its budget."""


class InstanceDied(HarnessError):
    """A process exited while the stack needed it."""


class ProbeError(HarnessError):
    """A probe could not observe its target."""


class TeardownError(HarnessError):
    """Something that the harness started could not be stopped or removed."""


class SystemFailure(_Told, AssertionError):
    """The system under test failed; pytest shows FAILED."""

    exit_code = 1


class AppFailed(SystemFailure):
    """An app exited, never listened, or gave daprd an invalid response."""


class ProbeTimeout(SystemFailure):
    """What a probe waited for did not happen within its budget."""


class DaprError(Exception):
    """daprd responded to a call with an error.

    Attributes:
        status: the HTTP status.
        error_code: Dapr's ``errorCode``; empty if the response was not Dapr's JSON.
        call: method and path of the call.
        failed_entries: for a bulk publish, the reasons by id of the entries that were not
            published.
    """

    def __init__(self, call: str, status: int, error_code: str, message: str) -> None:
        self.call = call
        self.status = status
        self.error_code = error_code
        self.message = message
        self.failed_entries: Mapping[str, str] = {}
        super().__init__(f"{call} -> {status} {error_code}: {message}")


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint that names the closest known word and all the others."""
    listing = "known: " + ", ".join(sorted(known)) if known else "none is known"
    return f"{closest(word, known)} {listing}".lstrip()


def closest(word: str, known: Sequence[str]) -> str:
    """A hint that names the closest known word; "" if none is close."""
    close = get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
