"""`Topology(durable=True)` reaches every server, in containers as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import ConfigError, Kafka, Postgres, Redis, Redpanda, Topology
from harness.core.launch import Launch
from tests.unit.test_images import planned

FLUSH = "KAFKA_LOG_FLUSH_INTERVAL_MESSAGES"


def option(launch: Launch, name: str) -> bool:
    """Whether a server is given an option with its value."""
    return name in " ".join(launch.argv)


@pytest.mark.parametrize("durable", [False, True])
def test_one_switch_decides_for_every_server(tmp_path: Path, durable: bool) -> None:
    """By default, none of them waits for the disk."""
    postgres = planned(tmp_path, Postgres(), name="postgres", durable=durable)
    kafka = planned(tmp_path, Kafka(["t"]), name="kafka", durable=durable)
    redis = planned(tmp_path, Redis(), name="redis", durable=durable)

    assert durable is not option(postgres, "fsync=off")
    assert ("1" if durable else None) == kafka.env.get(FLUSH)
    assert option(redis, "--appendfsync always" if durable else "--appendfsync no")


def test_a_parameter_of_the_server_takes_precedence(tmp_path: Path) -> None:
    """As it does over every other value of the harness."""
    server = Postgres(parameters={"fsync": "off"})

    assert option(planned(tmp_path, server, name="postgres", durable=True), "fsync=off")


def test_redpanda_is_refused(tmp_path: Path) -> None:
    """It runs in a mode that does not sync."""
    with pytest.raises(ConfigError, match="Redpanda 'redpanda' does not write to the disk"):
        planned(tmp_path, Redpanda(["t"]), name="redpanda", durable=True)


def test_a_changed_topology_stays_durable() -> None:
    """With other nodes, and with another time."""
    topology = Topology(Postgres(), durable=True)

    assert topology.with_nodes([Redis()]).durable
    assert topology.with_time("virtual").durable
    assert not Topology(Postgres()).durable
