"""Open-loop users of Dapr's gRPC API; they need the Python SDK for its stubs."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import grpc
from dapr.proto.runtime.v1.dapr_pb2_grpc import DaprStub
from dapr.proto.runtime.v1.pubsub_pb2 import PublishEventRequest
from grpc.experimental import gevent as grpc_gevent
from locust.env import Environment

from harness.load.dapr_users import CLOUD_EVENT, event_of
from harness.load.http import TIMEOUT, Failed
from harness.load.targets import find_targets
from harness.load.users import Arrival, OpenLoop, collector

# Before the first channel: its calls then wait in greenlets.
grpc_gevent.init_gevent()


class PublishGrpc(OpenLoop):
    """Publishes the same CloudEvent as `Publish`, by gRPC.

    Attributes:
        app: whose sidecar.
        pubsub: the component.
        topic: the topic.
        event_type: the event's type.
    """

    abstract = True
    app: ClassVar[str] = ""
    pubsub: ClassVar[str] = "pubsub"
    topic: ClassVar[str] = ""
    event_type: ClassVar[str] = "com.dapr-harness.load"

    def __init__(self, environment: Environment) -> None:
        targets = find_targets()
        self.url = f"http://{targets.grpc_of(self.app)}"
        super().__init__(environment)
        self._metadata = (("dapr-api-token", targets.token),) if targets.token else ()
        self._stub = DaprStub(grpc.insecure_channel(targets.grpc_of(self.app)))

    def data(self, arrival: Arrival) -> dict[str, Any]:
        """What the event carries besides; override it."""
        return {}

    def fire(self, arrival: Arrival) -> None:
        """Publish, and note what was acknowledged."""
        event = event_of(arrival, self.event_type, self.data(arrival))
        request = PublishEventRequest(
            pubsub_name=self.pubsub,
            topic=self.topic,
            data=json.dumps(event).encode(),
            data_content_type=CLOUD_EVENT,
            metadata={"partitionKey": arrival.lane},
        )
        try:
            self._stub.PublishEvent(request, timeout=TIMEOUT, metadata=self._metadata)
        except grpc.RpcError as error:
            raise Failed(f"gRPC {error.code().name}") from None
        collector.acknowledged[arrival.lane].append((arrival.number, arrival.due))
