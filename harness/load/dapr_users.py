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

from harness.load.generate.http import Http
from harness.load.model.declared import RECORD, Outcome
from harness.load.model.pairs import FLOOR
from harness.load.model.targets import find_targets
from harness.load.users import Arrival, OpenLoop

CLOUD_EVENT = "application/cloudevents+json"


class SidecarUser(OpenLoop):
    """A user of one app's sidecar.

    Attributes:
        app: the app's name.
    """

    abstract = True
    app: ClassVar[str] = ""

    def __init__(self, environment: Environment) -> None:
        targets = find_targets()
        self.url = targets.sidecar(self.app)
        self.headers = {"dapr-api-token": targets.token} if targets.token else {}
        super().__init__(environment)


class AppUser(OpenLoop):
    """A user that calls one app directly.

    Attributes:
        app: the app's name.
    """

    abstract = True
    app: ClassVar[str] = ""

    def __init__(self, environment: Environment) -> None:
        self.url = find_targets().app(self.app)
        super().__init__(environment)


class Events(OpenLoop):
    """Events published by HTTP or by gRPC: CloudEvents whose data contains their due time.

    Attributes:
        pubsub: the component.
        topic: the topic; without one, events are not looked for.
        event_type: the events' type.
        receiver: the app at which events are looked for; by default, every app that subscribes to
            the topic.
        record: the path of the receiver's own record of arrivals, used if it has no inbox.
        rows: if events become rows, SQL for the events' ids and when each row was created (epoch
            seconds): events are looked for there instead.
        database: the node with that table, or ``NODE/DATABASE``; by default, the first database of
            the only node that has any.
        arrived: the name of the time until then; "<name> to handler" by default.
    """

    abstract = True
    pubsub: ClassVar[str] = "pubsub"
    topic: ClassVar[str] = ""
    event_type: ClassVar[str] = "com.dapr-harness.load"
    receiver: ClassVar[str] = ""
    record: ClassVar[str] = RECORD
    rows: ClassVar[str] = ""
    database: ClassVar[str] = ""
    arrived: ClassVar[str] = ""

    @classmethod
    def outcome(cls) -> Outcome | None:
        """The topic's subscribers, or a table."""
        if not cls.topic:
            return None
        end = "row" if cls.rows else "handler"
        name = cls.arrived or f"{cls.name or cls.__name__} to {end}"
        if cls.rows:
            return Outcome(name, "row", query=cls.rows, database=cls.database)
        return Outcome(name, "event", cls.receiver, cls.pubsub, cls.topic, cls.record)

    def data(self, arrival: Arrival) -> dict[str, Any]:
        """Additional data of the event; override it."""
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

    def send(self, arrival: Arrival) -> None:
        """Publish, and record acknowledged events."""
        path = f"/v1.0/publish/{quote(self.pubsub)}/{quote(self.topic)}"
        path += f"?metadata.partitionKey={arrival.lane}"
        self.http.send("POST", path, self.event(arrival), {"content-type": CLOUD_EVENT})
        self.acknowledge(arrival)


class Invoke(SidecarUser):
    """Calls an app alternately through two sidecars and directly, to measure Dapr's overhead.

    Attributes:
        app: the app whose sidecar is called.
        callee: the app that is called.
        path: the path that is called, with GET.
    """

    abstract = True
    callee: ClassVar[str] = ""
    path: ClassVar[str] = "/"
    variants = ("invoke by two sidecars", "invoke directly")
    compared = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._direct = Http(find_targets().app(self.callee))

    def send(self, arrival: Arrival) -> None:
        """Make one call, of the variant whose turn it is."""
        if arrival.variant == self.variants[0]:
            self.http.send("GET", f"/v1.0/invoke/{self.callee}/method{self.path}")
        else:
            self._direct.send("GET", self.path)


class State(SidecarUser):
    """Alternately saves and reads a value.

    Attributes:
        store: the component.
    """

    abstract = True
    store: ClassVar[str] = "statestore"
    variants = ("state save", "state get")

    def send(self, arrival: Arrival) -> None:
        """Use one of a hundred keys."""
        path = f"/v1.0/state/{quote(self.store)}"
        key = f"load-{arrival.lane}-{arrival.number % 100}"
        if arrival.variant == self.variants[0]:
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

    def send(self, arrival: Arrival) -> None:
        """Send two upserts."""
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
    """Schedules jobs that are due soon and whose data contains their due time.

    Attributes:
        ahead: seconds from the request until the job is due.
        arrived: the name of the time from a job's due time until its app is called.
        record: the path of the app's own record of arrivals, used if it has no inbox.
    """

    abstract = True
    ahead: ClassVar[float] = 2.0
    name = "job schedule"
    arrived: ClassVar[str] = "job due-time error"
    record: ClassVar[str] = RECORD

    @classmethod
    def outcome(cls) -> Outcome:
        """The app whose sidecar schedules the job."""
        return Outcome(cls.arrived, "job", cls.app, record=cls.record)

    def send(self, arrival: Arrival) -> None:
        """Schedule one job."""
        due = datetime.now(UTC) + timedelta(seconds=self.ahead)
        job = {
            "dueTime": due.isoformat().replace("+00:00", "Z"),
            "data": {**stamp(arrival), "job_due": due.timestamp()},
        }
        self.http.send("POST", f"/v1.0/jobs/load-{arrival.id}", job)
        self.acknowledge(arrival)


class Floor(OpenLoop):
    """Calls a server that does nothing, to measure the cost of the generator itself."""

    abstract = True
    name = FLOOR

    def __init__(self, environment: Environment) -> None:
        self.url = find_targets().null
        super().__init__(environment)

    def send(self, arrival: Arrival) -> None:
        """Send one GET."""
        self.http.send("GET", "/")


def stamp(arrival: Arrival) -> dict[str, Any]:
    """Its lane, due time and send time, on ``time.monotonic``, which all processes share."""
    return {
        "lane": arrival.lane,
        "number": arrival.number,
        "due": arrival.due,
        "sent": time.monotonic(),
    }
