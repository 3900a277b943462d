"""Causes that are processes: one that exited, whose port is taken, or that the test has stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.bundle.causes.evidence import lines_with
from harness.bundle.model import Bundle, Cause, NodeState
from harness.core.causes import cause_of

_IN_USE = re.compile(r"address already in use|EADDRINUSE|one of its ports was taken", re.IGNORECASE)
_NO_BROKER = re.compile(
    r"client has run out of available brokers|brokers? (?:are|is) down|no leader"
    r"|connect: connection refused.*(?:kafka|broker)|Failed to connect to broker",
    re.IGNORECASE,
)


def port_taken(bundle: Bundle) -> Iterator[Cause]:
    """A node could not listen, because another program has its port."""
    found = [*lines_with(bundle, _IN_USE)]
    exited = {each.name for each in bundle.nodes if each.exit_code}
    known = next((each for each in found if each[0] in exited), None)
    if known:
        node, line = known
        yield Cause(
            "port_taken",
            f"{node} could not listen: its port is taken by another program",
            [line],
            "`ss -ltnp` shows which program listens there; let the harness choose the port",
        )


def node_exited(bundle: Bundle) -> Iterator[Cause]:
    """A node has exited by itself."""
    for each in bundle.nodes:
        if each.exit_code is not None and not each.exit_expected:
            log = bundle.logs.get(each.name, "")
            reason = cause_of(log)
            yield Cause(
                "node_exited",
                f"{each.name} {_how(each)}" + (f": {reason}" if reason else ""),
                log.splitlines()[-5:],
                f"see the log of {each.name}",
            )


def start_failed(bundle: Bundle) -> Iterator[Cause]:
    """The stack, or something else that the test needs, could not be set up."""
    lines = [line for line in bundle.error.splitlines() if line.strip()]
    if bundle.phase == "setup" and not bundle.nodes and lines:
        yield Cause("start_failed", lines[0], lines[1:8])


def broker_unavailable(bundle: Bundle) -> Iterator[Cause]:
    """The broker does not run, or sidecars cannot reach it."""
    away = [each for each in bundle.nodes if each.role == "broker" and _is_away(each)]
    complaints = [f"{node}: {line}" for node, line in lines_with(bundle, _NO_BROKER)]
    for each in away:
        who = f"{_by(bundle)} has stopped it" if each.exit_expected else _how(each)
        yield Cause(
            "broker_unavailable",
            f"the broker {each.name!r} is not available: {who}",
            complaints[-3:],
            "events are published and delivered again once it runs",
        )
    if complaints and not away:
        yield Cause(
            "broker_unavailable",
            f"{complaints[-1].partition(':')[0]} could not reach its broker",
            complaints[-3:],
        )


def stopped_by_the_test(bundle: Bundle) -> Iterator[Cause]:
    """A node that the test has stopped, killed or paused is still away."""
    away = [each for each in bundle.nodes if _is_away(each) and each.role != "broker"]
    for each in away:
        if each.exit_expected or each.state == "paused":
            yield Cause(
                "stopped_by_the_test",
                f"{each.name} is still {each.state}, as {_by(bundle)} has asked for",
                hint="`restart` or `resume` makes it available again",
            )


def _by(bundle: Bundle) -> str:
    """Who acts on the nodes of the stack."""
    return "somebody" if bundle.phase == "stack" else "the test"


def _is_away(node: NodeState) -> bool:
    return node.exit_code is not None or node.state == "paused"


def _how(node: NodeState) -> str:
    code = node.exit_code or 0
    return f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
