"""A topology is validated when it is made; a wrong one starts nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import App, ConfigError, Kafka, Postgres, Process, Receiver, Sidecar, Topology
from harness.core.external import with_external
from harness.core.node import Node, Target
from harness.core.placeholders import fill, placeholders
from tests.support import Fake


def test_an_app_brings_its_sidecar_and_one_control_plane() -> None:
    """Two apps share placement and scheduler."""
    topology = Topology(App("a", asgi="m:x"), App("b", asgi="m:x", inbox=True))

    names = [node.name for node in topology.nodes]

    assert sorted(names) == ["a", "a-daprd", "b", "b-daprd", "b-inbox", "placement", "scheduler"]


def test_mtls_brings_a_sentry() -> None:
    """Whatever the number of apps; without it there is none."""
    apps = (App("a", asgi="m:x"), App("b", asgi="m:x"))

    assert "sentry" in Topology(*apps, mtls=True)
    assert "sentry" not in Topology(*apps)


def test_two_nodes_of_one_name_are_refused() -> None:
    """The name is in the message."""
    with pytest.raises(ConfigError, match="two nodes of the topology are named 'kafka'"):
        Topology(Kafka(), Kafka())


def test_a_node_that_takes_the_name_of_a_sidecar_is_refused() -> None:
    """Silently dropping the sidecar would be worse."""
    with pytest.raises(ConfigError, match="brings a node named 'a-daprd'"):
        Topology(App("a", asgi="m:x"), Fake("a-daprd"))


def test_an_explicit_sidecar_replaces_the_implied_one() -> None:
    """With its own flags; there is still one."""
    own = Sidecar("a", "a", flags={"log-level": "debug"})

    topology = Topology(App("a", asgi="m:x"), own)

    assert topology["a-daprd"] is own
    assert 1 == [node.name for node in topology.nodes].count("a-daprd")


@dataclass(frozen=True)
class OwnSidecar(Fake):
    """A sidecar that is no `Sidecar`."""

    app_id: str = "a"
    app: str = "a"
    resources: tuple[Path, ...] | None = None
    configurations: tuple[Path, ...] = ()
    cwd: Path = Path()
    env: Mapping[str, str] = field(default_factory=dict)
    hermetic: bool = False


@dataclass(frozen=True)
class OwnService(Fake):
    """A service of the control plane that is none of ours."""

    service: str = "placement"


@dataclass(frozen=True)
class OwnInbox(Fake):
    """A recorder that is no inbox of ours."""

    records: str = "a"


def test_another_class_can_take_the_place_of_a_standard_node() -> None:
    """If it has the same role: the sidecar of this app, this service, a recorder of this app."""
    sidecar, service, inbox = OwnSidecar("a-daprd"), OwnService("placement"), OwnInbox("a-inbox")

    topology = Topology(App("a", asgi="m:x", inbox=True), sidecar, service, inbox)

    assert topology.sidecar_of("a") is sidecar
    assert topology["placement"] is service
    assert topology["a-inbox"] is inbox
    assert ["a"] == topology.app_ids()


@pytest.mark.parametrize(
    "other",
    [
        OwnSidecar("a-daprd", app="b"),
        OwnSidecar("a-daprd", app_id="b"),
        OwnService("placement", service="scheduler"),
        OwnInbox("a-inbox", records="b"),
        App("placement", asgi="m:x"),
    ],
    ids=["another-app", "another-id", "another-service", "another-record", "an-app"],
)
def test_a_node_of_another_role_is_refused(other: Node) -> None:
    """Whatever its name is."""
    with pytest.raises(ConfigError, match=f"brings a node named '{other.name}'"):
        Topology(App("a", asgi="m:x", inbox=True), other)


def test_an_app_without_a_sidecar_gets_a_suggestion() -> None:
    """As other unknown names do."""
    with pytest.raises(ConfigError, match=r"no 'shpo-daprd'(.|\n)*did you mean 'shop'"):
        Topology(App("shop", asgi="m:x")).sidecar_of("shpo")


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "-a", "a-", "a b", "ä"])
def test_a_malformed_name_is_refused(name: str) -> None:
    """Dapr's app-ids allow no dots; folders and groups are made of names."""
    with pytest.raises(ConfigError, match="cannot be the name of a node"):
        Topology(Fake(name))


@pytest.mark.parametrize("name", ["OrderService", "order_service", "_order_"])
def test_a_name_that_is_no_host_name_is_for_processes(name: str) -> None:
    """daprd accepts such app-ids; in a network of containers the name is a host's."""
    topology = Topology(App(name, command="serve"))

    assert name in topology.resolved(Target("processes"))
    with pytest.raises(ConfigError, match=f"{name!r} cannot be the name of a host"):
        topology.resolved(Target("containers"))


def test_a_cycle_is_reported_with_all_its_members() -> None:
    """All its members are named."""
    with pytest.raises(ConfigError, match=r"cycle: .*a.*b"):
        Topology(Fake("a", needs=("b",)), Fake("b", needs=("a",)))


