"""Users of the truth tests: a server whose latencies are known, and the floor beside it."""

from __future__ import annotations

import os

from locust import task
from locust.contrib.fasthttp import FastHttpUser

from harness.load.users import Arrival, OpenLoop, collector


class Get(OpenLoop):
    """One GET of the host."""

    name = "get"

    def send(self, arrival: Arrival) -> None:
        """Ask, and note when the server says it has answered."""
        answered = float(self.http.send("GET", "/"))
        collector.took("the server's own", arrival.due, answered - arrival.due)


class Floor(OpenLoop):
    """One GET of the server that does nothing, whose address is in the environment."""

    name = "floor"

    def send(self, arrival: Arrival) -> None:
        """Ask."""
        self.http.send("GET", "/")

    @property
    def url(self) -> str:  # type: ignore[override]  # derived
        """Where the test has started it; the host where there is no other."""
        return os.environ.get("TRUTH_FLOOR", str(self.host))


class Closed(FastHttpUser):
    """Locust's own: it asks again when it was answered."""

    @task
    def get(self) -> None:
        """Ask."""
        self.client.get("/", name="closed")
