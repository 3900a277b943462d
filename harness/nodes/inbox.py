"""The recording proxy between daprd and an app."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.deadline import Check
from harness.core.launch import InContainer, Launch
from harness.core.names import inbox_name
from harness.core.node import Scope
from harness.nodes.base import BaseNode
from harness.nodes.recorder_files import command_of, package_folder, process_of, texts_of
from harness.ready.tcp import TcpCheck

RECORD = "inbox.jsonl"
PROGRAM = "inbox_server.py"


@dataclass(frozen=True)
class InboxProxy(BaseNode):
    """Records every request that daprd makes to one app.

    Attributes:
        app: the app's name; this node is ``<app>-inbox`` and starts once the app listens.
        on_host: an inbox runs where its app runs.
    """

    tools = ("app",)
    packages = ("h11",)

    app: str
    on_host: bool = False

    @property
    def pod(self) -> str:  # type: ignore[override]  # derived, not stored
        """The app's pod."""
        return self.app

    @property
    def records(self) -> str:
        """The app."""
        return self.app

    @property
    def name(self) -> str:
        """``<app>-inbox``."""
        return inbox_name(self.app)

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]  # derived, not stored
        """The app itself."""
        return (self.app,)

    def plan(self, scope: Scope) -> Launch:
        """A Python program of the harness; a container receives a copy of its two files."""
        listen, home = scope.listen(), scope.home
        app = scope.address(self.app)
        return Launch(
            name=self.name,
            argv=(*command_of(PROGRAM, scope), str(listen), str(app), str(home / RECORD)),
            ports={"main": listen.port},
            grace=0.5,
            process=process_of(PROGRAM),
            container=InContainer(
                "app",
                self.pod,
                files=texts_of([PROGRAM]),
                folders={"h11": package_folder("h11")},
            ),
            on_host=self.on_host,
        )

    def checks(self, scope: Scope) -> Sequence[Check]:
        """It listens."""
        return (TcpCheck(scope.endpoint(), forwarded=scope.in_container),)
