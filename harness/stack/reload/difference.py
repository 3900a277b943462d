"""What a sidecar loads, and what of it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from harness.core.launch import Launch
from harness.dapr.resources import DaprResource, plain_fields

HOT = ("Component", "Subscription")
"""The kinds that daprd 1.18.2 loads while it runs, and whose effect its metadata shows."""

REASONS = {
    "Configuration": "daprd reads a Configuration only when it starts",
    "HTTPEndpoint": "daprd starts again by itself to load an HTTPEndpoint",
    "Resiliency": "daprd starts again by itself to load a Resiliency",
}
"""Why a sidecar is restarted, by the kind of a changed resource; other kinds are not shown in its
metadata."""


@dataclass(frozen=True)
class Planned:
    """A sidecar as it is planned.

    Attributes:
        resources: what it loads, filled for itself.
        launch: how it is started.
    """

    resources: Sequence[DaprResource]
    launch: Launch


@dataclass(frozen=True)
class Difference:
    """What changes between two plans of a sidecar.

    Attributes:
        old: the plan that it follows.
        new: the plan that it is to follow.
    """

    old: Planned
    new: Planned

    def __bool__(self) -> bool:
        old, new = self.old.launch, self.new.launch
        return old.files != new.files or self.relaunches

    @property
    def relaunches(self) -> bool:
        """Whether the command or its variables change, and not only files."""
        old, new = self.old.launch, self.new.launch
        return old.argv != new.argv or dict(old.env) != dict(new.env)

    @property
    def gone(self) -> list[DaprResource]:
        """The resources that are removed, or replaced."""
        return _missing(self.old.resources, self.new.resources)

    @property
    def come(self) -> list[DaprResource]:
        """The resources that are added, or replace others."""
        return _missing(self.new.resources, self.old.resources)

    @property
    def obsolete(self) -> list[str]:
        """The files that are removed."""
        return [name for name in self.old.launch.files if name not in self.new.launch.files]

    @property
    def replaced(self) -> list[str]:
        """The files of resources whose contents change."""
        old, new = self.old.launch.files, self.new.launch.files
        return [name for name in new if is_resource(name) and old.get(name, new[name]) != new[name]]

    @property
    def written(self) -> dict[str, str]:
        """The files that are new or have other contents, as daprd is to find them."""
        old, new = self.old.launch.files, self.new.launch.files
        return {name: text for name, text in new.items() if old.get(name) != text}

    def restarts(self, features: Sequence[str]) -> str:
        """Why the sidecar has to be restarted; "" if daprd loads the changes while it runs.

        Args:
            features: those that the sidecar's metadata names.
        """
        changed = [*self.gone, *self.come]
        for each in changed:
            if each.kind not in HOT:
                return REASONS.get(each.kind, f"daprd does not show when a {each.kind} is loaded")
            if each.type.startswith("state.") and "actorstatestore" in plain_fields(each):
                return f"daprd does not reload a state store of actors such as {each.name!r}"
        if self.old.launch.argv[0] != self.new.launch.argv[0]:
            return "the daprd that it runs does not have the same components"
        if self.relaunches:
            return "its command line or its variables change"
        if "HotReload" not in features:
            return "its Configuration switches the feature HotReload off"
        return ""


def is_resource(file: str) -> bool:
    """Whether a file of a sidecar contains a resource that it watches."""
    return file.startswith("resources/") and file.endswith(".yaml")


def lenient(text: str) -> str:
    """A resource whose failure daprd reports and survives: otherwise it exits."""
    body = yaml.safe_load(text)
    if body.get("kind") == "Component":
        body["spec"]["ignoreErrors"] = True
    return str(yaml.safe_dump(body, sort_keys=False))


def _missing(
    resources: Sequence[DaprResource], others: Sequence[DaprResource]
) -> list[DaprResource]:
    known = {(each.kind, each.name, each.text) for each in others}
    return [each for each in resources if (each.kind, each.name, each.text) not in known]
