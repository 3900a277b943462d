"""The table of images and what each is given, down to the argument list. No engine is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import App, Broker, ConfigError, Kafka, Postgres, Redpanda, Settings, Topology
from harness.core.endpoint import Endpoint
from harness.core.launch import Build, Launch
from harness.core.node import Target
from harness.provision import recipes
from harness.provision.apps import app_context, fingerprint
from harness.provision.images import IMAGES, chosen, image, variable
from harness.provision.recipes import context_of
from harness.provision.versions import DAPR_BINARIES
from harness.stack.book import AddressBook


class ImagePaths:
    """Tools as the containers runtime has them, without an engine."""

    def provide(self, nodes: object, root: Path) -> None:
        raise AssertionError("nothing is provided while planning")

    def path(self, tool: str) -> Path:
        return Path(IMAGES[tool].program or tool)

    def daprd(self, types: object) -> Path:
        return self.path("daprd")

    def version(self, tool: str) -> str:
        return ""


def planned(
    tmp_path: Path, *nodes: object, name: str, gateway: str = "172.18.0.1", **given_too: Any
) -> Launch:
    """The launch of one node of a topology in containers, with ports 20001, 20002, ..."""
    given = Topology(*nodes, **given_too)  # type: ignore[arg-type]  # nodes
    topology = given.resolved(Target("containers"))
    ports = iter(range(20001, 20100))
    book = AddressBook(
        topology, ImagePaths(), tmp_path, tmp_path,
        lambda wanted: Endpoint("127.0.0.1", wanted or next(ports)), gateway=gateway,
    )  # fmt: skip
    return topology[name].plan(book.scope(name))


def test_redpanda_is_started_with_this_argument_list(tmp_path: Path) -> None:
    """Its image cannot be had everywhere, so the list is held here word by word."""
    launch = planned(tmp_path, Redpanda(["t"]), name="redpanda")

    assert launch.argv == (
        "redpanda",
        "start",
        "--mode=dev-container",
        "--smp=1",
        "--memory=512M",
        "--kafka-addr=host://0.0.0.0:20001,network://0.0.0.0:20002",
        "--advertise-kafka-addr=host://127.0.0.1:20001,network://redpanda:20002",
        "--rpc-addr=0.0.0.0:20003",
        "--advertise-rpc-addr=redpanda:20003",
        "--schema-registry-addr=0.0.0.0:20005",
        "--pandaproxy-addr=0.0.0.0:20006",
        "--advertise-pandaproxy-addr=redpanda:20006",
        "--set=redpanda.admin=[{address: 0.0.0.0, port: 20004}]",
        "--set=redpanda.fetch_reads_debounce_timeout=1",
        "--set=redpanda.group_min_session_timeout_ms=500",
        "--set=redpanda.auto_create_topics_enabled=false",
        "--set=redpanda.default_topic_partitions=1",
    )
    assert "redpanda" == launch.container.image
    assert {"main": 20001, "admin": 20004} == launch.published


@pytest.mark.parametrize(("time", "reachable"), [("real", False), ("virtual", True)])
def test_the_internal_port_of_a_sidecar_is_published_in_virtual_time(
    tmp_path: Path, time: str, reachable: bool
) -> None:
    """Ticks of cron bindings need it; otherwise nobody but sidecars does."""
    launch = planned(tmp_path, App("shop", asgi="m:x"), name="shop-daprd", time=time)

    assert reachable == ("internal" in launch.published)
    assert {"http", "grpc", "metrics"} <= set(launch.published)


def test_kafka_tells_each_viewer_an_address_it_can_reach(tmp_path: Path) -> None:
    """The machine its published port, containers the name on the network."""
    env = planned(tmp_path, Kafka(["t"]), name="kafka").env

    assert "HOST://127.0.0.1:20001,NETWORK://kafka:20002" == env["KAFKA_ADVERTISED_LISTENERS"]
    assert (
        "HOST://0.0.0.0:20001,NETWORK://0.0.0.0:20002,CONTROLLER://127.0.0.1:20003"
        == env["KAFKA_LISTENERS"]
    )
    assert "0" == env["KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS"]


@pytest.mark.parametrize(
    ("runtime", "broker", "kind"),
    [
        ("processes", "auto", Kafka),
        ("containers", "auto", Redpanda),
        ("containers", "kafka", Kafka),
        ("processes", "redpanda", Redpanda),
    ],
)
def test_a_broker_resolves_to_kafka_or_redpanda_by_runtime_and_setting(
    runtime: str, broker: str, kind: type
) -> None:
    """One word in the settings; the name, the topics and the port stay."""
    topology = Topology(Broker(["a", "b:3"], name="events", port=9999))

    resolved = topology.resolved(Target(runtime, broker))["events"]

    assert type(resolved) is kind
    assert (("a", 1), ("b", 3)) == resolved.topics  # type: ignore[attr-defined]  # a broker has them
    assert 9999 == resolved.port  # type: ignore[attr-defined]  # and a port


def test_a_sidecar_in_a_container_meets_its_app_on_loopback_and_others_by_name(
    tmp_path: Path,
) -> None:
    """A pod has a loopback of its own; everything else is a name."""
    launch = planned(tmp_path, Kafka(), App("shop", asgi="shop:app"), name="shop-daprd")

    assert "--app-channel-address=127.0.0.1" in launch.argv
    assert any(word.startswith("--placement-host-address=placement:") for word in launch.argv)
    assert "/daprd" == launch.argv[0]
    assert "shop" == launch.container.pod
    assert "DAPR_HOST_IP" not in launch.env


def test_an_app_on_the_host_is_met_at_the_gateway(tmp_path: Path) -> None:
    """It binds that one address, and its sidecar has a namespace of its own."""
    app = App("shop", command="serve {host} {port}", on_host=True)

    own = planned(tmp_path, app, name="shop")
    sidecar = planned(tmp_path, app, name="shop-daprd")

    assert ("serve", "172.18.0.1") == own.argv[:2]
    assert "172.18.0.1" == own.env["APP_HOST"]
    assert "--app-channel-address=172.18.0.1" in sidecar.argv
    assert "" == sidecar.container.pod


@pytest.mark.parametrize(
    ("gateway", "bound"),
    [
        ("172.18.0.1", "172.18.0.1"),
        ("fd00::1", "fd00::1"),
        ("host.docker.internal", "127.0.0.1"),
        ("fada.example", "127.0.0.1"),
    ],
)
def test_a_gateway_is_bound_if_it_is_an_address(tmp_path: Path, gateway: str, bound: str) -> None:
    """A name leads from a container to the machine's loopback; an address may be IPv6."""
    app = App("shop", command="serve {host} {port}", on_host=True)

    launch = planned(tmp_path, app, name="shop", gateway=gateway)

    assert bound == launch.argv[1]


