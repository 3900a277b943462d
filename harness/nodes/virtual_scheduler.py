"""A scheduler whose time stands still until a test moves it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from harness.core.deadline import Check
from harness.core.errors import ConfigError
from harness.core.launch import Launch
from harness.core.names import CLOCK, FIRINGS, ONE_AT_A_TIME
from harness.core.node import Node, Scope, Target
from harness.core.roles import Part
from harness.nodes.base import BaseNode
from harness.ready.http import HttpCheck
from harness.virtual_time.messages import require_grpc
from harness.virtual_time.removal import delete_jobs

SERVER = "harness.virtual_time.server"
"""The program; importing it needs gRPC."""
ROOT = Path(__file__).parents[2]
"""The folder that this harness is imported from."""


@dataclass(frozen=True)
class VirtualScheduler(BaseNode):
    """Takes the place of Dapr's scheduler; ``dapr.clock`` moves its time. See docs/time.md.

    ``Topology(..., time="virtual")`` brings it along. It runs on the machine itself, even if the
    other nodes run in containers.

    Args:
        name: the node's name; sidecars look for ``scheduler``.
        start: the first moment, as RFC 3339; the present second if "".
        one_at_a_time: whether each firing waits until the one before it is answered, so that two
            runs are the same. Takes longer, and a handler must not wait for another firing.
    """

    on_host = True

    name: str = "scheduler"
    start: str = ""
    one_at_a_time: bool = False

    def __post_init__(self) -> None:
        from harness.virtual_time.words import moment_named

        if not self.start:
            return
        try:
            moment_named(self.start)
        except ValueError as error:
            raise ConfigError(
                f"{self.name!r} cannot start: {error}",
                expected="a moment with a zone, as RFC 3339",
            ) from None

    @property
    def service(self) -> str:
        """What it is for sidecars."""
        return "scheduler"

    @property
    def clock_port(self) -> str:
        """The port on which its clock is moved."""
        return CLOCK

    @property
    def firings(self) -> str:
        """The file in its folder that has what was fired."""
        return FIRINGS

    def resolve(self, target: Target) -> Node:
        """Itself.

        Raises:
            ConfigError: the system must run without the harness, such as in a cluster.
        """
        if target.alone:
            raise ConfigError(
                f"{self.name!r} has virtual time, which needs the harness",
                expected='time="real" in a rendered system',
                hint="render the topology without it; `dapr-harness up` starts one with it",
            )
        return super().resolve(target)

    def plan(self, scope: Scope) -> Launch:
        """A Python program of the harness.

        Raises:
            Unavailable: gRPC for Python is not installed.
            ConfigError: sidecars would require certificates of it.
        """
        require_grpc()
        if scope.mtls:
            raise ConfigError(
                f"{self.name!r} has virtual time, and this topology has mtls=True",
                expected="one of both: this scheduler has no certificates",
                hint='leave out mtls=True, or time="virtual"',
            )
        listen, control = scope.listen(), scope.listen(CLOCK)
        return Launch(
            name=self.name,
            argv=(
                sys.executable,
                "-m",
                SERVER,
                str(listen),
                str(control),
                str(scope.network()),
                str(scope.home / "jobs.sqlite"),
                str(self._shown(scope)),
                self.start,
                ONE_AT_A_TIME if self.one_at_a_time else "",
            ),
            env={"PYTHONPATH": str(ROOT)},
            ports={"main": listen.port, CLOCK: control.port},
            on_host=True,
            grace=1.0,
        )

    def checks(self, scope: Scope) -> Sequence[Check]:
        """Its clock answers, which is there last."""
        return (HttpCheck(f"{scope.endpoint(CLOCK).http}/healthz", "health"),)

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``clock``: the base URL of its clock; ``now``: the file in which apps see the time."""
        return {"clock": scope.endpoint(CLOCK).http, "now": str(self._shown(scope))}

    def clean(self, scope: Scope, part: Part) -> None:
        """Delete the jobs and reminders of a namespace; its time stays."""
        delete_jobs(scope.endpoint(), part)

    def _shown(self, scope: Scope) -> PurePath:
        # Outside its private folder, so that apps of other accounts can read it.
        return scope.shared(f"{self.name}-{CLOCK}") / "now"
