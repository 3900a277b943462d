"""One container of a pod, as the process that stands for it tells of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from harness.core.errors import ConfigError
from harness.core.launch import Launch
from harness.runtime.instance import Owner, ProcessInstance

MARGIN = 5.0
"""Seconds in which a pod must be gone beyond its own grace."""

WHOLE = "a pod is restarted and killed as a whole, and cannot be paused"


class PodRuntime(Owner, Protocol):
    """The part of the runtime that an instance uses."""

    @property
    def ending(self) -> bool:
        """Whether the whole run ends."""
        ...

    def members(self, instance: PodInstance) -> Iterable[PodInstance]:
        """The instances of all containers of its pod, the one that creates the pod first."""
        ...

    def is_own(self, name: str) -> bool:
        """Whether the run has created the pod of a launch."""
        ...

    def is_of_app(self, name: str) -> bool:
        """Whether a launch is in the pod of an app."""
        ...

    def remove(self, instance: PodInstance) -> None:
        """Kill the pod of an instance."""
        ...

    def await_pod(self, instance: PodInstance) -> None:
        """Wait until every container of the pod is ready."""
        ...


class PodInstance(ProcessInstance):
    """A container of a pod, as its agent on this machine tells of it. Killable, restartable."""

    def __init__(self, runtime: PodRuntime, launch: Launch) -> None:
        super().__init__(runtime, launch)
        self._pods = runtime

    def stop(self, grace: float | None = None) -> None:
        """Remove the pod; at the end of a run, its whole cluster ends instead."""
        if self._pods.ending or not self._pods.is_own(self.name):
            super().kill()
            return
        if grace == 0:
            self._pods.remove(self)
        for each in self._pods.members(self):
            ProcessInstance.stop(each, _longer(grace))

    def kill(self) -> None:
        """Kill every container of the pod, which is not created again until it is restarted.

        Raises:
            ConfigError: it belongs to the cluster.
        """
        self._require_own("killed")
        for each in self._pods.members(self):
            each.expect_exit()
        self._pods.remove(self)
        for each in self._pods.members(self):
            ProcessInstance.kill(each)

    def restart(self, grace: float | None = None) -> None:
        """Replace the pod by a new one.

        Raises:
            ConfigError: what it keeps would be lost.
        """
        self._require_own("restarted")
        if not self._pods.is_of_app(self.name):
            raise _refused(
                self.name, "restarted", "its data are in its pod, and a new pod has none"
            )
        members = [*self._pods.members(self)]
        for each in members:
            each.expect_exit()
        if grace == 0:
            self._pods.remove(self)
        for each in members:
            ProcessInstance.restart(each, _longer(grace))
        # The sidecar of an app was not restarted on its own, and nobody else waits for it.
        self._pods.await_pod(self)

    def _require_own(self, act: str) -> None:
        if not self._pods.is_own(self.name):
            raise _refused(self.name, act, "it belongs to the cluster, and has its data in memory")

    def pause(self) -> None:
        """Not possible.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.name} cannot be paused", last=WHOLE, hint="kill it instead")

    def resume(self) -> None:
        """Not possible either."""
        self.pause()


def _refused(name: str, act: str, reason: str) -> ConfigError:
    return ConfigError(
        f"{name} cannot be {act}",
        expected="an app or its sidecar",
        last=reason,
        hint="use the processes or the containers runtime",
    )


def _longer(grace: float | None) -> float | None:
    """Seconds for the process that stands for a container, which waits until its pod is gone."""
    return None if grace is None else grace + MARGIN
