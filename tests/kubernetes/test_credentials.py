"""Brokers and receivers that require credentials, in a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import App, ConfigError, Kafka, Settings
from harness.core.topology import Topology
from harness.manifests.project import KubernetesProject
from scenarios.topology import todo
from tests.kubernetes.rendering import one_app, rendered, the
from tests.kubernetes.validate import validate
from tests.support import ROOT

SECURED = [
    ("PLAIN", False, "components/sasl", "PLAINTEXT", {"saslUsername", "saslPassword"}),
    (
        "SCRAM-SHA-512", True, "components/sasl-tls", "SHA-512",
        {"saslUsername", "saslPassword", "caCert"},
    ),
]  # fmt: skip

COMPONENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: bus}
spec:
  type: pubsub.kafka
  version: v1
  metadata:
  - {name: brokers, value: "${kafka.brokers}"}
  - {name: authType, value: password}
  - {name: saslMechanism, value: "${kafka.saslMechanism}"}
  - {name: saslUsername, value: "VALUE"}
  - {name: saslPassword, value: "${kafka.password}"}
"""


def secured(sasl: str, tls: bool, folder: str) -> Topology:
    folders = ("components", folder, "components/outgoing")
    return todo(resources=folders, sasl=sasl, tls=tls, outgoing=True)


def fields(component: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The fields of a component by name."""
    return {item["name"]: item for item in component["spec"]["metadata"]}


@pytest.mark.parametrize(("sasl", "tls", "folder", "mechanism", "secret"), SECURED)
def test_the_mechanism_is_the_topologys_and_credentials_are_keys_of_the_secret(
    sasl: str, tls: bool, folder: str, mechanism: str, secret: set[str]
) -> None:
    """daprd takes an empty mechanism for PLAIN, and refuses an empty username."""
    objects = rendered(secured(sasl, tls, folder))
    for component in (the(objects, "Component", name) for name in ("pubsub", "updates")):
        found = fields(component)

        assert {"name": "saslMechanism", "value": mechanism} == found["saslMechanism"]
        assert secret == {field for field, item in found.items() if "secretKeyRef" in item}
        assert {"name": "todo", "key": "BROKER_USERNAME"} == found["saslUsername"]["secretKeyRef"]
        assert {"secretStore": "kubernetes"} == component["auth"]


@pytest.mark.parametrize(("sasl", "tls", "folder"), [each[:3] for each in SECURED])
def test_every_field_of_a_system_with_credentials_has_a_value(
    sasl: str, tls: bool, folder: str
) -> None:
    """In the component, or in the Secret, whose example names its key; all objects are valid."""
    objects = rendered(secured(sasl, tls, folder))
    items = [
        item for each in objects if each["kind"] == "Component"
        for item in each["spec"]["metadata"]
    ]  # fmt: skip
    keys = {item["secretKeyRef"]["key"] for item in items if "secretKeyRef" in item}

    assert [] == [item for item in items if not (item.get("value") or "secretKeyRef" in item)]
    assert {"BROKER_PASSWORD", "BROKER_USERNAME", "RECEIVER_USERNAME", "MAIL_PASSWORD"} < keys
    assert keys <= {*the(objects, "Secret", "todo")["stringData"]}
    for each in objects:
        validate(each)


def test_the_chart_has_the_mechanism_as_a_value_and_requires_the_credentials(
    tmp_path: Path,
) -> None:
    topology = secured("SCRAM-SHA-512", True, "components/sasl-tls")
    found = KubernetesProject(topology, Settings.load(ROOT), tmp_path, "todo").rendered()
    values = yaml.safe_load(found["chart/values.yaml"])
    secrets = found["chart/templates/secrets.yaml"]

    assert "SHA-512" == values["broker"]["saslMechanism"]
    assert "username" not in values["broker"]
    for key in ("BROKER_USERNAME", "BROKER_AUTHORITY", "BROKER_PASSWORD", "RECEIVER_USERNAME"):
        assert f'required "set secrets.{key}" .Values.secrets.{key}' in secrets


def test_a_component_without_a_store_of_secrets_gets_the_clusters(tmp_path: Path) -> None:
    """Its credentials were values, and a dash is not part of a key."""
    text = COMPONENT.replace("VALUE", "${kafka.username}").replace("kafka.", "my-kafka.")
    broker = Kafka(name="my-kafka", sasl="SCRAM-SHA-256")
    component = the(one_app(tmp_path, App("shop", asgi="m:a"), broker, c=text), "Component", "bus")
    found = fields(component)

    assert "SHA-256" == found["saslMechanism"]["value"]
    assert {"secretStore": "kubernetes"} == component["auth"]
    assert ["MY_KAFKA_USERNAME", "MY_KAFKA_PASSWORD"] == [
        found[field]["secretKeyRef"]["key"] for field in ("saslUsername", "saslPassword")
    ]


def test_a_credential_within_a_longer_value_is_not_rendered(tmp_path: Path) -> None:
    """A reference is a whole field, and nothing else may take the place of a credential."""
    text = COMPONENT.replace("VALUE", "mr-${kafka.username}")

    with pytest.raises(ConfigError, match=r"\$\{kafka.username\} has no value in a cluster"):
        one_app(tmp_path, App("shop", asgi="m:a"), Kafka(sasl="PLAIN"), c=text)
