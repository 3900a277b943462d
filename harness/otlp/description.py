"""What the program that exports is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from harness.otlp.attributes import described


@dataclass(frozen=True)
class Description:
    """What a relay is told.

    Attributes:
        listen: the address, ``host:port``.
        url: the collector's.
        headers: sent with each request; secret.
        seconds: how long the end waits for the collector.
        logs: the folder of the log files.
        services: ``service.name`` of nodes whose name it is not.
        metrics: the metrics of sidecars, an address by the node's name.
        shared: the attributes of every node.
    """

    listen: str
    url: str
    headers: Mapping[str, str]
    seconds: float
    logs: str
    services: Mapping[str, str]
    metrics: Mapping[str, str]
    shared: Mapping[str, str]

    @property
    def text(self) -> str:
        """As a file has it."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Self:
        """What a file has."""
        return cls(**json.loads(text))

    def resource(self, node: str) -> dict[str, str]:
        """The attributes of a node."""
        return described(node, self.services.get(node, node), self.shared)
