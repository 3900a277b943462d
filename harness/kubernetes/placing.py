"""What is changed in the objects of a stack for an existing cluster."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from harness.core.errors import ConfigError
from harness.dapr.resources import mapping
from harness.kubernetes.api import ApiServer
from harness.kubernetes.kinds import Kinds
from harness.kubernetes.pod_objects import Object
from harness.kubernetes.session_agent import SESSION, claim_on, is_over
from harness.provision.cluster_node import SHELL_IMAGE

IF_NOT_PRESENT = "IfNotPresent"


def placed(body: Object, session: str, shell: str) -> Object:
    """An object as it is applied to an existing cluster.

    Args:
        body: the object, for a cluster that has every image.
        session: the label by which everything of the stack is found and removed.
        shell: the image with a shell and `tar`.
    """
    made = copy.deepcopy(dict(body))
    made["metadata"].setdefault("labels", {})[SESSION] = session
    template = mapping(mapping(made.get("spec")).get("template"))
    if made["kind"] == "Deployment":
        template["metadata"].setdefault("labels", {})[SESSION] = session
        spec = template["spec"]
        for each in [*spec.get("initContainers", ()), *spec["containers"]]:
            each["imagePullPolicy"] = IF_NOT_PRESENT
            if each["image"] == SHELL_IMAGE:
                each["image"] = shell
    return made


def require_free(server: ApiServer, objects: Iterable[Mapping[str, object]], session: str) -> None:
    """Check that nothing of others would be changed.

    Args:
        server: the API server.
        objects: what will be applied.
        session: the label of what the stack has applied before.

    Raises:
        ConfigError: an object exists, and is not the stack's.
        ProbeError: the server does not answer.
    """
    kinds = Kinds(server)
    for each in objects:
        kind, metadata = str(each["kind"]), mapping(each["metadata"])
        name, namespace = str(metadata["name"]), str(metadata.get("namespace", ""))
        found = server.get(kinds.find(str(each["apiVersion"]), kind).object(name, namespace))
        labels = mapping(mapping(found.body.get("metadata")).get("labels"))
        if found.accepted and labels.get(SESSION) != session:
            raise ConfigError(
                f"namespace {namespace!r} has a {kind} {name!r} already, which is not this stack's",
                expected="a namespace without objects of the same names",
                hint="leave the namespace out: the stack then has one of its own",
            )


def require_unclaimed(server: ApiServer, namespace: str) -> None:
    """Check that no other stack uses a namespace.

    Raises:
        ConfigError: one does.
        ProbeError: the server does not answer.
    """
    found = server.get(claim_on(namespace))
    if found.accepted and not is_over(found.body):
        raise ConfigError(
            f"the namespace {namespace!r} is used by another stack",
            last=f"its holder is {mapping(found.body.get('spec')).get('holderIdentity')}",
            hint="wait for its end, or leave the namespace out: the stack then has one of its own",
        )
