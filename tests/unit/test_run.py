"""Which runtime a topology uses by default."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness import App, Broker, Kafka, Redpanda, Settings, Topology
from harness.core.errors import Unavailable
from harness.nodes.base import BaseNode
from harness.provision.toolbox import Provisioner
from harness.stack import run

SETTINGS = Settings.load(environ={})
SHOP = App("shop", command="serve {port}")


@pytest.mark.parametrize(
    ("nodes", "broker", "expected"),
    [
        ((Kafka(),), "auto", "processes"),
        ((Broker(),), "auto", "processes"),
        ((Broker(),), "kafka", "processes"),
        ((Broker(),), "redpanda", "containers"),
        ((Redpanda(),), "auto", "containers"),
        ((SHOP,), "auto", "processes"),
        ((App("shop", image="shop:1"),), "auto", "containers"),
    ],
)
def test_auto_is_processes_unless_only_containers_can_run_it(
    monkeypatch: pytest.MonkeyPatch, nodes: tuple[BaseNode, ...], broker: str, expected: str
) -> None:
    """Redpanda and an app that is an image have no process."""
    monkeypatch.setattr(Provisioner, "require_obtainable", lambda *_: None)
    settings = replace(SETTINGS, broker=broker)

    assert expected == run.choose_runtime(Topology(*nodes), settings)  # type: ignore[arg-type]  # nodes


@pytest.mark.parametrize(("engine", "expected"), [(True, "containers"), (False, "processes")])
def test_auto_is_containers_where_processes_cannot_be_had_and_an_engine_answers(
    monkeypatch: pytest.MonkeyPatch, engine: bool, expected: str
) -> None:
    """Without an engine it stays with processes, whose error says what is missing."""

    def nothing_to_be_had(*_: object) -> None:
        raise Unavailable("java is not here")

    monkeypatch.setattr(Provisioner, "require_obtainable", nothing_to_be_had)
    monkeypatch.setattr(run, "_engine_answers", lambda: engine)

    assert expected == run.choose_runtime(Topology(Kafka()), SETTINGS)


@pytest.mark.parametrize("runtime", ["processes", "containers"])
def test_an_explicit_runtime_is_used_without_probing(runtime: str) -> None:
    """Nothing is looked at."""
    settings = replace(SETTINGS, runtime=runtime)

    assert runtime == run.choose_runtime(Topology(Broker()), settings)
