"""The load on the reference system: `dapr-harness load`, or plain Locust.

dapr-harness up --topology loadtests.topology:load
locust -f loadtests/locustfile.py            # with its page
locust -f loadtests/locustfile.py --headless -u 8 --rate 10 -t 30s --processes 2
"""

from __future__ import annotations

import json
import uuid
from importlib.util import find_spec
from typing import Any

from locust.env import Environment

from harness.load import dapr_users
from harness.load.model.targets import find_targets
from harness.load.users import Arrival


class Publish(dapr_users.Publish):
    """Events that the sink receives; the acknowledgement is measured here."""

    app, topic, name = "backend-service", "load", "publish"


if find_spec("dapr") is not None:
    from harness.load import grpc_users

    class PublishGrpc(grpc_users.PublishGrpc):
        """The same events over gRPC."""

        app, topic, name = "backend-service", "load", "publish by gRPC"
        arrived = "publish to handler"


class Invoke(dapr_users.Invoke):
    """A kilobyte from an app, through two sidecars and directly."""

    app, callee, path = "frontend", "load-echo", "/echo"


class State(dapr_users.State):
    """The state store."""

    app = "backend-service"


class Transact(dapr_users.Transact):
    """The state store, two keys at once."""

    app = "backend-service"


class Schedule(dapr_users.Schedule):
    """Jobs for the sink."""

    app = "load-sink"


class Notify(dapr_users.Publish):
    """Events that become rows in the notification service."""

    app, topic, name = "backend-service", "task-events", "publish a notification"
    event_type = "com.taskmanager.task.created"
    rows = "SELECT event_id, extract(epoch FROM created_at)::float8 FROM notifications"
    arrived = "publish to row"

    def data(self, arrival: Arrival) -> dict[str, Any]:
        """A task that does not exist."""
        return {"task_id": str(uuid.uuid4()), "user_id": "load", "title": arrival.id}


class CreateTask(dapr_users.AppUser):
    """The page's path to a task: its service, two sidecars, the backend, its database."""

    app, name = "frontend", "page creates a task"

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        signed_in = json.loads(self.http.send("POST", "/token", {"user": "load"}))
        self.token = {"authorization": f"Bearer {signed_in['access_token']}"}

    def send(self, arrival: Arrival) -> None:
        """Create one task."""
        self.http.send("POST", "/api/load/tasks", {"title": arrival.id}, self.token)


if find_targets().null:

    class Floor(dapr_users.Floor):
        """The cost of the generator itself, at the same times as everything else."""
