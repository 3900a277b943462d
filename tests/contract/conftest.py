"""The contract suite runs against every runtime; what only real processes can do says so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.runtime.base import Runtime
from harness.runtime.containers.runtime import ContainerRuntime
from harness.runtime.fake import FakeRuntime
from harness.runtime.processes import ProcessRuntime
from harness.stack.images import Images
from tests.engine import container_runtime


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessRuntime]:
    """The processes runtime in a temporary folder of the test's own."""
    with ProcessRuntime({"PATH": os.environ["PATH"]}) as runtime:
        yield runtime


KINDS = [
    pytest.param("processes", marks=pytest.mark.real),
    pytest.param("containers", marks=pytest.mark.real),
    "fake",
]


@pytest.fixture
def containers(images: Images) -> Iterator[ContainerRuntime]:
    """The containers runtime, on the images that this engine has."""
    with container_runtime(images) as runtime:
        yield runtime


@pytest.fixture(params=KINDS)
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    """Each runtime in turn."""
    makers: dict[str, Callable[[], Runtime]] = {
        "processes": lambda: ProcessRuntime({"PATH": os.environ["PATH"]}),
        "containers": lambda: container_runtime(request.getfixturevalue("images")),
        "fake": lambda: FakeRuntime(tmp_path),
    }
    made = makers[request.param]()
    yield made
    made.close()
