"""What records deliveries and calls of an app: which nodes an app brings, and where they run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness import App, ConfigError, Settings, Topology
from harness.cli.multi_app import _infrastructure
from harness.core.deadline import waits_for
from harness.core.external import with_external
from harness.core.launch import Launch
from harness.manifests.project import KubernetesProject
from harness.nodes.calls import GRPC_PACKAGES, CallsProxy, hears_grpc
from harness.render.compose.render import render
from harness.stack.planning.addresses import HOST
from tests.support import Fake
from tests.unit.test_environment import book_of
from tests.unit.test_images import ImagePaths
from tests.unit.test_scope import containers


def launches(topology: Topology, folder: Path) -> dict[str, Launch]:
    """What is planned for each node, as processes."""
    book = book_of(folder, *topology.nodes)
    return {node.name: node.plan(book.scope(node.name)) for node in topology.nodes}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        ({"inbox": True}, ["a-inbox"]),
        ({"calls": True}, ["a-calls"]),
        ({"record": True}, ["a-calls", "a-inbox"]),
        ({"record": True, "replicas": 2}, ["a-2-calls", "a-2-inbox", "a-calls", "a-inbox"]),
        ({"record": True, "listens": False}, ["a-calls"]),
    ],
    ids=str,
)
def test_an_app_brings_the_recorders_that_it_asks_for(
    options: dict[str, bool], expected: list[str]
) -> None:
    """None by default; what does not listen has no deliveries."""
    topology = Topology(App("a", command="serve", **options))  # type: ignore[arg-type]  # any option

    names = [node.name for node in topology.nodes]
    assert expected == sorted(n for n in names if n.endswith(("-inbox", "-calls")))


@pytest.mark.parametrize("installed", [True, False])
def test_an_app_calls_its_recorder_and_the_recorder_its_sidecar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    """By gRPC, too, if what reads that is installed; metrics stay as they are."""
    monkeypatch.setattr("harness.nodes.calls.find_spec", lambda _: installed or None)
    monkeypatch.setattr("harness.nodes.calls.package_folder", lambda _: tmp_path)
    made = launches(Topology(App("a", command="serve", calls=True)), tmp_path)
    app, recorder, sidecar = made["a"], made["a-calls"], made["a-daprd"]

    port = recorder.ports["main"]
    assert (str(port), f"http://127.0.0.1:{port}") == (
        app.env["DAPR_HTTP_PORT"], app.env["DAPR_HTTP_ENDPOINT"],
    )  # fmt: skip
    assert f"127.0.0.1:{sidecar.ports['http']}" == recorder.argv[3]
    way = recorder if installed else sidecar
    assert str(way.ports["grpc"]) == app.env["DAPR_GRPC_PORT"]
    own = f"127.0.0.1:{recorder.ports['grpc']}" if installed else None
    assert own == app.env.get("DAPR_GRPC_ENDPOINT")
    asked = [f"127.0.0.1:{each.ports['grpc']}" for each in (recorder, sidecar)] if installed else []
    assert asked == [*recorder.argv[7:]]
    assert str(sidecar.ports["metrics"]) == app.env["DAPR_METRICS_PORT"]


def test_without_a_recorder_an_app_calls_its_sidecar(tmp_path: Path) -> None:
    """An endpoint that somebody has set stays."""
    made = launches(Topology(App("a", command="serve", inbox=True)), tmp_path)

    assert str(made["a-daprd"].ports["http"]) == made["a"].env["DAPR_HTTP_PORT"]
    assert "DAPR_HTTP_ENDPOINT" not in made["a"].env


def test_an_app_starts_when_its_recorder_listens_and_the_recorder_at_once(tmp_path: Path) -> None:
    """An app may call its sidecar at once; the sidecar's start must not wait for either."""
    book = book_of(tmp_path, App("a", command="serve", calls=True))
    scopes = {node.name: book.scope(node.name) for node in book.topology.nodes}
    for name, scope in scopes.items():
        book.topology[name].plan(scope)

    assert {"a-calls"} == scopes["a"].needs
    assert set() == scopes["a-calls"].needs
    assert not {"a", "a-calls"} & scopes["a-daprd"].needs


