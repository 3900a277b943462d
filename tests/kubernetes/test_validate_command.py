"""`dapr-harness validate k8s` and `provision --kubernetes`: what is asked, told and returned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import certifi
import pytest
from typer.testing import CliRunner, Result

from harness.cli import tools, validate
from harness.cli.commands import app
from harness.core.errors import ConfigError, InstanceDied
from harness.core.settings import Settings
from harness.provision.pod_images import PodImages
from tests.kubernetes.test_validation import Server, refused, service


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """What the command starts, instead of a real one."""
    made = Server(wrong=refused("it is\n  [wrong]", "metadata.name"))

    @contextmanager
    def started(settings: Settings) -> Iterator[Server]:
        assert "processes" == settings.runtime
        yield made

    monkeypatch.setattr(validate, "_api_server", started)
    return made


def run(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, ["validate", "k8s", *words], input=stdin)


def test_by_default_what_would_be_rendered_is_validated(server: Server) -> None:
    """Of the topology, and not of the files that happen to be there."""
    done = run("--topology", "scenarios.topology:reference", "--name", "shops")

    assert "/api/v1/namespaces/shops" == server.applied[0][0]
    assert "/api/v1/namespaces/shops/services/frontend" in [path for path, _ in server.applied]
    assert "manifests/00-namespace.yaml:2: ok Namespace shops\n" in done.stdout
    assert "secrets.yaml.example" in done.stdout
    assert "chart" not in done.stdout


def test_each_object_is_a_line_and_the_exit_code_tells_of_a_refusal(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"{service('right')}\n---\n{service('wrong')}\n")

    done = run(str(file))

    assert [
        f"{file}:1: ok Service default/right",
        f"{file}:3: refused Service default/wrong: it is [wrong]",
    ] == done.stdout.splitlines()
    assert 2 == done.exit_code
    assert "2 objects: 1 refused by Kubernetes" in done.stderr


def test_what_is_piped_in_is_validated(server: Server) -> None:
    done = run("-", "--namespace", "mine", "--json", stdin=service("right"))

    (found,) = json.loads(done.stdout)
    assert ("standard input:1", "mine/right", "") == (
        found["place"], found["name"], found["problem"],
    )  # fmt: skip
    assert 0 == done.exit_code


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c", "standard input:1: not valid YAML"),
        ("- a", "standard input:1: a resource is a mapping, not list"),
        ("# nothing", "there is nothing to validate"),
    ],
)
def test_what_cannot_be_read_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setattr(validate, "_api_server", pytest.fail)

    done = run("-", stdin=text)

    assert isinstance(done.exception, ConfigError)
    assert said in str(done.exception)


class Ended:
    """A stack whose server has ended."""

    book = SimpleNamespace(
        exports=lambda _: {"url": "https://127.0.0.1:9", "token": "t", "authority": certifi.where()}
    )

    def provision(self) -> None: ...

    def start(self) -> None: ...

    def close(self) -> None: ...

    def check_alive(self) -> None:
        raise InstanceDied("kube-apiserver exited with code 1", last="no space left on device")


def test_a_server_that_ends_meanwhile_is_told_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not only that it does not answer."""
    monkeypatch.setattr(validate, "running", lambda *_, **__: Ended())

    done = run("-", stdin=service("right"))

    assert isinstance(done.exception, InstanceDied)
    assert "no space left on device" == done.exception.last


SERVER = {"etcd", "kube-apiserver", "dapr-crds"}
NODE = {"cluster-node", "container-runtime", "dapr-images", "pods"}


@pytest.mark.parametrize(
    ("words", "more"),
    [([], set()), (["--kubernetes"], SERVER), (["--kubernetes-node"], SERVER | NODE)],
)
def test_only_who_asks_for_it_has_what_clusters_need_installed(
    monkeypatch: pytest.MonkeyPatch, words: list[str], more: set[str]
) -> None:
    """It is minutes of building that nothing else needs."""
    toolbox = SimpleNamespace(
        path=lambda tool: f"/{tool}", local_daprd=lambda: None, settings=Settings.load(environ={})
    )
    monkeypatch.setattr(PodImages, "base", lambda _: "/pods")
    monkeypatch.setattr(tools, "_toolbox", lambda *_: toolbox)

    done = CliRunner().invoke(app, ["provision", "--json", *words])

    assert {*tools.TOOLS, *more} == set(json.loads(done.stdout))
