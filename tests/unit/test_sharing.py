"""What copies of a stack share, what they have of their own, and which stacks can have none."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from harness import (
    App,
    ConfigError,
    Kafka,
    PortTaken,
    Postgres,
    Process,
    Redis,
    Settings,
    Stack,
    Topology,
)
from harness.core.launch import Launch
from harness.core.node import Node, Scope, Target
from harness.core.roles import Part
from harness.dapr.namespaces import in_namespace, names_its_store
from harness.dapr.resources import DaprResource, plain_fields
from harness.nodes.control import Scheduler
from harness.runtime.fake import FakeRuntime
from harness.stack import isolated
from harness.stack.cleaning import clean
from harness.stack.isolated import IsolatedStack
from harness.stack.sharing import own_topics, require_separable, shared_nodes
from harness.virtual_time.removal import _requests
from tests.support import Fake, project
from tests.unit.test_secrets_file import Tools

Planned = Callable[..., Stack]
COMPONENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: it}}
spec: {{type: {type}, version: v1, metadata: [{fields}]}}
"""
STORE = COMPONENT.format(
    type="state.postgresql", fields='{name: connectionString, value: "${postgres.dsn}"}'
)
BUS = COMPONENT.format(
    type="pubsub.kafka",
    fields='{name: brokers, value: "${kafka.brokers}"}, {name: authType, value: none}',
)


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planned:
    """A stack that is planned, as far as it is known before anything runs."""

    def make(*nodes: Node, name: str = "processes", mtls: bool = False, **files: str) -> Stack:
        monkeypatch.setattr(FakeRuntime, "name", name)
        project(tmp_path, **{f"r__{key}_yaml": text for key, text in files.items()})
        (tmp_path / "r").mkdir(exist_ok=True)
        topology = Topology(*nodes, resources="r", mtls=mtls)
        settings = Settings.load(tmp_path, {})
        stack = Stack(topology, settings, Tools(), lambda: FakeRuntime(tmp_path / "run"))
        stack._runtime = FakeRuntime(tmp_path / "run")
        stack._start.prepare(stack._runtime, stack.tools)
        return stack

    return make


def app(**given: object) -> App:
    return App("shop", command="true {port}", **given)  # type: ignore[arg-type]  # as given


def names(stack: Stack) -> set[str]:
    return {each.name for each in shared_nodes(stack)}


def test_what_keeps_namespaces_apart_is_shared_and_the_rest_is_not(planned: Planned) -> None:
    """Redis is started anew, as every node that says nothing about it."""
    shop = app(env={"DSN": "${postgres.dsn}", "CACHE": "${redis.url}"})
    stack = planned(shop, Kafka(), Postgres(), Redis(), Fake("own"), bus=BUS)

    require_separable(stack)

    assert {"kafka", "postgres", "placement", "scheduler"} == names(stack)


@pytest.mark.parametrize(
    ("env", "shared"),
    [
        ({"DSN": "${postgres.dsn}"}, True),
        ({"HOST": "${postgres.host}", "NAME": "${postgres.database}"}, True),
        ({"DSN": "postgresql://${postgres.host}:${postgres.port}/app"}, False),
        ({"HOST": "${postgres.host}"}, False),
    ],
)
def test_a_server_whose_database_is_named_by_its_user_is_not_shared(
    planned: Planned, env: dict[str, str], *, shared: bool
) -> None:
    """The user would find the database of the stack there."""
    assert shared == ("postgres" in names(planned(app(env=env), Postgres())))


