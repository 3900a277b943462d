"""Credentials of brokers and receivers: where they go, where they do not, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import App, Broker, ConfigError, Kafka, Receiver, Redis, Redpanda, Topology
from harness.cli.delivery import _seen_here
from harness.core.kafka_access import KafkaAccess, access_of, client_settings, moved
from harness.core.node import Node, Target
from harness.dapr.kafka_component import connection_of
from harness.dapr.lint import check_resources
from harness.dapr.resources import DaprResource, read_resources
from harness.load.generate.generator import References
from harness.load.model.pairs import CONNECTION
from harness.load.model.profile import Profile, RawKafka, Step
from harness.nodes.kafka_refusal import refused_component
from harness.render.compose.render import render
from tests.support import project
from tests.unit.test_environment import book_of
from tests.unit.test_images import ImagePaths

SECRET = "s3cret"
ACCESS = KafkaAccess("b:9", "SCRAM-SHA-512", "dapr", SECRET, tls=True, authority="PEM")


def component(*items: dict[str, Any], kind: str = "pubsub.kafka", store: str = "env") -> Any:
    body = {
        "kind": "Component",
        "metadata": {"name": "bus"},
        "spec": {"type": kind, "metadata": list(items)},
        "auth": {"secretStore": store},
    }
    return DaprResource(Path("bus.yaml"), 1, body)


def store(**values: str) -> DaprResource:
    items = [{"name": name, "value": value} for name, value in values.items()]
    spec = {"type": "secretstores.local.env", "metadata": items}
    body = {"kind": "Component", "metadata": {"name": "env"}, "spec": spec}
    return DaprResource(Path("env.yaml"), 1, body)


def password(**reference: Any) -> list[dict[str, Any]]:
    plain = {"brokers": "b:9", "authType": "password", "saslUsername": "dapr"}
    rows = [{"name": name, "value": value} for name, value in plain.items()]
    return [*rows, {"name": "saslPassword", **reference}]


def test_the_text_of_an_access_has_no_password() -> None:
    """Messages name a broker by it."""
    assert "b:9" == str(ACCESS)
    assert SECRET not in repr(ACCESS)


def test_a_client_connects_as_the_broker_requires() -> None:
    assert {"bootstrap.servers": "b:9"} == client_settings("b:9")
    found = client_settings(ACCESS)
    assert ("SASL_SSL", "SCRAM-SHA-512") == (found["security.protocol"], found["sasl.mechanism"])
    assert ("dapr", SECRET) == (found["sasl.username"], found["sasl.password"])
    assert "PEM" == found["ssl.ca.pem"]
    plain = client_settings(KafkaAccess("b:9", "PLAIN", "dapr", SECRET))
    assert "SASL_PLAINTEXT" == plain["security.protocol"]
    unverified = client_settings(KafkaAccess("b:9", "PLAIN", "u", "p", tls=True, verify=False))
    assert "false" == unverified["enable.ssl.certificate.verification"]


def test_a_broker_without_credentials_is_an_address() -> None:
    """As it was before there were any."""
    assert "b:9" == access_of({"brokers": "b:9"})
    assert "" == access_of({"url": "x"})
    assert "c:1" == moved("b:9", "c:1")
    assert (SECRET, "c:1") == (moved(ACCESS, "c:1").password, str(moved(ACCESS, "c:1")))  # type: ignore[union-attr]  # it has credentials


def test_a_broker_in_a_network_is_asked_at_its_address_here() -> None:
    """With the same credentials."""
    access = KafkaAccess("kafka:9092", "PLAIN", "dapr", SECRET)

    found = _seen_here(access, {"kafka": "127.0.0.1:5"})

    assert ("127.0.0.1:5", SECRET) == (str(found), found.password)  # type: ignore[union-attr]  # it has credentials
    assert access is _seen_here(access, {})


@pytest.mark.parametrize(
    ("reference", "stores", "expected"),
    [
        ({"value": SECRET}, [], SECRET),
        ({"envRef": "WORD"}, [], SECRET),
        ({"secretKeyRef": {"name": "WORD", "key": "WORD"}}, [store()], SECRET),
        ({"secretKeyRef": {"name": "RD", "key": "RD"}}, [store(prefix="WO")], SECRET),
        ({"secretKeyRef": {"name": "OTHER", "key": "OTHER"}}, [store()], None),
        ({"secretKeyRef": {"name": "WORD", "key": "WORD"}}, [], None),
    ],
)
def test_the_password_of_a_component_is_read_where_its_sidecar_reads_it(
    reference: dict[str, Any], stores: list[DaprResource], expected: str | None
) -> None:
    """And a password that cannot be read is no password at all."""
    bus = component(*password(**reference), {"name": "saslMechanism", "value": "SHA-256"})

    brokers, unknown = connection_of(bus, [bus, *stores], {"WORD": SECRET})

    if expected is None:
        assert ("b:9", "only its sidecar knows saslPassword") == (brokers, unknown)
    else:
        expected_access = KafkaAccess("b:9", "SCRAM-SHA-256", "dapr", expected, tls=True)
        assert (expected_access, "") == (brokers, unknown)


def test_a_refusal_is_looked_into_only_if_daprd_says_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The component that failed is the one of the message."""
    monkeypatch.setattr("harness.nodes.kafka_refusal.refusal_of", lambda access: f"no {access}")
    bus = component(*password(value=SECRET))
    last = (
        "error for bus (pubsub.kafka/v1): kafka: client has run out of available brokers to talk to"
    )

    assert "refuses component 'bus'" in refused_component([bus], {}, last)
    assert "no b:9" in refused_component([bus], {}, last)
    assert "" == refused_component([bus], {}, last.replace("bus", "other"))
    assert "" == refused_component([bus], {}, "error for bus (pubsub.kafka/v1): another one")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sasl": "SHA-512"}, r"sasl='SHA-512'\) of 'kafka' is not a mechanism"),
        ({"tls": True}, "has no sasl="),
    ],
)
def test_what_kafka_cannot_do_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Kafka(**given)