def test_an_unknown_need_gets_a_suggestion() -> None:
    """The likely word is proposed."""
    with pytest.raises(ConfigError, match="did you mean 'postgres'"):
        Topology(Postgres(), Fake("a", needs=("postgers",)))


def test_a_placeholder_of_an_app_is_a_need() -> None:
    """The database is ready before the app starts."""
    app = App("a", asgi="m:x", env={"URL": "${postgres.dsn}"})

    assert app.needs == ("postgres",)


def test_a_secret_of_the_stack_is_not_a_need() -> None:
    """Unlike what looks the same, the exports of a node."""
    app = App("shop", command="x", env={"KEY": "${secret.shop}", "URL": "${postgres.dsn}"})

    assert ("postgres",) == app.needs


def test_no_node_is_named_like_the_secrets_of_the_stack() -> None:
    """A placeholder would have two meanings."""
    with pytest.raises(ConfigError, match="a node cannot be named 'secret'"):
        Topology(Process("secret", command="x"))


def signed(path: str, token: Callable[[str], str]) -> Mapping[str, str]:
    """Headers by which this test recognizes the function."""
    return {"x-path": path, "authorization": token("key-secret")}


def test_every_change_of_a_topology_keeps_how_requests_are_signed() -> None:
    """For a runtime, and with an app that somebody else starts."""
    topology = Topology(App("shop", command="x {port}"), sign=signed)

    assert topology.resolved(Target("processes", "kafka")).sign is signed
    assert with_external(topology, ["shop"]).sign is signed


def test_roles_are_those_of_the_nodes_of_each_topology() -> None:
    """Looked for once; a changed topology has others, and nobody can change what is kept."""
    topology = Topology(App("a", command="serve"), time="virtual")
    topology.sidecars().clear()
    first, clock = topology.sidecars(), topology.clock()
    resolved = topology.resolved(Target("processes"))
    fewer = topology.with_nodes([Postgres()])

    assert ["a-daprd"] == [each.name for each in first]
    assert first[0] is topology.sidecars()[0] is not resolved.sidecars()[0]
    assert (None, "scheduler") == (clock, getattr(resolved.clock(), "name", None))
    assert [] == fewer.sidecars()


def test_topics_and_recorders_are_those_of_each_topology() -> None:
    """What records calls is read at a port of its own."""
    app = App("a", command="serve", inbox=True, calls=True)
    topology = Topology(Kafka(["orders", "bills:3"]), app, Receiver())
    topology.topics().clear()
    topology.record_ports().clear()

    assert ["orders", "bills"] == topology.topics()
    found = {"a-inbox": "main", "a-calls": "record", "receiver": "main"}
    assert found == topology.record_ports()
    fewer = topology.with_nodes([Postgres()])
    assert ([], {}) == (fewer.topics(), fewer.record_ports())


def test_an_app_is_asgi_or_command_and_not_both() -> None:
    """Neither is as wrong."""
    with pytest.raises(ConfigError, match="either asgi= or command="):
        App("a")
    with pytest.raises(ConfigError, match="either asgi= or command="):
        App("a", asgi="m:x", command="true")
    with pytest.raises(ConfigError, match="names no attribute"):
        App("a", asgi="module")


@pytest.mark.parametrize("topic", ["", ":3", "a:b", "a:-1"])
def test_a_malformed_topic_is_rejected(topic: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ConfigError, match="is not a topic"):
        Kafka(topics=[topic])


def test_a_topology_cannot_be_changed() -> None:
    """It is a value."""
    topology = Topology(Fake("a"))

    with pytest.raises(AttributeError):
        topology.nodes = ()  # type: ignore[misc]


def test_an_unknown_node_error_lists_known_nodes() -> None:
    """With a suggestion."""
    with pytest.raises(ConfigError, match="did you mean 'kafka'"):
        Topology(Kafka())["kafak"]


WORDS = st.text(st.characters(categories=["Ll"], max_codepoint=127), min_size=1, max_size=8)


@given(node=WORDS, key=WORDS, value=st.text(max_size=20), before=st.text(max_size=10))
def test_a_filled_placeholder_is_replaced_once(
    node: str, key: str, value: str, before: str
) -> None:
    """What is put in is not looked at again."""
    before = before.replace("$", "")
    text = f"{before}${{{node}.{key}}}"

    assert list(placeholders(text)) == [(node, key)]
    assert fill(text, {node: {key: value}}, "here") == before + value


def test_an_unknown_placeholder_names_its_place_and_the_likely_one() -> None:
    """File and line come from the caller."""
    with pytest.raises(ConfigError, match=r"f.yaml:3: .*\n.*did you mean 'kafka.brokers'"):
        fill("${kafka.broker}", {"kafka": {"brokers": "x"}}, "f.yaml:3")
