"""dapr-harness: starts, tests, observes and explains a real Dapr system on one machine.

Names are imported on first use, so that ``import harness`` costs almost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.aworld import AsyncWorld as AsyncWorld
    from harness.dapr.aclient import AsyncDaprClient as AsyncDaprClient
    from harness.dapr.client import DaprClient as DaprClient
    from harness.deadline import Check as Check
    from harness.deadline import Observation as Observation
    from harness.endpoint import Endpoint as Endpoint
    from harness.errors import AppFailed as AppFailed
    from harness.errors import ConfigError as ConfigError
    from harness.errors import DaprError as DaprError
    from harness.errors import HarnessError as HarnessError
    from harness.errors import InstanceDied as InstanceDied
    from harness.errors import LaunchError as LaunchError
    from harness.errors import NotReady as NotReady
    from harness.errors import PortTaken as PortTaken
    from harness.errors import ProbeError as ProbeError
    from harness.errors import ProbeTimeout as ProbeTimeout
    from harness.errors import SystemFailure as SystemFailure
    from harness.errors import TeardownError as TeardownError
    from harness.errors import Unavailable as Unavailable
    from harness.launch import InContainer as InContainer
    from harness.launch import InProcess as InProcess
    from harness.launch import Launch as Launch
    from harness.node import Scope as Scope
    from harness.nodes.app import App as App
    from harness.nodes.base import BaseNode as BaseNode
    from harness.nodes.broker import Broker as Broker
    from harness.nodes.control import Placement as Placement
    from harness.nodes.control import Scheduler as Scheduler
    from harness.nodes.kafka import Kafka as Kafka
    from harness.nodes.postgres import Postgres as Postgres
    from harness.nodes.process import Process as Process
    from harness.nodes.receiver import Receiver as Receiver
    from harness.nodes.redis import Redis as Redis
    from harness.nodes.redpanda import Redpanda as Redpanda
    from harness.nodes.sidecar import Sidecar as Sidecar
    from harness.probe.ainbox import AsyncInbox as AsyncInbox
    from harness.probe.atable import AsyncTable as AsyncTable
    from harness.probe.atap import AsyncTap as AsyncTap
    from harness.probe.deliveries import Delivery as Delivery
    from harness.probe.events import Event as Event
    from harness.probe.inbox import Inbox as Inbox
    from harness.probe.spans import Span as Span
    from harness.probe.table import Table as Table
    from harness.probe.tap import Tap as Tap
    from harness.run import running as running
    from harness.runtime.base import Instance as Instance
    from harness.settings import Settings as Settings
    from harness.stack import Stack as Stack
    from harness.topology import Topology as Topology
    from harness.world import World as World

_HOMES = {
    "App": "nodes.app",
    "AppFailed": "errors",
    "AsyncDaprClient": "dapr.aclient",
    "AsyncInbox": "probe.ainbox",
    "AsyncTable": "probe.atable",
    "AsyncTap": "probe.atap",
    "AsyncWorld": "aworld",
    "BaseNode": "nodes.base",
    "Broker": "nodes.broker",
    "Check": "deadline",
    "ConfigError": "errors",
    "DaprClient": "dapr.client",
    "DaprError": "errors",
    "Delivery": "probe.deliveries",
    "Endpoint": "endpoint",
    "Event": "probe.events",
    "HarnessError": "errors",
    "InContainer": "launch",
    "InProcess": "launch",
    "Inbox": "probe.inbox",
    "Instance": "runtime.base",
    "InstanceDied": "errors",
    "Kafka": "nodes.kafka",
    "Launch": "launch",
    "LaunchError": "errors",
    "NotReady": "errors",
    "Observation": "deadline",
    "Placement": "nodes.control",
    "PortTaken": "errors",
    "Postgres": "nodes.postgres",
    "ProbeError": "errors",
    "ProbeTimeout": "errors",
    "Process": "nodes.process",
    "Receiver": "nodes.receiver",
    "Redis": "nodes.redis",
    "Redpanda": "nodes.redpanda",
    "Scheduler": "nodes.control",
    "Scope": "node",
    "Settings": "settings",
    "Sidecar": "nodes.sidecar",
    "Span": "probe.spans",
    "Stack": "stack",
    "SystemFailure": "errors",
    "Table": "probe.table",
    "Tap": "probe.tap",
    "TeardownError": "errors",
    "Topology": "topology",
    "Unavailable": "errors",
    "World": "world",
    "running": "run",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - a test compares it with the imports above


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    value = getattr(import_module(f"harness.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
