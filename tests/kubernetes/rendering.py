"""What a topology renders to, for the tests of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness import App, Settings, Topology
from harness.core.node import Node
from harness.manifests.project import KubernetesProject
from tests.support import ROOT, project


def rendered(topology: Topology, root: Path = ROOT) -> list[dict[str, Any]]:
    """The objects of a topology's manifests."""
    settings = Settings.load(root)
    found = KubernetesProject(topology, settings, root / "k", "todo").rendered()
    texts = [text for name, text in found.items() if name.startswith("manifests/")]
    return [body for text in texts for body in yaml.safe_load_all(text)]


def the(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """One object."""
    (found,) = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def annotated(objects: list[dict[str, Any]], app: str) -> dict[str, str]:
    """Of an app's pod."""
    template = the(objects, "Deployment", app)["spec"]["template"]
    found: dict[str, str] = template["metadata"]["annotations"]
    return found


def one_app(folder: Path, app: App, *others: Node, **resources: str) -> list[dict[str, Any]]:
    """The objects of one app, in a project of its own.

    Args:
        folder: an empty folder.
        app: the app.
        others: the other nodes of its topology.
        resources: Dapr resources by name.
    """
    files = {f"c__{name}_yaml": text for name, text in resources.items()}
    project(folder, pyproject_toml="", **files)
    (folder / "c").mkdir(exist_ok=True)
    return rendered(Topology(app, *others, resources="c"), folder)


def container(objects: list[dict[str, Any]], app: str) -> dict[str, Any]:
    """The container of an app's pods."""
    (found,) = the(objects, "Deployment", app)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def kinds(objects: list[dict[str, Any]]) -> set[str]:
    """The kinds that are among the objects."""
    return {each["kind"] for each in objects}
