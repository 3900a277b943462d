"""Sends requests to a collector in a thread. Nothing that puts one in ever waits for it."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping

from harness.otlp.destination import AT_THE_END
from harness.otlp.signals import PROTOBUF, count, unit_of
from harness.otlp.transport import Answer, Parcel, transport_to

BYTES = 16 * 1024 * 1024
"""How much waits at most for a collector that is slow or away."""

REQUESTS = 2_000
"""How many requests wait at most."""

PAUSE = 1.0
"""Seconds between two attempts, as long as a collector is away."""

NO_RESPONSE = "it has not responded in time"


class Sender:
    """A bounded queue in front of a collector.

    Args:
        url: the collector's, without ``/v1/traces``.
        headers: sent with each request.
        most: bytes that wait at most.

    Attributes:
        sent: what the collector has accepted, by unit: ``spans``, ``metrics``, ``log records``.
        lost: what it has not, and never will.
        reason: the last reason for a loss, in words.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, *, most: int = BYTES
    ) -> None:
        self.url = url.rstrip("/")
        self.sent: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.reason = ""
        self._most = most
        self._waiting: deque[Parcel] = deque()
        self._size = 0
        self._hurried = self._ended = self._stuck = False
        self._changed = threading.Condition()
        self._transport = transport_to(self.url, headers or {})
        self._thread = threading.Thread(target=self._run, name="otlp-sender", daemon=True)
        self._thread.start()

    def put(self, signal: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Have a request sent; if too much is waiting, it is lost."""
        parcel = Parcel(signal, body, headers or {"content-type": PROTOBUF})
        with self._changed:
            full = len(self._waiting) >= REQUESTS or self._size + len(body) > self._most
            if full or self._ended:
                self._lose(parcel, self.reason or "more was waiting than is kept")
                return
            self._waiting.append(parcel)
            self._size += len(body)
            self._changed.notify_all()

    def flush(self, seconds: float = AT_THE_END) -> None:
        """Wait until everything is sent, or lost; a collector that is away is asked once more."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            self._stuck = not self._changed.wait_for(lambda: not self._waiting, timeout=seconds)
            self._hurried = False

    def close(self, seconds: float = AT_THE_END) -> None:
        """Send what is waiting, and count as lost what cannot be sent in this time."""
        # A collector that was waited for in vain has had its time.
        self.flush(0 if self._stuck else seconds)
        with self._changed:
            self._ended = True
            self._give_up(self.reason or NO_RESPONSE)
            self._changed.notify_all()
        if not self._stuck:
            self._thread.join(seconds)

    def complaint(self) -> str:
        """One sentence about what was lost or is still waiting; "" if there is nothing."""
        with self._changed:
            missing = self.lost.copy()
            for parcel in self._waiting:
                missing[unit_of(parcel.signal)] += count(*parcel)
            what = ", ".join(f"{number} {unit}" for unit, number in sorted(missing.items()))
            why = self.reason or NO_RESPONSE
            return f"{what} could not be sent to {self.url}: {why}" if what else ""

    def _run(self) -> None:
        try:
            while (parcel := self._next()) is not None:
                self._attempt(parcel)
        finally:
            self._transport.close()

    def _next(self) -> Parcel | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            return self._waiting[0] if self._waiting else None

    def _attempt(self, parcel: Parcel) -> None:
        hurried = self._hurried
        answer = self._transport.send(parcel)
        if answer.again:
            self._later(answer.again, last=hurried)
            return
        with self._changed:
            if not self._remove(parcel):
                return  # given up meanwhile
            if answer.lost:
                self._lose(parcel, answer.lost)
            else:
                self._accepted(parcel, answer)
            self._changed.notify_all()

    def _accepted(self, parcel: Parcel, answer: Answer) -> None:
        unit = unit_of(parcel.signal)
        self.sent[unit] += max(0, count(*parcel) - answer.refused)
        if answer.refused:
            self.lost[unit] += answer.refused
            self.reason = answer.why or "it has rejected them"

    def _later(self, reason: str, *, last: bool) -> None:
        """Wait before the next attempt; if it began in a hurry, there is none."""
        with self._changed:
            self.reason = reason
            if last:
                self._give_up(reason)
                self._changed.notify_all()
                return
            self._changed.wait_for(lambda: self._hurried or self._ended, timeout=PAUSE)

    def _give_up(self, reason: str) -> None:
        while self._waiting:
            parcel = self._waiting[0]
            self._remove(parcel)
            self._lose(parcel, reason)

    def _remove(self, parcel: Parcel) -> bool:
        if not self._waiting or self._waiting[0] is not parcel:
            return False
        self._waiting.popleft()
        self._size -= len(parcel.body)
        return True

    def _lose(self, parcel: Parcel, reason: str) -> None:
        self.lost[unit_of(parcel.signal)] += count(*parcel)
        self.reason = reason
