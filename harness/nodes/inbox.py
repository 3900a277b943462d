"""The recording proxy between daprd and an app."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.deadline import Check
from harness.launch import Launch
from harness.nodes.base import Plain
from harness.probe import inbox_server
from harness.ready.tcp import TcpCheck
from harness.topology import Book

RECORD = "inbox.jsonl"


@dataclass(frozen=True)
class InboxProxy(Plain):
    """Records every request that daprd makes to one app.

    Attributes:
        app: the app's name; this node is ``<app>-inbox`` and starts once the app listens.
    """

    app: str

    @property
    def name(self) -> str:
        """``<app>-inbox``."""
        return f"{self.app}-inbox"

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]  # derived, not stored
        """The app itself."""
        return (self.app,)

    def plan(self, book: Book) -> Launch:
        """A Python process of our own."""
        listen, app = book.endpoint(self.name), book.endpoint(self.app)
        record = book.folder(self.name) / RECORD
        program = (sys.executable, "-m", "harness.probe.inbox_server")
        return Launch(
            name=self.name,
            argv=(*program, str(listen.port), str(app.port), str(record)),
            env={"PYTHONPATH": str(Path(inbox_server.__file__).parents[2])},
            ports=(listen.port,),
            files={RECORD: ""},
            grace=0.5,
        )

    def checks(self, book: Book) -> Sequence[Check]:
        """It listens."""
        return (TcpCheck(book.endpoint(self.name)),)
