"""Looks at a stack that is up, and acts on it. Everything here blocks."""

from __future__ import annotations

import json
from typing import Any

from harness.core.settings import Settings
from harness.inspection.browsing import Browsing
from harness.inspection.calling import PublishedRow, invoke, publish
from harness.inspection.describing import Describing
from harness.inspection.measuring import Measuring
from harness.inspection.model import Action, InvokedRow
from harness.inspection.nodes import act
from harness.inspection.opening import opening
from harness.inspection.redelivery import RedeliveredRow, redeliver
from harness.inspection.tracing import Tracing
from harness.probe.records import decoded


class Inspection(Browsing, Tracing, Measuring, Describing):
    """What may be seen of a stack that is up, since it was started, and be done to it.

    Use it in a ``with`` statement; several threads may use it. Secrets of the stack are masked
    everywhere. What cannot be read is named in ``missing``.

    Raises (in every method):
        HarnessError: the stack has ended.
    """

    @classmethod
    def of(cls, name: str = "default", settings: Settings | None = None) -> Inspection:
        """The inspection of a stack by its name, or by the compose file whose project is up.

        Raises:
            ConfigError: no stack of this name is up, or the file is not that of the topology.
            Unavailable: packages for a compose project are missing.
        """
        return cls(*opening(name, settings))

    def act(self, action: Action, node: str) -> None:
        """Restart a node and wait until it is ready, kill it, freeze it, or let it continue.

        Raises:
            ConfigError: there is no such node, it is not running, or somebody else has started it.
            NotReady: after the restart, a readiness check did not pass in time.
        """
        act(self._stack, action, node)
        self._reports.sidecars.forget()

    def publish(
        self,
        topic: str,
        data: Any,
        *,
        app: str | None = None,
        pubsub: str | None = None,
        event_type: str | None = None,
        key: str | None = None,
    ) -> PublishedRow:
        """Publish an event; see `harness.inspection.calling.publish`.

        Args:
            topic: the topic.
            data: a JSON value.
            app: the app whose sidecar publishes; if None, one that can.
            pubsub: the pub/sub component; if None, that of the topic's subscribers, or the only
                one.
            event_type: the CloudEvent's type.
            key: Kafka's partition key.
        """
        metadata = {"cloudevent.type": event_type, "partitionKey": key}
        found = pubsub or self._pubsubs().get(topic)
        content = json.dumps(data).encode()
        return publish(self._up, topic, content, app=app, pubsub=found, metadata=metadata)

    def invoke(
        self, app: str, path: str, *, verb: str | None = None, data: Any = None
    ) -> InvokedRow:
        """The response of an app's method, called through its own sidecar, with secrets masked.

        Args:
            app: the app.
            path: of the method, with a query if needed.
            verb: the HTTP method; if None, GET, or POST with data.
            data: a JSON value; None for no body.

        Raises:
            ConfigError: there is no such app.
            SystemFailure, ProbeError: the sidecar could not call it, or did not answer.
        """
        content = None if data is None else json.dumps(data).encode()
        answer = invoke(self._up, app, path, verb=verb, content=content)
        return InvokedRow(answer.status_code, self.cleaned(decoded(answer.text)))

    def redeliver(self, event: str, *, app: str | None = None) -> RedeliveredRow:
        """Publish the data of an event again, as a new event on its topic.

        Args:
            event: its key or its id.
            app: the app whose sidecar publishes; if None, one that can.

        Raises:
            ConfigError: there is no such event, or it cannot be published again.
            SystemFailure, ProbeError: the sidecar refused, or did not answer.
        """
        with self._lock:
            self._refresh()
            path = self._table.find(event).path
        return redeliver(self._up, path, self._pubsubs(), app=app)
