"""Applies objects to a cluster, in the order in which they are given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.deadline import Deadline, poll
from harness.core.errors import HarnessError
from harness.kubernetes.api import ApiServer
from harness.kubernetes.kinds import Kinds, ServedCheck, defined_by
from harness.kubernetes.manifests import manifests_in
from harness.kubernetes.validation import SOON


def apply_all(server: ApiServer, objects: Iterable[Mapping[str, Any]]) -> None:
    """Apply each object by server-side apply.

    Raises:
        HarnessError: the server refuses one.
        ProbeError: the server does not answer.
    """
    kinds = Kinds(server)
    for each in objects:
        kind, metadata = str(each["kind"]), each["metadata"]
        name, namespace = metadata["name"], metadata.get("namespace", "")
        path = kinds.find(str(each["apiVersion"]), kind).object(name, namespace)
        _apply(server, path, json.dumps(each), f"{kind} {name}")


def define_kinds(server: ApiServer, folder: Path, replaced: Mapping[str, str]) -> None:
    """Apply the CRDs in a folder, and wait until their kinds are served.

    Args:
        server: the server.
        folder: with YAML files.
        replaced: what is written instead of some words.

    Raises:
        HarnessError: the server refuses one.
        ProbeError: the server does not answer.
    """
    kinds, defined = Kinds(server), list[tuple[str, str]]()
    for each in manifests_in([folder]):
        text = each.text
        for old, new in replaced.items():
            text = text.replace(old, new)
        path = kinds.find(each.version, each.kind).object(each.name, "")
        _apply(server, path, text, f"{each.kind} {each.name}")
        defined += defined_by(each.body)
    _require_served(server, defined)


def _require_served(server: ApiServer, kinds: Sequence[tuple[str, str]]) -> None:
    seen = poll(ServedCheck(server, tuple(kinds)).observe, Deadline(SOON))
    if not seen.ok:
        raise HarnessError(
            "the API server does not serve a kind that it has accepted",
            last=seen.fact,
            budget=SOON,
            hint="look into the log of kube-apiserver in the node's folder",
        )


def _apply(server: ApiServer, path: str, text: str, what: str) -> None:
    answer = server.apply(path, text.encode(), dry_run=False)
    if not answer.accepted:
        raise HarnessError(
            f"the API server refuses {what}",
            last=answer.message,
            hint="correct it: it is applied as it is",
        )
