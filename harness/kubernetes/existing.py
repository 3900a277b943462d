"""An existing cluster: what it must have before manifests are validated by it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from harness.core.errors import ConfigError, ProbeError, Unavailable
from harness.dapr.resources import mapping, sequence
from harness.kubernetes.api import Answer, ApiServer
from harness.kubernetes.dapr_roles import SIDECAR
from harness.kubernetes.kinds import Kinds, Unserved
from harness.kubernetes.manifests import Manifest
from harness.kubernetes.validation import Verdict

ENABLED = "dapr.io/enabled"
CREDENTIALS, DENIED = 401, 403
NOT_FOUND = 404

_VERSION = re.compile(r"(\d+)\.(\d+)\.\d+")
_UNANSWERED = re.compile(r"failed calling webhook|failed to call webhook|no endpoints available")
_PERMISSION = re.compile(r"cannot (\w+) resource \"?([\w./]+)")


_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True)
class Right:
    """Something that the API server may allow.

    Attributes:
        verb: ``create``, ``get`` ...
        resource: the plural of a kind, such as ``pods``, or a part of it: ``pods/log``.
        group: of its API; "" for the first one.
    """

    verb: str
    resource: str
    group: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


@dataclass(frozen=True)
class ExistingCluster:
    """A cluster that is asked; nothing is stored in it.

    Attributes:
        server: its API server.
        context: what messages call it.
    """

    server: ApiServer
    context: str

    def version(self) -> str:
        """The version of Kubernetes.

        Raises:
            ConfigError: it does not accept the credentials.
            ProbeError: it does not answer.
        """
        answer = self.require(self.server.get("/version"))
        return str(answer.body.get("gitVersion") or "of an unknown version").lstrip("v")

    def require(self, answer: Answer) -> Answer:
        """An answer that is not about credentials or permissions.

        Raises:
            ConfigError: the credentials are not accepted.
            Unavailable: they lack a permission.
        """
        if answer.status == CREDENTIALS:
            raise ConfigError(
                f"the API server of context {self.context!r} does not accept its credentials",
                last=answer.message,
                hint=f"log in again, and try `kubectl --context {self.context} auth whoami`",
            )
        if answer.status == DENIED and (found := _PERMISSION.search(answer.message)):
            raise Unavailable(
                f"context {self.context!r} has no permission to {found[1]} {found[2]}",
                expected="the permissions that `kubectl apply` of the manifests needs",
                last=answer.message,
                hint="ask who administers the cluster, or use another context",
            )
        return answer

    def require_dapr(self) -> None:
        """Dapr's kinds are defined.

        Raises:
            Unavailable: they are not.
        """
        try:
            Kinds(self.server).find("dapr.io/v1alpha1", "Component")
        except Unserved as error:
            raise Unavailable(
                f"Dapr is not installed in the cluster of context {self.context!r}",
                last=error.subject,
                hint="install it: `dapr init -k`, or its Helm chart",
            ) from None

    def require_namespaces(
        self,
        names: Iterable[str],
        expected: str = "a namespace in which a dry run is possible; none is created for it",
    ) -> None:
        """They exist: nothing in a namespace is checked without it, and none is created here.

        Args:
            names: of the namespaces.
            expected: what the message says of them.

        Raises:
            Unavailable: one does not exist.
        """
        for name in sorted(set(names)):
            path = f"/api/v1/namespaces/{quote(name, '')}"
            # Who may not read it may still be allowed to use it.
            if self.server.get(path).status == NOT_FOUND:
                raise Unavailable(
                    f"the cluster of context {self.context!r} has no namespace {name!r}",
                    expected=expected,
                    hint=f"kubectl --context {self.context} create namespace {name}",
                )

    def require_rights(self, rights: Iterable[Right], namespace: str = "") -> None:
        """The credentials allow all of this.

        Args:
            rights: what will be done.
            namespace: where; "" for the whole cluster.

        Raises:
            Unavailable: something is not allowed.
        """
        missing = [str(each) for each in rights if not self._may(each, namespace)]
        if missing:
            where = f" in namespace {namespace!r}" if namespace else ""
            raise Unavailable(
                f"context {self.context!r} has no permission to {', '.join(missing)}{where}",
                expected="what a stack needs there; docs/attach.md lists it",
                hint="ask who administers the cluster, name a namespace in which you may do this, "
                "or use another context",
            )

    def _may(self, right: Right, namespace: str) -> bool:
        resource, _, part = right.resource.partition("/")
        asked = {"verb": right.verb, "group": right.group, "resource": resource}
        spec = {"resourceAttributes": {**asked, "subresource": part, "namespace": namespace}}
        answer = self.require(self.server.create(_REVIEWS, {"spec": spec}))
        return bool(mapping(answer.body.get("status")).get("allowed"))

    def injected(self, namespace: str, wanted: str) -> str:
        """The image of the sidecar that the injector gives to a pod of a namespace.

        Args:
            namespace: of the pod, which is not created.
            wanted: the version of Dapr for which the objects of the stack are written.

        Raises:
            ProbeError: the injector does not answer.
            Unavailable: it adds no sidecar, or one of another version.
        """
        annotations = {ENABLED: "true", "dapr.io/app-id": "asks-for-a-sidecar"}
        spec = {"containers": [{"name": "app", "image": "none"}]}
        template = {"metadata": {"annotations": annotations}, "spec": spec}
        answer = self._asked(template, "asks-for-a-sidecar", namespace)
        image = _image(answer.body)
        if not image:
            raise Unavailable(
                f"the injector of Dapr adds no sidecar to pods of namespace {namespace!r} in the "
                f"cluster of context {self.context!r}",
                last="" if answer.accepted else answer.message,
                hint="look at the log of its pod: kubectl logs -A -l app=dapr-sidecar-injector",
            )
        self._require_version(image, wanted)
        return image

    def sidecars(
        self, manifests: Sequence[Manifest], namespace: str, wanted: str
    ) -> Iterator[Verdict]:
        """A verdict on a pod of each workload that asks for a sidecar, in a dry run.

        Args:
            manifests: among which the workloads are.
            namespace: of those that name none.
            wanted: the version of Dapr for which they are written.

        Raises:
            ProbeError: the injector does not answer.
            Unavailable: it injects a sidecar of another version.
        """
        for each in manifests:
            template = mapping(mapping(each.body.get("spec")).get("template"))
            annotations = mapping(mapping(template.get("metadata")).get("annotations"))
            if str(annotations.get(ENABLED)).lower() == "true":
                yield self._injected(each, template, each.namespace or namespace, wanted)

    def _injected(
        self, manifest: Manifest, template: dict[str, Any], namespace: str, wanted: str
    ) -> Verdict:
        name = f"{manifest.name}-validated"
        answer = self._asked(template, name, namespace)
        problem = "" if answer.accepted else f"its pod: {answer.message}"
        image = _image(answer.body)
        if answer.accepted and not image:
            problem = "the injector of Dapr has added no sidecar to its pod"
        self._require_version(image, wanted)
        place = manifest.at("spec.template.metadata.annotations")
        return Verdict(place, "Pod", f"{namespace}/{name}", problem, answer.warnings)

    def _asked(self, template: dict[str, Any], name: str, namespace: str) -> Answer:
        """What the API server, and with it the injector, says of a pod; a dry run."""
        path = f"/api/v1/namespaces/{quote(namespace, '')}/pods/{quote(name, '')}"
        body = json.dumps(_pod(template, name)).encode()
        answer = self.require(self.server.apply(path, body, dry_run=True))
        if not answer.accepted and _UNANSWERED.search(answer.message):
            raise ProbeError(
                f"the injector of Dapr does not answer in the cluster of context {self.context!r}",
                last=answer.message,
                hint="look at its pod: kubectl get pods -A -l app=dapr-sidecar-injector",
            )
        return answer

    def _require_version(self, image: str, wanted: str) -> None:
        found, ours = _VERSION.search(image.rpartition(":")[2]), _VERSION.search(wanted)
        if found and ours and found.groups() != ours.groups():
            raise Unavailable(
                f"the cluster of context {self.context!r} has Dapr {found[0]}",
                expected=f"Dapr {ours[1]}.{ours[2]}, for which the manifests are written",
                last=f"the injected sidecar is {image}",
                hint=f"install {ours[0]} there, or set DAPR_HARNESS_DAPR_VERSION={found[0]}",
            )


def _pod(template: dict[str, Any], name: str) -> dict[str, Any]:
    metadata = {**mapping(template.get("metadata")), "name": name}
    # Its account is among the manifests, and no pod is accepted without it.
    left_out = ("serviceAccountName", "serviceAccount")
    spec = {key: each for key, each in mapping(template.get("spec")).items() if key not in left_out}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _image(pod: dict[str, Any]) -> str:
    """Of the injected sidecar; "" if there is none."""
    spec = mapping(pod.get("spec"))
    # As a native sidecar, it is among the init containers.
    rows = [*sequence(spec.get("containers")), *sequence(spec.get("initContainers"))]
    found = [mapping(each) for each in rows]
    return next((str(each.get("image")) for each in found if each.get("name") == SIDECAR), "")