@pytest.mark.parametrize("server", [Postgres(databases=("a", "b")), Postgres(follow_clock=True)])
def test_a_server_that_cannot_be_divided_is_not_shared(planned: Planned, server: Postgres) -> None:
    """Only one database can be referred to, and a clock is that of one stack."""
    assert "postgres" not in names(planned(app(env={"DSN": "${postgres.dsn}"}), server))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda plan: plan(app(), name="attached"), "its nodes were started by somebody else"),
        (lambda plan: plan(app(), mtls=True), "its sidecars use certificates"),
        (lambda plan: plan(app(port=8123)), "shop has the fixed port 8123"),
        (lambda plan: plan(app(external=True)), "shop is external, and can exist only once"),
        (lambda plan: plan(app(sidecar_env={"NAMESPACE": "x"})), "shop sets NAMESPACE"),
        (
            lambda plan: plan(Process("feed", "true", env={"B": "${kafka.brokers}"}), Kafka()),
            "feed uses kafka directly",
        ),
        (
            lambda plan: plan(
                app(),
                it=COMPONENT.format(
                    type="state.sqlite", fields="{name: connectionString, value: data.db}"
                ),
            ),
            r"'it' \(state.sqlite\) refers to no node of the topology",
        ),
    ],
)
def test_a_stack_whose_copies_would_meet_is_refused(
    planned: Planned, make: Callable[[Planned], Stack], said: str
) -> None:
    """With the reason, and what to do instead."""
    stack = make(planned)

    with pytest.raises(ConfigError, match=said) as told:
        IsolatedStack(stack)

    assert 'isolation="stack"' in str(told.value)


def test_a_compose_project_cannot_be_emptied(planned: Planned) -> None:
    """This machine cannot connect to its scheduler."""
    with pytest.raises(ConfigError, match="does not publish the port of its scheduler"):
        clean(planned(app(), name="attached"))


def test_the_scheduler_is_reached_by_this_machine_unless_the_system_runs_alone() -> None:
    """What compose files contain is published for their users only."""
    with_harness, alone = (
        Topology(app()).resolved(Target("containers", alone=alone))["scheduler"]
        for alone in (False, True)
    )

    assert isinstance(with_harness, Scheduler)
    assert isinstance(alone, Scheduler)
    assert (with_harness.reachable, alone.reachable) == (True, False)
    assert "main" in with_harness.reached
    assert "main" not in alone.reached


def test_a_copy_sees_topics_and_the_database_under_other_names() -> None:
    """Those that daprd uses, and one that no other copy has."""
    kafka, postgres = Kafka(["orders:3"]).seen_in("w1"), Postgres().seen_in("w1")

    assert isinstance(kafka, Kafka)
    assert isinstance(postgres, Postgres)
    assert (("w1orders", 3),) == kafka.topics
    assert ("w1_app",) == postgres.databases


def test_the_topics_of_copies_are_not_those_of_the_stack() -> None:
    """Nobody who looks at the stack waits for events of a copy that is starting or stopping."""
    topics = {"orders": 1, "west": 2, "w01234567orders": 3, "w89abcdeforders": 4}

    assert {"orders": 1, "west": 2} == own_topics(topics, "")
    assert {"w01234567orders": 3} == own_topics(topics, "w01234567")


@dataclass(frozen=True)
class Divided(Fake):
    """A node that copies share, and that remembers which of them it has forgotten."""

    parts: list[Part] = field(default_factory=list)

    def seen_in(self, namespace: str) -> Divided:
        return self

    def divides(self, user: Node, keys: Collection[str]) -> bool:
        return True

    def leave(self, scope: Scope, part: Part) -> None:
        self.parts.append(part)


@dataclass(frozen=True)
class Taken(Fake):
    """A node whose port is taken when a copy starts for the first time."""

    plans: list[Scope] = field(default_factory=list)

    def plan(self, scope: Scope) -> Launch:
        self.plans.append(scope)
        return super().plan(scope)

    def initialize(self, scope: Scope) -> None:
        # The stack itself has been planned once.
        if 2 == len(self.plans):
            raise PortTaken("somebody has it", port=1)


