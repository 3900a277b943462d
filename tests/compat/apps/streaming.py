"""An app without a port: it has its events streamed, and keeps them in its state."""

from __future__ import annotations

import threading

from dapr.clients import DaprClient
from dapr.clients.grpc._response import TopicEventResponse
from dapr.common.pubsub.subscription import SubscriptionMessage

with DaprClient() as client:

    def take(message: SubscriptionMessage) -> TopicEventResponse:
        """One event."""
        client.save_state("store", message.data()["id"], "streamed")
        return TopicEventResponse("success")

    close = client.subscribe_with_handler("pubsub", "orders", take)
    threading.Event().wait()
