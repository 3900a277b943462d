"""The table of images, and how each is built if no registry can be reached."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.core.errors import ConfigError, did_you_mean
from harness.core.settings import Settings
from harness.provision.versions import DAPR, DAPR_BINARIES, KAFKA, REDIS

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
NAMESPACE = "dapr-harness"
"""Local images are ``dapr-harness/<name>:<version>``; no registry has such a namespace."""


@dataclass(frozen=True)
class Image:
    """One entry of the table.

    Attributes:
        reference: the image that is used unless the user overrides it.
        local: the tag of the image that `images build` creates; "" if it cannot be built here.
        program: the program's path in the image; if None, the image's entry point finds it.
        user: the account it must run as; "" for the image's own.
        needs: a description of the image and its ingredients.
    """

    reference: str
    local: str
    program: PurePosixPath | None = None
    user: str = ""
    needs: str = ""


def _dapr(name: str, version: str = DAPR) -> Image:
    return Image(
        f"daprio/{name}:{version}",
        f"{NAMESPACE}/{name}:{version}",
        PurePosixPath("/", name),
        # The official image's account may write neither the resolver's file nor the jobs.
        user="0",
        needs=f"Dapr's {name}; built from the binary of the processes runtime, on an empty image",
    )


IMAGES: Mapping[str, Image] = {
    "redpanda": Image(
        "redpandadata/redpanda:v24.3.1",
        "",
        needs="Redpanda; can only be pulled",
    ),
    "kafka": Image(
        f"apache/kafka:{KAFKA}",
        f"{NAMESPACE}/kafka:{KAFKA}",
        needs="Kafka; built from the jars and the JRE of the processes runtime, on the base",
    ),
    "postgres": Image(
        "postgres:18",
        f"{NAMESPACE}/postgres:18",
        needs="PostgreSQL; built from the wheel of the processes runtime, on the base",
    ),
    "redis": Image(
        f"redis:{REDIS}",
        f"{NAMESPACE}/redis:local",
        needs="Redis; built from the server of the processes runtime, on the base",
    ),
    "daprd": _dapr("daprd"),
    "placement": _dapr("placement"),
    "scheduler": _dapr("scheduler"),
    "sentry": _dapr("sentry"),
    "app": Image(
        f"python:{PYTHON}-slim",
        f"{NAMESPACE}/app:bookworm",
        needs="Python, which apps and their inboxes run on; the base itself",
    ),
}
"""By the name that nodes use. The base is Debian bookworm with Python, made by debootstrap."""


def image(name: str, settings: Settings) -> Image:
    """An entry of the table; Dapr's are of the version that the settings ask for.

    Raises:
        ConfigError: there is no entry of that name.
    """
    if name not in IMAGES:
        raise ConfigError(f"no image is named {name!r}", hint=did_you_mean(name, list(IMAGES)))
    if settings.dapr_version and name in DAPR_BINARIES:
        return _dapr(name, settings.dapr_version)
    return IMAGES[name]


def chosen(name: str, settings: Settings) -> str:
    """The reference that the user has chosen for an entry; "" for none."""
    return settings.images.get(name, "")


def variable(name: str) -> str:
    """The environment variable that overrides an entry."""
    return f"DAPR_HARNESS_IMAGE_{name.upper()}"


@dataclass(frozen=True)
class Context:
    """The build context of an image.

    Attributes:
        dockerfile: its text.
        sources: files and folders to send, by their name in the context.
        texts: small generated files, by their name in the context; executable.
    """

    dockerfile: str
    sources: Mapping[str, Path]
    texts: Mapping[str, str]
