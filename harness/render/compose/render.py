"""Renders a topology as a compose project.

A rendered file contains the launches of the containers runtime: the same images, command lines,
pods and resources. There are only two differences, because people read and commit the file:
ports are the well-known ones, and secrets are variables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from harness.core.blame import blamed
from harness.core.endpoint import LOOPBACK
from harness.core.errors import ConfigError
from harness.core.launch import Build, Launch
from harness.core.node import Node, Target, Tools
from harness.core.roles import InitializedByFile
from harness.core.topology import Topology
from harness.render.compose import text
from harness.render.compose.book import ComposeBook
from harness.stack.planning.addresses import HOME

FILE = "compose.yaml"
REDPANDA = "compose.redpanda.yaml"
DOCKERFILE = "app.Dockerfile"
EXAMPLE = ".env.example"
SETUP = "setup.sql"
APPS = "DAPR_HARNESS_IMAGE_APPS"
"""The variable for the image that every app of the project runs in."""


def render(topology: Topology, tools: Tools, root: Path, folder: Path) -> dict[str, str]:
    """The files of a compose project, by their names in its folder.

    Kafka is the broker if the topology does not choose, with an override file for Redpanda.

    Args:
        topology: what to render.
        tools: the images, which determine the paths of programs in them.
        root: the project's folder.
        folder: the folder for the files; paths in them are relative to it.

    Raises:
        ConfigError: an app runs on the host, mTLS is requested, or the topology is invalid.
    """
    for node in topology.nodes:
        if node.on_host:
            raise ConfigError(
                f"app {node.name!r} runs on the host, which a compose file cannot start",
                hint="render a topology without on_host=True",
            )
    if topology.mtls:
        raise ConfigError(
            "a compose file with mTLS would hold the private key of its authority",
            hint="render a topology without mtls=True; `dapr-harness up` starts one with it",
        )
    plain = _Project(
        topology.resolved(Target("containers", "kafka", alone=True)), tools, root, folder
    )
    other = _Project(
        topology.resolved(Target("containers", "redpanda", alone=True)), tools, root, folder
    )
    files = plain.files()
    changed = {name: body for name, body in other.services.items() if body != plain.services[name]}
    if changed:
        parts = [text.service(name, body, other.comments[name]) for name, body in changed.items()]
        files[REDPANDA] = text.OVERRIDE + "\n".join(parts)
    rows = [f"{name}=" for name in secrets_of(files)]
    files[EXAMPLE] = (
        "# What `dapr-harness render compose --secrets` fills in.\n" + "\n".join(rows) + "\n"
    )
    return files


def secrets_of(files: Mapping[str, str]) -> list[str]:
    """The variables that a rendered project requires."""
    return sorted(set(re.findall(r"\$\{([A-Z0-9_]+):\?", files[FILE])))


def with_packages(build: Build, nodes: Iterable[Node]) -> Build:
    """The apps' image of a project, in which programs of the harness run too."""
    needed = {package for node in nodes for package in node.packages}
    return replace(build, extra=tuple(sorted({*build.extra, *needed})))


