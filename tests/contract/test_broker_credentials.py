"""A broker that requires credentials: what is told when they are wrong, on every runtime."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from harness import App, IsolatedStack, Kafka, Settings, Topology, World, running
from harness.core.errors import HarnessError, SystemFailure
from harness.ready.kafka import admin_of
from harness.stack.beginning import own_brokers
from tests.projects import HELLO_ANYWHERE
from tests.support import project

pytestmark = pytest.mark.real

APP = HELLO_ANYWHERE

COMPONENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: bus}}
spec:
  type: pubsub.kafka
  version: v1
  metadata:
  - {{name: brokers, value: "${{kafka.brokers}}"}}
  - {{name: authType, value: password}}
  - {{name: saslMechanism, value: {mechanism}}}
  - {{name: saslUsername, value: "${{kafka.username}}"}}
  - {{name: saslPassword, secretKeyRef: {{name: {secret}, key: {secret}}}}}
  - {{name: disableTls, value: "{plain}"}}
{authority}
auth: {{secretStore: env}}
"""

SECRETS = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: env}
spec: {type: secretstores.local.env, version: v1}
"""


@dataclass(frozen=True)
class Variant:
    """A broker, a component, and what is told of it."""

    told: str = ""
    mechanism: str = "SHA-512"
    secret: str = "BUS_PASSWORD"
    password: str = "${kafka.password}"
    plain: str = "true"
    authority: str = ""
    sasl: str = "SCRAM-SHA-512"
    tls: bool = False


WRONG = {
    "password": Variant(
        r"initialization error occurred for bus \(pubsub.kafka/v1\): (.|\n)*"
        "invalid credentials with SASL mechanism SCRAM-SHA-512",
        password="wrong",
    ),
    "secret": Variant(
        r"bus.yaml:12: component 'bus': the secret of field 'saslPassword' cannot be resolved: "
        "the sidecar has no variable 'NOT_SET'",
        secret="NOT_SET",
    ),
    "mechanism": Variant(
        r"refuses component 'bus', which uses saslMechanism PLAINTEXT and no TLS: (.|\n)*"
        "broker's supported mechanisms: SCRAM-SHA-512",
        mechanism="PLAINTEXT",
    ),
    "encryption": Variant(
        "refuses component 'bus', which uses saslMechanism SHA-512 and TLS: (.|\n)*SSL",
        plain="false",
    ),
}


AUTHORITY = '  - {name: caCert, value: "${kafka.authority}"}'
RIGHT = {
    "scram": Variant(),
    "plain-tls": Variant(
        sasl="PLAIN", mechanism="PLAINTEXT", tls=True, plain="false", authority=AUTHORITY
    ),
}
"""The other two combinations are those of scenarios/test_credentials.py."""

on_each_runtime = pytest.mark.parametrize("runtime", ["processes", "containers"])


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path, runtime: str) -> Settings:
    """Of one runtime."""
    if runtime == "containers":
        request.getfixturevalue("images")
    return Settings.load(tmp_path, runtime=runtime)


def topology(folder: Path, variant: Variant) -> Topology:
    """An app, and a component with a password on a broker that asks for one."""
    component = COMPONENT.format(**vars(variant))
    project(folder, shop_py=APP, components__bus_yaml=component, components__env_yaml=SECRETS)
    shop = App(
        "shop",
        command=[sys.executable, "shop.py", "{port}"],
        sidecar_env={"BUS_PASSWORD": variant.password},
    )
    broker = Kafka(["orders"], sasl=variant.sasl, tls=variant.tls)
    return Topology(broker, shop, resources="components")


@on_each_runtime
@pytest.mark.parametrize("variant", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_credential_ends_the_start_with_component_and_cause(
    tmp_path: Path, settings: Settings, variant: Variant
) -> None:
    with (
        pytest.raises((HarnessError, SystemFailure)) as raised,
        running(topology(tmp_path, variant), settings),
    ):
        pass

    assert re.search(variant.told, str(raised.value)), str(raised.value)


@on_each_runtime
@pytest.mark.parametrize("variant", RIGHT.values(), ids=RIGHT.keys())
def test_an_event_passes_a_broker_that_asks_for_a_password(
    tmp_path: Path, settings: Settings, variant: Variant
) -> None:
    """A client without one reads nothing; the tap of a component has the component's."""
    with running(topology(tmp_path, variant), settings) as stack, World(stack) as world:
        tap = world.topic("orders", "bus")
        world.sidecar("shop").publish("bus", "orders", {"n": 1})

        assert {"n": 1} == tap.next(timeout=60).data == world.topic("orders").next(timeout=60).data
        logs = [path.read_text() for path in (stack.folder / "logs").glob("*.log")]
        assert [] == [word for word in stack.book.secrets() for log in logs if word in log]
        stranger = admin_of(world.brokers)
        with pytest.raises(KafkaException):
            stranger.list_topics(timeout=2)


@pytest.mark.parametrize("variant", RIGHT.values(), ids=RIGHT.keys())
def test_a_copy_of_the_stack_has_events_of_its_own_on_such_a_broker(
    tmp_path: Path, variant: Variant
) -> None:
    """With the credentials of the stack; afterwards, its topics are gone."""
    settings = Settings.load(tmp_path, runtime="processes")
    with running(topology(tmp_path, variant), settings) as stack, World(stack) as base:
        with IsolatedStack(stack) as copy, World(copy) as world:
            assert copy.instances["kafka"].pid == 0
            tap = world.topic("orders", "bus")
            world.sidecar("shop").publish("bus", "orders", {"n": 1})
            assert {"n": 1} == tap.next(timeout=60).data
            assert {"n": 1} == world.topic("orders").next(timeout=60).data
        assert [] == base.topic("orders").all()
        topics = admin_of(own_brokers(stack)).list_topics(timeout=10).topics
        assert ["orders"] == [each for each in topics if each.endswith("orders")]
