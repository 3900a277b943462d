"""Dapr's multi-app run file (``dapr run -f dapr.yaml``), read into values.

Fields, precedence and the meaning of relative paths follow version 1, see
https://docs.dapr.io/developing-applications/local-development/multi-app-dapr-run/multi-app-template/:
an app's own field comes before the contents of its ``.dapr`` folder, and those before ``common``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import ConfigError, did_you_mean
from harness.core.reading import read_text
from harness.dapr.resources import DaprResource, read_file

VERSION = 1
DEFAULT = "dapr.yaml"
"""The run file of a folder."""

DESTINATIONS = ("file", "console", "fileAndConsole")
_NUMBER, _TEXT, _SWITCH = "a number", "a text", "true or false"
_PORT, _WORDS, _PATHS = "a number up to 65535", "a list of words", "a list of paths"
_MAP = "a mapping of names to texts"
_TYPES: Mapping[str, tuple[type, ...]] = {_NUMBER: (int,), _TEXT: (str, int), _SWITCH: (bool,)}
ANY_PORT = (0, -1)
"""The values for which the Dapr CLI uses any free port."""

_PORTS = {
    "daprHTTPPort": "http",
    "daprGRPCPort": "grpc",
    "daprInternalGRPCPort": "internal",
    "metricsPort": "metrics",
}
_FLAGS: Mapping[str, tuple[str, str]] = {
    "appProtocol": (_TEXT, "app-protocol"),
    "appChannelAddress": (_TEXT, "app-channel-address"),
    "apiListenAddresses": (_TEXT, "dapr-listen-addresses"),
    "logLevel": (_TEXT, "log-level"),
    "appMaxConcurrency": (_NUMBER, "app-max-concurrency"),
    "enableProfiling": (_SWITCH, "enable-profiling"),
    "profilePort": (_PORT, "profile-port"),
    "enableApiLogging": (_SWITCH, "enable-api-logging"),
    "enableAppHealthCheck": (_SWITCH, "enable-app-health-check"),
    "appHealthCheckPath": (_TEXT, "app-health-check-path"),
    "appHealthProbeInterval": (_NUMBER, "app-health-probe-interval"),
    "appHealthProbeTimeout": (_NUMBER, "app-health-probe-timeout"),
    "appHealthThreshold": (_NUMBER, "app-health-threshold"),
    "daprMaxBodySize": (_TEXT, "max-body-size"),
    "daprReadBufferSize": (_TEXT, "read-buffer-size"),
    # As in the CLI's source.
    "maxBodySize": (_TEXT, "max-body-size"),
    "readBufferSize": (_TEXT, "read-buffer-size"),
    # The spellings before 1.14 and 1.16.
    "daprHTTPMaxRequestSize": (_NUMBER, "dapr-http-max-request-size"),
    "daprHTTPReadBufferSize": (_NUMBER, "dapr-http-read-buffer-size"),
}
_OWN: Mapping[str, str] = {
    "appDirPath": _TEXT,
    "appID": _TEXT,
    "appPort": _PORT,
    "command": _WORDS,
    **dict.fromkeys(_PORTS, _PORT),
}
_SHARED: Mapping[str, str] = {
    "resourcesPaths": _PATHS,
    "resourcesPath": _TEXT,
    "configFilePath": _TEXT,
    "env": _MAP,
    "appLogDestination": _TEXT,
    "daprdLogDestination": _TEXT,
    "appSSL": _SWITCH,
    **{name: kind for name, (kind, _) in _FLAGS.items()},
}
_IGNORED: Mapping[str, tuple[str, str]] = {
    "placementHostAddress": (_TEXT, "the stack has a placement service of its own"),
    "schedulerHostAddress": (_TEXT, "the stack has a scheduler of its own"),
    "runtimePath": (_TEXT, "choose Dapr with the setting dapr_dir"),
    "containerImage": (_TEXT, "it is for Kubernetes"),
    "containerImagePullPolicy": (_TEXT, "it is for Kubernetes"),
    "createService": (_SWITCH, "it is for Kubernetes"),
}
_REFUSED = {"unixDomainSocket": "the harness talks to sidecars by TCP, which this switches off"}


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
    if path.is_dir():
        path /= DEFAULT
    if not path.exists():
        raise ConfigError(f"{path} does not exist", hint="name a run file: -f dapr.yaml")
    documents = list(read_file(path.resolve()))
    if not documents:
        raise ConfigError(f"{path} is empty", expected="version, common and apps")
    first, *rest = documents
    file = _Reader(first).read()
    more = (f"{each.at()}: a further document is ignored, as by the Dapr CLI" for each in rest)
    return replace(file, ignored=(*file.ignored, *more))


class _Texts(yaml.constructor.SafeConstructor):
    """Each scalar as the text in the file, as the CLI passes on variables and commands."""


for _kind in ("int", "float", "bool", "timestamp"):
    _Texts.add_constructor(f"tag:yaml.org,2002:{_kind}", lambda _, node: node.value)
_Texts.add_constructor("tag:yaml.org,2002:null", lambda *_: "")


def _texts(document: DaprResource) -> Any:
    nodes = yaml.compose_all(read_text(document.file), Loader=yaml.SafeLoader)
    own = (each for each in nodes if each.start_mark.line + 1 == document.line)
    return _Texts().construct_document(next(own))


class _Reader:
    def __init__(self, document: DaprResource) -> None:
        self._document = document
        self._body = document.body
        self._base = document.file.parent
        self._ignored: list[str] = []

    def read(self) -> RunFile:
        self._name_unknown(self._body, ("version", "common", "apps", "name"), "")
        version = self._body.get("version")
        if type(version) is not int or not version:
            raise self._wrong("version", f"version {version!r}", f"{VERSION}")
        if version != VERSION:
            place = self._document.at("version")
            self._ignored.append(
                f"{place}: version {version} is read as version {VERSION}, as by the Dapr CLI"
            )
        common, rows = self._body.get("common") or {}, self._body.get("apps")
        if not isinstance(rows, list) or not rows:
            raise self._wrong("apps", "no apps", "a list of at least one app")
        self._check(common, {**_SHARED}, "common")
        texts = _texts(self._document)
        shared = _env(texts.get("common") or {})
        apps = tuple(
            self._app(row, common, texts["apps"][index], shared, f"apps.{index}")
            for index, row in enumerate(rows)
        )
        return RunFile(self._document.file, apps, tuple(dict.fromkeys(self._ignored)))

    def _app(
        self, own: Any, common: Mapping[str, Any], texts: Any, shared: Mapping[str, str], at: str
    ) -> RunApp:
        self._check(own, {**_OWN, **_SHARED}, at)
        if not own.get("appDirPath"):
            raise self._wrong(at, "an app without appDirPath", "the folder of the app")
        folder = self._folder(own["appDirPath"], f"{at}.appDirPath")
        merged = {**common, **own}
        flags = {
            flag: str(merged[name]).lower() if kind is _SWITCH else str(merged[name])
            for name, (kind, flag) in _FLAGS.items()
            if merged.get(name) is not None
        }
        if merged.get("appSSL"):
            # daprd no longer has this flag; it was an abbreviation.
            flags["app-protocol"] = f"{flags.get('app-protocol', 'http')}s"
        return RunApp(
            app_id=texts.get("appID") or folder.name,
            folder=folder,
            command=tuple(texts.get("command") or ()),
            port=own["appPort"] if _chosen(own.get("appPort")) else None,
            env={**shared, **_env(texts)},
            resources=self._resources(own, common, folder, at),
            configuration=self._configuration(own, common, folder, at),
            ports={port: own[name] for name, port in _PORTS.items() if _chosen(own.get(name))},
            flags=flags,
            app_log=self._destination(merged, "appLogDestination", "fileAndConsole", at),
            daprd_log=self._destination(merged, "daprdLogDestination", "file", at),
        )

    def _resources(
        self, own: Mapping[str, Any], common: Mapping[str, Any], folder: Path, at: str
    ) -> tuple[Path, ...]:
        """As in the CLI: the app's own, those of its ``.dapr`` folder, then the common ones."""
        kept = folder / ".dapr" / "resources"
        return (
            tuple(self._paths(own, folder, at))
            or ((kept,) if kept.is_dir() else ())
            or tuple(self._paths(common, self._base, "common"))
        )

    def _paths(self, values: Mapping[str, Any], base: Path, at: str) -> Iterator[Path]:
        for name in ("resourcesPaths", "resourcesPath"):
            words = values.get(name) or []
            texts = words if isinstance(words, list) else str(words).split(",")
            for text in texts:
                yield self._there(base / Path(str(text).strip()).expanduser(), f"{at}.{name}")

    def _configuration(
        self, own: Mapping[str, Any], common: Mapping[str, Any], folder: Path, at: str
    ) -> Path | None:
        kept = folder / ".dapr" / "config.yaml"
        for values, base, place in ((own, folder, at), (common, self._base, "common")):
            if values is common and kept.is_file():
                return kept
            if values.get("configFilePath"):
                path = base / Path(str(values["configFilePath"])).expanduser()
                return self._there(path, f"{place}.configFilePath")
        return None

    def _destination(self, values: Mapping[str, Any], name: str, default: str, at: str) -> str:
        said = str(values.get(name) or default)
        if said not in DESTINATIONS:
            raise self._wrong(f"{at}.{name}", f"{name} {said!r}", ", ".join(DESTINATIONS))
        return said

    def _folder(self, text: str, at: str) -> Path:
        path = (self._base / Path(str(text)).expanduser()).resolve()
        if not path.is_dir():
            raise self._wrong(at, f"{path} is not a folder", "the folder of the app")
        return path

    def _there(self, path: Path, at: str) -> Path:
        if not path.exists():
            raise self._wrong(at, f"{path} does not exist", "a path that exists")
        return path.resolve()

    def _check(self, values: Any, known: Mapping[str, str], at: str) -> None:
        if not isinstance(values, dict):
            raise self._wrong(at, f"a {type(values).__name__}", "a mapping of fields")
        self._name_unknown(values, [*known, *_IGNORED, *_REFUSED], at)
        for name, value in values.items():
            place = f"{at}.{name}"
            if name in _REFUSED:
                raise self._wrong(place, f"{name} is not supported", _REFUSED[name])
            if name in _IGNORED:
                reason = _IGNORED[name][1]
                self._ignored.append(f"{self._document.at(place)}: {name} is ignored: {reason}")
            elif name in known and value is not None and not _is(value, known[name]):
                raise self._wrong(place, f"{name} is {value!r}", known[name])

    def _name_unknown(self, values: Mapping[str, Any], known: Any, at: str) -> None:
        for name in values:
            if name not in known:
                place = self._document.at(f"{at}.{name}".lstrip("."))
                hint = did_you_mean(str(name), list(known))
                self._ignored.append(f"{place}: {name} is ignored: no field of that name; {hint}")

    def _wrong(self, at: str, last: str, expected: str) -> ConfigError:
        place = self._document.at(at.lstrip("."))
        return ConfigError(f"{place}: the run file cannot be used", last=last, expected=expected)


def _is(value: Any, kind: str) -> bool:
    if kind == _MAP:
        rows = value if isinstance(value, list) else [value]
        return all(isinstance(row, dict) and all(map(_scalar, row.values())) for row in rows)
    if kind in (_WORDS, _PATHS):
        # The documentation also shows a single string with commas for paths.
        return isinstance(value, list | str if kind == _PATHS else list) and all(
            map(_scalar, value)
        )
    if kind == _PORT:
        return type(value) is int and -1 <= value <= 65535
    if isinstance(value, bool):
        return kind is _SWITCH
    return isinstance(value, _TYPES[kind])


def _scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _chosen(port: int | None) -> bool:
    return port is not None and port not in ANY_PORT


def _env(texts: Mapping[str, Any]) -> dict[str, str]:
    """Variables: a mapping, or a list of mappings."""
    said = texts.get("env") or {}
    rows = said if isinstance(said, list) else [said]
    return {name: text for row in rows for name, text in row.items()}