def test_an_address_of_ipv6_has_brackets_before_its_port() -> None:
    """As in a URL."""
    assert "http://[fd00::1]:80" == Endpoint("fd00::1", 80).http
    assert "localhost:80" == str(Endpoint("localhost", 80))


def test_an_app_given_as_an_image_cannot_run_as_a_process(tmp_path: Path) -> None:
    """Reported before anything starts."""
    topology = Topology(App("shop", image="shop:1"))
    book = AddressBook(topology, ImagePaths(), tmp_path, tmp_path, lambda _: Endpoint("x", 1))

    with pytest.raises(ConfigError, match=r"the image 'shop:1', which cannot run as a process"):
        topology["shop"].plan(book.scope("shop"))


def test_postgres_gets_the_official_variables(tmp_path: Path) -> None:
    """The local image understands them too."""
    launch = planned(tmp_path, Postgres(databases=("todo",)), name="postgres")

    assert {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"} == set(launch.env)
    assert "todo" == launch.env["POSTGRES_DB"]


def test_every_image_can_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment before pyproject.toml."""
    for name in IMAGES:
        monkeypatch.setenv(variable(name), f"mine/{name}@sha256:{'0' * 64}")
    settings = Settings.load()

    for name in IMAGES:
        assert f"mine/{name}@sha256:{'0' * 64}" == chosen(name, settings)


def test_only_daprs_images_follow_the_version_of_dapr(tmp_path: Path) -> None:
    """Pulled or built here; the pinned version where none is asked for."""
    pinned = Settings.load(tmp_path, {})
    asked = Settings.load(tmp_path, {}, dapr_version="1.18.1")

    for name in IMAGES:
        entry = image(name, asked)
        if name in DAPR_BINARIES:
            assert (f"daprio/{name}:1.18.1", f"dapr-harness/{name}:1.18.1") == (
                entry.reference, entry.local,
            )  # fmt: skip
        else:
            assert entry == IMAGES[name]
        assert image(name, pinned) == IMAGES[name]


def test_images_in_pyproject(tmp_path: Path) -> None:
    """A table of their own."""
    text = '[tool.dapr-harness.images]\nkafka = "mine/kafka:2"\n'
    (tmp_path / "pyproject.toml").write_text(text)

    assert "mine/kafka:2" == chosen("kafka", Settings.load(start=tmp_path, environ={}))


@pytest.mark.parametrize("name", ["daprd", "placement", "scheduler", "sentry"])
def test_a_dapr_image_is_one_binary_on_nothing(name: str, tmp_path: Path) -> None:
    """And the certificates and time zones, where this machine has them."""
    context = context_of(name, lambda tool: tmp_path / tool)

    assert context.dockerfile.startswith(f"FROM scratch\nCOPY {name} /{name}\n")
    assert tmp_path / name == context.sources[name]


def test_a_dapr_image_has_the_time_zones_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the folder in which Go looks for them; schedules may name one."""
    monkeypatch.setattr(recipes, "ZONES", tmp_path)

    context = context_of("scheduler", lambda tool: tmp_path / tool)

    assert f"COPY zoneinfo {tmp_path}" in context.dockerfile.splitlines()
    assert tmp_path == context.sources["zoneinfo"]


def test_dependencies_come_before_the_app(tmp_path: Path) -> None:
    """So that their layer is kept when the app changes."""
    (tmp_path / "app.py").write_text("")
    lines = app_context(
        Build(tmp_path), "base:1", tmp_path, [tmp_path / "app.py"]
    ).dockerfile.splitlines()

    assert "FROM base:1" == lines[0]
    assert lines.index("COPY site /site") < lines.index("COPY app /app")


def test_only_a_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    app = tmp_path / "app.py"

    def current() -> str:
        return fingerprint(app_context(Build(tmp_path), "base:1", tmp_path, [app]))

    app.write_text("one")
    first, again = current(), current()
    app.write_text("other")

    assert first == again != current()
