"""The recorder of the calls that an app makes to its sidecar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from harness.core.deadline import Check
from harness.core.launch import InContainer, Launch
from harness.core.names import calls_name
from harness.core.node import Scope
from harness.core.roles import RECORD_PORT
from harness.nodes.base import BaseNode
from harness.nodes.recorder_files import command_of, package_folder, process_of, texts_of
from harness.ready.tcp import TcpCheck

RECORD = "calls.jsonl"
PROGRAMS = ("calls_server.py", "inbox_server.py")
GRPC_PROGRAM = "grpc_calls.py"
GRPC_PACKAGES = ("hpack", "hyperframe")
GRPC_PORT = "grpc"
"""The port for calls by gRPC, if what reads them is installed."""


def hears_grpc() -> bool:
    """Whether calls by gRPC can be recorded: with the extra ``calls-grpc``."""
    return all(find_spec(each) for each in GRPC_PACKAGES)


def recorder_env(scope: Scope, app: str) -> dict[str, str]:
    """The variables by which an app finds what records its calls."""
    name = calls_name(app)
    recorder = scope.address(name)
    by_http = {"DAPR_HTTP_PORT": str(recorder.port), "DAPR_HTTP_ENDPOINT": recorder.http}
    if not hears_grpc():
        return by_http
    grpc = scope.address(name, GRPC_PORT)
    return by_http | {"DAPR_GRPC_PORT": str(grpc.port), "DAPR_GRPC_ENDPOINT": str(grpc)}


@dataclass(frozen=True)
class CallsProxy(BaseNode):
    """Records every HTTP request that one app makes to its sidecar, and those to state by gRPC.

    Attributes:
        app: the app's name; this node is ``<app>-calls``, and the app starts once it listens.
        sidecar: the name of the app's sidecar.
        on_host: it runs where its app runs.
    """

    tools = ("app",)

    app: str
    sidecar: str
    on_host: bool = False

    @property
    def packages(self) -> tuple[str, ...]:  # type: ignore[override]  # derived, not stored
        """What pip installs into the image that it runs in."""
        return ("h11", *(GRPC_PACKAGES if hears_grpc() else ()))

    @property
    def pod(self) -> str:  # type: ignore[override]  # derived, not stored
        """The app's pod."""
        return self.app

    @property
    def calls_of(self) -> str:
        """The app."""
        return self.app

    @property
    def name(self) -> str:
        """``<app>-calls``."""
        return calls_name(self.app)

    def plan(self, scope: Scope) -> Launch:
        """A Python program of the harness; a container receives a copy of its files."""
        listen, read, home = scope.listen(), scope.listen(RECORD_PORT), scope.home
        daprd = scope.address(self.sidecar, "http", waits=False)
        addresses: tuple[str, ...] = (str(listen), str(daprd), str(read), str(home / RECORD))
        ports = {"main": listen.port, RECORD_PORT: read.port}
        if hears_grpc():
            grpc = scope.listen(GRPC_PORT)
            its = scope.address(self.sidecar, "grpc", waits=False)
            addresses += (str(grpc), str(its))
            ports[GRPC_PORT] = grpc.port
        return Launch(
            name=self.name,
            argv=(*command_of(PROGRAMS[0], scope), *addresses),
            ports=ports,
            grace=0.5,
            process=process_of(PROGRAMS[0]),
            container=InContainer(
                "app",
                self.pod,
                # Only the app connects to it.
                internal=tuple(each for each in ports if each != RECORD_PORT),
                files=texts_of((*PROGRAMS, *((GRPC_PROGRAM,) if hears_grpc() else ()))),
                folders={each: package_folder(each) for each in self.packages},
            ),
            on_host=self.on_host,
        )

    def checks(self, scope: Scope) -> Sequence[Check]:
        """Both ports accept: the one for reading is opened last."""
        return (TcpCheck(scope.endpoint(RECORD_PORT), forwarded=scope.in_container),)
