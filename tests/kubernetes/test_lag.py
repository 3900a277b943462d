"""Scaling by lag: what KEDA is told of an app's events in Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import App, Kafka, Kubernetes
from harness.core.errors import ConfigError
from tests.kubernetes.rendering import kinds, one_app, the
from tests.projects import KAFKA

PUBSUB = KAFKA + "  - {name: initialOffset, value: oldest}\n"
EACH_POD = """\
  - {name: consumerID, value: "{appID}-{podName}"}
"""


def shop(**kubernetes: Any) -> App:
    own = {"max_replicas": 5, "lag_target": 50, **kubernetes}
    return App("shop", asgi="m:a", kubernetes=Kubernetes(**own))


def objects(folder: Path, app: App, **components: str) -> list[dict[str, Any]]:
    return one_app(folder, app, Kafka(("orders",)), **components)


def test_an_app_is_scaled_by_the_lag_of_its_group_on_all_topics(tmp_path: Path) -> None:
    """By KEDA, and not by an autoscaler of its CPU, too; it decides on the number of pods."""
    found = objects(tmp_path, shop(replicas=2), pubsub=PUBSUB)
    spec = the(found, "ScaledObject", "shop")["spec"]

    assert (2, 5) == (spec["minReplicaCount"], spec["maxReplicaCount"])
    assert {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"} == spec["scaleTargetRef"]
    assert [
        {
            "type": "kafka",
            "metadata": {
                "bootstrapServers": "kafka:9092",
                "consumerGroup": "shop",
                "lagThreshold": "50",
                "offsetResetPolicy": "earliest",
            },
        }
    ] == spec["triggers"]
    assert "HorizontalPodAutoscaler" not in kinds(found)
    assert "replicas" not in the(found, "Deployment", "shop")["spec"]


def test_a_group_of_its_own_is_read(tmp_path: Path) -> None:
    named = PUBSUB + "  - {name: consumerGroup, value: shops}\n"
    found = objects(tmp_path, shop(), pubsub=named)
    (trigger,) = the(found, "ScaledObject", "shop")["spec"]["triggers"]

    assert "shops" == trigger["metadata"]["consumerGroup"]


def test_an_app_that_is_scaled_by_lag_needs_no_request_of_cpu(tmp_path: Path) -> None:
    found = objects(tmp_path, shop(requests={"memory": "1Gi"}), pubsub=PUBSUB)

    assert "ScaledObject" in kinds(found)


@pytest.mark.parametrize(
    "component",
    [
        PUBSUB.replace("value: none", "value: password"),
        PUBSUB + EACH_POD,
        PUBSUB.replace("pubsub.kafka", "pubsub.in-memory"),
    ],
)
def test_an_app_whose_lag_cannot_be_read_is_refused(tmp_path: Path, component: str) -> None:
    """With credentials, with a group for each pod, or without Kafka."""
    with pytest.raises(ConfigError, match="loads no component whose lag KEDA can read"):
        objects(tmp_path, shop(), pubsub=component)


def test_a_lag_without_a_number_of_pods_is_refused() -> None:
    with pytest.raises(ConfigError, match="lag_target=50 and no max_replicas"):
        shop(max_replicas=0)