class _Project:
    """Renders launches as services."""

    def __init__(self, topology: Topology, tools: Tools, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        self._beside: dict[str, str] = {}
        self._nodes = {node.name: node for node in topology.nodes}
        self._launches: dict[str, Launch] = {}
        self._needs: dict[str, list[str]] = {}
        self._book = book = ComposeBook(topology, tools, root, folder)
        for node in topology.nodes:
            scope = book.scope(node.name)
            with blamed(node, "plan"):
                self._launches[node.name] = node.plan(scope)
            self._needs[node.name] = sorted({*node.needs, *scope.needs})
        self.comments: dict[str, str] = {}
        self.services = self._services()

    def files(self) -> dict[str, str]:
        """The compose file and the files next to it."""
        parts = [text.service(n, body, self.comments[n]) for n, body in self.services.items()]
        names = {volume for each in self._launches.values() for volume in each.container.volumes}
        volumes = yaml.safe_dump({"volumes": {name: {} for name in sorted(names)}})
        return {FILE: text.HEADER + "\n".join([*parts, volumes]), **self._beside}

    def _services(self) -> dict[str, dict[str, Any]]:
        found = {}
        for name, launch in self._launches.items():
            pod = f"{launch.container.pod}-pod"
            if launch.container.pod and pod not in found:
                found[pod] = self._pod(launch.container.pod)
                self.comments[pod] = text.POD.format(name=launch.container.pod)
            found[name] = self._service(name, launch)
            self.comments[name] = text.comment_of(self._nodes[name], launch)
        return found

    def _pod(self, pod: str) -> dict[str, Any]:
        members = [each for each in self._launches.values() if each.container.pod == pod]
        return {
            "image": text.image_of("app"),
            "command": ["sleep", "infinity"],
            "stop_signal": "SIGKILL",
            "networks": {"default": {"aliases": [pod]}},
            "ports": [row for each in members for row in _ports(each)],
        }

    def _service(self, name: str, launch: Launch) -> dict[str, Any]:
        environment = {key: text.variables(value) for key, value in launch.env.items()}
        mounts = self._mounts(name, launch, environment)
        mounts += [f"{volume}:{path}" for volume, path in launch.container.volumes.items()]
        signal = launch.stop_signal.name
        entries: dict[str, Any] = {
            **self._source(launch),
            "user": text.user_of(launch),
            "command": [text.variables(word) for word in launch.argv],
            "environment": environment,
            "volumes": [*mounts, *self._setup(name)],
            "network_mode": f"service:{launch.container.pod}-pod" if launch.container.pod else "",
            "ports": [] if launch.container.pod else _ports(launch),
            "stop_signal": "" if signal == "SIGTERM" else signal,
            "healthcheck": text.healthcheck(self._nodes[name], launch),
            "depends_on": self._depends(name, launch),
        }
        return {key: value for key, value in entries.items() if value}

    def _source(self, launch: Launch) -> dict[str, Any]:
        build = self._build_of(launch)
        if build is None:
            return {"image": text.image_of(str(launch.container.image))}
        source: dict[str, Any] = {
            "image": f"${{{APPS}:-apps:compose}}",
        }
        if isinstance(launch.container.image, Build):
            self._beside[DOCKERFILE] = _dockerfile(with_packages(build, self._nodes.values()))
            source["build"] = {
                "context": os.path.relpath(build.folder, self._folder),
                "dockerfile": os.path.relpath(self._folder / DOCKERFILE, build.folder),
                "args": {"BASE": text.image_of("app")},
            }
        return source

    def _build_of(self, launch: Launch) -> Build | None:
        """The build of a launch; harness programs run in the apps' image, which has what they need.

        Raises:
            ConfigError: there is such a program, but no app that is built.
        """
        if isinstance(launch.container.image, Build):
            return launch.container.image
        if launch.container.image != "app":
            return None
        images = (each.container.image for each in self._launches.values())
        built = [each for each in images if isinstance(each, Build)]
        if not built:
            raise ConfigError(
                f"{launch.name} is a program of the harness, and no app's image is built",
                expected="an app with requirements= whose image it can share",
                hint="leave inboxes and receivers out of a topology whose apps are ready images",
            )
        return built[0]

    def _mounts(self, name: str, launch: Launch, environment: dict[str, str]) -> list[str]:
        """Files next to the compose file, mounted where the launch would have them copied."""
        mounts = []
        for file, content in launch.container_files.items():
            if file.endswith(".py"):
                # Individually, because the service writes to the folder around them.
                where = self._program(name, file, content)
                mounts.append(f"{where}:{HOME}/{file}:ro")
            else:
                self._beside[f"{name}/{file}"] = text.without_secrets(content, environment)
        folder = any(not file.endswith(".py") for file in launch.container_files)
        return [*mounts, *([f"./{name}:{HOME}:ro"] if folder else [])]

    def _program(self, name: str, file: str, content: str) -> str:
        """The path of a harness program: in this repository, or otherwise next to the file."""
        for found in self._root.glob(f"harness/*/{file}"):
            return os.path.relpath(found, self._folder)
        self._beside[f"{name}/{file}"] = content
        return f"./{name}/{file}"

    def _setup(self, name: str) -> list[str]:
        """What the harness would create in a database, in the official image's folder for it."""
        node = self._nodes[name]
        if not isinstance(node, InitializedByFile):
            return []
        statements = node.setup(self._book.scope(name))
        if not statements:
            return []
        self._beside[f"{name}/{SETUP}"] = text.SETUP + "".join(f"{each};\n" for each in statements)
        return [f"./{name}:/docker-entrypoint-initdb.d:ro"]

    def _depends(self, name: str, launch: Launch) -> dict[str, Any]:
        pod = [f"{launch.container.pod}-pod"] if launch.container.pod else []
        conditions = {}
        for each in [*pod, *self._needs[name]]:
            other = self._launches.get(each)
            checked = other is not None and text.healthcheck(self._nodes[each], other)
            conditions[each] = {"condition": "service_healthy" if checked else "service_started"}
        return conditions


def _ports(launch: Launch) -> list[str]:
    return [f"{LOOPBACK}:{p}:{p}" for p in launch.published.values()]


def _dockerfile(build: Build) -> str:
    lines = [
        "# Rendered by `dapr-harness render compose`.",
        f"ARG BASE=python:{text.APP_PYTHON}-slim",
    ]
    lines += ["FROM ${BASE}", "ENV PYTHONUNBUFFERED=1"]
    wanted = list(build.extra)
    if build.requirements is not None:
        lines.append(f"COPY {os.path.relpath(build.requirements, build.folder)} /requirements.txt")
        wanted = ["-r /requirements.txt", *wanted]
    lines.append(f"RUN python3 -m pip install --no-cache-dir {' '.join(wanted)}")
    lines += ["WORKDIR /app", "COPY . /app"]
    return "\n".join(lines) + "\n"
