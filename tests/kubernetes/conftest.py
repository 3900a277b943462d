"""What several modules render with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Settings
from harness.nodes.dapr_cluster import DaprClusterNode
from tests.kubernetes.clusters import Place, obstacle, remains, run, up
from tests.provision import find_helm
from tests.support import ROOT, environment


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The environment of the commands for ``cluster``; skips the tests where no node runs."""
    if reason := obstacle(DaprClusterNode):
        pytest.skip(reason)
    return environment(tmp_path_factory.mktemp("clusters"))


@pytest.fixture(scope="package")
def cluster(place: Place) -> Iterator[dict[str, Any]]:
    """A cluster with Dapr, which several modules use: each in namespaces of its own."""
    found = up(place, "dapr", "--dapr")
    try:
        yield found
    finally:
        run(place, "cluster", "down", "dapr")
        assert [] == remains(found["folder"])


@pytest.fixture(scope="module")
def helm() -> Path:
    """Helm, which provisioning of the tests has built where the machine has none."""
    found = find_helm(Settings.load(ROOT))
    if found is None:
        pytest.skip("Helm is not provisioned; `python -m tests.provision` builds it")
    return found
