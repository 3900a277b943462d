"""Deletes all jobs and reminders of one system from a scheduler, real or virtual."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.core.endpoint import Endpoint
from harness.core.errors import ProbeError
from harness.core.roles import Part
from harness.virtual_time.messages import SERVICE, message, require_grpc

ANSWERING = 10.0
"""Seconds that the scheduler may take."""


def delete_jobs(scheduler: Endpoint, part: Part) -> None:
    """Delete them.

    Args:
        scheduler: the port of its gRPC service, without certificates.
        part: whose they are.

    Raises:
        Unavailable: gRPC for Python is not installed.
        ProbeError: the scheduler did not do it.
    """
    require_grpc("deleting the jobs of a stack")
    import grpc

    # A proxy would not reach this machine.
    options = (("grpc.enable_http_proxy", 0),)
    with grpc.insecure_channel(str(scheduler), options) as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/DeleteByMetadata",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=message("DeleteByMetadataResponse").FromString,
        )
        for request in _requests(part):
            try:
                call(message("DeleteByMetadataRequest")(**request), timeout=ANSWERING)
            except grpc.RpcError as error:
                raise ProbeError(
                    "the scheduler did not delete the jobs",
                    last=f"{error.code().name}: {error.details()}",
                    hint="look at its log",
                ) from None


def _requests(part: Part) -> Iterator[dict[str, Any]]:
    for each in part.app_ids:
        yield {"metadata": {"namespace": part.namespace, "app_id": each, "target": {"job": {}}}}
    for each in part.app_ids[:1]:
        # Without a type, and as a prefix, the target is every actor of the namespace. The scheduler
        # requires an app-id, but does not look at it.
        metadata = {"namespace": part.namespace, "app_id": each, "target": {"actor": {}}}
        yield {"metadata": metadata, "id_prefix_match": True}
