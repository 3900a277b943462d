"""The messages of Dapr's scheduler.proto, and those that sidecars send to each other.

They are made from the descriptors of the pinned Dapr version, in a pool of their own, so that they
do not meet those of an app's SDK. The descriptors are written by tools/dapr_protos.py, and need no
generated code.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from harness.core.errors import Unavailable

SERVICE = "dapr.proto.scheduler.v1.Scheduler"
INTERNALS = "dapr.proto.internals.v1"
"""The package of the calls between sidecars."""

FILE = "protos.json"
METHODS = {
    "ScheduleJob": "unary_unary",
    "GetJob": "unary_unary",
    "DeleteJob": "unary_unary",
    "ListJobs": "unary_unary",
    "DeleteByMetadata": "unary_unary",
    "DeleteByNamePrefix": "unary_unary",
    "WatchHosts": "unary_stream",
    "WatchJobs": "stream_stream",
}
"""The calls, and what streams in them; a test compares them with the descriptors."""


def has_grpc() -> bool:
    """Whether gRPC for Python is installed."""
    return find_spec("grpc") is not None and find_spec("google.protobuf") is not None


def require_grpc(purpose: str = "virtual time") -> None:
    """Raise unless gRPC for Python is installed.

    Args:
        purpose: what needs it, for the message.

    Raises:
        Unavailable: it is not.
    """
    if not has_grpc():
        raise Unavailable(
            f"{purpose} needs gRPC for Python, which is not installed",
            expected="the packages grpcio and protobuf",
            hint="pip install 'dapr-harness[time]'",
        )


def descriptors() -> str:
    """The descriptors of the files as JSON, each after those that it imports."""
    return files(__package__).joinpath(FILE).read_text()


@cache
def _pool() -> Any:
    from google.protobuf import (
        any_pb2,
        descriptor_pb2,
        descriptor_pool,
        duration_pb2,
        empty_pb2,
        json_format,
        timestamp_pb2,
    )

    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, duration_pb2, empty_pb2, timestamp_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    for each in json_format.Parse(descriptors(), descriptor_pb2.FileDescriptorSet()).file:
        pool.AddSerializedFile(each.SerializeToString())
    return pool


def service() -> Any:
    """The descriptor of the service."""
    return _pool().FindServiceByName(SERVICE)


@cache
def message(name: str) -> Any:
    """The class of a message; without a package, one of scheduler.proto."""
    from google.protobuf import message_factory

    full = name if "." in name else f"{SERVICE.rpartition('.')[0]}.{name}"
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(full))
