"""dapr-harness: starts, tests, observes and explains a real Dapr system on one machine.

Names are imported on first use, so that ``import harness`` costs almost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.core.deadline import Check as Check
    from harness.core.deadline import Observation as Observation
    from harness.core.endpoint import Endpoint as Endpoint
    from harness.core.errors import AppFailed as AppFailed
    from harness.core.errors import ConfigError as ConfigError
    from harness.core.errors import DaprError as DaprError
    from harness.core.errors import HarnessError as HarnessError
    from harness.core.errors import InstanceDied as InstanceDied
    from harness.core.errors import LaunchError as LaunchError
    from harness.core.errors import NotReady as NotReady
    from harness.core.errors import PortTaken as PortTaken
    from harness.core.errors import ProbeError as ProbeError
    from harness.core.errors import ProbeTimeout as ProbeTimeout
    from harness.core.errors import SystemFailure as SystemFailure
    from harness.core.errors import TeardownError as TeardownError
    from harness.core.errors import Unavailable as Unavailable
    from harness.core.launch import InContainer as InContainer
    from harness.core.launch import InProcess as InProcess
    from harness.core.launch import Launch as Launch
    from harness.core.node import Scope as Scope
    from harness.core.observation import Occurrence as Occurrence
    from harness.core.settings import Settings as Settings
    from harness.core.topology import Topology as Topology
    from harness.dapr.aclient import AsyncDaprClient as AsyncDaprClient
    from harness.dapr.client import DaprClient as DaprClient
    from harness.nodes.app import App as App
    from harness.nodes.base import BaseNode as BaseNode
    from harness.nodes.broker import Broker as Broker
    from harness.nodes.control import Placement as Placement
    from harness.nodes.control import Scheduler as Scheduler
    from harness.nodes.in_cluster import Kubernetes as Kubernetes
    from harness.nodes.kafka import Kafka as Kafka
    from harness.nodes.postgres import Postgres as Postgres
    from harness.nodes.process import Process as Process
    from harness.nodes.receiver import Receiver as Receiver
    from harness.nodes.redis import Redis as Redis
    from harness.nodes.redpanda import Redpanda as Redpanda
    from harness.nodes.sidecar import Sidecar as Sidecar
    from harness.nodes.virtual_scheduler import VirtualScheduler as VirtualScheduler
    from harness.probe.acalls import AsyncCalls as AsyncCalls
    from harness.probe.ainbox import AsyncInbox as AsyncInbox
    from harness.probe.api_calls import Call as Call
    from harness.probe.atable import AsyncTable as AsyncTable
    from harness.probe.atap import AsyncTap as AsyncTap
    from harness.probe.calls import Calls as Calls
    from harness.probe.deliveries import Delivery as Delivery
    from harness.probe.events import Event as Event
    from harness.probe.inbox import Inbox as Inbox
    from harness.probe.spans import Span as Span
    from harness.probe.table import Table as Table
    from harness.probe.tap import Tap as Tap
    from harness.report.history import history as history
    from harness.runtime.base import Instance as Instance
    from harness.stack.aworld import AsyncWorld as AsyncWorld
    from harness.stack.isolated import IsolatedStack as IsolatedStack
    from harness.stack.run import running as running
    from harness.stack.stack import Stack as Stack
    from harness.stack.world import World as World
    from harness.virtual_time.aclock import AsyncClock as AsyncClock
    from harness.virtual_time.clock import Clock as Clock

_HOMES = {
    "App": "nodes.app",
    "AppFailed": "core.errors",
    "AsyncCalls": "probe.acalls",
    "AsyncClock": "virtual_time.aclock",
    "AsyncDaprClient": "dapr.aclient",
    "AsyncInbox": "probe.ainbox",
    "AsyncTable": "probe.atable",
    "AsyncTap": "probe.atap",
    "AsyncWorld": "stack.aworld",
    "BaseNode": "nodes.base",
    "Broker": "nodes.broker",
    "Call": "probe.api_calls",
    "Calls": "probe.calls",
    "Check": "core.deadline",
    "Clock": "virtual_time.clock",
    "ConfigError": "core.errors",
    "DaprClient": "dapr.client",
    "DaprError": "core.errors",
    "Delivery": "probe.deliveries",
    "Endpoint": "core.endpoint",
    "Event": "probe.events",
    "HarnessError": "core.errors",
    "InContainer": "core.launch",
    "InProcess": "core.launch",
    "Inbox": "probe.inbox",
    "Instance": "runtime.base",
    "InstanceDied": "core.errors",
    "IsolatedStack": "stack.isolated",
    "Kafka": "nodes.kafka",
    "Kubernetes": "nodes.in_cluster",
    "Launch": "core.launch",
    "LaunchError": "core.errors",
    "NotReady": "core.errors",
    "Observation": "core.deadline",
    "Occurrence": "core.observation",
    "Placement": "nodes.control",
    "PortTaken": "core.errors",
    "Postgres": "nodes.postgres",
    "ProbeError": "core.errors",
    "ProbeTimeout": "core.errors",
    "Process": "nodes.process",
    "Receiver": "nodes.receiver",
    "Redis": "nodes.redis",
    "Redpanda": "nodes.redpanda",
    "Scheduler": "nodes.control",
    "Scope": "core.node",
    "Settings": "core.settings",
    "Sidecar": "nodes.sidecar",
    "Span": "probe.spans",
    "Stack": "stack.stack",
    "SystemFailure": "core.errors",
    "Table": "probe.table",
    "Tap": "probe.tap",
    "TeardownError": "core.errors",
    "Topology": "core.topology",
    "Unavailable": "core.errors",
    "VirtualScheduler": "nodes.virtual_scheduler",
    "World": "stack.world",
    "history": "report.history",
    "running": "stack.run",
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
