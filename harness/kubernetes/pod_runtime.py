"""The Kubernetes runtime: launches are containers of pods, and a process here stands for each."""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.deadline import Deadline, poll
from harness.core.errors import LaunchError, NotReady
from harness.core.launch import InProcess, Launch
from harness.kubernetes import pod_agent
from harness.kubernetes.api import Access, ApiServer
from harness.kubernetes.installing import apply_all
from harness.kubernetes.node_files import ADDRESS
from harness.kubernetes.placing import placed, require_free
from harness.kubernetes.pod_instance import MARGIN, PodInstance
from harness.kubernetes.pod_objects import (
    NAME,
    Object,
    Reference,
    behind,
    of_own,
    secrets_of,
    with_containers,
)
from harness.kubernetes.rollout import PodCheck, selector
from harness.kubernetes.session_agent import SECURED
from harness.provision.cluster_node import SHELL_IMAGE
from harness.runtime.attached import AttachedProcesses, Run
from harness.runtime.instance import ProcessInstance
from harness.runtime.processes import ProcessRuntime

ABOUT = "pod.json"
"""The file in a node's folder with what its agent has to know; it contains the token."""

FIRST = ("Namespace", "Secret", "ServiceAccount")
"""The kinds of objects that the others refer to."""

READY = 180.0
"""Seconds within which a pod that was restarted must be ready."""


@dataclass(frozen=True)
class Place:
    """Where the pods of a run are.

    Attributes:
        cluster: the launch of the node of Kubernetes.
        namespace: of the pods.
        access: returns how its API server is reached, if its folder is the given one.
        group: returns the name of the cgroup of its pods, if its folder is the given one; "" if
            it is not on this machine.
        session: the label of everything that the stack applies to an existing cluster;
            "" for a cluster of its own.
        shared: whether others have objects in the namespace.
        shell: returns the image with a shell.
    """

    cluster: str
    namespace: str
    access: Callable[[Launch, Path], Access]
    group: Callable[[Path], str]
    session: str = ""
    shared: bool = False
    shell: Callable[[], str] = lambda: SHELL_IMAGE


