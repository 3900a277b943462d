"""The node that exports a stack's traces, metrics and logs by OTLP."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.deadline import Check
from harness.core.files import write_private
from harness.core.launch import InProcess, Launch
from harness.core.names import EXPORTER
from harness.core.node import Scope
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.nodes.base import BaseNode
from harness.otlp.attributes import COPY, RUN, STACK
from harness.otlp.description import Description
from harness.otlp.destination import Destination, destination_of
from harness.otlp.packages import require_packages
from harness.ready.tcp import TcpCheck

DESCRIPTION = "export.json"
SECRETS = "secrets.json"
SELF = 5.0
"""Seconds in which it reads logs and metrics, besides waiting for the collector."""

ROOT = Path(__file__).parents[2]
"""Where the program is found as a module."""


@dataclass(frozen=True)
class Exporter(BaseNode):
    """A relay on this machine: a collector for the nodes, in front of the user's own.

    It runs where the log files are, and where a collector of this machine can be reached.

    Attributes:
        to: the user's collector.
        stack: the name of the stack.
        sidecars: the app and the app-id of each sidecar, by its name.
    """

    name = EXPORTER
    on_host = True

    to: Destination
    stack: str = ""
    sidecars: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def plan(self, scope: Scope) -> Launch:
        """A program of the harness."""
        listen, home = scope.listen(), scope.home
        services = dict(self.sidecars.values())
        told = Description(
            listen=str(listen),
            url=self.to.url,
            headers=self.to.headers,
            seconds=self.to.seconds,
            logs=str(_run_of(scope) / "logs"),
            services={**services, **{each: app_id for each, (_, app_id) in self.sidecars.items()}},
            metrics={
                each: str(scope.address(each, "metrics", waits=False)) for each in self.sidecars
            },
            shared=self._shared(scope),
        )
        files = (str(home / DESCRIPTION), str(home / SECRETS))
        return Launch(
            name=self.name,
            argv=(sys.executable, "-m", "harness.otlp.relay", *files),
            ports={"main": listen.port},
            files={DESCRIPTION: told.text},
            # The sidecars send their last spans when they end.
            ends_last=True,
            grace=self.to.seconds + 1,
            on_host=True,
            # Without it, the system under test is what it was.
            required=False,
            process=InProcess(ROOT, inherits=True),
        )

    def checks(self, scope: Scope) -> Sequence[Check]:
        """It listens."""
        return (TcpCheck(scope.endpoint()),)

    def initialize(self, scope: Scope) -> None:
        """Tell it what must not be sent: now every node has asked for its secrets."""
        write_private(Path(scope.home) / SECRETS, json.dumps(list(scope.secrets())))

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``url``, where the viewer sends its own, and the attributes of every node."""
        return {"url": scope.endpoint().http, **self._shared(scope)}

    def before_stop(self, scope: Scope) -> None:
        """Have it read the metrics while the sidecars have them."""
        self._ask(scope, "/collect")

    def conclude(self, scope: Scope) -> str:
        """What it could not send, now that the sidecars have told it everything."""
        return self._ask(scope, "/conclude")

    def _ask(self, scope: Scope, path: str) -> str:
        return _told(f"{scope.endpoint().http}{path}", self.to.seconds)

    def _shared(self, scope: Scope) -> dict[str, str]:
        copied = {COPY: scope.namespace} if scope.namespace else {}
        return {RUN: _run_of(scope).name, STACK: self.stack, **copied}


def with_export(topology: Topology, settings: Settings, stack: str = "") -> Topology:
    """The same topology with an exporter, if the settings name a collector.

    Args:
        topology: the user's.
        settings: the user's.
        stack: its name; by default, the name of the project's folder.

    Raises:
        Unavailable: the packages that this requires are not installed.
    """
    if not settings.otlp or any(isinstance(each, Exporter) for each in topology.nodes):
        return topology
    to = destination_of(settings)
    require_packages(to.url)
    return _added(topology, to, stack or settings.root.name)


def with_export_of(topology: Topology, launches: Mapping[str, Mapping[str, object]]) -> Topology:
    """The same topology with the exporter of a stack that is up, if it has one.

    Args:
        topology: what the project says.
        launches: what was started, by node.
    """
    files = launches.get(EXPORTER, {}).get("files")
    if not isinstance(files, dict):
        return topology
    told = Description.read(files[DESCRIPTION])
    to = Destination(told.url, told.headers, told.seconds)
    return _added(topology, to, told.shared.get(STACK, ""))


def concluded(folder: Path, address: str) -> str:
    """Have the exporter of a stack send what it has; what it could not send, in words.

    Args:
        folder: of the run.
        address: of the exporter, ``host:port``.
    """
    try:
        told = Description.read((folder / "nodes" / EXPORTER / DESCRIPTION).read_text())
    except (OSError, ValueError, TypeError):
        return ""
    _told(f"http://{address}/collect", told.seconds)
    return _told(f"http://{address}/conclude", told.seconds)


def _added(topology: Topology, to: Destination, stack: str) -> Topology:
    sidecars = {each.name: (each.app, each.app_id) for each in topology.sidecars()}
    return topology.with_nodes([*topology.nodes, Exporter(to, stack, sidecars)])


def _told(url: str, seconds: float) -> str:
    # Attaching to a stack needs no client.
    import httpx

    from harness.ready.loopback import ask

    try:
        # Besides the collector, what reads logs and metrics takes its time.
        answer = ask("POST", url, timeout=seconds + SELF)
        return str(answer.raise_for_status().json()["complaint"])
    except (httpx.HTTPError, ValueError, KeyError):
        return ""  # It was stopped or killed.


def _run_of(scope: Scope) -> Path:
    return Path(scope.home).parent.parent
