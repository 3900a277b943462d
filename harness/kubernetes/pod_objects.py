"""Pods for launches: a Deployment, its Service, and the Secret with its files and variables."""

from __future__ import annotations

import base64
import io
import math
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.core.launch import Build, Launch
from harness.provision.cluster_node import SHELL_IMAGE

Object = dict[str, Any]
Reference = Callable[[str | Build], str]

NAME = "app.kubernetes.io/name"
"""The label by which the pod of a node is found."""

HOME, GIVEN = "/harness", "/harness-given"
"""Where a node has its own folder, and where its content comes from."""

ARCHIVE = "home.tar.gz"
BEHIND = """\
import os, socket, sys
from time import sleep
while socket.socket().connect_ex(("127.0.0.1", int(sys.argv[1]))):
    sleep(0.1)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Runs a program as soon as a port is open: of a container, where nothing of the harness is."""

REQUESTS = {"cpu": "50m"}
"""Without a request, a container has the smallest share of the CPU: on a busy machine, a broker
answers after the sidecars have given up. More would leave no room for the apps on two cores."""

LARGEST = 1_000_000
"""Bytes that a Secret can have, about."""


def of_own(launch: Launch, namespace: str, image: str) -> Iterator[Object]:
    """The objects of a launch that is a pod of its own.

    Args:
        launch: the launch.
        namespace: of all objects.
        image: of its container.

    Raises:
        ConfigError: its files do not fit into a Secret, or a pod cannot have what it asks for.
    """
    yield from secrets_of(launch, namespace)
    labels = {NAME: launch.name}
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _named(launch.name, namespace, labels),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": labels}, "spec": pod([launch], lambda _: image)},
        },
    }
    if launch.ports:
        yield service(launch, namespace)


def pod(launches: Sequence[Launch], reference: Reference) -> Object:
    """The specification of a pod with a container for each launch."""
    volumes = [volume for each in launches for volume in _volumes(each)]
    return {
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": math.ceil(max(each.grace for each in launches)),
        "initContainers": [each for launch in launches for each in _unpacking(launch)],
        "containers": [container(each, reference(each.container.image)) for each in launches],
        "volumes": volumes,
    }


def with_containers(template: Object, launches: Sequence[Launch], reference: Reference) -> Object:
    """A pod with further containers.

    Args:
        template: of the pod, as a Deployment has it.
        launches: what the containers run.
        reference: returns the image of a launch.
    """
    if not launches:
        return template
    more, spec = pod(launches, reference), template["spec"]
    added = {
        key: [*spec.get(key, ()), *more[key]] for key in ("initContainers", "containers", "volumes")
    }
    return {**template, "spec": {**spec, **added}}


def behind(launch: Launch, port: int) -> Launch:
    """The same launch, which starts when its neighbour in the pod listens on a port.

    All containers of a pod start at once. A sidecar that finds a recorder asks it for the app's
    subscriptions, and only once.
    """
    return replace(launch, argv=("python3", "-c", BEHIND, str(port), *launch.argv))


def container(launch: Launch, image: str) -> Object:
    """A launch as a container."""
    _require_possible(launch)
    mounts = [{"name": _home(launch), "mountPath": HOME}] if _has_files(launch) else []
    mounts += [
        {"name": _volume(launch, name), "mountPath": path}
        for name, path in launch.container.volumes.items()
    ]
    return {
        "name": launch.name,
        "image": image,
        "imagePullPolicy": "Never",
        "args": [*launch.argv],
        "envFrom": [{"secretRef": {"name": _given(launch)}}],
        "ports": [{"containerPort": number} for number in launch.ports.values()],
        "volumeMounts": mounts,
        "resources": {"requests": REQUESTS},
        **_readiness(launch),
    }


def secrets_of(launch: Launch, namespace: str) -> Iterator[Object]:
    """The variables and the files of a launch: both may contain passwords."""
    common = {"apiVersion": "v1", "kind": "Secret"}
    labels = {NAME: launch.name}
    metadata = _named(_given(launch), namespace, labels)
    yield {**common, "metadata": metadata, "stringData": dict(launch.env)}
    if _has_files(launch):
        metadata = _named(_home(launch), namespace, labels)
        yield {**common, "metadata": metadata, "data": {ARCHIVE: _packed(launch)}}


def service(launch: Launch, namespace: str) -> Object:
    """The name by which others reach a pod, whether it is ready or not."""
    ports = [
        {"name": f"port-{number}", "port": number, "targetPort": number}
        for number in launch.ports.values()
    ]
    labels = {NAME: launch.name}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _named(launch.name, namespace, labels),
        "spec": {"selector": labels, "ports": ports, "publishNotReadyAddresses": True},
    }


def _readiness(launch: Launch) -> Object:
    """It is ready when it listens; without a port, when it runs."""
    if not launch.ports:
        return {}
    (first, *_) = launch.ports.values()
    return {"readinessProbe": {"tcpSocket": {"port": first}, "periodSeconds": 1}}


def _require_possible(launch: Launch) -> None:
    if launch.container.mounts:
        raise ConfigError(
            f"{launch.name} reads folders of this machine, which a pod cannot",
            last=", ".join(launch.container.mounts),
            hint="run the topology with real time, or use the processes or the containers runtime",
        )


def _unpacking(launch: Launch) -> Iterator[Object]:
    """Fills the node's own folder before its container starts."""
    if _has_files(launch):
        yield {
            "name": f"{launch.name}-home",
            "image": SHELL_IMAGE,
            "imagePullPolicy": "Never",
            "command": ["/bin/busybox", "tar", "-xzf", f"{GIVEN}/{ARCHIVE}", "-C", HOME],
            "volumeMounts": [
                {"name": _home(launch), "mountPath": HOME},
                {"name": _given(launch), "mountPath": GIVEN},
            ],
        }


def _volumes(launch: Launch) -> Iterator[Object]:
    if _has_files(launch):
        yield {"name": _home(launch), "emptyDir": {}}
        yield {"name": _given(launch), "secret": {"secretName": _home(launch)}}
    for name in launch.container.volumes:
        yield {"name": _volume(launch, name), "emptyDir": {}}


def _has_files(launch: Launch) -> bool:
    return bool(launch.container_files or launch.folders or launch.container.folders)


def _packed(launch: Launch) -> str:
    """The files and folders of a launch, as a Secret has them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, folder in {**launch.folders, **launch.container.folders}.items():
            tar.add(folder.resolve(), arcname=name, filter=_plain)
        for name, text in launch.container_files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o644
            tar.addfile(member, io.BytesIO(text.encode()))
    if buffer.tell() > LARGEST:
        raise ConfigError(
            f"the files of {launch.name} do not fit into a Secret",
            expected=f"at most {LARGEST} bytes, packed",
            last=f"{buffer.tell()} bytes",
        )
    return base64.b64encode(buffer.getvalue()).decode()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if "__pycache__" in Path(member.name).parts:
        return None
    member.uid = member.gid = 0
    member.mode |= 0o444
    return member


def _named(name: str, namespace: str, labels: Mapping[str, str]) -> Object:
    return {"name": name, "namespace": namespace, "labels": dict(labels)}


def _home(launch: Launch) -> str:
    return f"{launch.name}-home"


def _given(launch: Launch) -> str:
    return f"{launch.name}-given"


def _volume(launch: Launch, name: str) -> str:
    return f"{launch.name}-{name}"
