"""Locust users whose requests are due at predetermined times, whatever the system does.

A locustfile imports this module::

    from harness.load.users import OpenLoop

    class Orders(OpenLoop):
        def send(self, arrival):
            self.http.send("POST", "/v1.0/publish/pubsub/orders", {"id": arrival.id})

Each user is a lane of ``--rate`` requests per second. Latencies are measured from the time when a
request was due, so a request that was delayed by a stalled system includes the delay. Locust's own
closed-loop users can be used alongside; their numbers are Locust's.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import gevent
import psutil
from locust import User, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from harness.load.generate.arrivals import arrivals
from harness.load.generate.http import Failed, Http
from harness.load.generate.local_only import require_local
from harness.load.generate.priority import die_with, take_priority
from harness.load.generate.timerfd import Timer
from harness.load.measure.collector import Collector
from harness.load.model.declared import Declared, Outcome
from harness.load.model.profile import KINDS, Step
from harness.load.model.typed import Positive, json_argument

collector = Collector()
REFUSED = "refused: too many in flight"
RESULTS = "hdr"
"""The key under which workers report to their master."""


@dataclass(frozen=True)
class Arrival:
    """One due request.

    Attributes:
        lane: its lane.
        number: its number in the lane, from 0.
        variant: the name of its request: one of the variants of its user, or the user's name.
        due: its due time, on ``time.monotonic``.
    """

    lane: str
    number: int
    variant: str
    due: float

    @property
    def id(self) -> str:
        """``<lane>-<number>``."""
        return f"{self.lane}-{self.number}"


class OpenLoop(User):
    """A lane of requests with their own due times.

    Attributes:
        name: the name of its requests, for Locust and in reports; the class's name by default.
        variants: the names of two kinds of requests that alternate, A B B A.
        compared: whether the first variant is compared with the second.
        beside: the name of requests of another class that these are compared with.
        url: where it sends its requests; by default, the host given to Locust.
        headers: sent with each request.
    """

    abstract = True
    name: ClassVar[str] = ""
    variants: ClassVar[tuple[str, ...]] = ()
    compared: ClassVar[bool] = False
    beside: ClassVar[str] = ""
    url: str = ""
    headers: Mapping[str, str] = {}
    _lanes: ClassVar[int] = 0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        OpenLoop._lanes += 1
        self._number = OpenLoop._lanes
        self.lane = f"{type(self).__name__}-{os.getpid()}-{self._number}"
        self._options = cast("Any", environment.parsed_options)
        self._in_flight = 0
        url = self.url or self.host or ""
        require_local(url, allow_remote=self._options.allow_remote)
        self.http = Http(url, self.headers)

    @classmethod
    def outcome(cls) -> Outcome | None:
        """Where acknowledged requests arrive; None: nowhere that can be observed."""
        return None

    @classmethod
    def declared(cls) -> Declared:
        """The names of this class, where its requests arrive, and what they are compared with."""
        names = tuple(dict.fromkeys(cls._variant(number) for number in range(4)))
        pairs = [(name, cls.beside) for name in names if cls.beside]
        if cls.compared and len(names) == 2:
            pairs.insert(0, (names[0], names[1]))
        return Declared(names, cls.outcome(), tuple(pairs))

    def acknowledge(self, arrival: Arrival) -> None:
        """Record an acknowledged request: it must arrive where `outcome` says."""
        collector.acknowledge(arrival.lane, arrival.number, arrival.due)

    def send(self, arrival: Arrival) -> None:
        """Send one request and wait for the response.

        Raises:
            Failed: the response is not a success.
            OSError: there was no response.
        """
        raise NotImplementedError

    @task
    def schedule(self) -> None:
        """Open each slot when it is due; refuse requests if too many are in flight."""
        began = time.monotonic()
        collector.lanes[self.lane] = type(self).__name__
        steps = steps_of(self._options, type(self).__name__)
        times = arrivals(steps, self._options.arrivals, f"{self._options.seed}-{self.lane_seed}")
        with contextlib.closing(Timer()) as timer:
            for number, at in enumerate(times):
                timer.wait_until(began + at)
                self._open(Arrival(self.lane, number, self._variant(number), began + at))
        while self._in_flight:
            gevent.sleep(0.01)
        raise StopUser

    def _open(self, arrival: Arrival) -> None:
        collector.due(arrival.variant, arrival.due)
        if self._in_flight >= self._options.max_in_flight:
            collector.missed(arrival.variant, arrival.due, REFUSED)
            self._tell(arrival, None, Failed(REFUSED))
            return
        self._in_flight += 1
        gevent.spawn(self._one, arrival, time.monotonic())

    @property
    def lane_seed(self) -> str:
        """The part of the seed that makes this lane's times differ from those of other lanes."""
        # Workers number their lanes in the same way; Locust numbers the workers.
        worker = getattr(self.environment.runner, "worker_index", 0)
        return f"{type(self).__name__}-{worker}-{self._number}"

    @classmethod
    def _variant(cls, number: int) -> str:
        if not cls.variants:
            return cls.name or cls.__name__
        return cls.variants[(0, 1, 1, 0)[number % 4]]

    def _one(self, arrival: Arrival, opened: float) -> None:
        sent = time.monotonic()
        try:
            self.send(arrival)
        except Failed as error:
            collector.failed(arrival.variant, arrival.due, str(error))
            self._tell(arrival, time.monotonic() - arrival.due, error)
        except Exception as error:  # noqa: BLE001 - in any case, it is not a response
            collector.missed(arrival.variant, arrival.due, f"{type(error).__name__}: {error}"[:200])
            self._tell(arrival, time.monotonic() - arrival.due, error)
        else:
            done = time.monotonic()
            collector.answered(arrival.variant, arrival.due, opened, sent, done)
            self._tell(arrival, done - arrival.due, None)
        finally:
            self._in_flight -= 1

    def _tell(self, arrival: Arrival, took: float | None, error: Exception | None) -> None:
        """Update Locust's own statistics, in milliseconds; unsent requests took no time."""
        self.environment.events.request.fire(
            request_type=type(self).__name__,
            name=arrival.variant,
            response_time=None if took is None else took * 1000,
            response_length=0,
            exception=error,
            context={},
        )