class Pods(ProcessRuntime):
    """What the runtime of a run and that of its other clients have in common.

    Attributes:
        ending: whether the whole run ends, and its cluster with it.
    """

    name = "kubernetes"
    gateway = ADDRESS
    ending = False

    def use(self, place: Place, reference: Reference) -> None:
        """Tell where pods are, and what returns the image of a launch."""
        self._place, self._reference = place, reference
        self._launches: dict[str, Launch] = {}
        self._applying = threading.Lock()
        self._applied: dict[tuple[str, str], Object] = {}

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Keep them: the pod of one launch may have containers of others."""
        self._launches = {each.name: each for each in launches}
        super().prepare([each for each in launches if each.on_host])

    def start(self, launch: Launch) -> ProcessInstance:
        """Apply the objects of a launch, and start what stands for its container here.

        Raises:
            LaunchError: the API server refuses an object.
        """
        if launch.on_host:
            return super().start(launch)
        self._launches[launch.name] = launch
        self._apply(self._objects(launch))
        return super().start(self._agent(launch))

    def made(self, launch: Launch) -> ProcessInstance:
        """An instance of a launch, without a process."""
        return ProcessInstance(self, launch) if launch.on_host else PodInstance(self, launch)

    def members(self, instance: PodInstance) -> Iterator[PodInstance]:
        """The instances of all containers of a pod, the one that creates the pod first."""
        owner = self._owner(instance.name)
        with self._lock:
            known = dict(self._instances)
        for name in sorted(known, key=lambda each: each != owner):
            each = known[name]
            if isinstance(each, PodInstance) and self._owner(name) == owner:
                yield each

    def is_own(self, name: str) -> bool:
        """Whether the run has created the pod of a launch; those of the cluster are followed."""
        return self._owner(name) in self._launches

    def is_of_app(self, name: str) -> bool:
        """Whether a launch is in the pod of an app, whose objects were rendered."""
        launch = self._launches[self._owner(name)]
        return bool(launch.in_pod.objects) or launch.under_test

    def remove(self, instance: PodInstance) -> None:
        """Kill the pod of an instance, and have no other one created."""
        owner = self._launches[self._owner(instance.name)]
        with self._server() as server:
            pods = f"/api/v1/namespaces/{self._place.namespace}/pods"
            server.merge(self._workload(owner), {"spec": {"replicas": 0}})
            server.delete(f"{pods}?labelSelector={selector(self._labels(owner))}", grace=0)

    def await_pod(self, instance: PodInstance) -> None:
        """Wait until every container of the pod of an instance is ready.

        Raises:
            NotReady: one of them is not in time.
        """
        owner = self._launches[self._owner(instance.name)]
        deadline = Deadline(READY)
        with self._server() as server:
            check = PodCheck(server, self._place.namespace, self._labels(owner))
            seen = poll(check.observe, deadline)
        if not seen.ok:
            raise NotReady(f"the pod of {instance.name} is not ready", last=seen.fact, budget=READY)

    def leave(self) -> int:
        """The number of other clients that keep the run alive; -1 if it stays without any."""
        others = super().leave()
        self.ending = not others
        return others

    def _owner(self, name: str) -> str:
        """The name of the launch that creates the pod of another one."""
        return self._launches[name].in_pod.workload or name

    def _objects(self, launch: Launch) -> Iterator[Object]:
        """What is applied for a launch; nothing if another one creates the pod."""
        if launch.in_pod.workload:
            return
        inside = self._place.namespace
        if not launch.in_pod.objects:
            yield from of_own(launch, inside, self._reference(launch.container.image))
            return
        members = [
            each
            for each in self._launches.values()
            if each.in_pod.workload == launch.name and not each.in_pod.name
        ]
        yield from (each for member in members for each in secrets_of(member, inside))
        for each in launch.in_pod.objects:
            body = dict(each)
            if body["kind"] == "Deployment":
                template = self._with_image(launch, body["spec"]["template"])
                waiting = [behind(each, launch.in_pod.ports["main"]) for each in members]
                template = with_containers(template, waiting, self._reference)
                body["spec"] = {**body["spec"], "template": template}
            yield body

    def _with_image(self, launch: Launch, template: Object) -> Object:
        """The pod of an app as it was rendered, with the image that was packed."""
        image = self._reference(launch.container.image)
        chosen = {"image": image, "imagePullPolicy": "Never"}
        containers = [
            {**each, **chosen} if each["name"] == launch.in_pod.name else each
            for each in template["spec"]["containers"]
        ]
        return {**template, "spec": {**template["spec"], "containers": containers}}

    def _apply(self, objects: Iterator[Object]) -> None:
        """One after the other, as apps have objects in common."""
        found = sorted(objects, key=lambda each: each["kind"] not in FIRST)
        if not found:
            return
        with self._applying, self._server() as server:
            wanted = {
                (each["kind"], each["metadata"]["name"]): each for each in self._placed(found)
            }
            new = {key: each for key, each in wanted.items() if self._applied.get(key) != each}
            if self._place.shared:
                unknown = (each for key, each in new.items() if key not in self._applied)
                require_free(server, unknown, self._place.session)
            apply_all(server, new.values())
            self._applied |= new

    def _placed(self, objects: Sequence[Object]) -> list[Object]:
        """Objects as the cluster gets them, with their namespace if it is the stack's."""
        session = self._place.session
        if not session:
            return [self._namespace_object(), *objects]
        shell = self._place.shell()
        return [placed(each, session, shell) for each in objects]

    def _namespace_object(self) -> Object:
        metadata = {"name": self._place.namespace, "labels": SECURED}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    def _agent(self, launch: Launch) -> Launch:
        """The process that stands for a container."""
        home, pod = self.home(launch.name), launch.in_pod
        ports = {number: pod.ports.get(name, number) for name, number in launch.published.items()}
        about = {
            "server": self._access().told(),
            "namespace": pod.namespace or self._place.namespace,
            "selector": self._labels(launch),
            "container": pod.name or launch.name,
            "ports": ports,
            "group": self._place.group(self.home(self._place.cluster)),
            "workload": "" if pod.workload else self._workload(launch),
            "grace": math.ceil(launch.grace),
            # A sidecar is asked how far it is.
            "early": bool(pod.workload and pod.name),
        }
        kept = {**launch.files, ABOUT: json.dumps(about)}
        return replace(
            launch,
            argv=(sys.executable, "-E", pod_agent.__file__, str(home / ABOUT)),
            env={},
            prepended={},
            files=kept,
            folders={},
            process=InProcess(),
            under_test=False,
            stop_signal=signal.SIGTERM,
            end_signal=signal.SIGKILL,
            grace=launch.grace + MARGIN,
        )

    def _labels(self, launch: Launch) -> Mapping[str, str]:
        return launch.in_pod.labels or {NAME: launch.in_pod.workload or launch.name}

    def _workload(self, launch: Launch) -> str:
        return f"/apis/apps/v1/namespaces/{self._place.namespace}/deployments/{launch.name}"

    def _access(self) -> Access:
        cluster = self._launches.get(self._place.cluster)
        if cluster is None:
            raise LaunchError(f"the run has no node {self._place.cluster!r}")
        return self._place.access(cluster, self.home(cluster.name))

    def _server(self) -> ApiServer:
        return ApiServer(self._access())


class JoinedPods(Pods, AttachedProcesses):
    """Uses the pods of a run that another client has started.

    Args:
        run: the run.
        environment: the variables that a process which is added inherits.
        place: where the pods are.
        reference: returns the image of a launch.
        whole: what an added launch with ``inherits`` inherits instead.
    """

    def __init__(
        self,
        run: Run,
        environment: Mapping[str, str],
        place: Place,
        reference: Reference,
        *,
        whole: Mapping[str, str] | None = None,
    ) -> None:
        self.use(place, reference)
        AttachedProcesses.__init__(self, run, environment, whole=whole)

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Find the nodes of the run."""
        self._launches = {each.name: each for each in launches}
        AttachedProcesses.prepare(self, launches)

    def start(self, launch: Launch) -> ProcessInstance:
        """The container of a node of the run; a node that is added is started."""
        if launch.name in self._rows:
            return AttachedProcesses.start(self, launch)
        return super().start(launch)


class KubernetesRuntime(Pods):
    """Runs launches in the pods of a cluster, which is a launch of the same run.

    Args:
        environment: the variables that every process of this machine inherits.
        place: where the pods are.
        reference: returns the image of a launch.
        whole: what a launch with ``inherits`` inherits.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        place: Place,
        reference: Reference,
        *,
        whole: Mapping[str, str] | None = None,
    ) -> None:
        self.use(place, reference)
        super().__init__(environment, whole=whole)
