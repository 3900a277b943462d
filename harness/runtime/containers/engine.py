"""The container engine: finding it, querying it, and explaining its errors."""

from __future__ import annotations

import json
import socket
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import kwargs_from_env, parse_repository_tag

from harness.core.closing import Closing
from harness.core.errors import HarnessError, LaunchError, Unavailable
from harness.core.wheels import Python

DEFAULT = "unix:///var/run/docker.sock"
PATIENCE = 60
"""Seconds that one request may take; builds and pulls respond continuously."""

ASK_PYTHON = """
import os, platform, sys, sysconfig
musl = "musl" in (sysconfig.get_config_var("SOABI") or "")
libc = "musl" if musl else platform.libc_ver()[1]
print(".".join(map(str, sys.version_info[:2])), libc, os.uname().machine, sep=",")
"""


class Engine(Closing):
    """A connection to the engine from the environment (``DOCKER_HOST`` or its default).

    Raises:
        Unavailable: no engine responds, or this user may not use it.
    """

    def __init__(self) -> None:
        self.client = _connected()

    def close(self) -> None:
        """Close the connections. The object can be used again; it then opens new ones."""
        self.client.close()

    @property
    def address(self) -> str:
        """``unix:///...`` or ``tcp://host:port``.

        Raises:
            Unavailable: the engine is reached over ssh, which the agent of a run does not support.
        """
        url = str(self.client.api.base_url)
        if url.startswith("http+docker://ssh"):
            raise Unavailable(
                "an engine behind ssh cannot be used",
                expected="an engine on this machine, or one at a tcp:// address",
                hint="forward its socket: ssh -L /tmp/docker.sock:/var/run/docker.sock HOST, "
                "and set DOCKER_HOST=unix:///tmp/docker.sock",
            )
        if url.startswith("http+docker://"):
            adapter: Any = self.client.api.get_adapter(url)
            return f"unix://{adapter.socket_path}"
        return url.replace("https://", "tcp://").replace("http://", "tcp://")

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine."""
        return str(self.client.api.base_url).startswith("http+docker://localhost")

    @cached_property
    def platform(self) -> str:
        """``linux/amd64`` and the like."""
        found = self.client.version()
        return f"{found['Os']}/{found['Arch']}"

    def describe(self) -> str:
        """A description of the engine."""
        found = self.client.version()
        name = (found.get("Platform") or {}).get("Name") or "engine"
        return f"{name} {found['Version']} at {self.address}, {self.platform}"

    def image_id(self, reference: str) -> str | None:
        """The id of a local image; None if it does not exist."""
        try:
            with refusals(f"looking for the image {reference}"):
                return str(self.client.images.get(reference).id)
        except ImageNotFound:
            return None

    def labels(self, reference: str) -> Mapping[str, str]:
        """The labels of a local image; none if it does not exist."""
        try:
            with refusals(f"looking at the image {reference}"):
                found = self.client.images.get(reference).attrs["Config"].get("Labels")
        except ImageNotFound:
            return {}
        return found or {}

    def variables(self, reference: str) -> dict[str, str]:
        """The environment that a local image sets."""
        with refusals(f"looking at the image {reference}"):
            found = self.client.images.get(reference).attrs["Config"].get("Env")
        return dict(each.split("=", 1) for each in found or () if "=" in each)

    def require_platform(self, reference: str) -> None:
        """Check that an image is for this engine.

        Raises:
            LaunchError: it is for another processor.
        """
        attributes = self.client.images.get(reference).attrs
        seen = f"{attributes.get('Os')}/{attributes.get('Architecture')}"
        if attributes.get("Architecture") and seen != self.platform:
            raise LaunchError(
                f"the image {reference} is for {seen}",
                expected=self.platform,
                hint=f"docker pull --platform {self.platform} {reference}, or name another image",
            )

    def pull(self, reference: str, advance: Callable[[str], None]) -> None:
        """Download an image from its registry.

        Raises:
            Unavailable: the registry is unreachable or does not have it.
        """
        repository, tag = parse_repository_tag(reference)
        sizes: dict[str, tuple[int, int]] = {}
        try:
            for event in self.client.api.pull(
                repository, tag or "latest", stream=True, decode=True
            ):
                if "error" in event:
                    raise Unavailable(
                        f"the image {reference} cannot be pulled", last=event["error"]
                    )
                detail = event.get("progressDetail") or {}
                if detail.get("total"):
                    sizes[event.get("id", "")] = (detail.get("current", 0), detail["total"])
                    done, total = (
                        sum(column) / 1e6 for column in zip(*sizes.values(), strict=True)
                    )
                    advance(f"{done:.0f} of {total:.0f} MB")
        except (DockerException, requests.RequestException) as error:
            raise Unavailable(
                f"the image {reference} cannot be pulled", last=_words(error)
            ) from None

    def build(
        self, tag: str, context: IO[bytes], labels: Mapping[str, str],
        arguments: Mapping[str, str], advance: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Build an image from a tar archive.

        Raises:
            LaunchError: a step failed; with the last lines of its output.
        """
        said: list[str] = []
        with refusals(f"building the image {tag}"):
            events = self.client.api.build(
                fileobj=context, custom_context=True, tag=tag, labels=dict(labels),
                buildargs=dict(arguments), rm=True, forcerm=True, decode=True,
            )  # fmt: skip
            for event in events:
                said += [line for line in event.get("stream", "").splitlines() if line.strip()]
                if said:
                    advance(said[-1][:60])
                if "error" in event:
                    raise LaunchError(
                        f"the image {tag} could not be built",
                        last="\n".join([*said[-12:], event["error"]]),
                        hint=_disk_hint("\n".join([*said[-12:], event["error"]])),
                    )

    def import_root(self, tag: str, folder: Path, labels: Mapping[str, str]) -> None:
        """Create an image from a root file system.

        Raises:
            LaunchError: the engine refused.
        """
        changes = [f"LABEL {key}={json.dumps(value)}" for key, value in labels.items()]
        with tarfile.open(folder.with_suffix(".tar"), "w") as archive:
            archive.add(folder, arcname=".")
        repository, version = parse_repository_tag(tag)
        with refusals(f"importing the image {tag}"), folder.with_suffix(".tar").open("rb") as data:
            self.client.api.import_image_from_file(
                data.name, repository=repository, tag=version, changes=[*changes, 'CMD ["/bin/sh"]']
            )

    def prune(self, label: str) -> tuple[int, int]:
        """Remove the images with a label (``key`` or ``key=value``) that no container uses.

        Returns:
            the number of references removed, and the bytes of disk space that became free.
        """
        with refusals("removing images"):
            done = self.client.images.prune({"dangling": False, "label": [label]})
        removed = [each for each in done["ImagesDeleted"] or () if "Untagged" in each]
        return len(removed), int(done["SpaceReclaimed"])

    def python_of(self, reference: str) -> Python:
        """The Python of an image.

        Raises:
            LaunchError: it has none.
        """
        said = self.run_once(reference, ["python3", "-c", ASK_PYTHON])
        return Python(*said.strip().split(","))

    def run_once(self, reference: str, command: list[str]) -> str:
        """The output of a command in a container of an image."""
        with refusals(f"running {command[0]} in {reference}"):
            said = self.client.containers.run(
                reference, command, remove=True, network_disabled=True, entrypoint=[]
            )
        return bytes(said).decode()


