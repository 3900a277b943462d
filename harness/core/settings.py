"""Settings: the only place that reads the environment and pyproject.toml."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.core.errors import ConfigError, did_you_mean
from harness.core.reading import read_text

PREFIX = "DAPR_HARNESS_"
IMAGE_PREFIX = "DAPR_HARNESS_IMAGE_"
WORDS = {
    "runtime": ("auto", "processes", "containers", "kubernetes"),
    "broker": ("auto", "kafka", "redpanda"),
    "daprd_components": ("all", "local"),
}
"""The settings that accept only a few values."""

_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9a-z.]+)?")

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured from outside; ``docs/settings.md`` has one row for each.

    Attributes:
        root: the project's folder: the one with pyproject.toml, otherwise the working folder.
        environment: a snapshot of the environment when the settings were loaded.
        topology: ``module:attribute`` of the topology that the CLI uses.
        runtime: ``auto``, ``processes``, ``containers`` or ``kubernetes``.
        broker: ``auto``, ``kafka`` or ``redpanda``: what a `Broker` in the topology becomes.
        images: image references by table entry, which replace the table's own.
        dapr_dir: a folder that contains daprd, placement, scheduler and sentry.
        dapr_version: the version of Dapr to provision.
        daprd_components: ``all``, or ``local``: a sidecar whose components are all of services that
            people run themselves runs a daprd that has only these.
        release_url: where Dapr's release archives are; "" skips that step.
        java: a Java executable.
        cache_dir: where tools are stored; the platform's user cache folder if None.
        state_dir: where running stacks are registered.
        offline: never use the network.
        strict: reject resources for warnings too, where daprd would start.
        ready_timeout: seconds within which a node must become ready.
        lock_timeout: seconds to wait for another process that installs the same tool.
        otlp: the OTLP endpoint of a collector to which stacks and tests export; "" for none.
    """

    root: Path
    environment: Mapping[str, str]
    topology: str = ""
    runtime: str = "auto"
    broker: str = "auto"
    images: Mapping[str, str] = field(default_factory=dict)
    dapr_dir: Path | None = None
    dapr_version: str = ""
    daprd_components: str = "all"
    release_url: str | None = None
    java: Path | None = None
    cache_dir: Path | None = None
    state_dir: Path | None = None
    offline: bool = False
    strict: bool = False
    ready_timeout: float = 60.0
    lock_timeout: float = math.inf
    otlp: str = ""

    @property
    def inherited(self) -> dict[str, str]:
        """The few variables that brokers, databases and hermetic apps inherit."""
        return {name: self.environment[name] for name in INHERITED if name in self.environment}

    @classmethod
    def load(
        cls, start: Path | None = None, environ: Mapping[str, str] | None = None, **given: Any
    ) -> Settings:
        """Merge the given values, the environment, and ``[tool.dapr-harness]``, in that order.

        Args:
            start: where to look for pyproject.toml, upwards; the working folder if None.
            environ: the environment; the process's own if None.
            given: values that override both; None means not given.

        Raises:
            ConfigError: a setting is unknown or its value has the wrong type.
        """
        environ = os.environ if environ is None else environ
        root, table = _pyproject(start or _here())
        known = {each.name for each in fields(cls)} - {"root", "environment"}
        values: dict[str, Any] = {}
        for key, value in table.items():
            values[_known(key.replace("-", "_"), known, f"[tool.dapr-harness] {key}")] = value
        images = dict(values.pop("images", {}))
        for variable, value in environ.items():
            if variable.startswith(IMAGE_PREFIX):
                images[variable.removeprefix(IMAGE_PREFIX).lower()] = value
            elif variable.startswith(PREFIX):
                key = variable.removeprefix(PREFIX).lower()
                values[_known(key, known, variable)] = value
        images |= given.pop("images", None) or {}
        values |= {key: value for key, value in given.items() if value is not None}
        parsed = {key: _parse(key, value, root) for key, value in values.items()}
        return cls(root=root, environment=dict(environ), images=images, **parsed)


def dapr_versions(text: str) -> list[str]:
    """Versions of Dapr from a list separated by commas, each once, in the order given.

    Raises:
        ConfigError: one of them is not a version.
    """
    return list(dict.fromkeys(_version(word.strip()) for word in text.split(",")))


def _version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise ConfigError(
            f"{text!r} is not a version of Dapr",
            expected="three numbers such as 1.18.2, without a leading v",
            hint="fix the setting dapr_version, or --dapr-version",
        )
    return text


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(
            "the working folder no longer exists", last=str(error), hint="cd to one that is"
        ) from None


def _pyproject(start: Path) -> tuple[Path, dict[str, Any]]:
    start = start.resolve()
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            try:
                table = tomllib.loads(read_text(file)).get("tool", {}).get("dapr-harness")
            except tomllib.TOMLDecodeError as error:
                raise ConfigError(f"{file} is not valid TOML", last=str(error)) from None
            if table is not None or folder == start:
                return folder, table or {}
    return start, {}


def _known(key: str, known: set[str], shown: str) -> str:
    if key not in known:
        raise ConfigError(f"{shown} is not a setting", hint=did_you_mean(key, sorted(known)))
    return key


# Not pydantic: every start of pytest reads the settings, and its import takes half as long as
# pytest's own.
def _parse(key: str, value: Any, root: Path) -> Any:
    if key in ("dapr_dir", "java", "cache_dir", "state_dir"):
        return root / Path(str(value)).expanduser()
    if key in ("offline", "strict"):
        return _boolean(key, value)
    if key == "dapr_version":
        return _version(str(value)) if value else ""
    if key in WORDS and value not in WORDS[key]:
        words = ", ".join(WORDS[key])
        raise ConfigError(f"{key} {value!r} is not known", expected=words, hint="fix the setting")
    if key == "otlp":
        return _address(str(value))
    if key in ("ready_timeout", "lock_timeout"):
        try:
            return float(value)
        except (TypeError, ValueError):
            raise ConfigError(f"{key} is {value!r}", expected="a number of seconds") from None
    return str(value)


def _address(text: str) -> str:
    try:
        found = urlsplit(text)
        valid = (
            found.scheme in ("http", "https", "grpc", "grpcs")
            and bool(found.hostname)
            and found.port != 0
        )
        valid = valid and not found.username
    except ValueError:
        valid = False
    if text and not valid:
        raise ConfigError(
            f"otlp is {text!r}",
            expected="the OTLP endpoint of a collector, such as http://127.0.0.1:4318, or by gRPC "
            "grpc://127.0.0.1:4317",
            hint="fix it; credentials belong into OTEL_EXPORTER_OTLP_HEADERS",
        )
    return text.rstrip("/")


def _boolean(key: str, value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    try:
        return value if isinstance(value, bool) else words[str(value).lower()]
    except KeyError:
        raise ConfigError(f"{key} is {value!r}", expected="true or false") from None
