"""One namespace of a scheduler, the real one or ours, and a trace of what happens in it.

Scripts count in units, and so do their traces: a unit is a few seconds of real time, and the same
or a day of virtual time. What is due at a whole unit is looked for half a unit later. On real time,
every step checks that it is less than half a unit late. So a slow machine cannot change a trace: a
script that was slower than that ends with `Late` and has none.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from harness.core.deadline import Deadline, Observation, apoll, aticks
from harness.core.errors import ProbeError
from harness.virtual_time.clock import Clock
from harness.virtual_time.messages import METHODS, SERVICE, message, service

ANSWERED = 60.0
"""Seconds after which what takes no time will not come any more, however busy the machine is."""
ROUNDS = 2
"""How often a barrier is waited for. When the second one is asked for, what was sent before the
first one is in this process."""
OK, FAILED, NOTHING = "ok", "failed", "nothing"
BARRIER = "barrier"
Judge = Callable[[str, int], str]
Firing = tuple[str, str, str | None]
"""Who heard it, the name of the job, and its data."""


def always(answer: str) -> Judge:
    """The same answer to every firing."""
    return lambda _name, _number: answer


class Calls:
    """The calls of a scheduler's service."""

    def __init__(self, channel: Any) -> None:
        for method in service().methods:
            made = getattr(channel, METHODS[method.name])(
                f"/{SERVICE}/{method.name}",
                request_serializer=message(method.input_type.name).SerializeToString,
                response_deserializer=message(method.output_type.name).FromString,
            )
            setattr(self, method.name, made)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Late(ProbeError):
    """A step was taken so late that its trace would say nothing."""


class Real:
    """Real time, which passes by itself.

    Args:
        unit: seconds for which a script's unit stands.

    Attributes:
        latest: by how many seconds a step was late at most.
        paused: set as soon as the script lets time pass.
    """

    def __init__(self, unit: float) -> None:
        self.unit = unit
        self.latest = 0.0
        self.paused = asyncio.Event()
        self._began = time.monotonic()
        self._units = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def run(self, units: float) -> None:
        """Wait until so many units later, counted from the start: lateness does not add up."""
        self.paused.set()
        self._units += units
        async for _ in aticks(Deadline(max(0.0, -self._lateness()))):
            pass

    def require_in_time(self) -> None:
        """Require that this step is less than half a unit late.

        Raises:
            Late: it is later.
        """
        late = self._lateness()
        self.latest = max(self.latest, late)
        if late >= self.unit / 2:
            raise Late(
                f"a step of {self._units:g} units was {late:.1f} s late",
                expected=f"less than half a unit of {self.unit:g} s",
                hint="this machine stood still; what came before and after cannot be told apart",
            )

    async def connected(self, stream: Any) -> None:
        """Nobody says so. What is due before that waits for it."""

    def _lateness(self) -> float:
        return time.monotonic() - self._began - self._units * self.unit


class Virtual:
    """The time of a clock, which is moved.

    Args:
        unit: seconds for which a script's unit stands.
    """

    def __init__(self, clock: Clock, unit: float) -> None:
        self.unit = unit
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()

    async def run(self, units: float) -> None:
        by = timedelta(seconds=units * self.unit)
        await asyncio.to_thread(self._clock.advance, by, timeout=ANSWERED)

    def require_in_time(self) -> None:
        """It is never late."""

    async def connected(self, stream: Any) -> None:
        """It is said at once: time goes on as soon as nothing is under way."""
        await asyncio.wait_for(stream.initial_metadata(), ANSWERED)


