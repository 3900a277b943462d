"""One namespace of a scheduler, the real one or ours, and a trace of what happens in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from harness.core.deadline import Deadline, Observation, apoll, aticks
from harness.virtual_time.clock import Clock
from harness.virtual_time.messages import METHODS, SERVICE, message, service

ANSWERED = 20.0
"""Seconds that something may take that takes no time: the machine may be busy."""
OK, FAILED, NOTHING = "ok", "failed", "nothing"
Judge = Callable[[str, int], str]


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


class Real:
    """Real time, which passes by itself."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def run(self, seconds: float) -> None:
        async for _ in aticks(Deadline(seconds)):
            pass

    async def connected(self, stream: Any) -> None:
        """Nobody says so; what is due later than the next calls finds it."""


class Virtual:
    """The time of a clock, which is moved."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()

    async def run(self, seconds: float) -> None:
        await asyncio.to_thread(self._clock.advance, timedelta(seconds=seconds))

    async def connected(self, stream: Any) -> None:
        """It is said at once: time goes on as soon as nothing is under way."""
        await asyncio.wait_for(stream.initial_metadata(), ANSWERED)


class Sidecar:
    """A stream of jobs, and how its firings are answered."""

    def __init__(self, room: Room, who: str, judge: Judge) -> None:
        self._room = room
        self._who = who
        self._judge = judge
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
        self._room.fired.append((self._who, each.name, data))
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
        assert seen.ok, seen.fact

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
        self.fired: list[tuple[str, str, str | None]] = []
        self.trace: list[Any] = []
        self._sidecars: list[Sidecar] = []

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
            self.trace.append((name, error.code().name, self._plain(error.details() or "")))
            return None
        self.trace.append((name, "OK", self._plain(str(response))))
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
        sidecar = Sidecar(self, who or app, judge or always(OK))
        initial = {
            "app_id": app,
            "namespace": namespace or self.namespace,
            "actor_types": actor_types,
            "accept_job_types": accept,
            "concurrency_limits": limits,
        }
        await sidecar.open(self.calls, message("WatchJobsRequest")(initial=initial))
        self._sidecars.append(sidecar)
        return sidecar

    async def run(self, seconds: float, *, ordered: bool = True) -> None:
        """Let time pass, and trace what has fired; sorted where only the count matters."""
        await self.time.run(seconds)
        fired, self.fired[:] = list(self.fired), []
        self.trace.append(("fired", fired if ordered else sorted(fired, key=str)))

    async def heard(self, count: int) -> None:
        """Wait until so many firings are there."""

        async def look() -> Observation:
            return Observation(len(self.fired) >= count, str(self.fired))

        seen = await apoll(look, Deadline(ANSWERED))
        assert seen.ok, seen.fact

    def in_seconds(self, seconds: float) -> str:
        """A moment as RFC 3339."""
        return (self.time.now() + timedelta(seconds=seconds)).isoformat()

    async def close(self) -> None:
        """Hang up, and leave no jobs behind."""
        for each in self._sidecars:
            await each.close()
        targets: tuple[dict[str, Any], ...] = ({"job": {}}, {"actor": {}})
        for target in targets:
            metadata = {"app_id": "shop", "namespace": self.namespace, "target": target}
            request = message("DeleteByNamePrefixRequest")(metadata=metadata)
            with suppress(grpc.aio.AioRpcError):
                await self.calls.DeleteByNamePrefix(request, timeout=ANSWERED)

    def _plain(self, text: str) -> str:
        return text.replace(self.namespace, "NS")


Script = Callable[[Room], Awaitable[None]]
