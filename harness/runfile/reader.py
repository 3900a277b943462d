"""Turns the document of a run file into values: precedence, paths, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import ConfigError, did_you_mean
from harness.core.reading import read_text
from harness.dapr.resources import DaprResource
from harness.runfile.fields import FLAGS, AppFields, Common, Fields, Unfit, read_fields
from harness.runfile.read import RunApp, RunFile

VERSION = 1
DESTINATIONS = ("file", "console", "fileAndConsole")
ANY_PORT = (0, -1)
"""The values for which the Dapr CLI uses any free port."""

_PORTS = {
    "daprHTTPPort": "http",
    "daprGRPCPort": "grpc",
    "daprInternalGRPCPort": "internal",
    "metricsPort": "metrics",
}
_IGNORED = {
    "placementHostAddress": "the stack has a placement service of its own",
    "schedulerHostAddress": "the stack has a scheduler of its own",
    "runtimePath": "choose Dapr with the setting dapr_dir",
    "containerImage": "it is for Kubernetes",
    "containerImagePullPolicy": "it is for Kubernetes",
    "createService": "it is for Kubernetes",
}
_REFUSED = {"unixDomainSocket": "the harness talks to sidecars by TCP, which this switches off"}


class _Texts(yaml.constructor.SafeConstructor):
    """Each scalar as the text in the file, as the CLI passes on variables and commands."""


for _kind in ("int", "float", "bool", "timestamp"):
    _Texts.add_constructor(f"tag:yaml.org,2002:{_kind}", lambda _, node: node.value)
_Texts.add_constructor("tag:yaml.org,2002:null", lambda *_: "")


def _texts(document: DaprResource) -> Any:
    nodes = yaml.compose_all(read_text(document.file), Loader=yaml.SafeLoader)
    own = (each for each in nodes if each.start_mark.line + 1 == document.line)
    return _Texts().construct_document(next(own))


class Reader:
    """Reads one document."""

    def __init__(self, document: DaprResource) -> None:
        self._document = document
        self._body = document.body
        self._base = document.file.parent
        self._ignored: list[str] = []

    def read(self) -> RunFile:
        """The run file.

        Raises:
            ConfigError: a field is missing or invalid; with the line.
        """
        self._name_unknown(self._body, ("version", "common", "apps", "name"), "")
        version = self._body.get("version")
        if type(version) is not int or not version:
            raise self._wrong("version", f"version {version!r}", f"{VERSION}")
        if version != VERSION:
            place = self._document.at("version")
            self._ignored.append(
                f"{place}: version {version} is read as version {VERSION}, as by the Dapr CLI"
            )
        rows = self._body.get("apps")
        if not isinstance(rows, list) or not rows:
            raise self._wrong("apps", "no apps", "a list of at least one app")
        common = self._fields(Common, self._body.get("common") or {}, "common")
        texts = _texts(self._document)
        shared = _env(texts.get("common") or {})
        apps = tuple(
            self._app(row, common, texts["apps"][index], shared, f"apps.{index}")
            for index, row in enumerate(rows)
        )
        return RunFile(self._document.file, apps, tuple(dict.fromkeys(self._ignored)))

    def _app(
        self, row: Any, common: Mapping[str, Any], texts: Any, shared: Mapping[str, str], at: str
    ) -> RunApp:
        own = self._fields(AppFields, row, at)
        if not own.get("appDirPath"):
            raise self._wrong(at, "an app without appDirPath", "the folder of the app")
        folder = self._folder(own["appDirPath"], f"{at}.appDirPath")
        merged = {**common, **own}
        flags = {flag: _said(merged[name]) for name, flag in FLAGS.items() if name in merged}
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

    def _fields(self, kind: type[Fields], values: Any, at: str) -> dict[str, Any]:
        """The fields that have a value; those that have no effect are noted."""
        if not isinstance(values, dict):
            raise self._wrong(at, f"a {type(values).__name__}", "a mapping of fields")
        known = [*kind.model_fields, *_IGNORED, *_REFUSED]
        self._name_unknown(values, known, at)
        for name in filter(_IGNORED.get, values):
            place = self._document.at(f"{at}.{name}")
            self._ignored.append(f"{place}: {name} is ignored: {_IGNORED[name]}")
        for name in filter(_REFUSED.get, values):
            raise self._wrong(f"{at}.{name}", f"{name} is not supported", _REFUSED[name])
        try:
            return read_fields(kind, values)
        except Unfit as error:
            raise self._wrong(
                f"{at}.{error.name}", f"{error.name} is {error.value!r}", error.expected
            ) from None

    def _name_unknown(self, values: Mapping[str, Any], known: Iterable[str], at: str) -> None:
        names = list(known)
        for name in values:
            if name not in names:
                place = self._document.at(f"{at}.{name}".lstrip("."))
                hint = did_you_mean(str(name), names)
                self._ignored.append(f"{place}: {name} is ignored: no field of that name; {hint}")

    def _wrong(self, at: str, last: str, expected: str) -> ConfigError:
        place = self._document.at(at.lstrip("."))
        return ConfigError(f"{place}: the run file cannot be used", last=last, expected=expected)


def _said(value: Any) -> str:
    """A value as daprd's command line has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _chosen(port: int | None) -> bool:
    return port is not None and port not in ANY_PORT


def _env(texts: Mapping[str, Any]) -> dict[str, str]:
    """Variables: a mapping, or a list of mappings."""
    said = texts.get("env") or {}
    rows = said if isinstance(said, list) else [said]
    return {name: text for row in rows for name, text in row.items()}