class Sidecar:
    """A stream of jobs, and how its firings are answered."""

    def __init__(self, room: Room, who: str, judge: Judge, fired: list[Firing]) -> None:
        self._room = room
        self._who = who
        self._judge = judge
        self._fired = fired
        self._counts: dict[str, int] = {}
        self.unanswered: list[int] = []
        self.ended: str | None = None

    async def open(self, calls: Any, initial: Any) -> None:
        """Begin to listen."""
        self._stream = calls.WatchJobs()
        await self._stream.write(initial)
        self._task = asyncio.create_task(self._listen())
        with suppress(grpc.aio.AioRpcError):
            await self._room.time.connected(self._stream)

    async def _listen(self) -> None:
        try:
            async for each in self._stream:
                await self._hear(each)
        except grpc.aio.AioRpcError as error:
            self.ended = error.code().name
        else:
            self.ended = "OK"

    async def _hear(self, each: Any) -> None:
        number = self._counts[each.name] = self._counts.get(each.name, 0) + 1
        data = each.data.value.decode() if each.HasField("data") else None
        self._fired.append((self._who, each.name, data))
        answer = self._judge(each.name, number)
        if answer == NOTHING:
            self.unanswered.append(each.id)
        else:
            await self.answer(each.id, answer)

    async def answer(self, number: int, answer: str = OK) -> None:
        """Say what became of a firing."""
        status = 0 if answer == OK else 1
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._stream.write(
                message("WatchJobsRequest")(result={"id": number, "status": status})
            )

    async def close(self) -> None:
        """Hang up."""
        self._stream.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def heard(self, count: int) -> None:
        """Wait until so many firings are unanswered."""

        async def look() -> Observation:
            return Observation(len(self.unanswered) >= count, str(self.unanswered))

        seen = await apoll(look, Deadline(ANSWERED))
        assert seen.ok, f"{count} expected, unanswered: {seen.fact}"

    async def end(self) -> str:
        """Wait until the scheduler has ended the stream; return the status."""

        async def look() -> Observation:
            return Observation(self.ended is not None)

        assert (await apoll(look, Deadline(ANSWERED))).ok, "the stream was not ended"
        assert self.ended is not None
        return self.ended


