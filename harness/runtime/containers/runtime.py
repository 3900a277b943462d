"""The containers runtime: every launch is a container on the run's own network."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from docker.models.containers import Container
from testcontainers.core.container import DockerContainer
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID
from testcontainers.core.network import Network

from harness.core.closing import Closing
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.errors import LaunchError, PortTaken
from harness.core.files import write_home
from harness.core.journal import Entry
from harness.core.launch import Build, Launch
from harness.core.private import private_folder
from harness.runtime.containers import agent
from harness.runtime.containers.engine import refusals
from harness.runtime.containers.engine_events import EngineEvents
from harness.runtime.containers.own_container import HOME_FOLDER, OwnContainer
from harness.runtime.containers.ownership import labels_of
from harness.runtime.containers.reaper import arm_ryuk, disarm_ryuk
from harness.runtime.external import ExternalInstance
from harness.runtime.instance import ProcessInstance
from harness.runtime.proc import owner_of

_TAKEN = re.compile(r"port is already allocated|address already in use", re.IGNORECASE)
PREFIX = "dapr-harness-"


class ContainerRuntime(Closing):
    """Starts containers; launches with ``on_host`` run on the machine, under the supervisor.

    Args:
        environment: the variables that every process on the host inherits.
        reference: returns the image reference for a launch's image.
        user: returns the account that an image must run as; "" for its own.
        whole: the environment that a launch with ``inherits`` inherits on the host. Containers
            inherit nothing: this machine's environment means nothing to an image.
    """

    name = "containers"
    borrowed = False
    inherited: Mapping[str, str] = {}

    def __init__(
        self,
        environment: Mapping[str, str],
        reference: Callable[[str | Build], str],
        user: Callable[[str | Build], str] = lambda _: "",
        *,
        whole: Mapping[str, str] | None = None,
    ) -> None:
        self._reference = reference
        self._user = user
        self._helpers = ThreadPoolExecutor(4, thread_name_prefix="pod")
        self._holders: dict[str, Future[str]] = {}
        self._engine_events = self._make_engine_events(environment, whole)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _make_engine_events(
        self, environment: Mapping[str, str], whole: Mapping[str, str] | None
    ) -> EngineEvents:
        return EngineEvents.of_own(environment, whole)

    def _open(self) -> None:
        self.run = self.folder.name
        self.labels = labels_of(self.run, self.owner)
        mark = f"{agent.RUN_LABEL}={self.run}"
        # Before anything else.
        self._engine_events.sweep_at_the_end(mark)
        self._engine_events.begin(mark, agent.NODE_LABEL)
        arm_ryuk(self._engine_events.engine)
        self._network = self._make_network()
        self._engine_events.require()

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._engine_events.processes.folder

    @property
    def owner(self) -> int:
        """The supervisor."""
        return self._engine_events.processes.owner

    @cached_property
    def gateway(self) -> str | None:
        """The address of this machine on the run's network."""
        if not sys.platform.startswith("linux"):
            # The engine runs in a virtual machine, which forwards this name to our loopback.
            return "host.docker.internal"
        found = self._engine_events.engine.client.networks.get(self._network.name)
        return str(found.attrs["IPAM"]["Config"][0]["Gateway"])

    def log(self, name: str) -> Path:
        """The log file of a node."""
        return self._engine_events.log(name)

    def home(self, name: str) -> Path:
        """The folder of which a node's container has a copy."""
        return self.folder / "nodes" / name / HOME_FOLDER

    def reserve(self, wanted: int | None = None) -> Endpoint:
        """Reserve a port of 127.0.0.1 until the launch that lists it is executed."""
        return self._engine_events.processes.reserve(wanted)

    def turn(
        self, guard: Callable[[], None], waits: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """A turn among the starts of this user, wherever the engine is."""
        return self._engine_events.processes.turn(guard, waits)

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Create the shared volumes, and begin to create each pod's holder of the namespace.

        Apps, inboxes and sidecars come and go; the namespace stays, as with a pod's pause container
        in Kubernetes. Only the pod's first member waits for the holder.
        """
        inside = [launch for launch in launches if not launch.on_host]
        # testcontainers marks containers and networks for Ryuk, but not volumes.
        labels = {**self.labels, LABEL_SESSION_ID: SESSION_ID}
        for name in {name for launch in inside for name in launch.container.volumes}:
            with refusals(f"making the volume {name}"):
                self._engine_events.engine.client.volumes.create(self._named(name), labels=labels)
        pods: dict[str, list[Launch]] = {}
        for launch in inside:
            if launch.container.pod:
                pods.setdefault(launch.container.pod, []).append(launch)
        for pod, members in pods.items():
            self._holders[pod] = self._helpers.submit(self._hold, pod, members)

    def start(self, launch: Launch) -> OwnContainer | ProcessInstance:
        """Create a launch's container, copy its files into it, and start it.

        Raises:
            LaunchError: the engine refused.
            PortTaken: a published port is already in use.
        """
        if launch.on_host:
            return self._engine_events.processes.start(launch)
        described = self._describe(launch)
        # From the very beginning; the agent appends.
        self.log(launch.name).touch(mode=0o600)
        self.open_ports(launch)
        instance = OwnContainer(self, launch, self._begin(launch, described))
        self._engine_events.adopt(instance)
        return instance

    def replace(self, instance: OwnContainer, launch: Launch) -> None:
        """Start another launch of a node in a new container; that of its instance has ended."""
        described = self._describe(launch)
        with refusals(f"removing the container of {launch.name}"):
            instance.container.remove(v=True)
        self.open_ports(launch)
        instance.replaced(launch, self._begin(launch, described))
        self._engine_events.adopt(instance)

    def external(self, launch: Launch) -> ExternalInstance:
        """Let go of the ports of a launch that somebody else executes on this machine."""
        return self._engine_events.processes.external(launch)

    def open_ports(self, launch: Launch) -> None:
        """Release the ports that a launch publishes, just before it starts."""
        self._engine_events.processes.request("release", ports=list(launch.ports.values()))

    def operation(self, act: str, name: str) -> AbstractContextManager[dict[str, Any]]:
        """Act on a node while other clients wait; they are informed."""
        return self._engine_events.processes.operation(act, name)

    def note(self, entry: Entry) -> None:
        """Add an entry to the run's journal."""
        self._engine_events.processes.note(entry)

    def catch_up(self) -> None:
        """Wait until the instances reflect what other clients have done so far."""
        self._engine_events.processes.catch_up()

    def share(self) -> None:
        """Disarm Ryuk, which removes everything when this process ends."""
        disarm_ryuk()

    def leave(self) -> int:
        """The number of other clients that keep the run alive; -1 if it stays without any."""
        return self._engine_events.processes.leave()

    def detach(self, leftovers: Sequence[Path] = ()) -> None:
        """Let the run outlive this process; the supervisor ends it on SIGTERM."""
        disarm_ryuk()
        self._engine_events.processes.detach(leftovers)

    def close(self) -> None:
        """Remove everything: containers, network, volumes, processes, and the run's folder.

        Raises:
            TeardownError: something could not be removed.
        """
        self._helpers.shutdown()
        self._engine_events.close()

    def _named(self, what: str) -> str:
        return f"{PREFIX}{self.run}-{what}"

    def _network_name(self) -> str:
        return f"{PREFIX}{self.run}"

    def _make_network(self) -> Network:
        described = Network(docker_network_kw={"labels": self.labels})
        described.name = self._network_name()
        try:
            with refusals("making the run's network"):
                return described.create()
        except LaunchError as error:
            error.hint = "`dapr-harness down --stale` removes the networks of dead runs"
            raise

    def _holder(self, pod: str) -> str:
        """The container that holds a pod's namespace; another client may have started it."""
        found = self._holders.get(pod)
        return found.result() if found else self._named(f"{pod}-pod")

    def _hold(self, pod: str, members: Sequence[Launch]) -> str:
        """Start the holder of a pod's namespace; return its container's id."""
        ports = [port for each in members for port in each.published.values()]
        self._engine_events.processes.request("release", ports=ports)
        holder = (
            DockerContainer(self._reference("app"))
            .with_name(self._named(f"{pod}-pod"))
            .with_command(["sleep", "infinity"])
            .with_network(self._network)
            .with_network_aliases(pod)
            .with_kwargs(labels=self.labels, hostname=pod, stop_signal="SIGKILL")
        )
        holder.ports = _bindings(ports)
        return str(self._begin(members[0], holder).id)

    def _describe(self, launch: Launch) -> DockerContainer:
        image = self._reference(launch.container.image)
        described = (
            DockerContainer(image)
            .with_name(self._named(launch.name))
            .with_envs(**launch.environment(self._set_by(image, launch)))
        )
        if launch.argv:
            described.with_command(list(launch.argv))
        for volume, path in launch.container.volumes.items():
            described.with_volume_mapping(self._named(volume), path, "rw")
        for folder, path in launch.container.mounts.items():
            described.with_volume_mapping(folder, path, "ro")
        home = self._write_files(launch)
        if home is not None:
            described.with_copy_into_container(home, "/")
        labels = {**self.labels, agent.NODE_LABEL: launch.name}
        options: dict[str, Any] = {"labels": labels, "stop_signal": launch.stop_signal.name}
        if user := self._user(launch.container.image):
            options["user"] = user
        if launch.container.pod:
            options["network_mode"] = f"container:{self._holder(launch.container.pod)}"
        else:
            described.with_network(self._network).with_network_aliases(launch.name)
            described.ports = _bindings(launch.published.values())
            options["hostname"] = launch.name
        return described.with_kwargs(**options)

    def _set_by(self, image: str, launch: Launch) -> dict[str, str]:
        """What an image sets of the variables that are to begin with further paths."""
        found = self._engine_events.engine.variables(image) if launch.prepended else {}
        return {name: found[name] for name in launch.prepended if name in found}

    def _write_files(self, launch: Launch) -> Path | None:
        """The folder to copy into the container, written where the user can inspect it."""
        files = launch.container_files
        folders = {**launch.folders, **launch.container.folders}
        if not files and not folders:
            return None
        folder = self.home(launch.name)
        private_folder(folder.parent)
        write_home(folder, folders, files)
        return folder

    def _begin(self, launch: Launch, described: DockerContainer) -> Container:
        """Create, fill and start a container; the description's own client is closed."""
        try:
            with refusals(f"starting the container of {launch.name}"):
                described.start()
                return self._engine_events.engine.client.containers.get(
                    described.get_container_id()
                )
        except LaunchError as error:
            if not _TAKEN.search(error.last):
                raise
            numbers = [port for port in launch.ports.values() if f":{port}" in error.last]
            port = numbers[0] if numbers else 0
            raise PortTaken(
                f"port {port} cannot be published for {launch.name}",
                port=port,
                expected="a free port",
                last=(port and owner_of(port)) or error.last,
                hint="stop that process, or let the harness choose the port",
            ) from None
        finally:
            described.get_docker_client().client.close()


def _bindings(ports: Iterable[int]) -> Any:
    """The same port number on both sides, only on this machine's loopback."""
    return {f"{port}/tcp": (LOOPBACK, port) for port in ports}