def test_a_broker_with_credentials_is_kafka_on_every_runtime() -> None:
    """Redpanda says that it has none."""
    broker = Broker(sasl="PLAIN")

    for runtime in ("processes", "containers"):
        assert isinstance(broker.resolve(Target(runtime)), Kafka)
    assert "PLAIN" == broker.resolve(Target("containers")).sasl  # type: ignore[attr-defined]  # a Kafka
    for node in (Redpanda(sasl="PLAIN"), broker):
        with pytest.raises(ConfigError, match=r"Redpanda '.*' with sasl= is not supported"):
            node.resolve(Target("containers", "redpanda"))


@pytest.mark.parametrize("given", [{"sasl": "SCRAM-SHA-256"}, {"sasl": "PLAIN", "tls": True}])
def test_a_rendered_broker_has_no_users_and_no_certificate(given: dict[str, Any]) -> None:
    """The harness makes them while a stack starts."""
    with pytest.raises(ConfigError, match="needs the harness"):
        Broker(**given).resolve(Target("containers", alone=True))


def test_a_compose_project_has_variables_and_no_password(tmp_path: Path) -> None:
    """The broker's, and the sidecar's that refers to it; there is no variant with Redpanda."""
    items = [
        *password(secretKeyRef={"name": "WORD", "key": "WORD"}),
        {"name": "disableTls", "value": "true"},
    ]
    body = component(*items).body | {"apiVersion": "dapr.io/v1alpha1"}
    body["spec"]["version"] = "v1"
    own = store().body | {"apiVersion": "dapr.io/v1alpha1"}
    own["spec"]["version"] = "v1"
    project(tmp_path, c__bus_yaml=json.dumps(body), c__env_yaml=json.dumps(own))
    app = App("shop", asgi="m:x", sidecar_env={"WORD": "${broker.password}"})
    topology = Topology(Broker(sasl="PLAIN"), app, resources="c")

    files = render(topology, ImagePaths(), tmp_path, tmp_path / "compose")

    assert 'user_dapr="${BROKER_PASSWORD:?see .env.example}"' in files["compose.yaml"]
    assert "WORD: ${BROKER_PASSWORD:?see .env.example}" in files["compose.yaml"]
    assert {"BROKER_PASSWORD=", "BROKER_ADMIN_PASSWORD="} <= {*files[".env.example"].splitlines()}
    assert "compose.redpanda.yaml" not in files


@pytest.mark.parametrize("gateway", ["", "172.17.0.1"], ids=["processes", "containers"])
def test_no_argument_has_a_credential(tmp_path: Path, gateway: str) -> None:
    """Every account on the machine can see them."""
    nodes: list[Node] = [
        Kafka(sasl="SCRAM-SHA-512", tls=True),
        Kafka(sasl="PLAIN", name="plain"),
        Redis(),
        Receiver(mail_auth=True, starttls=True, bearer=True),
    ]
    book = book_of(tmp_path, *nodes, gateway=gateway)
    launches = [node.plan(book.scope(node.name)) for node in nodes]

    assert 6 == len(book.secrets())  # that of a SCRAM user is given to the running broker
    shown = [word for launch in launches for word in launch.argv]
    assert [] == [word for word in shown if any(secret in word for secret in book.secrets())]


def test_the_references_of_a_load_run_have_no_password_as_argument(tmp_path: Path) -> None:
    """It is a variable, which only this account sees."""
    profile = Profile(name="x", rates={}, steps=(Step(1, 1),), raw_kafka=RawKafka("t", 1))
    seen: list[Any] = []

    def start(node: Any) -> Any:
        seen.append(node)
        return SimpleNamespace(stop=lambda grace: None)

    References(start, ACCESS, profile, tmp_path)

    (node,) = seen
    assert not any(SECRET in word for word in node.command)
    assert SECRET == json.loads(node.env[CONNECTION])["sasl.password"]


KAFKA = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: bus}
spec:
  type: KIND
  version: v1
  metadata:
  - {name: brokers, value: "b:9"}
  - {name: host, value: localhost}
  - {name: port, value: "25"}
  - {name: authType, value: password}
  - {name: saslMechanism, value: SHA-512}
  - {name: saslUsername, value: dapr}
  - {name: user, value: dapr}
  - {name: FIELD, secretKeyRef: {name: WORD, key: WORD}}
auth: {secretStore: env}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: env}
spec: {type: secretstores.local.env, version: v1}
"""


@pytest.mark.parametrize(
    ("kind", "field", "severity"),
    [
        ("pubsub.kafka", "saslPassword", "error"),
        ("bindings.smtp", "password", "error"),
        ("bindings.smtp", "emailTo", "warning"),
    ],
)
def test_a_secret_without_which_daprd_exits_is_an_error(
    tmp_path: Path, kind: str, field: str, severity: str
) -> None:
    """Of a component that has to authenticate; another one only has an empty value."""
    project(tmp_path, r__c_yaml=KAFKA.replace("KIND", kind).replace("FIELD", field))
    found = check_resources(read_resources([tmp_path / "r"]), None, {}, tmp_path)

    (missing,) = [each for each in found if "no variable 'WORD'" in each.message]
    assert severity == missing.severity
    assert f"component 'bus': the secret of field '{field}'" in missing.message
