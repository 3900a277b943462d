"""Keeps the place of a stack in an existing cluster; a program of its own.

``hold FILE`` claims a namespace and renews the claim until SIGTERM; the file says what it has to
know. ``end FILE`` removes what the stack has there. ``watch FILE`` does so when its standard input
is closed: it outlives whoever was killed.

A claim is a Lease with the name `LEASE`. Whoever is killed with its machine does not renew it, and
the next stack in that cluster removes what it has left.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

# The package that this file is part of, instead of its folder, which has modules of any name.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
from harness.kubernetes.bare_api import MERGE, Server

LEASE = "dapr-harness"
"""The name of the Lease in a namespace that a stack uses."""

MANAGED = {"app.kubernetes.io/managed-by": "dapr-harness"}
"""The label of a namespace that was created for a stack."""

SECURED = {"pod-security.kubernetes.io/enforce": "baseline"}
"""The label by which a namespace admits what the pods of a stack need, and no more."""

SESSION = "dapr-harness/session"
"""The label of everything that a stack has applied."""

RENEWED = 30.0
"""Seconds between two renewals."""

EXPIRED = 300
"""Seconds after which a claim that was not renewed is over: clocks of machines may differ."""

KINDS = (
    "/apis/apps/v1/{}/deployments",
    "/apis/apps/v1/{}/replicasets",
    "/api/v1/{}/pods",
    "/api/v1/{}/services",
    "/api/v1/{}/secrets",
    "/api/v1/{}/serviceaccounts",
    "/apis/rbac.authorization.k8s.io/v1/{}/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/{}/roles",
    "/apis/dapr.io/v1alpha1/{}/components",
    "/apis/dapr.io/v2alpha1/{}/subscriptions",
    "/apis/dapr.io/v1alpha1/{}/configurations",
    "/apis/dapr.io/v1alpha1/{}/resiliencies",
    "/apis/dapr.io/v1alpha1/{}/httpendpoints",
)
"""What a stack applies, and what is made of it; what creates others comes first."""

GONE = (http.client.NOT_FOUND, http.client.CONFLICT)
"""A namespace that is being deleted answers with a conflict."""

Object = dict[str, Any]


class Refused(Exception):
    """The API server has refused something; the text says what."""


class Session:
    """What a stack has in a cluster.

    Args:
        about: ``server`` (see `Server`), ``namespace``, ``own`` (whether it is created for the
            stack), ``session`` (by which its objects are known) and ``holder`` (who it is).
    """

    def __init__(self, about: Object) -> None:
        self._about = about
        self._server = Server(about["server"])
        self._namespace = str(about["namespace"])

    def claim(self) -> None:
        """Create the namespace if it is the stack's own, and the Lease in it.

        Raises:
            Refused: another stack uses it, or the API server does not allow it.
        """
        if self._about["own"]:
            self._create_namespace()
        made = self._ask("POST", _leases(self._namespace), self._lease())
        if made[0] == http.client.CONFLICT:
            self._take_over()
        elif made[0] >= http.client.BAD_REQUEST:
            raise Refused(_said(made[1]))

    def renew(self) -> None:
        """Tell the others that this stack still runs."""
        spec = {"spec": self._lease()["spec"]}
        path = claim_on(self._namespace)
        self._server.ask("PATCH", path, spec, MERGE).read()

    def sweep(self) -> None:
        """Remove the namespaces whose claims are no longer renewed."""
        wanted = quote(",".join(f"{key}={value}" for key, value in MANAGED.items()))
        for each in self._items(f"/api/v1/namespaces?labelSelector={wanted}"):
            name = each["metadata"]["name"]
            status, lease = self._ask("GET", claim_on(name))
            if name != self._namespace and status == http.client.OK and is_over(lease):
                self._delete_namespace(name)

    def end(self) -> None:
        """Remove everything of the stack, and nothing else.

        Raises:
            Refused: the API server does not remove something.
        """
        if self._about["own"]:
            self._delete_namespace(self._namespace)
            return
        status, lease = self._ask("GET", claim_on(self._namespace))
        if status == http.client.OK and _session_of(lease) == self._about["session"]:
            self._remove(self._about["session"])
            self._delete(claim_on(self._namespace))

    def _create_namespace(self) -> None:
        metadata = {"name": self._namespace, "labels": {**MANAGED, **SECURED}}
        while True:
            status, said = self._ask("POST", "/api/v1/namespaces", {"metadata": metadata})
            if status < http.client.BAD_REQUEST:
                return
            _, found = self._ask("GET", f"/api/v1/namespaces/{self._namespace}")
            if not found.get("metadata", {}).get("deletionTimestamp"):
                raise Refused(_said(said))
            # The start of a stack is repeated if a port was taken.
            self._await_change(found)

    def _await_change(self, namespace: Object) -> None:
        """Until a namespace changes, or for a second."""
        metadata = namespace["metadata"]
        selected = f"fieldSelector=metadata.name={metadata['name']}&timeoutSeconds=1"
        since = f"resourceVersion={metadata['resourceVersion']}"
        self._server.ask("GET", f"/api/v1/namespaces?watch=true&{selected}&{since}").readline()

    def _take_over(self) -> None:
        """Remove what a stack has left that used the same namespace, and take its place."""
        path = claim_on(self._namespace)
        found = self._require("GET", path)
        if not is_over(found):
            raise Refused(
                f"the namespace {self._namespace} is used by {found['spec'].get('holderIdentity')}"
            )
        self._remove(_session_of(found))
        version = found["metadata"]["resourceVersion"]
        made = self._lease()
        made["metadata"]["resourceVersion"] = version
        self._require("PUT", path, made)

    def _remove(self, session: str) -> None:
        for kind in KINDS:
            path = kind.format(f"namespaces/{self._namespace}")
            for each in self._items(f"{path}?labelSelector={quote(f'{SESSION}={session}')}"):
                self._delete(f"{path}/{each['metadata']['name']}")

    def _delete_namespace(self, name: str) -> None:
        self._delete(f"/api/v1/namespaces/{name}")
        # Nothing of them is needed any more: the namespace is gone sooner.
        self._ask("DELETE", f"/api/v1/namespaces/{name}/pods", _NOW)

    def _delete(self, path: str) -> None:
        status, said = self._ask("DELETE", path, _NOW)
        if status >= http.client.BAD_REQUEST and status not in GONE:
            raise Refused(_said(said))

    def _items(self, path: str) -> Iterator[Object]:
        """Those of a list; none of what may not be read, or does not exist."""
        status, body = self._ask("GET", path)
        yield from body.get("items", []) if status == http.client.OK else ()

    def _lease(self) -> Object:
        """The claim, renewed now."""
        metadata = {"name": LEASE, "labels": {SESSION: self._about["session"], **MANAGED}}
        spec = {
            "holderIdentity": self._about["holder"],
            "leaseDurationSeconds": EXPIRED,
            "renewTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }

    def _require(self, method: str, path: str, body: object = None) -> Object:
        status, said = self._ask(method, path, body)
        if status >= http.client.BAD_REQUEST:
            raise Refused(_said(said))
        return said

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, Object]:
        answer = self._server.ask(method, path, body)
        text = answer.read().decode(errors="replace")
        try:
            found = json.loads(text)
        except ValueError:
            found = {"message": text[:300]}
        return answer.status, found


_NOW = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


def claim_on(namespace: str) -> str:
    """The path of the Lease by which a stack claims a namespace."""
    return f"{_leases(namespace)}/{LEASE}"


def _session_of(lease: Object) -> str:
    return str(lease["metadata"].get("labels", {}).get(SESSION, ""))


def is_over(lease: Mapping[str, Any]) -> bool:
    """Whether a claim was not renewed for longer than it lasts."""
    spec = lease.get("spec", {})
    try:
        renewed = datetime.fromisoformat(spec["renewTime"])
    except (KeyError, ValueError):
        return False
    return datetime.now(UTC) - renewed > timedelta(seconds=spec.get("leaseDurationSeconds", 0))


def _tell(text: str) -> None:
    sys.stdout.write(f"dapr-harness: {text}\n")
    sys.stdout.flush()


def _said(body: Object) -> str:
    return str(body.get("message") or body)


def hold(file: str, session: Session) -> int:
    """Claim the namespace, and keep the claim until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    session.claim()
    words = [sys.executable, "-E", __file__, "watch", file]
    # It is not in this process's group, and ends when the pipe does: even if this one is killed.
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as watcher:
        session.sweep()
        _tell("the namespace is claimed")
        while signal.sigtimedwait([signal.SIGTERM], RENEWED) is None:
            session.renew()
        # What the stack has there is removed when all of it has ended.
        watcher.kill()
    return 0


def watch(session: Session) -> int:
    """Wait until whoever holds the other end of the pipe is gone."""
    os.read(0, 1)
    session.end()
    return 0


def main(arguments: list[str]) -> int:
    """Do what was asked; a refusal is told in one line."""
    act, file = arguments
    about = json.loads(Path(file).read_text())
    session = Session(about)
    try:
        if act == "hold":
            return hold(file, session)
        if act == "watch":
            return watch(session)
        session.end()
    except Refused as error:
        _tell(str(error))
        return 1
    except (OSError, http.client.HTTPException) as error:
        url = about["server"]["url"]
        _tell(f"the API server at {url} does not answer: {error!r}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
