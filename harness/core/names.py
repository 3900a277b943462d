"""What names nodes may have."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from harness.core.errors import ConfigError

CLOCK = "clock"
"""The port on which the time of a scheduler is moved."""

FIRINGS = "firings.jsonl"
"""The file in the folder of a scheduler with virtual time that has what was fired."""

ONE_AT_A_TIME = "one-at-a-time"
"""Its argument that makes each firing wait for the outcome of the previous one."""

ISOLATIONS = ("names", "clean", "world", "stack")
"""How a test can be kept apart from others, from the cheapest to the most complete level."""

TIMES = ("real", "virtual")
"""The values of a topology's ``time``."""

_NODE = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


EXPORTER = "otlp"
"""The node that exports what a stack has to tell."""

SIDECAR, INBOX, CALLS = "-daprd", "-inbox", "-calls"
TAP = "tap-"


def sidecar_name(app: str) -> str:
    """The name of an app's sidecar; the only place that spells it, with `app_of`."""
    return f"{app}{SIDECAR}"


def app_of(node: str) -> str:
    """The app whose sidecar has this name; "" if it is not the name of a sidecar.

    For places that know a run's nodes only by their names; others ask the topology.
    """
    return node.removesuffix(SIDECAR) if node.endswith(SIDECAR) else ""


def replica_name(app: str, number: int) -> str:
    """The name of one of an app's replicas; the first has the app's own."""
    return app if number == 1 else f"{app}-{number}"


def inbox_name(app: str) -> str:
    """The name of an app's inbox."""
    return f"{app}{INBOX}"


def calls_name(app: str) -> str:
    """The name of what records the calls of an app to its sidecar."""
    return f"{app}{CALLS}"


def new_tap_name() -> str:
    """The name of a sidecar that subscribes for tests, and of its consumer groups."""
    return f"{TAP}{secrets.token_hex(4)}"


def is_tap(group: str) -> bool:
    """Whether a consumer group reads for tests; it stays on the broker when its sidecar ends."""
    return group.startswith(TAP)


def require_name(name: str) -> None:
    """Raise unless a node may have this name.

    Raises:
        ConfigError: it may not.
    """
    if not _NODE.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a node",
            expected="letters, digits, dashes and underscores (Dapr app-ids allow no dots)",
        )


def require_hosts(names: Iterable[str]) -> None:
    """Raise unless each can be the name of a host, as in a network of containers or a cluster.

    Raises:
        ConfigError: one cannot.
    """
    for name in names:
        if not _HOST.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot be the name of a host in a network of containers",
                expected="lower case letters, digits and dashes",
                hint="rename it, or run it as a process: --dapr-runtime=processes",
            )