def copy_of(stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> IsolatedStack:
    """A copy that runs nothing; the stack itself is taken for a running one."""
    monkeypatch.setattr(isolated, "ProcessRuntime", lambda *_, **__: FakeRuntime(folder / "copy"))
    return IsolatedStack(stack)


def test_a_copy_starts_nothing_that_it_shares_and_leaves_it_once(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own namespace, which no other copy has."""
    shared = Divided("server")
    stack = planned(shared, Fake("own", needs=("server",)))
    with copy_of(stack, tmp_path, monkeypatch) as copy:
        assert isinstance(copy._runtime, FakeRuntime)
        events = copy._runtime.events
        assert ["left server", "started own"] == events
        namespace = copy.book.namespace
    copy.close()

    assert [Part(namespace, ())] == shared.parts
    with copy_of(stack, tmp_path, monkeypatch) as another:
        assert namespace != another.book.namespace


def test_a_copy_whose_start_was_repeated_leaves_what_it_shares(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first attempt, and after the one that succeeded."""
    shared = Divided("server")
    stack = planned(shared, Taken("own", needs=("server",)))
    with copy_of(stack, tmp_path, monkeypatch):
        assert 1 == len(shared.parts)

    assert 2 == len(shared.parts)


def test_a_copy_that_cannot_be_planned_has_nothing_to_leave(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its own error is the one that is raised."""
    shared = Divided("server")
    copy = copy_of(planned(shared, Fake("own")), tmp_path, monkeypatch)
    copy.topology = copy.topology.with_nodes([shared, Fake("own", text="${nobody.url}")])

    with pytest.raises(ConfigError, match="nobody"):
        copy.start()
    assert [] == shared.parts


def resource(kind: str, **fields: str) -> DaprResource:
    items = [{"name": name, "value": value} for name, value in fields.items()]
    body = yaml.safe_load(COMPONENT.format(type=kind, fields=""))
    body["spec"]["metadata"] = items
    return DaprResource(Path("it.yaml"), 1, body)


@pytest.mark.parametrize(
    ("given", "group"),
    [
        ({}, "{namespace}"),
        ({"consumerGroup": "shops"}, "w1.shops"),
        ({"consumerID": "shops"}, "w1.shops"),
        ({"consumerGroup": "{namespace}"}, "{namespace}"),
    ],
)
def test_a_pubsub_component_has_topics_and_a_group_of_its_namespace(
    given: dict[str, str], group: str
) -> None:
    """Apps that share a group go on sharing one."""
    fields = plain_fields(in_namespace(resource("pubsub.kafka", **given), "w1"))

    assert group == (fields.get("consumergroup") or fields["consumerid"])
    assert "{namespace}" in fields["namespacescoped"]


def test_a_binding_has_the_topics_of_its_namespace() -> None:
    """daprd does it for pub/sub components alone."""
    given = resource("bindings.kafka", topics="a, b", publishTopic="c", consumerGroup="g")

    fields = plain_fields(in_namespace(given, "w1"))

    assert {
        "topics": "w1a,w1b",
        "publishtopic": "w1c",
        "consumergroup": "w1.g",
    } == fields


def test_a_group_that_is_a_secret_is_refused() -> None:
    """It cannot be changed from here, and two copies would share it."""
    it = resource("pubsub.kafka")
    it.body["spec"]["metadata"] = [{"name": "consumerGroup", "secretKeyRef": {"name": "x"}}]

    with pytest.raises(ConfigError, match="consumerGroup of 'it' is a reference"):
        in_namespace(it, "w1")


def test_other_resources_stay_as_they_are() -> None:
    """A namespace concerns Kafka alone."""
    it = resource("state.redis", redisHost="x")

    assert it is in_namespace(it, "w1")


@pytest.mark.parametrize(
    ("kind", "fields", "literal"),
    [
        ("state.sqlite", {"connectionString": "data.db"}, True),
        ("pubsub.redis", {"redisHost": "localhost:6379"}, True),
        ("state.redis", {"redisHost": "${redis.address}"}, False),
        ("pubsub.kafka", {"brokers": "localhost:9092"}, False),
        ("state.in-memory", {}, False),
        ("secretstores.local.file", {"secretsFile": "x"}, False),
    ],
)
def test_a_store_that_is_no_node_is_recognized(
    kind: str, fields: dict[str, str], *, literal: bool
) -> None:
    """By a component without a placeholder."""
    assert literal == names_its_store(resource(kind, **fields))


def test_all_jobs_of_the_apps_and_all_reminders_of_the_namespace_are_deleted() -> None:
    """An app is named in full: a prefix would be the beginning of another one's name, too."""
    jobs = list(_requests(Part("w1", ("a", "b"))))

    assert [
        {"metadata": {"namespace": "w1", "app_id": "a", "target": {"job": {}}}},
        {"metadata": {"namespace": "w1", "app_id": "b", "target": {"job": {}}}},
        {
            "metadata": {"namespace": "w1", "app_id": "a", "target": {"actor": {}}},
            "id_prefix_match": True,
        },
    ] == jobs
