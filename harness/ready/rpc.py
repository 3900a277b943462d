"""What the end of a gRPC call to Dapr means."""

from __future__ import annotations

from typing import Any

RESET = "RST_STREAM with error code 8"
"""CANCEL: with it, a Go server resets a stream whose deadline has passed, and no other (grpc-go,
internal/transport/http2_server.go). The client then reports CANCELLED if, by its own clock, the
deadline has not passed yet."""


def is_overdue(error: Any) -> bool:
    """Whether a call has failed because its deadline has passed.

    daprd has the same deadline. If its handler notices first, it answers INTERNAL, with Go's
    words; if its transport does, it resets the stream.

    Args:
        error: a `grpc.RpcError` of a call.
    """
    details = str(error.details())
    late = details.endswith("context deadline exceeded") or RESET in details
    return late or error.code().name == "DEADLINE_EXCEEDED"
