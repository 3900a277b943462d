"""The one table of versions, and what belongs to a version."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import PurePosixPath

DAPR = "1.18.2"
"""1.18.3 cannot be built from the Go module proxy: one of its dependencies is not served."""

DAPR_FLOOR = "1.18.0"
"""A user's own binaries are used from here on: stable ``/v1.0/jobs`` and HotReload by default."""

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
"""go.sum lines of the module itself: its zip, its go.mod. The zip holds the go.sum of the rest."""

DAPR_SERVED = ("1.18.2", "1.16.0")
"""Versions that the Go module proxy serves whole; it refuses a dependency of many others."""

DAPR_RELEASES = "https://github.com/dapr/dapr/releases/download"

GO_FLOOR = "1.26.5"
"""From the ``go`` line of the dapr module."""

JAVA_FLOOR = 17
"""Kafka 4 needs it."""

KAFKA = "4.3.1"

REDIS = "7.4"
"""Of the image; what is made here has the version of the wheel."""

REDIS_FLOOR = "6.0"
"""What Dapr's store asks for: components-contrib reads INFO of it and needs no module."""

KAFKA_DATA = PurePosixPath("/var/lib/kafka/data")
"""Where the official image keeps its data, owned by the account it runs as."""


def kafka_jars() -> list[tuple[str, str, str, str]]:
    """Group, artifact, version and sha256 of every jar of the broker.

    The list is the runtime class path of ``org.apache.kafka:kafka_2.13`` plus a log4j binding,
    resolved once. Resolving the two together lets log4j's BOM pull kafka-clients back to 3.9.
    """
    rows = files(__package__).joinpath("kafka.jars").read_text().split("\n")
    found = []
    for row in filter(None, rows):
        coordinates, _, digest = row.partition(" sha256:")
        group, artifact, version = coordinates.split(":")
        found.append((group, artifact, version, digest))
    return found


def parse(version: str) -> tuple[int, ...]:
    """The leading numbers of a version as a tuple that can be compared."""
    match = re.search(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else (0,)
