"""The containers of a copy of a stack, on a network of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from harness.core.launch import Build
from harness.runtime.containers.engine import refusals
from harness.runtime.containers.runtime import PREFIX, ContainerRuntime


class CopiedContainers(ContainerRuntime):
    """A run of its own, whose containers reach some containers of another run by the same names.

    Args:
        shared: the ids of these containers, by the names of their nodes.
        environment: the variables that every process on the host inherits.
        reference: returns the image reference for a launch's image.
        user: returns the account that an image must run as; "" for its own.
        whole: the environment that a launch with ``inherits`` inherits on the host.
    """

    def __init__(
        self,
        shared: Mapping[str, str],
        environment: Mapping[str, str],
        reference: Callable[[str | Build], str],
        user: Callable[[str | Build], str],
        *,
        whole: Mapping[str, str] | None = None,
    ) -> None:
        self._shared = shared
        super().__init__(environment, reference, user, whole=whole)

    def _network_name(self) -> str:
        """Sorted behind that of any stack. The engine publishes the ports of a container on the
        first of its networks: those of the shared ones stay where they are, with all connections.

        Source: https://docs.docker.com/engine/network/#connecting-to-multiple-networks
        """
        return f"{PREFIX}w-{self.run}"

    def _open(self) -> None:
        super()._open()
        network = self._engine_events.engine.client.networks.get(self._network.name)
        joining = [
            self._helpers.submit(partial(network.connect, container, aliases=[name]))
            for name, container in self._shared.items()
        ]
        for name, each in zip(self._shared, joining, strict=True):
            with refusals(f"connecting {name} to the network of a copy"):
                each.result()
