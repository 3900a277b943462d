"""Open-loop users of Dapr's gRPC API; they need the Python SDK's stubs."""

from __future__ import annotations

import json
from typing import ClassVar

import grpc
from dapr.proto.runtime.v1.dapr_pb2_grpc import DaprStub
from dapr.proto.runtime.v1.pubsub_pb2 import PublishEventRequest
from grpc.experimental import gevent as grpc_gevent
from locust.env import Environment

from harness.load.dapr_users import CLOUD_EVENT, Events
from harness.load.generate.http import TIMEOUT, Failed
from harness.load.model.targets import find_targets
from harness.load.users import Arrival, OpenLoop

UNANSWERED = ("DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED")
"""Statuses that the client itself produces if there is no response."""

# Before the first channel, so that its calls wait in greenlets.
grpc_gevent.init_gevent()


class PublishGrpc(Events, OpenLoop):
    """Publishes the same events as `Publish`, over gRPC.

    Attributes:
        app: the app whose sidecar is used.
    """

    abstract = True
    app: ClassVar[str] = ""

    def __init__(self, environment: Environment) -> None:
        targets = find_targets()
        self.url = f"http://{targets.grpc_of(self.app)}"
        super().__init__(environment)
        self._metadata = (("dapr-api-token", targets.token),) if targets.token else ()
        self._stub = DaprStub(grpc.insecure_channel(targets.grpc_of(self.app)))

    def send(self, arrival: Arrival) -> None:
        """Publish, and record acknowledged events."""
        request = PublishEventRequest(
            pubsub_name=self.pubsub,
            topic=self.topic,
            data=json.dumps(self.event(arrival)).encode(),
            data_content_type=CLOUD_EVENT,
            metadata={"partitionKey": arrival.lane},
        )
        try:
            self._stub.PublishEvent(request, timeout=TIMEOUT, metadata=self._metadata)
        except grpc.RpcError as error:
            code = error.code().name
            raise (OSError if code in UNANSWERED else Failed)(f"gRPC {code}") from None
        self.acknowledge(arrival)
