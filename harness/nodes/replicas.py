"""How often an app can run."""

from __future__ import annotations

from harness.core.errors import ConfigError


def require_replicable(name: str, replicas: int, *, port: int | None, external: bool) -> None:
    """Check that an app can run as often as the topology says.

    Raises:
        ConfigError: it cannot.
    """
    if replicas < 1:
        raise ConfigError(
            f"app {name!r} has replicas={replicas}",
            expected="1 or more",
            hint="leave the app out of the topology to run without it",
        )
    if replicas > 1 and port is not None:
        raise ConfigError(
            f"app {name!r} has {replicas} replicas and the fixed port {port}",
            expected="a port of its own for each replica",
            hint="leave out port=, and read the addresses from `dapr-harness status`",
        )
    if replicas > 1 and external:
        raise ConfigError(
            f"app {name!r} is external and has {replicas} replicas",
            expected="one process, which is started by hand",
            hint=f"leave out replicas=, or only take out one: --external {name}-{replicas}",
        )
