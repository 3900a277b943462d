"""What a test's view of a stack has observed: the timeline, and the ledger of its events."""

from __future__ import annotations

import secrets

from harness.core.blocking import ablocking
from harness.core.errors import ConfigError
from harness.core.observation import Occurrence
from harness.probe.aeventually import aexplained
from harness.probe.atap import AsyncTap
from harness.probe.waiting import unguarded
from harness.stack.account import Account
from harness.stack.aledger import AsyncLedgerProbe
from harness.stack.aresources import AsyncResources
from harness.stack.beginning import Beginning
from harness.stack.noted import Noted
from harness.stack.stack import Stack
from harness.stack.timeline import Observed


class AsyncObserving(AsyncResources):
    """What a test's view of a stack knows of the past.

    Args:
        stack: a started stack.

    Attributes:
        id: eight characters that are unique to this world.
    """

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.id = secrets.token_hex(4)
        self._guard = stack.check_alive
        self._begun: Beginning | None = None
        self._taps: dict[tuple[str, str], AsyncTap] = {}
        self._noted = Noted()
        self._accounts: list[Account] = []
        self._asked: Account | None = None

    @property
    def beginning(self) -> Beginning:
        """What this world remembers of the moment at which it began."""
        if self._begun is None:
            raise ConfigError("this world has not begun", hint="use it inside `async with`")
        return self._begun

    async def timeline(self) -> list[Occurrence]:
        """Everything that was observed since this world began, in the order of time.

        These are the entries of the run's journal, deliveries and calls of the apps that are
        recorded, spans that a receiver has received, and events of the taps of this world.

        Raises:
            ProbeError: a recorder does not respond.
        """
        for tap in self._taps.values():
            await tap.all()
        async with aexplained(self._guard):
            return await ablocking(self.observed.all)

    @property
    def observed(self) -> Observed:
        """The same, with only those events of taps that have been read so far."""
        return Observed(self.stack, self.beginning, self.id, self._taps)

    @property
    def ledger(self) -> AsyncLedgerProbe:
        """Where each event and job went since this world began, whoever has published it.

        Events are read from the topology's own Kafka and from the taps of this world on other
        brokers, deliveries and calls from the recorders of the apps that have one
        (``inbox=True``, ``calls=True``), and what the test publishes from its own clients.
        """
        if self._asked is None:
            self._asked = Account(self.observed, self._noted)
            self._accounts.append(self._asked)
        return AsyncLedgerProbe(self._asked, self._taps.values(), self._guard)

    def account(self, *, broker: bool) -> Account:
        """What reads the ledger of a failed test, in blocking calls, although nodes are gone.

        Args:
            broker: whether the broker is asked, too.
        """
        self._accounts.append(Account(self.observed, self._noted, unguarded, broker=broker))
        return self._accounts[-1]