class Room:
    """Calls to a scheduler in one namespace.

    Attributes:
        fired: what has fired since it was told last.
        trace: what was answered and what has fired.
    """

    def __init__(self, calls: Any, time: Real | Virtual, namespace: str) -> None:
        self.calls = calls
        self.time = time
        self.namespace = namespace
        self.fired: list[Firing] = []
        self.trace: list[Any] = []
        self._sidecars: list[Sidecar] = []
        self._barriers: Sidecar | None = None
        self._passed: list[Firing] = []
        self._spelled: dict[str, str] = {}

    def metadata(
        self, app: str = "shop", *, actor: tuple[str, str] | None = None, **more: Any
    ) -> Any:
        """Whose job it is: an app's, or that of an actor by type and id."""
        kind = {"job": {}} if actor is None else {"actor": {"type": actor[0], "id": actor[1]}}
        given = {"app_id": app, "namespace": self.namespace, "target": kind, **more}
        return message("JobMetadata")(**given)

    async def call(self, method_name: str, /, **fields: Any) -> Any:
        """One call, whose answer is traced."""
        name = method_name
        method = next(each for each in service().methods if each.name == name)
        request = message(method.input_type.name)(**fields)
        try:
            response = await getattr(self.calls, name)(request, timeout=ANSWERED)
        except grpc.aio.AioRpcError as error:
            response, told = None, (name, error.code().name, error.details() or "")
        else:
            told = (name, "OK", str(response))
        self.time.require_in_time()
        self.trace.append((*told[:2], self._plain(told[2])))
        return response

    async def schedule(
        self, name: str, *, overwrite: bool = False, metadata: Any = None, **job: Any
    ) -> None:
        """Schedule a job, with its name as its data."""
        job.setdefault("data", {"type_url": "text", "value": name.encode()})
        metadata = metadata or self.metadata()
        given = {"name": name, "job": job, "metadata": metadata, "overwrite": overwrite}
        await self.call("ScheduleJob", **given)

    async def get(self, name: str, metadata: Any = None) -> None:
        """Read a job."""
        await self.call("GetJob", name=name, metadata=metadata or self.metadata())

    async def delete(self, name: str, metadata: Any = None) -> None:
        """Delete a job."""
        await self.call("DeleteJob", name=name, metadata=metadata or self.metadata())

    async def list(self, metadata: Any = None) -> None:
        """Read all jobs of the app."""
        await self.call("ListJobs", metadata=metadata or self.metadata())

    async def connect(
        self,
        app: str = "shop",
        judge: Judge | None = None,
        *,
        who: str = "",
        actor_types: Sequence[str] = (),
        accept: Sequence[int] = (),
        limits: Sequence[Any] = (),
        namespace: str = "",
    ) -> Sidecar:
        """Open a stream of jobs."""
        sidecar = Sidecar(self, who or app, judge or always(OK), self.fired)
        self._sidecars.append(sidecar)
        given = {"actor_types": actor_types, "accept_job_types": accept}
        more = {"namespace": namespace or self.namespace, "concurrency_limits": limits}
        await self._open(sidecar, app, **given, **more)
        return sidecar

    async def _open(self, sidecar: Sidecar, app: str, **more: Any) -> None:
        initial = {"app_id": app, "namespace": self.namespace, **more}
        await sidecar.open(self.calls, message("WatchJobsRequest")(initial=initial))

    async def run(self, units: float, *, ordered: bool = True) -> None:
        """Let time pass, and trace what has fired; sorted where only the count matters."""
        await self.time.run(units)
        await self.so_far(ordered=ordered)

    async def so_far(self, *, ordered: bool = True) -> None:
        """Trace what has fired since it was told last, all of it."""
        for _ in range(ROUNDS):
            await self._barrier()
        self.time.require_in_time()
        fired, self.fired[:] = list(self.fired), []
        self.trace.append(("fired", fired if ordered else sorted(fired, key=str)))

    async def _barrier(self) -> None:
        """Schedule a job of another app, and wait until it has fired."""
        if self._barriers is None:
            self._barriers = Sidecar(self, BARRIER, always(OK), self._passed)
            await self._open(self._barriers, BARRIER)
        before = len(self._passed)
        request = message("ScheduleJobRequest")(
            name=f"{before}", job={"due_time": "0s"}, metadata=self.metadata(BARRIER)
        )
        await self.calls.ScheduleJob(request, timeout=ANSWERED)

        async def look() -> Observation:
            return Observation(len(self._passed) > before)

        assert (await apoll(look, Deadline(ANSWERED))).ok, "the barrier has not fired"

    async def heard(self, count: int) -> None:
        """Wait until so many firings are there."""

        async def look() -> Observation:
            return Observation(len(self.fired) >= count, str(self.fired))

        seen = await apoll(look, Deadline(ANSWERED))
        assert seen.ok, f"{count} expected, fired: {seen.fact}"

    def span(self, units: float) -> str:
        """So many units, as Go writes a duration. A trace has units."""
        return self._spelling(f"{units * self.time.unit:g}s", units)

    def iso(self, units: float) -> str:
        """The same as ISO 8601."""
        return self._spelling(f"PT{units * self.time.unit:g}S", units)

    def moment(self, units: float) -> str:
        """When so many units will have passed, as RFC 3339."""
        return (self.time.now() + timedelta(seconds=units * self.time.unit)).isoformat()

    async def close(self) -> None:
        """Hang up, and leave no jobs behind."""
        barriers = [] if self._barriers is None else [self._barriers]
        for each in (*self._sidecars, *barriers):
            await each.close()
        targets: tuple[dict[str, Any], ...] = ({"job": {}}, {"actor": {}})
        for target in targets:
            metadata = {"app_id": "shop", "namespace": self.namespace, "target": target}
            request = message("DeleteByNamePrefixRequest")(metadata=metadata)
            with suppress(grpc.aio.AioRpcError):
                await self.calls.DeleteByNamePrefix(request, timeout=ANSWERED)

    def _spelling(self, text: str, units: float) -> str:
        self._spelled[text] = f"<{units:g} units>"
        return text

    def _plain(self, text: str) -> str:
        """What does not depend on the namespace and the unit."""
        for spelled, units in self._spelled.items():
            text = re.sub(rf"\b{re.escape(spelled)}\b", units, text)
        return text.replace(self.namespace, "NS")


Script = Callable[[Room], Awaitable[None]]
