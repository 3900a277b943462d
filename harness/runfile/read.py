"""Dapr's multi-app run file (``dapr run -f dapr.yaml``), read into values.

Fields, precedence and the meaning of relative paths follow version 1, see
https://docs.dapr.io/developing-applications/local-development/multi-app-dapr-run/multi-app-template/:
an app's own field comes before the contents of its ``.dapr`` folder, and those before ``common``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.errors import ConfigError
from harness.dapr.resources import read_file

DEFAULT = "dapr.yaml"
"""The run file of a folder."""


@dataclass(frozen=True)
class RunApp:
    """One app in a run file.

    Attributes:
        folder: where its command runs.
        command: what to run; empty for a sidecar without an app.
        port: where the app listens; None if it does not.
        env: for the app and its sidecar.
        resources: folders of its sidecar's resources.
        configuration: the file of its sidecar's Configuration.
        ports: the sidecar's ports, by ``http``, ``grpc``, ``internal`` and ``metrics``.
        flags: the sidecar's flags.
        app_log: ``file``, ``console`` or ``fileAndConsole``.
        daprd_log: the same values.
    """

    app_id: str
    folder: Path
    command: tuple[str, ...]
    port: int | None
    env: Mapping[str, str]
    resources: tuple[Path, ...]
    configuration: Path | None
    ports: Mapping[str, int]
    flags: Mapping[str, str]
    app_log: str
    daprd_log: str


@dataclass(frozen=True)
class RunFile:
    """A whole run file.

    Attributes:
        ignored: one line for each field that has no effect here, with the reason.
    """

    path: Path
    apps: tuple[RunApp, ...]
    ignored: tuple[str, ...]


def read_runfile(path: Path) -> RunFile:
    """Read and check a run file; a folder stands for its ``dapr.yaml``.

    Raises:
        ConfigError: it does not exist, has no version, or a field is invalid; with the line.
    """
    # Every command imports this module, and pydantic's import takes 60 ms or more.
    from harness.runfile.reader import Reader

    if path.is_dir():
        path /= DEFAULT
    if not path.exists():
        raise ConfigError(f"{path} does not exist", hint="name a run file: -f dapr.yaml")
    documents = list(read_file(path.resolve()))
    if not documents:
        raise ConfigError(f"{path} is empty", expected="version, common and apps")
    first, *rest = documents
    file = Reader(first).read()
    more = (f"{each.at()}: a further document is ignored, as by the Dapr CLI" for each in rest)
    return replace(file, ignored=(*file.ignored, *more))
