"""What the processes of a load run have measured, as they pass it on to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from harness.load.model.declared import Declared
from harness.load.model.typed import Checked, Damaged, read

FORMAT = 4
"""The format of measurements; other versions of this module may use others."""


# Of these, there is one for each request: a named tuple takes three times as long to make.
Answer = tuple[str, float, float, float, float]
"""A successful request: its name, and when it was due, opened, sent and answered.

Times are those of ``time.monotonic``.
"""

Acknowledged = tuple[int, float]
"""The number of an acknowledged request in its lane, and its due time."""


class Duration(NamedTuple):
    """How long after its due time (``time.monotonic``) something else happened, in seconds."""

    name: str
    due: float
    seconds: float


class Count(NamedTuple):
    """How often something of a kind, or an error, was counted for a name in one second."""

    second: int
    name: str
    kind: str
    times: int


class CpuSample(NamedTuple):
    """A time in seconds, and the percentage of a core that was used in the second before."""

    at: float
    percent: float


class Unanswered(NamedTuple):
    """A request that was refused, not answered, or lost, and when it was due."""

    name: str
    due: float


@dataclass(frozen=True)
class Measurements(Checked):
    """The measurements of one process since it last passed them on.

    Attributes:
        lanes: the user class of each lane that has started.
        declared: what each class of the locustfile declares.
        acknowledged: the acknowledged requests of each lane.
        cpu: samples of each load process.
        master: whether they include those of workers.
    """

    format: int = FORMAT
    answers: list[Answer] = field(default_factory=list)
    durations: list[Duration] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    errors: list[Count] = field(default_factory=list)
    unanswered: list[Unanswered] = field(default_factory=list)
    lanes: dict[str, str] = field(default_factory=dict)
    declared: dict[str, Declared] = field(default_factory=dict)
    acknowledged: dict[str, list[Acknowledged]] = field(default_factory=dict)
    cpu: dict[str, list[CpuSample]] = field(default_factory=dict)
    master: bool = False


def read_measurements(data: Any) -> Measurements:
    """Measurements from the data of `plain`.

    Raises:
        Damaged: they are of another version, or something else.
    """
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise Damaged(f"format {found}, not {FORMAT}")
    return read(Measurements, data)
