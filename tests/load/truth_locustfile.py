"""Users of the truth tests: GET of whatever the host is."""

from __future__ import annotations

from harness.load.users import Arrival, OpenLoop


class Get(OpenLoop):
    """One GET."""

    name = "get"

    def fire(self, arrival: Arrival) -> None:
        """Ask."""
        self.http.send("GET", "/")