def _connected() -> docker.DockerClient:
    try:
        _knock()
        client = docker.from_env(timeout=PATIENCE)
        client.ping()
    except (OSError, DockerException, requests.RequestException) as error:
        said = _words(error)
        if "Permission denied" in said or "PermissionError" in said:
            raise Unavailable(
                "a container engine is there, but this user may not use it",
                last=said,
                hint="add the user to the group `docker` and log in again, use a rootless engine, "
                "or use the processes runtime",
            ) from None
        raise Unavailable(
            "no container engine answers",
            expected="Docker or Podman behind DOCKER_HOST or its usual socket",
            last=said,
            hint="start one, or use the processes runtime: --dapr-runtime=processes",
        ) from None
    return client


def _knock() -> None:
    """Connect once without docker-py, which leaves a socket open if nothing responds."""
    address = str(kwargs_from_env().get("base_url", DEFAULT))
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.connect(address.removeprefix("unix://"))


@contextmanager
def refusals(doing: str) -> Iterator[None]:
    """Convert the engine's errors into ours; `NotFound` and its subclasses pass.

    Raises:
        LaunchError: the engine refused.
        Unavailable: it no longer responds.
    """
    try:
        yield
    except (NotFound, HarnessError):
        raise
    except APIError as error:
        said = _words(error)
        raise LaunchError(f"{doing} failed", last=said, hint=_disk_hint(said)) from None
    except (DockerException, requests.RequestException) as error:
        raise Unavailable(
            f"{doing} failed: the container engine does not answer any more",
            last=_words(error),
            hint="start it again; `dapr-harness down --stale` removes what dead runs left",
        ) from None


def _words(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        response.close()  # docker-py leaves the response of a rejected stream open
    explanation = getattr(error, "explanation", None)
    return str(explanation or error)[:500]


def _disk_hint(said: str) -> str:
    if "no space left" in said.lower():
        return "the engine's disk is full: `docker system df` shows what fills it"
    return ""
