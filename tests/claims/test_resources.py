"""What lint calls an error or a warning, and what a running daprd does with the same file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import ConfigError
from harness.dapr.health import HealthCheck
from harness.dapr.lint import check_resources
from harness.dapr.resources import read_found
from harness.runtime.base import State
from harness.runtime.processes import ProcessRuntime
from tests.claims.alone import LONG, alive, start
from tests.support import project
from tests.unit.test_resources import FOREIGN

pytestmark = pytest.mark.real


def component(kind: str, fields: str = "", *, name: str = "c", more: str = "") -> str:
    """A component; fields are items of YAML's flow style."""
    return f"""\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: {name}}}
spec:
  type: {kind}
  version: v1
  metadata: [{fields}]
{more}"""


def secret(name: str, key: str = "k") -> str:
    return f"{{name: keyPrefix, secretKeyRef: {{name: {name}, key: {key}}}}}"


def stored(name: str, store: str, reference: str) -> str:
    return component(
        "state.in-memory", reference, name=name, more=f"auth: {{secretStore: {store}}}\n"
    )


SCOPES = "spec:\n  scopes: [other]\n"
NAMELESS = component("pubsub.in-memory").replace("{name: c}", "{}")
TEXT = component("pubsub.in-memory", name="text").replace("[]", "text")
VALUES = "{name: secretsFile, value: secrets.json}, {name: multiValued, value: 'true'}"
BROKERS = "{name: brokers, value: '127.0.0.1:9'}"

LOADED = {
    "a-field-that-nobody-knows": component(
        "pubsub.in-memory", "{name: x, value: y}", name="a-field-that-nobody-knows"
    ),
    "no-file-name": component(
        "bindings.localstorage", "{name: rootPath, value: files}", name="no-file-name"
    ),
    "scopes-in-spec": component("pubsub.in-memory", name="scopes-in-spec").replace(
        "spec:\n", SCOPES
    ),
    "no-secret-store": component("state.in-memory", secret("k"), name="no-secret-store"),
    "no-variable": stored("no-variable", "env", secret("NOT_SET", "NOT_SET")),
    "no-secret": stored("no-secret", "file", secret("nothing")),
    "no-key": stored("no-key", "file", secret("known", "nothing")),
}
"""Warnings, by the name of a component that daprd has all the same."""

IGNORED = {
    **FOREIGN,
    "a scope that no app has": component("pubsub.in-memory", more="scopes: [nobody]\n"),
}
"""Warnings about what daprd passes over, by what it is."""

STORES = {
    "env": component("secretstores.local.env", name="env"),
    "file": component("secretstores.local.file", VALUES, name="file"),
}

NOT_LOADED = {
    "no name": NAMELESS,
    "a text where a list is expected": TEXT,
    "a secret store that is not there": stored("lost", "nowhere", secret("k")),
    "YAML that cannot be read": "# dapr.io/v1alpha1\nkind: Component\n  name: x\n",
}
"""Errors about what daprd does not load; it goes on without."""

REFUSED = {
    "an unknown type": component("pubsub.x"),
    "an unknown version": component("pubsub.in-memory").replace("version: v1", "version: v9"),
    "a cron without schedule": component("bindings.cron"),
    "a cron whose schedule is null": component("bindings.cron", "{name: schedule, value: null}"),
    "files without rootPath": component("bindings.localstorage", "{name: fileName, value: x}"),
    "Kafka without brokers": component("pubsub.kafka", "{name: authType, value: none}"),
    "Kafka without authType": component("pubsub.kafka", BROKERS),
    "Kafka with an authType that cannot be resolved": component(
        "pubsub.kafka", BROKERS + ", {name: authType, secretKeyRef: {name: k, key: k}}"
    ),
    "Kafka with a wrong duration": component(
        "pubsub.kafka",
        BROKERS + ", {name: authType, value: none}, {name: sessionTimeout, value: soon}",
    ),
    "a secret store without secretsFile": component("secretstores.local.file"),
    "a secrets file that is not there": component(
        "secretstores.local.file", "{name: secretsFile, value: nowhere.json}"
    ),
}  # fmt: skip
"""Errors about what ends daprd."""


@pytest.fixture(scope="module")
def runtime() -> Iterator[ProcessRuntime]:
    with ProcessRuntime({"PATH": os.environ["PATH"]}) as opened:
        yield opened


def severities(folder: Path) -> set[str]:
    """Of everything that lint finds in a folder of one file, as one start does."""
    try:
        found = read_found(folder / "r" / "c.yaml")
    except ConfigError:
        return {"error"}
    beside = [each for file in sorted((folder / "beside").glob("*")) for each in read_found(file)]
    judged = check_resources([*found, *beside], ["app"], {}, folder)
    return {each.severity for each in judged}


def lint(folder: Path, text: str) -> set[str]:
    folder.mkdir()
    stores = {f"beside__{name}_yaml": each for name, each in STORES.items()}
    secrets = json.dumps({"known": {"k": "v"}})
    return severities(project(folder, r__c_yaml=text, secrets_json=secrets, **stores))


def test_what_lint_only_warns_of_runs_and_what_it_refuses_is_not_loaded(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    """One daprd is given all of it at once."""
    warned, refused = {**LOADED, **IGNORED}, NOT_LOADED
    assert {name: {"warning"} for name in warned} == {
        name: lint(tmp_path / f"w{n}", text) for n, (name, text) in enumerate(warned.items())
    }
    assert {name: {"error"} for name in refused} == {
        name: lint(tmp_path / f"e{n}", text) & {"error"}
        for n, (name, text) in enumerate(refused.items())
    }
    everything = [*STORES.values(), *warned.values(), *refused.values()]
    files = {f"r__f{n}_yaml": text for n, text in enumerate(everything)}
    folder = project(tmp_path, secrets_json=json.dumps({"known": {"k": "v"}}), **files)
    daprd, client = start(runtime, 0, folder)

    with client:
        check = HealthCheck(client, outbound=True, name="outbound")
        seen = poll(lambda: alive(daprd, check.observe()), Deadline(LONG))
        assert seen.ok, f"{seen.fact}\n{daprd.log.read_text()}"
        found = {each.name for each in client.metadata().components}

    assert {*LOADED, *STORES} == found


def test_what_lint_refuses_ends_daprd(runtime: ProcessRuntime, tmp_path: Path) -> None:
    """All at the same time, one daprd each."""
    judged: Mapping[str, set[str]] = {
        name: lint(tmp_path / f"{n}", text) for n, (name, text) in enumerate(REFUSED.items())
    }
    assert [] == [name for name, found in judged.items() if "error" not in found]
    started = [start(runtime, n + 1, tmp_path / f"{n}") for n in range(len(REFUSED))]
    for _, client in started:
        client.close()

    def ended() -> Observation:
        running = [
            name
            for name, (daprd, _) in zip(REFUSED, started, strict=True)
            if daprd.state is not State.EXITED
        ]
        return Observation(not running, f"still running with: {running}")

    seen = poll(ended, Deadline(LONG))
    assert seen.ok, seen.fact
    # Each because of its component, and not for a port that somebody had taken.
    logs = {name: each.log.read_text() for name, (each, _) in zip(REFUSED, started, strict=True)}
    assert {} == {name: log for name, log in logs.items() if "process component c error" not in log}
