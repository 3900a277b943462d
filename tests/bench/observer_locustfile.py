"""Events to a sink that is watched, and to one that is not, in turn."""

from __future__ import annotations

from harness.load import dapr_users
from harness.load.dapr_users import CLOUD_EVENT, event_of
from harness.load.users import Arrival

WAYS = {"not watched": "load", "watched": "load-watched"}


class Watch(dapr_users.SidecarUser):
    """Publishes for both."""

    app, ways = "backend-service", tuple(WAYS)

    def fire(self, arrival: Arrival) -> None:
        """One event, for the one whose turn it is."""
        event = event_of(arrival, "com.dapr-harness.load", {})
        path = f"/v1.0/publish/pubsub/{WAYS[arrival.way]}?metadata.partitionKey={arrival.lane}"
        self.http.send("POST", path, event, {"content-type": CLOUD_EVENT})
