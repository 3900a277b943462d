"""The cost of the same operations without Dapr: a program that runs alongside the load.

    python -m harness.load.generate.references TOPIC RATE SECONDS FILE PIPE

The variable DAPR_LOAD_KAFKA has the settings of its connection, as JSON. It sends events with
Kafka's own client to Kafka's own consumer, and sets asyncio timers. Like the load, each is due at
times of its own. The measurements go to the file as JSON. After an error, they cover the time until
then, the last line of standard error describes the error, and the exit code is 1. The program
prepares itself, and starts when it reads a line from the pipe: at the same time as the load, so
that both cover the same seconds.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer

from harness.core.settings import Settings
from harness.load.generate.arrivals import arrivals
from harness.load.generate.priority import take_priority
from harness.load.measure.collector import Collector
from harness.load.model.pairs import ACKNOWLEDGED, CONNECTION, DELIVERED, TIMER
from harness.load.model.profile import Step

Connection = Mapping[str, str]
"""Connection settings of librdkafka."""

GROUP = "raw-"
"""The prefix of the consumer group's name."""

ASSIGNED = 30.0
"""Seconds within which the consumer must have its partitions."""

AFTER = 2.0
"""Seconds for which the last events may still be on their way."""


def main(
    broker: Connection, topic: str, rate: float, seconds: float, *, file: Path, pipe: Path
) -> str:
    """Run until the time is over; return what went wrong, "" if nothing did."""
    take_priority()  # like the generator, otherwise the two could not be compared
    collector = Collector()
    raw = RawKafka(collector, broker, topic, seconds)
    consuming = threading.Thread(target=raw.guarded, args=[raw.consume])
    consuming.start()
    with pipe.open() as signal:  # opened for reading, it waits for a writer
        begun = signal.readline()
    if not begun:
        raw.fail("the load never began")
    producing = threading.Thread(target=raw.guarded, args=[raw.produce, rate])
    producing.start()
    threads = (consuming, producing)
    if not raw.error:
        asyncio.run(_timers(collector, rate, seconds))
    for thread in threads:
        thread.join()
    collector.close()
    file.write_text(json.dumps(collector.drain()))
    return raw.error


class RawKafka:
    """Events from Kafka's own client to Kafka's own consumer."""

    def __init__(
        self, collector: Collector, broker: Connection, topic: str, seconds: float
    ) -> None:
        self._collector = collector
        self._broker = broker
        self._topic = topic
        self._seconds = seconds
        self._assigned = threading.Event()
        self._over = threading.Event()
        self.error = ""

    def guarded(self, work: Callable[..., None], *arguments: float) -> None:
        """Run work in a thread; its error also stops the other thread, and is reported."""
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001 - reported, whatever it is
            self.fail(f"{type(error).__name__}: {error}")

    def fail(self, error: str) -> None:
        """Record the first error, and stop both threads."""
        self.error = self.error or error
        self._over.set()
        self._assigned.set()

    def produce(self, rate: float) -> None:
        """Produce each event when it is due, once the consumer is ready."""
        producer = Producer({**self._broker, "linger.ms": 0, "acks": "all"})
        polling = threading.Thread(target=self._poll, args=[producer])
        if not self._assigned.wait(ASSIGNED):
            raise TimeoutError(f"no partition of {self._topic} was assigned in {ASSIGNED:g} s")
        if self._over.is_set():
            return
        polling.start()
        began, pause = time.monotonic(), threading.Event()
        for at in arrivals([Step(rate, self._seconds)], "poisson", "raw"):
            due = began + at
            pause.wait(max(due - time.monotonic(), 0))
            if self.error:
                break
            self._collector.due(ACKNOWLEDGED, due)

            def told(error: Any, _message: Any, due: float = due) -> None:
                if error is None:
                    self._collector.took(ACKNOWLEDGED, due, time.monotonic() - due)
                else:
                    self._collector.failed(ACKNOWLEDGED, due, str(error))

            producer.produce(self._topic, json.dumps({"due": due}).encode(), on_delivery=told)
        producer.flush(10)
        self._over.set()
        polling.join()

    def _poll(self, producer: Producer) -> None:
        while not self._over.is_set():
            producer.poll(0.05)

    def consume(self) -> None:
        """Consume until some time after the last event."""
        consumer = Consumer({
            **self._broker,
            "group.id": f"{GROUP}{time.monotonic_ns()}",
            "auto.offset.reset": "latest",
        })  # fmt: skip
        consumer.subscribe([self._topic], on_assign=lambda *_: self._assigned.set())
        last = math.inf
        try:
            while time.monotonic() < last + AFTER:
                message = consumer.poll(0.2)
                if message is not None and message.error() is not None:
                    raise KafkaException(message.error())
                if message is not None:
                    entered, due = time.monotonic(), json.loads(message.value() or b"{}")["due"]
                    self._collector.took(DELIVERED, due, entered - due)
                if self._over.is_set() and last == math.inf:
                    last = time.monotonic()
        finally:
            consumer.close()


async def _timers(collector: Collector, rate: float, seconds: float) -> None:
    loop, draw = asyncio.get_running_loop(), random.Random(1)  # noqa: S311 - times, not secrets
    began = loop.time()

    def fired(due: float) -> None:
        collector.took(TIMER, due, loop.time() - due)

    for _ in range(int(rate * seconds)):
        due = began + draw.random() * seconds
        loop.call_at(due, fired, due)
    over = loop.create_future()
    loop.call_at(began + seconds + 0.1, over.set_result, None)
    await over


if __name__ == "__main__":
    topic, rate, seconds, file, pipe = sys.argv[1:]
    broker = json.loads(Settings.load().environment[CONNECTION])
    files = {"file": Path(file), "pipe": Path(pipe)}
    sys.exit(main(broker, topic, float(rate), float(seconds), **files) or None)
