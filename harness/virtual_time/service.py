"""The gRPC service of Dapr's scheduler.proto, with the answers of the real one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc

from harness.virtual_time.agenda import Outcome
from harness.virtual_time.engine import Engine
from harness.virtual_time.jobs import Job
from harness.virtual_time.messages import METHODS, SERVICE, message, service
from harness.virtual_time.moves import Moves
from harness.virtual_time.requests import (
    Wrong,
    authorized,
    job_of,
    joining_of,
    key_of,
    require_name,
    target_of,
)


class WatchedStream:
    """What a sidecar is to be sent."""

    def __init__(self) -> None:
        self.outgoing: asyncio.Queue[Any] = asyncio.Queue()

    def send(self, number: int, name: str, job: Job) -> None:
        """Send one firing."""
        stored = _stored(job)
        metadata = message("JobMetadata").FromString(job.target)
        response = message("WatchJobsResponse")(name=name, id=number, metadata=metadata)
        if stored.HasField("data"):
            response.data.CopyFrom(stored.data)
        self.outgoing.put_nowait(response)


class Service:
    """The eight calls.

    Args:
        engine: keeps the jobs and fires them.
        moves: the clock.
        address: where sidecars reach this scheduler.
    """

    def __init__(self, engine: Engine, moves: Moves, address: str) -> None:
        self._engine = engine
        self._agenda = engine.agenda
        self._moves = moves
        self._address = address

    def ScheduleJob(self, request: Any) -> Any:
        """Schedule a job."""
        target = authorized(request.metadata)
        name = target.prefix + request.name
        require_name(name)
        self._moves.now()
        job = job_of(request)
        try:
            put = self._engine.put(
                target, request.name, job, time.time_ns(), overwrite=request.overwrite
            )
        except ValueError as error:
            raise Wrong(f"job failed validation: {error}") from None
        if not put:
            raise Wrong(f"job already exists: '{name}'", "ALREADY_EXISTS")
        return message("ScheduleJobResponse")()

    def GetJob(self, request: Any) -> Any:
        """Return a job as it was scheduled."""
        name = authorized(request.metadata).prefix + request.name
        require_name(name)
        entry = self._agenda.get(name)
        if entry is None:
            raise Wrong(f"job not found: {request.name}", "NOT_FOUND")
        return message("GetJobResponse")(job=_stored(entry.plan.job))

    def DeleteJob(self, request: Any) -> Any:
        """Delete a job; there need not be one."""
        name = authorized(request.metadata).prefix + request.name
        require_name(name)
        self._agenda.delete(name)
        return message("DeleteJobResponse")()

    def ListJobs(self, request: Any) -> Any:
        """Return the jobs of an app or of actors."""
        response = message("ListJobsResponse")()
        for entry in self._agenda.named(key_of(request.metadata, as_prefix=False)):
            metadata = message("JobMetadata").FromString(entry.plan.job.target)
            name = entry.name.removeprefix(target_of(metadata).prefix)
            response.jobs.add(name=name, metadata=metadata, job=_stored(entry.plan.job))
        return response

    def DeleteByMetadata(self, request: Any) -> Any:
        """Delete the jobs of an app or of actors."""
        self._delete_prefix(request, as_prefix=request.id_prefix_match)
        return message("DeleteByMetadataResponse")()

    def DeleteByNamePrefix(self, request: Any) -> Any:
        """Delete the jobs of an app or of actors whose names begin so."""
        self._delete_prefix(request, as_prefix=False, more=request.name_prefix)
        return message("DeleteByNamePrefixResponse")()

    async def WatchHosts(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        """The only host, as long as the caller listens."""
        yield message("WatchHostsResponse")(hosts=[{"address": self._address}])
        await asyncio.Event().wait()

    async def WatchJobs(self, requests: Any, context: Any) -> None:
        """Firings to a sidecar, and their outcomes back.

        No generator: gRPC would not end one that a sidecar leaves while it is being sent something.
        """
        try:
            joining = joining_of(await anext(aiter(requests), None))
        except Wrong as error:
            await context.abort(_code(error), str(error))
        stream = WatchedStream()
        self._moves.now()
        self._engine.join(stream, joining)
        reading = asyncio.create_task(self._read(stream, requests))
        try:
            # Whoever listens knows by this that it is connected.
            await context.send_initial_metadata(())
            while (response := await stream.outgoing.get()) is not None:
                await context.write(response)
        finally:
            reading.cancel()
            self._engine.leave(stream)
        await context.abort(grpc.StatusCode.CANCELLED, "context canceled")

    async def _read(self, stream: WatchedStream, requests: Any) -> None:
        """Take outcomes until there are no more, or one of a firing that was never sent."""
        try:
            async for request in requests:
                failed = request.result.status != 0
                outcome = Outcome.FAILED if failed else Outcome.SUCCESS
                if not self._engine.tell(stream, request.result.id, outcome):
                    break
        finally:
            stream.outgoing.put_nowait(None)

    def _delete_prefix(self, request: Any, *, as_prefix: bool, more: str = "") -> None:
        try:
            prefix = key_of(request.metadata, as_prefix=as_prefix) + more
        except Wrong as error:
            said = f"rpc error: code = InvalidArgument desc = {error}"
            text = str(error) if error.code == "UNKNOWN" else said
            raise Wrong(f"failed to parse metadata: {text}", error.code) from None
        require_name(prefix + "a")
        self._agenda.delete_prefix(prefix)


def handlers(served: Service) -> Any:
    """The calls, for a gRPC server."""
    makers = {
        "unary_unary": grpc.unary_unary_rpc_method_handler,
        "unary_stream": grpc.unary_stream_rpc_method_handler,
        "stream_stream": grpc.stream_stream_rpc_method_handler,
    }
    found = {
        method.name: makers[METHODS[method.name]](
            _answering(getattr(served, method.name), METHODS[method.name]),
            request_deserializer=message(method.input_type.name).FromString,
            response_serializer=message(method.output_type.name).SerializeToString,
        )
        for method in service().methods
    }
    return grpc.method_handlers_generic_handler(SERVICE, found)


def _answering(call: Any, kind: str) -> Any:
    if kind != "unary_unary":
        return call

    async def answer(request: Any, context: Any) -> Any:
        try:
            return call(request)
        except Wrong as error:
            await context.abort(_code(error), str(error))

    return answer


def _code(error: Wrong) -> Any:
    return getattr(grpc.StatusCode, error.code)


def _stored(job: Job) -> Any:
    return message("Job").FromString(job.message)
