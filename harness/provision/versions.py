"""The table of versions, and the data that depends on them."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.version import Version

DAPR = "1.18.2"
"""1.18.3 cannot be built from the Go module proxy: one of its dependencies is not served."""

DAPR_FLOOR = "1.18.0"
"""The oldest version of a user's own binaries: stable ``/v1.0/jobs``, HotReload by default."""

DAPR_BINARIES = ("daprd", "placement", "scheduler", "sentry")

DAPR_MODULE_HASHES = {
    "1.16.0": (
        "h1:la2WLZM8Myr2Pq3cyrFjHKWDSPYLzGZCs3p502TwBjI=",
        "h1:ln/mxvNOeqklaDmic4ppsxmnjl2D/oZGKaJy24IwaEY=",
    ),
    "1.18.2": (
        "h1:yT1BXImaUiYtIKaKVnOBiWVFqQU1ckQaiXkXEO2+Dh0=",
        "h1:IPB0S/4GBKT87gyrYWdY/lOMY/CzOC/QzroufV9cZxQ=",
    ),
}
"""go.sum lines of the module itself: its zip and its go.mod. The zip contains the other hashes."""

DAPR_SERVED = ("1.18.2", "1.16.0")
"""Versions that the Go module proxy serves whole; it refuses a dependency of many others."""

DAPR_RELEASES = "https://github.com/dapr/dapr/releases/download"

GO_FLOOR = "1.26.5"
"""From the ``go`` line of the dapr module."""

KUBERNETES = "1.34.4"
"""As in ``control-plane/go.mod``, which the Go module proxy serves whole."""

JAVA_FLOOR = 17
"""Required by Kafka 4."""

KAFKA = "4.3.1"

REDIS = "7.4"
"""The image's version; a locally built image has the version of the wheel."""

REDIS_FLOOR = "6.0"
"""Required by Dapr's store: components-contrib reads its INFO and needs no module."""

KAFKA_DATA = PurePosixPath("/var/lib/kafka/data")
"""The official image's data folder, owned by the account that it runs as."""


def kafka_jars() -> list[tuple[str, str, str, str]]:
    """Group, artifact, version and sha256 of every jar of the broker.

    The list is the runtime class path of ``org.apache.kafka:kafka_2.13`` plus a log4j binding,
    resolved once. If both are resolved together, log4j's BOM pulls kafka-clients back to 3.9.
    """
    rows = files(__package__).joinpath("kafka.jars").read_text().split("\n")
    found = []
    for row in filter(None, rows):
        coordinates, _, digest = row.partition(" sha256:")
        group, artifact, version = coordinates.split(":")
        found.append((group, artifact, version, digest))
    return found


def parse(text: str) -> Version:
    """The first version in a text such as ``go1.26.5``; 0 if there is none.

    A release candidate counts as its release, which it is tested for.
    """
    from packaging.version import Version

    match = re.search(r"\d+(\.\d+)*", text)
    return Version(match.group() if match else "0")
