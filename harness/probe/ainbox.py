"""The inbox: what daprd delivered to an app, and how the app responded."""

from __future__ import annotations

from dataclasses import asdict

from harness.core.blocking import ablocking
from harness.core.doing import Doing, unnoted
from harness.core.endpoint import Endpoint
from harness.probe.arecorded import AsyncRecorded
from harness.probe.deliveries import Delivery, DeliveryRecord
from harness.probe.inbox_server import Rule
from harness.probe.waiting import Guard, unguarded


class AsyncInbox(AsyncRecorded[Delivery]):
    """Deliveries to one app, in the order of their responses.

    daprd may deliver events of two partitions or two topics in any order. `nothing_before` is
    therefore reliable for events that one producer sent with the same partition key.

    Args:
        app: the app's name, for messages.
        proxy: the recording proxy's address.
        start: the byte of the record at which to start reading.
        guard: ends a wait by raising.
        doing: notes the rules that are added and removed.
    """

    def __init__(
        self, app: str, proxy: Endpoint, start: int = 0, guard: Guard = unguarded,
        doing: Doing = unnoted,
    ) -> None:  # fmt: skip
        self._doing = doing
        self._record = DeliveryRecord(proxy, start)
        super().__init__(f"inbox of {app}", self._record, guard)
        self.has_faults = False

    async def fail_next(
        self,
        path: str,
        *,
        contains: str = "",
        times: int = 1,
        status: int = 500,
        after: bool = False,
        answer: str = "failed by the inbox",
    ) -> None:
        """Respond to the next deliveries in place of the app, with an error by default.

        Args:
            path: the prefix of the request's path, such as ``/events/task``.
            contains: text that the body must contain, such as a task's id.
            times: how many deliveries.
            status: the status that daprd receives.
            after: let the app do its work first, which simulates a lost acknowledgement.
            answer: the body that daprd receives; a body that begins with a brace is JSON.
        """
        rule = Rule(path, contains, times, status, after, answer)
        self.has_faults = True
        with self._doing("fail_next", **asdict(rule)):
            await ablocking(self._record.add, rule)

    async def clear_faults(self) -> None:
        """Remove every rule.

        Raises:
            ProbeError: the proxy does not respond.
        """
        with self._doing("clear_faults"):
            await ablocking(self._record.clear)
        self.has_faults = False