def steps_of(options: Any, user: str) -> list[Step]:
    """The rates of one lane of a user class, from the command line."""
    rates = json.loads(options.rates) if options.rates else {}
    rate = float(rates.get(user, options.rate)) / options.lanes
    steps = json.loads(options.steps) if options.steps else [(1, math.inf)]
    return [Step(rate * factor, float(seconds)) for factor, seconds in steps]


def _classes(parent: type[OpenLoop]) -> Iterator[type[OpenLoop]]:
    """The user classes of the locustfile, whether or not this run uses them."""
    for each in parent.__subclasses__():
        if not each.abstract:
            yield each
        yield from _classes(each)


def _arguments(parser: Any) -> None:
    group = parser.add_argument_group("open loop", "Requests that are due when they are due")
    group.add_argument("--rate", type=float, default=20.0, help="requests per second of a class")
    rates, steps = json_argument(dict[str, Positive]), json_argument(list[Step])
    group.add_argument("--rates", type=rates, default="", help='{"Class": rate, ...}, for some')
    group.add_argument("--steps", type=steps, default="", help="[[factor, seconds], ...]")
    group.add_argument("--lanes", type=int, default=1, help="users over which a rate is spread")
    group.add_argument("--arrivals", choices=KINDS, default="poisson", help="how they are spread")
    group.add_argument("--seed", default="1", help="of the times at which requests are due")
    group.add_argument("--max-in-flight", type=int, default=256, help="of each user")
    group.add_argument("--results", default="", help="a file for histograms and counts, as JSON")
    group.add_argument("--progress", default="", help="a file for a JSON line for each second")
    group.add_argument("--allow-remote", action="store_true", help="load for other machines")


def _begin(environment: Environment, **_: Any) -> None:
    collector.drain()
    # Imported objects are permanent: garbage collection of them would delay slots.
    gc.collect()
    gc.freeze()
    if not isinstance(environment.runner, MasterRunner):
        # A master sends nothing.
        take_priority()
        gevent.spawn(_watch_cpu)
    options: Any = environment.parsed_options
    if options.progress and not isinstance(environment.runner, WorkerRunner):
        # The starter of this process shows a summary of its own.
        logging.getLogger("locust.stats_logger").disabled = True
        gevent.spawn(_show_progress, options.progress)
    if options.steps and not isinstance(environment.runner, WorkerRunner):
        gevent.spawn(_end_with_the_last, environment)


def _end_with_the_last(environment: Environment) -> None:
    """A run with steps ends when its lanes end."""
    runner, began = environment.runner, False
    while runner is not None:
        gevent.sleep(0.2)
        began = began or runner.user_count > 0
        if began and runner.user_count == 0:
            runner.quit()
            return


def _show_progress(file: str) -> None:
    """Write one JSON line each second, for the process that started this one."""
    with Path(file).open("a") as lines:
        while True:
            gevent.sleep(1.0)
            lines.write(json.dumps(collector.progress()) + "\n")
            lines.flush()


def _watch_cpu() -> None:
    own, name = psutil.Process(), f"locust {os.getpid()}"
    own.cpu_percent()
    while True:
        gevent.sleep(1.0)
        collector.used(name, own.cpu_percent())


def _report(client_id: str, data: dict[str, Any], **_: Any) -> None:
    data[RESULTS] = collector.drain()


def _reported(client_id: str, data: dict[str, Any], **_: Any) -> None:
    collector.absorb(data.pop(RESULTS))


def _write(environment: Environment, **_: Any) -> None:
    options: Any = environment.parsed_options
    runner, file = environment.runner, options.results
    if file and not isinstance(runner, WorkerRunner):
        collector.close()
        collector.declared = {each.__name__: each.declared() for each in _classes(OpenLoop)}
        text = json.dumps(collector.drain(master=isinstance(runner, MasterRunner)))
        aside = f"{file}.new"
        with open(aside, "w") as target:  # noqa: PTH123 - Path.write_text does not write atomically
            target.write(text)
        os.replace(aside, file)  # noqa: PTH105 - replaces atomically


events.init_command_line_parser.add_listener(_arguments)
# Workers of --processes are forks of this process; otherwise they would wait for a dead master
# forever.
os.register_at_fork(after_in_child=partial(die_with, os.getpid()))
events.test_start.add_listener(_begin)
events.report_to_master.add_listener(_report)
events.worker_report.add_listener(_reported)
events.quitting.add_listener(_write)
