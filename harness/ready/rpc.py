"""What the end of a gRPC call to Dapr means."""

from __future__ import annotations

from typing import Any


def is_overdue(error: Any) -> bool:
    """Whether a call has failed because its deadline has passed.

    daprd has the same deadline: if it notices first, it answers INTERNAL, with Go's words.

    Args:
        error: a `grpc.RpcError` of a call.
    """
    return error.code().name == "DEADLINE_EXCEEDED" or str(error.details()).endswith(
        "context deadline exceeded"
    )