def test_an_app_that_starts_after_its_sidecar_waits_for_it_by_name(tmp_path: Path) -> None:
    """Its time to become ready begins when the sidecar has started."""
    book = book_of(tmp_path, App("a", command="serve", after_sidecar=True))
    app = book.topology["a"]

    assert ["a-daprd"] == [waits_for(each) for each in app.start_after(book.scope("a", HOST))]


def test_a_recorder_shares_the_pod_of_its_app(tmp_path: Path) -> None:
    """On containers, the app reaches it on its loopback; only its record is published."""
    book = containers(tmp_path, App("a", command="serve", image="x", calls=True))
    scopes = {name: book.scope(name) for name in ("a", "a-calls")}
    app, recorder = (book.topology[name].plan(scope) for name, scope in scopes.items())

    assert f"http://127.0.0.1:{recorder.ports['main']}" == app.env["DAPR_HTTP_ENDPOINT"]
    assert app.container.pod == recorder.container.pod == "a"
    assert ["record"] == list(recorder.published)
    by_grpc = hears_grpc()
    assert {"calls_server.py", "inbox_server.py"} == {*recorder.container.files} - {"grpc_calls.py"}
    assert by_grpc == ("grpc_calls.py" in recorder.container.files)
    assert ["h11", *(GRPC_PACKAGES if by_grpc else ())] == list(recorder.container.folders)


def test_the_recorder_of_an_external_app_runs_on_this_machine() -> None:
    """Where the debugger is; no recorder is lost or doubled."""
    topology = Topology(App("a", command="serve", calls=True), App("b", command="serve"))

    changed = with_external(topology, ["a"])

    assert sorted(n.name for n in topology.nodes) == sorted(n.name for n in changed.nodes)
    assert changed["a-calls"].on_host


def test_a_recorder_of_ones_own_takes_the_place_of_ours() -> None:
    """If it records the calls of the same app."""

    class Own(Fake):
        calls_of = "a"

    class Wrong(Fake):
        calls_of = "b"

    app = App("a", command="serve", calls=True)

    assert isinstance(Topology(app, Own("a-calls"))["a-calls"], Own)
    assert isinstance(Topology(app)["a-calls"], CallsProxy)
    for other in (Wrong("a-calls"), Fake("a-calls")):
        with pytest.raises(ConfigError, match="brings a node named 'a-calls'"):
            Topology(app, other)


def test_a_compose_project_has_the_recorder(tmp_path: Path) -> None:
    """With a comment of its own; the app waits until its record can be read."""
    topology = Topology(App("shop", asgi="m:x", calls=True))

    text = render(topology, ImagePaths(), tmp_path, tmp_path / "compose")["compose.yaml"]

    services = yaml.safe_load(text)["services"]
    recorder, app = services["shop-calls"], services["shop"]
    assert "service:shop-pod" == recorder["network_mode"]
    assert {"condition": "service_healthy"} == app["depends_on"]["shop-calls"]
    assert (
        app["environment"]["DAPR_HTTP_ENDPOINT"]
        == f"http://127.0.0.1:{recorder['command'][2].rpartition(':')[2]}"
    )
    read = recorder["command"][4].rpartition(":")[2]
    assert f"if exec 3<>/dev/tcp/127.0.0.1/{read}; then" in recorder["healthcheck"]["test"][3]
    assert f"127.0.0.1:{read}:{read}" in services["shop-pod"]["ports"]
    assert "sidecar: records every call, for tests.\n  shop-calls:" in text


def test_a_cluster_has_no_recorder(tmp_path: Path) -> None:
    """It is for tests on one machine."""
    topology = Topology(App("shop", asgi="m:x", record=True))

    found = KubernetesProject(topology, Settings.load(tmp_path, {}), tmp_path, "todo").rendered()

    assert not [name for name, text in found.items() if "calls" in name or "DAPR_HTTP" in text]


def test_a_run_file_takes_no_recorder_from_the_topology_of_its_project(tmp_path: Path) -> None:
    """`dapr-harness run` uses what is no app of it: a recorder belongs to an app."""
    nodes = 'App("a", command="x", record=True), Postgres()'
    text = f"from harness import App, Postgres, Topology\n\nt = Topology({nodes})\n"
    (tmp_path / "recorded_topology.py").write_text(text)
    settings = Settings.load(tmp_path, {}, topology="recorded_topology:t")

    assert {"postgres", "placement", "scheduler"} == {n.name for n in _infrastructure(settings)}
