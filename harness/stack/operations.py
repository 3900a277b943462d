"""What a test may do to the nodes of its stack, and learn about them. Operations block."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from harness.core.endpoint import Endpoint
from harness.core.errors import ConfigError, did_you_mean
from harness.core.roles import FollowsClock, SidecarRole
from harness.runtime.base import Instance, Killable, Pausable, Restartable
from harness.stack.failures import external
from harness.stack.inputs import Inputs
from harness.stack.stack import Stack
from harness.stack.ticks import TickSidecar, targets_of
from harness.virtual_time.answers import moment_of
from harness.virtual_time.published import shown
from harness.virtual_time.ticks import Target


class Nodes:
    """The nodes of a stack, by name. An unknown name is a `ConfigError` in every method.

    Args:
        stack: a started stack.
        inputs: notes what is done to nodes.
    """

    def __init__(self, stack: Stack, inputs: Inputs) -> None:
        self._stack = stack
        self._inputs = inputs

    def require(self, node: str) -> None:
        """Raise if the stack has no node of this name."""
        names = [each.name for each in self._stack.topology.nodes]
        if node not in names:
            raise ConfigError(f"the stack has no {node!r}", hint=did_you_mean(node, names))

    def instance(self, node: str) -> Instance:
        """The process or container that runs a node."""
        self.require(node)
        return self._stack.instances[node]

    def clock(self) -> str | None:
        """The URL at which the time of the scheduler is moved; None if it is real."""
        clock = self._stack.topology.clock()
        return self.address(clock.name, clock.clock_port).http if clock else None

    def moment(self) -> int:
        """Virtual time, in nanoseconds since the epoch; 0 if time is real."""
        clock = self._stack.topology.clock()
        return shown(Path(self.exports(clock.name)["now"])) if clock else 0

    def tick_targets(self, binding: str) -> list[Target]:
        """The sidecars in which a cron binding calls an app; see `targets_of` for errors."""
        topology = self._stack.topology
        return targets_of(
            binding, [self._ticked(each) for each in topology.sidecars()], mtls=topology.mtls
        )

    def _ticked(self, sidecar: SidecarRole) -> TickSidecar:
        name = sidecar.name
        return TickSidecar(
            sidecar.app,
            self.address(name, "http"),
            self.exports(name)["token"],
            self._stack.addresses()[name].get("internal", ""),
            self._stack.book.resources(name),
        )

    def address(self, node: str, port: str) -> Endpoint:
        """The address of one of a node's ports.

        Raises:
            ConfigError: the node has no port of this name.
        """
        self.require(node)
        ports = [name for owner, name in self._stack.book.endpoints() if owner == node]
        if port not in ports:
            raise ConfigError(f"{node} has no port {port!r}", hint=did_you_mean(port, ports))
        return self._stack.book.endpoint(node, port)

    def exports(self, node: str) -> Mapping[str, str]:
        """The values that a node offers to others: what ``${node.key}`` stands for in files."""
        self.require(node)
        return self._stack.book.exports(node)

    def token(self, purpose: str) -> str:
        """A secret of this stack.

        Raises:
            ConfigError: no node has asked for it.
        """
        known = self._stack.book.secrets()
        found = self._stack.book.token(purpose)
        if found not in known:
            raise ConfigError(
                f"the stack has no token for {purpose!r}",
                expected="dapr-api (of the sidecars), app-api (of the apps), or a node's own",
            )
        return found

    def signer(self, app: str) -> Callable[[str], Mapping[str, str]]:
        """Returns, for a path, the headers that prove whose a request is; none without `Sign`."""
        sign, token = self._stack.topology.sign, self._stack.book.token
        if sign is None:
            return lambda _: {}
        if "now" in inspect.signature(sign).parameters:
            return lambda path: sign(path, token, now=self.now_of(app))
        return lambda path: sign(path, token)

    def now_of(self, node: str) -> datetime:
        """The time that it is for a program of the stack, even while its scheduler is away."""
        found, clock = self._stack.topology[node], self._stack.topology.clock()
        if clock and isinstance(found, FollowsClock) and found.follow_clock:
            return moment_of(shown(Path(self.exports(clock.name)["now"])))
        return datetime.now(UTC)

    def restart(self, node: str, grace: float | None, *, ready: bool) -> None:
        """Stop a node and start it again, with the same ports and data."""
        instance = self.instance(node)
        with self._inputs.doing("node", node, "restart", grace=grace, ready=ready):
            if ready:
                self._stack.restart(node, grace)
            elif isinstance(instance, Restartable):
                instance.restart(grace)
            else:
                raise external(node)

    def await_ready(self, node: str) -> None:
        """Wait until a node is ready again."""
        with self._inputs.doing("node", node, "await_ready"):
            self._stack.await_ready(node)

    def stop(self, node: str, grace: float | None) -> None:
        """Ask a node to exit, then kill it."""
        with self._inputs.doing("node", node, "stop", grace=grace):
            self._own(node).stop(grace)

    def kill(self, node: str) -> None:
        """Send SIGKILL to a node, and wait until it is gone."""
        instance = self._own(node)
        if not isinstance(instance, Killable):
            raise external(node)
        with self._inputs.doing("node", node, "kill"):
            instance.kill()

    def pause(self, node: str) -> None:
        """Freeze a node."""
        with self._inputs.doing("node", node, "pause"):
            self._pausable(node).pause()

    def resume(self, node: str) -> None:
        """Let a node continue after `pause`."""
        with self._inputs.doing("node", node, "resume"):
            self._pausable(node).resume()

    def _own(self, node: str) -> Instance:
        """The instance of a node that the stack has started."""
        instance = self.instance(node)
        if not isinstance(instance, Restartable):
            raise external(node)
        return instance

    def _pausable(self, node: str) -> Pausable:
        instance = self.instance(node)
        if not isinstance(instance, Pausable):
            raise external(node)
        return instance
