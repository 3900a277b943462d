"""Open-loop users of Dapr's API, to subclass: publish, invoke, state, jobs.

from harness.load.dapr_users import Publish

class Orders(Publish):
    app, topic = "checkout", "orders"

    def data(self, arrival):
        return {"id": arrival.id, "sku": "book"}
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote

from locust.env import Environment

from harness.load.http import Http
from harness.load.outcomes import Outcome
from harness.load.pairs import FLOOR, JOB_FIRED
from harness.load.targets import find_targets
from harness.load.users import Arrival, OpenLoop

CLOUD_EVENT = "application/cloudevents+json"


class SidecarUser(OpenLoop):
    """A user of one app's sidecar.

    Attributes:
        app: whose.
    """

    abstract = True
    app: ClassVar[str] = ""

    def __init__(self, environment: Environment) -> None:
        targets = find_targets()
        self.url = targets.sidecar(self.app)
        self.headers = {"dapr-api-token": targets.token} if targets.token else {}
        super().__init__(environment)


class AppUser(OpenLoop):
    """A user of one app itself.

    Attributes:
        app: which.
    """

    abstract = True
    app: ClassVar[str] = ""

    def __init__(self, environment: Environment) -> None:
        self.url = find_targets().app(self.app)
        super().__init__(environment)


class Events(OpenLoop):
    """What is published, by HTTP or by gRPC: CloudEvents whose data tell when they were due.

    Attributes:
        pubsub: the component.
        topic: the topic; without one nothing is looked for.
        event_type: the events' type.
        receiver: the app at which events are looked for, by its inbox or its route ``/received``;
            by default every app that subscribes to the topic.
        rows: where events become rows, SQL for the events' ids and when each row was made (epoch
            seconds): they are looked for there instead.
        arrived: what the time until then is called; "<name> to handler" by default.
    """

    abstract = True
    pubsub: ClassVar[str] = "pubsub"
    topic: ClassVar[str] = ""
    event_type: ClassVar[str] = "com.dapr-harness.load"
    receiver: ClassVar[str] = ""
    rows: ClassVar[str] = ""
    arrived: ClassVar[str] = ""

    def outcome(self) -> Outcome | None:
        """The topic's subscribers, or a table."""
        if not self.topic:
            return None
        end = "row" if self.rows else "handler"
        name = self.arrived or f"{self.name or type(self).__name__} to {end}"
        if self.rows:
            return Outcome(name, "row", query=self.rows)
        return Outcome(name, "event", self.receiver, self.pubsub, self.topic)

    def data(self, arrival: Arrival) -> dict[str, Any]:
        """What the event carries besides; override it."""
        return {}

    def event(self, arrival: Arrival) -> dict[str, Any]:
        """The whole CloudEvent."""
        return {
            "specversion": "1.0",
            "id": arrival.id,
            "source": "load",
            "type": self.event_type,
            "datacontenttype": "application/json",
            "data": {**stamp(arrival), **self.data(arrival)},
        }


class Publish(Events, SidecarUser):
    """Publishes events."""

    abstract = True

    def fire(self, arrival: Arrival) -> None:
        """Publish, and note what was acknowledged."""
        path = f"/v1.0/publish/{quote(self.pubsub)}/{quote(self.topic)}"
        path += f"?metadata.partitionKey={arrival.lane}"
        self.http.send("POST", path, self.event(arrival), {"content-type": CLOUD_EVENT})
        self.acknowledge(arrival)


class Invoke(SidecarUser):
    """Calls an app by two sidecars and directly, in turn: the difference is what Dapr adds.

    Attributes:
        app: whose sidecar is asked.
        callee: the app that is called.
        path: what is called of it, by GET.
    """

    abstract = True
    callee: ClassVar[str] = ""
    path: ClassVar[str] = "/"
    ways = ("invoke by two sidecars", "invoke directly")

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._direct = Http(find_targets().app(self.callee))

    def fire(self, arrival: Arrival) -> None:
        """One call, by the way whose turn it is."""
        if arrival.way == self.ways[0]:
            self.http.send("GET", f"/v1.0/invoke/{self.callee}/method{self.path}")
        else:
            self._direct.send("GET", self.path)


class State(SidecarUser):
    """Saves a value and reads it, in turn.

    Attributes:
        store: the component.
    """

    abstract = True
    store: ClassVar[str] = "statestore"
    ways = ("state save", "state get")

    def fire(self, arrival: Arrival) -> None:
        """One key of a hundred."""
        path = f"/v1.0/state/{quote(self.store)}"
        key = f"load-{arrival.lane}-{arrival.number % 100}"
        if arrival.way == self.ways[0]:
            self.http.send("POST", path, [{"key": key, "value": stamp(arrival)}])
        else:
            self.http.send("GET", f"{path}/{key}")


class Transact(SidecarUser):
    """Writes two keys in one transaction.

    Attributes:
        store: the component.
    """

    abstract = True
    store: ClassVar[str] = "statestore"
    name = "state transaction"

    def fire(self, arrival: Arrival) -> None:
        """Two upserts."""
        operations = [
            {
                "operation": "upsert",
                "request": {"key": f"load-{arrival.lane}-{part}", "value": arrival.number},
            }
            for part in "ab"
        ]
        path = f"/v1.0/state/{quote(self.store)}/transaction"
        self.http.send("POST", path, {"operations": operations})


class Schedule(SidecarUser):
    """Schedules jobs that are due soon, whose data tell when.

    Attributes:
        ahead: seconds from the request until the job is due.
        arrived: what the time from when a job was due until its app is asked is called.
    """

    abstract = True
    ahead: ClassVar[float] = 2.0
    name = "job schedule"
    arrived: ClassVar[str] = JOB_FIRED

    def outcome(self) -> Outcome:
        """The app whose sidecar was asked."""
        return Outcome(self.arrived, "job", self.app)

    def fire(self, arrival: Arrival) -> None:
        """One job."""
        due = datetime.now(UTC) + timedelta(seconds=self.ahead)
        job = {
            "dueTime": due.isoformat().replace("+00:00", "Z"),
            "data": {**stamp(arrival), "job_due": due.timestamp()},
        }
        self.http.send("POST", f"/v1.0/jobs/load-{arrival.id}", job)
        self.acknowledge(arrival)


class Floor(OpenLoop):
    """Asks a server that does nothing: what the generator itself costs."""

    abstract = True
    name = FLOOR

    def __init__(self, environment: Environment) -> None:
        self.url = find_targets().null
        super().__init__(environment)

    def fire(self, arrival: Arrival) -> None:
        """One GET."""
        self.http.send("GET", "/")


def stamp(arrival: Arrival) -> dict[str, Any]:
    """Whose it is, when it was due and sent; on ``time.monotonic``, which a machine shares."""
    return {
        "lane": arrival.lane,
        "number": arrival.number,
        "due": arrival.due,
        "sent": time.monotonic(),
    }
