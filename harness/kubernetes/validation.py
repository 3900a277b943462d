"""Manifests, validated by an API server: what it would refuse, in its own words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.deadline import Deadline, poll
from harness.kubernetes.api import Answer, ApiServer
from harness.kubernetes.kinds import Kinds, ServedCheck, Unserved, defined_by
from harness.kubernetes.manifests import Manifest

NAMESPACE = ("v1", "Namespace")
CUSTOM = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
DEFAULT = "default"
"""The namespace of an object that names none."""

SOON = 10.0
"""Seconds within which a kind is served once its definition is stored; mostly, it is a tenth."""

_PATH = re.compile(r'\.?([A-Za-z][\w-]*(?:\.[\w-]+|\[(?:name=)?"?[\w.-]+"?\])*)')
"""A field, as the messages of the server have it."""

_LINE = re.compile(r"YAML to JSON: yaml: .*?line (\d+):", re.DOTALL)
"""A line of the text, in the message of the server's parser."""


@dataclass(frozen=True)
class Verdict:
    """What the server says of one object.

    Attributes:
        place: ``file:line`` of the object, or of the field that the problem is about.
        kind: ``Deployment``.
        name: with its namespace if it has one, such as ``todo/frontend``.
        problem: why it was refused, in the server's own words; "" if it was accepted.
        warnings: what the server warns of, in its own words.
    """

    place: str
    kind: str
    name: str
    problem: str = ""
    warnings: tuple[str, ...] = ()


class Validation:
    """Validates each object by a dry run, which ends before anything is stored.

    On a server that is used for nothing else, namespaces and the definitions of kinds are stored,
    because others are refused without them.

    Args:
        server: the server.
        namespace: for objects that name none.
        own: whether it is used for nothing else.
        require: is given each answer.
    """

    def __init__(
        self,
        server: ApiServer,
        namespace: str = DEFAULT,
        *,
        own: bool = True,
        require: Callable[[Answer], Answer] = lambda answer: answer,
    ) -> None:
        self._server = server
        self._namespace = namespace
        self._own = own
        self._require = require
        self._kinds = Kinds(server)
        self._created: set[str] = set()

    def judge(self, manifests: Sequence[Manifest]) -> Iterator[Verdict]:
        """A verdict on each object, in the order in which they can be created.

        Raises:
            ProbeError: the server does not answer.
        """
        for each in sorted(manifests, key=_rank):
            yield self._judge(each)

    def _judge(self, manifest: Manifest) -> Verdict:
        if missing := _missing(manifest):
            return _verdict(manifest, manifest.at(), missing)
        try:
            kind = self._kinds.find(manifest.version, manifest.kind)
        except Unserved as error:
            return _verdict(manifest, manifest.at("kind"), error.subject)
        namespace = (manifest.namespace or self._namespace) if kind.namespaced else ""
        if self._own and namespace and (refused := self._ensure(namespace)):
            return _verdict(manifest, manifest.at("metadata.namespace"), refused)
        stored = self._own and _type(manifest) in (NAMESPACE, CUSTOM)
        path = kind.object(manifest.name, namespace)
        text = manifest.text.encode()
        answer = self._require(self._server.apply(path, text, dry_run=not stored))
        if answer.accepted:
            if stored:
                self._note(manifest)
            return _verdict(manifest, manifest.at(), "", namespace, answer.warnings)
        return _verdict(manifest, _place(manifest, answer), answer.message, namespace)

    def _note(self, manifest: Manifest) -> None:
        """What is stored now, and that others rely on."""
        if _type(manifest) == NAMESPACE:
            self._created.add(manifest.name)
        if _type(manifest) == CUSTOM:
            served = ServedCheck(self._server, defined_by(manifest.body))
            # If it is not served then, its objects are refused for this reason.
            poll(served.observe, Deadline(SOON))

    def _ensure(self, namespace: str) -> str:
        """Create the namespace of an object, as `kubectl create namespace` would.

        Returns:
            Why the server refuses it; "" if it does not.
        """
        if namespace in self._created:
            return ""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        path = self._kinds.find(*NAMESPACE).object(namespace, "")
        answer = self._server.apply(path, json.dumps(body).encode(), dry_run=False)
        if not answer.accepted:
            return f"its namespace cannot be created: {answer.message}"
        self._created.add(namespace)
        return ""


def _rank(manifest: Manifest) -> int:
    first = (NAMESPACE, CUSTOM)
    return first.index(_type(manifest)) if _type(manifest) in first else len(first)


def _type(manifest: Manifest) -> tuple[str, str]:
    return manifest.version, manifest.kind


def _missing(manifest: Manifest) -> str:
    """What every object must have."""
    given = {
        "apiVersion": manifest.version,
        "kind": manifest.kind,
        "metadata.name": manifest.name,
    }
    return ", ".join(f"it has no {name}" for name, value in given.items() if not value)


def _place(manifest: Manifest, answer: Answer) -> str:
    """Where the problem is: at a line of the text or a field, if the server names one."""
    if line := _LINE.search(answer.message):
        return manifest.at_line(int(line[1]))
    return manifest.at(_field(manifest, answer))


def _field(manifest: Manifest, answer: Answer) -> str:
    """The field that the server names; "" if it names none."""
    words = [cause.get("field") for cause in _causes(answer.body)]
    words += _PATH.findall(answer.message)
    known = {name.partition(".")[0] for name in manifest.resource.lines}
    return next((word for word in words if word and _root(word) in known and "." in word), "")


def _root(field: str) -> str:
    return re.split(r"[.\[]", field, maxsplit=1)[0]


def _causes(body: dict[str, Any]) -> list[dict[str, Any]]:
    details = body.get("details")
    found = details.get("causes") if isinstance(details, dict) else None
    return found if isinstance(found, list) else []


def _verdict(
    manifest: Manifest,
    place: str,
    problem: str,
    namespace: str = "",
    warnings: tuple[str, ...] = (),
) -> Verdict:
    name = f"{namespace}/{manifest.name}" if namespace else manifest.name
    return Verdict(place, manifest.kind or "?", name or "?", problem, warnings)
