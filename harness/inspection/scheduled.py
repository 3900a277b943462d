"""The jobs that the scheduler of a stack that is up has. Everything here blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core.errors import ProbeError, SystemFailure, Unavailable
from harness.core.tracing import NOT_SAMPLED
from harness.inspection.sidecars import UpSidecar, endpoint_of
from harness.ready.rpc import is_overdue

if TYPE_CHECKING:
    import grpc

LISTING = 15.0
"""Seconds that the scheduler may take to list jobs."""


def listed(sidecar: UpSidecar, timeout: float = LISTING) -> list[dict[str, Any]]:
    """The jobs of an app, as in daprd's JSON.

    Args:
        sidecar: of the app.
        timeout: seconds.

    Raises:
        Unavailable: Dapr's generated gRPC client is not installed.
        SystemFailure, ProbeError: there was no list.
    """
    try:
        import grpc
        from dapr.proto.runtime.v1.dapr_pb2_grpc import DaprStub
        from dapr.proto.runtime.v1.jobs_pb2 import ListJobsRequestAlpha1
        from google.protobuf.json_format import MessageToDict
    except ImportError as error:
        raise Unavailable(
            "daprd lists jobs over gRPC only, and Dapr's gRPC client is not installed",
            last=str(error),
            hint="pip install 'dapr-harness[sdk]'; `jobs get JOB` needs nothing",
        ) from None
    # A proxy would not reach this machine's sidecar.
    options = (("grpc.enable_http_proxy", 0),)
    with grpc.insecure_channel(str(endpoint_of(sidecar.node, "grpc")), options) as channel:
        token = (("dapr-api-token", sidecar.stack.token),) if sidecar.stack.token else ()
        headers = (*token, *NOT_SAMPLED.items())
        stub = DaprStub(channel)  # type: ignore[no-untyped-call]  # generated without types
        try:
            asked = ListJobsRequestAlpha1()
            answer = stub.ListJobsAlpha1(asked, timeout=timeout, metadata=headers)
        except grpc.RpcError as error:
            raise _explained(error, sidecar) from None
        return [MessageToDict(each) for each in answer.jobs]


def _explained(error: grpc.RpcError, sidecar: UpSidecar) -> ProbeError | SystemFailure:
    import grpc

    status, fact = error.code(), f"{error.code().name}: {error.details()}"
    if status is grpc.StatusCode.UNAVAILABLE or is_overdue(error):
        problem = f"the sidecar of {sidecar.app_id!r} did not list its jobs"
        return ProbeError(problem, last=fact, hint=sidecar.look)
    return SystemFailure(f"the sidecar of {sidecar.app_id!r} refused to list its jobs", last=fact)
