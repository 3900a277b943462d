"""Credentials stay in the sidecar: no file, API, log or status reveals them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import App, AsyncWorld, DaprError, Settings, Stack, Topology, World, running
from scenarios.test_task_events import new_task
from scenarios.topology import todo

COMPONENTS = Path(__file__).parent.parent / "components"


async def test_a_component_connects_by_a_secret(dapr: AsyncWorld) -> None:
    """The state store works, and its file contains only a reference."""
    path = f"/api/{dapr.name('user')}/conversations/c"
    saved = await dapr.app("backend-service").put(path, json={"messages": []})

    text = (COMPONENTS / "statestore.yaml").read_text()
    assert 204 == saved.status_code
    assert "secretKeyRef" in text
    assert "postgresql://" not in text


@pytest.mark.parametrize("name", ["STATE_STORE_DSN", "PATH"])
async def test_an_app_may_not_read_what_its_components_use(dapr: AsyncWorld, name: str) -> None:
    """403: the Configuration denies the store to every app."""
    with pytest.raises(DaprError) as caught:
        await dapr.sidecar("backend-service").get_secret("secrets", name)

    assert 403 == caught.value.status


async def test_no_secret_is_told(dapr: AsyncWorld) -> None:
    """Not in the metadata, a log of any node, a response or an event."""
    task = await new_task(dapr, dapr.name("user"))
    event = await dapr.ledger.event(topic="task-events", subject=task["id"]).path()
    metadata = await dapr.sidecar("backend-service").metadata()
    described = (await dapr.app("backend-service").get("/openapi.json")).text

    logs = [file.read_text(errors="replace") for file in (dapr.stack.folder / "logs").glob("*.log")]
    told = [str(metadata), described, json.dumps(task), json.dumps(event.data), *logs]
    canaries = [dapr.exports("postgres")["password"], *dapr.secrets()]

    assert len(canaries) >= 3
    assert len(logs) >= 10
    assert [] == [canary for canary in canaries if any(canary in text for text in told)]


@pytest.fixture(scope="module")
def of_files(dapr_settings: Settings) -> Iterator[Stack]:
    """The application with a secrets file instead of variables."""
    folders = ("components", "components/secrets-file")
    with running(todo(resources=folders, inbox=False), dapr_settings) as started:
        yield started


@pytest.mark.own_stack
def test_a_file_of_secrets_does_as_well(of_files: Stack) -> None:
    """The state store connects with a nested secret; the repository's file contains no password."""
    with World(of_files) as dapr:
        path = f"/api/{dapr.name('user')}/conversations/c"
        saved = dapr.app("backend-service").put(path, json={"messages": []})
        password = dapr.exports("postgres")["password"]

    assert 204 == saved.status_code
    text = (COMPONENTS / "secrets-file" / "secrets.json").read_text()
    assert "${postgres.dsn}" in text
    assert password not in text


STORE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: {name}, namespace: elsewhere}}
spec:
  type: secretstores.local.file
  version: v1
  metadata:
  - {{name: secretsFile, value: "{folder}/secrets.json"}}
  - {{name: nestedSeparator, value: ":"}}
  - {{name: multiValued, value: "{multi}"}}
"""


@pytest.fixture(scope="module")
def stores(dapr_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An app that does nothing, whose sidecar has the same file as two stores."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "secrets.json").write_text('{"database": {"url": "here", "user": "me"}}')
    for name, multi in (("flat", "false"), ("nested", "true")):
        (folder / f"{name}.yaml").write_text(STORE.format(name=name, multi=multi, folder=folder))
    waits = ["python3", "-c", "import threading; threading.Event().wait()"]
    bare = App("bare", command=waits, listens=False, requirements=None)
    with running(Topology(bare, resources=folder), dapr_settings) as stack, World(stack) as world:
        yield world


@pytest.mark.own_stack
def test_a_file_of_secrets_is_flat_unless_it_is_said(stores: World) -> None:
    """Levels are joined into one name with colons; `multiValued` keeps the object."""
    sidecar = stores.sidecar("bare")

    assert {"database:url": "here"} == sidecar.get_secret("flat", "database:url")
    with pytest.raises(DaprError) as flat:
        sidecar.get_secret("flat", "database")
    assert 500 == flat.value.status
    assert {"url": "here", "user": "me"} == sidecar.get_secret("nested", "database")


@pytest.mark.own_stack
def test_a_namespace_does_not_matter_here(stores: World) -> None:
    """Without NAMESPACE, a component in any namespace is loaded."""
    loaded = {each.name for each in stores.sidecar("bare").metadata().components}

    assert {"flat", "nested"} == loaded
