"""Users of benches: events to sinks that are watched and not; reminders of actors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from harness.load import dapr_users
from harness.load.dapr_users import CLOUD_EVENT, stamp
from harness.load.users import Arrival

TOPICS = {"not watched": "load", "watched": "load-watched"}
AHEAD = 2.0


class Watch(dapr_users.Events, dapr_users.SidecarUser):
    """Publishes for both, in turn."""

    app, variants = "backend-service", tuple(TOPICS)

    def send(self, arrival: Arrival) -> None:
        """One event, for the one whose turn it is."""
        path = (
            f"/v1.0/publish/pubsub/{TOPICS[arrival.variant]}?metadata.partitionKey={arrival.lane}"
        )
        self.http.send("POST", path, self.event(arrival), {"content-type": CLOUD_EVENT})


class Remind(dapr_users.SidecarUser):
    """Registers a reminder that is due soon, of an actor of its own."""

    app, name = "actor-sink", "reminder registered"

    def send(self, arrival: Arrival) -> None:
        """One reminder, for once."""
        due = datetime.now(UTC) + timedelta(seconds=AHEAD)
        reminder = {
            "dueTime": due.isoformat().replace("+00:00", "Z"),
            "data": {**stamp(arrival), "job_due": due.timestamp()},
        }
        self.http.send("POST", f"/v1.0/actors/Probe/{arrival.id}/reminders/once", reminder)
