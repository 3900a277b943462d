"""Shows where a start spent its time: one row per node, one mark per check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.core.journal import Entry


@dataclass
class NodeStart:
    """How one node became ready; times in seconds since the start began.

    Attributes:
        passed: name and time of each check, in order.
        ready: when its last check and whatever it provides were done; None if never.
        cpu: seconds of CPU that its process had used by then; None if this is not known. What a
            process with shared imports has used is not in it.
    """

    node: str
    started: float
    passed: list[tuple[str, float]] = field(default_factory=list)
    ready: float | None = None
    cpu: float | None = None


def node_starts(entries: Iterable[Entry]) -> list[NodeStart]:
    """How each node came up in the last start of a journal, in the order in which nodes started."""
    began, found = 0.0, dict[str, NodeStart]()
    for entry in entries:
        if entry.kind == "start.begun":
            began, found = entry.at, {}
        elif entry.kind == "node.started":
            found[entry.node] = NodeStart(entry.node, entry.at - began)
        elif entry.kind == "check.passed" and entry.node in found:
            found[entry.node].passed.append((entry.facts["check"], entry.at - began))
        elif entry.kind == "node.ready" and entry.node in found:
            found[entry.node].ready = entry.at - began
            found[entry.node].cpu = entry.facts.get("cpu")
        elif entry.kind == "start.ended":
            break
    return list(found.values())


def draw(rows: Iterable[NodeStart], width: int = 48) -> list[str]:
    """The waterfall as lines of text: ``=`` while waiting, a digit where a check passed."""
    rows = list(rows)
    ends = [row.ready or max([row.started, *(at for _, at in row.passed)]) for row in rows]
    total = max(ends, default=0.0) or 1.0
    label = max((len(row.node) for row in rows), default=4)
    known = any(row.cpu is not None for row in rows)
    lines = []
    for row, end in zip(rows, ends, strict=True):
        bar = [" "] * (width + 1)
        for column in range(int(row.started / total * width), int(end / total * width) + 1):
            bar[column] = "="
        for number, (_, at) in enumerate(row.passed, 1):
            bar[int(at / total * width)] = str(number % 10)
        passed = "  ".join(f"{n}:{name} {at:.2f}" for n, (name, at) in enumerate(row.passed, 1))
        cpu = f"{_seconds(row.cpu):>10}" if known else ""
        lines.append(f"{row.node:<{label}} {end:6.2f} s{cpu} |{''.join(bar)}| {passed}".rstrip())
    return lines


def _seconds(cpu: float | None) -> str:
    return "" if cpu is None else f"{cpu:.2f} CPU"
