"""The kinds of objects that an API server serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from harness.core.deadline import Observation
from harness.core.errors import HarnessError, did_you_mean
from harness.dapr.resources import mapping, sequence
from harness.kubernetes.api import ApiServer


class Unserved(HarnessError):
    """The server does not serve a kind; the text says what it serves instead."""


@dataclass(frozen=True)
class Kind:
    """A kind as its server describes it.

    Attributes:
        path: of the objects of all namespaces.
        plural: the last part of this path.
        namespaced: whether its objects are in namespaces.
    """

    path: str
    plural: str
    namespaced: bool

    def object(self, name: str, namespace: str) -> str:
        """The path of one object."""
        within = f"/namespaces/{quote(namespace, '')}" if self.namespaced else ""
        return f"{self.path}{within}/{self.plural}/{quote(name, '')}"


class Kinds:
    """The kinds of one server; a group is asked for again only if it lacked a kind."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._known: dict[str, dict[str, Kind]] = {}

    def find(self, version: str, kind: str) -> Kind:
        """A kind by its ``apiVersion`` and name.

        Raises:
            Unserved: the server does not have it.
            ProbeError: the server does not answer.
        """
        known = self._known.get(version, {})
        if kind not in known:
            known = self._known[version] = self._ask(version)
        if kind not in known:
            raise Unserved(f"{version} has no kind {kind!r}; {did_you_mean(kind, [*known])}")
        return known[kind]

    def _ask(self, version: str) -> dict[str, Kind]:
        path = quote(f"/apis/{version}" if "/" in version else f"/api/{version}")
        answer = self._server.get(path)
        if not answer.accepted:
            raise Unserved(
                f"the API server does not serve {version}: the version is wrong, or its "
                "CustomResourceDefinition is missing"
            )
        return {
            row["kind"]: Kind(path, row["name"], bool(row["namespaced"]))
            for row in _rows(answer.body)
            if "/" not in row["name"]
        }


@dataclass(frozen=True)
class ServedCheck:
    """A server serves these kinds: it learns of new ones a moment after they were accepted.

    Attributes:
        kinds: pairs of ``apiVersion`` and kind.
    """

    server: ApiServer
    kinds: tuple[tuple[str, str], ...]
    name: str = "custom kinds"

    def observe(self) -> Observation:
        """Ask for each kind."""
        kinds = Kinds(self.server)
        try:
            for version, kind in self.kinds:
                kinds.find(version, kind)
        except Unserved as error:
            return Observation(False, str(error))
        return Observation(True, f"{len(self.kinds)} kinds")


def defined_by(crd: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The ``apiVersion`` and kind of each version that a CustomResourceDefinition serves."""
    spec = mapping(crd.get("spec"))
    versions = [mapping(each) for each in sequence(spec.get("versions"))]
    kind = str(mapping(spec.get("names")).get("kind"))
    served = [each["name"] for each in versions if each.get("served")]
    return tuple((f"{spec.get('group')}/{name}", kind) for name in served)


def _rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    found = body.get("resources")
    return found if isinstance(found, list) else []
