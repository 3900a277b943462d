"""The environment of a load run: facts about its stack and its machine."""

from __future__ import annotations

import contextlib
import os
import platform

from harness.core.roles import HasTopics
from harness.load.model.result import Environment
from harness.ready.loopback import ask
from harness.stack.stack import Stack


def environment(stack: Stack) -> Environment:
    """The stack and the machine of a run."""
    metadata = {}
    for node in stack.topology.sidecars()[:1]:
        token = stack.book.exports(node.name)["token"]
        url = stack.book.endpoint(node.name, "http").http
        headers = {"dapr-api-token": token} if token else {}
        with contextlib.suppress(Exception):
            metadata = ask("GET", f"{url}/v1.0/metadata", headers=headers).json()
    return Environment(
        runtime=stack.runtime,
        dapr=str(metadata.get("runtimeVersion", "")),
        broker=next((n.tools[0] for n in stack.topology.nodes if isinstance(n, HasTopics)), ""),
        python=platform.python_version(),
        system=platform.platform(),
        cores=os.cpu_count() or 1,
    )
