"""What an app asks by gRPC passes unchanged, and its requests for state are in the ledger."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Event
from typing import Any

import grpc
import pytest
from dapr.proto import api_service_v1, api_v1, common_v1

from harness import App, Redis, Settings, Topology, World, running
from harness.core.deadline import Deadline, Observation, poll
from harness.ledger.keys import KeyOperation
from harness.probe.api_calls import read_call
from tests.contract.test_ledger_state import STORES
from tests.projects import IN_MEMORY
from tests.support import project

SERVES = [sys.executable, "-m", "http.server", "{port}"]
"""An app that only listens."""

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=["processes", "containers"])
def stack_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """On containers, the app runs on this machine, where its client by gRPC is."""
    if on_host := request.param == "containers":
        request.getfixturevalue("images")
    folder = project(
        tmp_path_factory.mktemp("grpc"), r__stores_yaml=STORES, r__pubsub_yaml=IN_MEMORY
    )
    shop = App("shop", command=SERVES, calls=True, on_host=on_host)
    settings = Settings.load(folder, runtime=request.param)
    with running(Topology(shop, Redis(), resources="r"), settings) as stack, World(stack) as opened:
        yield opened


@pytest.fixture
def world(stack_world: World) -> Iterator[World]:
    with World(stack_world.stack) as opened:
        yield opened


@pytest.fixture
def stub(world: World) -> Iterator[Any]:
    """A client as the SDK in the app makes it: by the endpoint and the token of the app's env."""
    env = world.stack.launch("shop").env
    with grpc.insecure_channel(env["DAPR_GRPC_ENDPOINT"]) as channel:
        stub = api_service_v1.DaprStub(channel)  # type: ignore[no-untyped-call]  # generated
        yield Client(stub, env["DAPR_API_TOKEN"])


class Client:
    """Calls with the token of the API."""

    def __init__(self, stub: Any, token: str) -> None:
        self._stub = stub
        self._metadata = (("dapr-api-token", token),)

    def __getattr__(self, method: str) -> Any:
        def call(request: Any) -> Any:
            return getattr(self._stub, method)(request, metadata=self._metadata, timeout=20)

        return call


def item(key: str, value: bytes, etag: str = "", **metadata: str) -> Any:
    """A row of a request that writes."""
    version = common_v1.Etag(value=etag) if etag else None
    return common_v1.StateItem(key=key, value=value, etag=version, metadata=metadata)


def told(found: Sequence[KeyOperation]) -> list[tuple[Any, ...]]:
    """What the ledger tells of each operation."""
    return [(each.kind, each.status, each.value, each.etag, each.ttl, each.found) for each in found]


def test_every_method_of_the_state_api_is_in_the_ledger(world: World, stub: Any) -> None:
    """With keys, values, versions, time to live and answers, as if it were by HTTP."""
    one, two, none = (world.name(each) for each in ("a|b/c", "two", "none"))
    stub.SaveState(api_v1.SaveStateRequest(
        store_name="store", states=[item(one, b'{"n": 1}'), item(two, b"2", ttlInSeconds="3600")]
    ))  # fmt: skip
    with pytest.raises(grpc.RpcError) as refused:
        stub.SaveState(
            api_v1.SaveStateRequest(store_name="store", states=[item(one, b"3", "4711")])
        )
    read = stub.GetState(api_v1.GetStateRequest(store_name="store", key=one))
    stub.GetState(api_v1.GetStateRequest(store_name="store", key=none))
    stub.GetBulkState(api_v1.GetBulkStateRequest(store_name="store", keys=[one, none]))
    stub.ExecuteStateTransaction(api_v1.ExecuteStateTransactionRequest(
        storeName="store",
        operations=[
            api_v1.TransactionalStateOperation(operationType="upsert", request=item(one, b"text")),
            api_v1.TransactionalStateOperation(operationType="delete", request=item(two, b"")),
        ],
    ))  # fmt: skip
    stub.DeleteState(api_v1.DeleteStateRequest(store_name="store", key=one))
    stub.DeleteBulkState(api_v1.DeleteBulkStateRequest(
        store_name="store", states=[item(one, b""), item(two, b"")]
    ))  # fmt: skip

    paths = {path.key: path for path in world.ledger.keys(store="store", app="shop")}

    assert grpc.StatusCode.ABORTED == refused.value.code()
    assert b'{"n": 1}' == read.data
    assert {one, two, none} == {*paths}
    assert [
        ("write", 204, {"n": 1}, "", None, None),
        ("write", 409, 3, "4711", None, None),
        ("read", 200, {"n": 1}, "", None, True),
        ("read", 200, {"n": 1}, "", None, True),
        ("write", 204, "text", "", None, None),
        ("delete", 204, None, "", None, None),
        ("delete", 204, None, "", None, None),
    ] == told(paths[one].operations)
    assert [
        ("write", 204, 2, "", 3600, None),
        ("delete", 204, None, "", None, None),
        ("delete", 204, None, "", None, None),
    ] == told(paths[two].operations)
    assert [("read", False), ("read", False)] == [
        (each.kind, each.found) for each in paths[none].operations
    ]
    assert {"shop"} == {each.app for path in paths.values() for each in path.operations}
    world.ledger.state("store", one).deleted(by="shop")


def test_a_token_is_not_recorded_and_other_apis_pass_unrecorded(world: World, stub: Any) -> None:
    """As with calls by HTTP."""
    key = world.name("key")
    stub.PublishEvent(api_v1.PublishEventRequest(pubsub_name="pubsub", topic="t", data=b"1"))
    stub.SaveState(api_v1.SaveStateRequest(store_name="store", states=[item(key, b"1")]))

    (call,) = world.calls("shop").all()

    assert ("state", "store", "POST", 204) == (call.api, call.target, call.method, call.status)
    assert "/dapr.proto.runtime.v1.Dapr/SaveState" == call.headers["grpc-method"]
    assert not any(secret in str(call) for secret in world.secrets())


def test_a_value_that_is_too_long_to_be_recorded_passes(world: World, stub: Any) -> None:
    """The read of it is known, with the beginning of the value; what was written is not."""
    key, value = world.name("key"), b"x" * 1_000_000
    stub.SaveState(api_v1.SaveStateRequest(store_name="store", states=[item(key, value)]))

    read = stub.GetState(api_v1.GetStateRequest(store_name="store", key=key))

    (path,) = world.ledger.keys(key=key)
    assert value == read.data
    assert [("read", True)] == [(each.kind, each.found) for each in path.operations]
    assert path.operations[0].value.startswith("xxx")


def work(stub: Any, over: Event, key: str, made: list[tuple[str, int | None]]) -> None:
    """Write and read a key until it is over, and add what was answered."""
    save = api_v1.SaveStateRequest(store_name="store", states=[item(key, b"1")])
    get = api_v1.GetStateRequest(store_name="store", key=key)
    while not over.is_set():
        for kind, method, request in (
            ("write", stub.SaveState, save),
            ("read", stub.GetState, get),
        ):
            try:
                method(request)
            except grpc.RpcError:
                made.append((kind, None))
            else:
                made.append((kind, 204 if kind == "write" else 200))


def test_no_operation_is_missing_although_the_sidecar_is_killed(world: World, stub: Any) -> None:
    """Four threads share a connection, which breaks twice."""
    keys, over = [world.name(f"k{number}") for number in range(4)], Event()
    made: list[tuple[str, int | None]] = []

    def await_answers() -> None:
        wanted = len([each for each in [*made] if each[1]]) + 200
        seen = poll(
            lambda: Observation(len([each for each in [*made] if each[1]]) >= wanted), Deadline(60)
        )
        assert seen.ok

    with ThreadPoolExecutor(len(keys)) as pool:
        working = [pool.submit(work, stub, over, key, made) for key in keys]
        try:
            for _ in range(2):
                await_answers()
                world.kill("shop-daprd")
                world.restart("shop-daprd")
            await_answers()
        finally:
            over.set()
        for each in working:
            each.result()

    known = Counter[tuple[str, int | None]](
        (each.kind, each.status)
        for path in world.ledger.keys(where=lambda each: each.key in keys)
        for each in path.operations
    )
    counts = Counter(made)
    answered = {each: count for each, count in counts.items() if each[1]}
    assert {("write", 204), ("read", 200)} == {*answered}
    assert answered == {each: known[each] for each in answered}
    assert not any(status and status < 300 for _, status in {*known} - {*answered})


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""How a connection of HTTP/2 begins (RFC 9113, section 3.4)."""


def heard_by(opened: list[Any], rows: list[Any]) -> Any:
    """What reads along on a connection."""
    # Imported when used: the tests are collected without the extra, too.
    from harness.probe.grpc_calls import GrpcConversation

    return GrpcConversation(lambda *each: opened.append(each), lambda _, row: rows.append(row))


def frames_of(stream: int, path: str, message: bytes, encoder: Any) -> list[Any]:
    """A request whose headers are in three frames, and whose message is in two."""
    from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame

    block = encoder.encode([(":method", "POST"), (":path", path), ("dapr-api-token", "s3cret")])
    head, rest = HeadersFrame(stream, block[:2]), ContinuationFrame(stream, block[2:5])
    last = ContinuationFrame(stream, block[5:], flags=["END_HEADERS"])
    body = bytes([0]) + len(message).to_bytes(4, "big") + message
    ended = DataFrame(stream, body[3:], flags=["END_STREAM"])
    return [head, rest, last, DataFrame(stream, body[:3]), ended]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_what_is_heard_does_not_depend_on_how_bytes_are_split(size: int) -> None:
    """Nor on other streams in between; a stream without an answer ends with its connection."""
    from hpack import Encoder
    from hyperframe.frame import HeadersFrame, SettingsFrame

    save = "/dapr.proto.runtime.v1.Dapr/SaveState"
    message = api_v1.SaveStateRequest(store_name="s", states=[item("k", b"1")]).SerializeToString()
    opened: list[Any] = []
    rows: list[Any] = []
    encoder = Encoder()
    streams = [frames_of(n, path, message, encoder) for n, path in
               ((1, save), (3, "/x.Y/SaveState"), (5, save))]  # fmt: skip
    asked = PREFACE + SettingsFrame().serialize() + b"".join(
        each.serialize() for each in chain.from_iterable(streams)
    )  # fmt: skip
    trailers = HeadersFrame(1, Encoder().encode([("grpc-status", "10")]),
                            flags=["END_HEADERS", "END_STREAM"])  # fmt: skip
    heard = heard_by(opened, rows)
    for start in range(0, len(asked), size):
        heard.from_app(asked[start : start + size])
    heard.from_sidecar(SettingsFrame().serialize() + trailers.serialize())
    heard.end()

    calls = [read_call(row) for row in rows]

    assert 2 == len(opened)
    assert [409, None] == [each.status for each in calls]
    assert [[{"key": "k", "value": 1}]] * 2 == [each.data for each in calls]
    assert "s3cret" not in str(rows)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n" * 2, PREFACE + b"\0\0\1\1\4\0\0\0\1\xff"]
)
def test_what_is_not_http2_is_not_read_any_further(data: bytes) -> None:
    """It passes all the same, and nothing is raised."""
    rows: list[Any] = []
    heard = heard_by([], rows)

    heard.from_app(data)
    heard.from_sidecar(b"\xff" * 300_000)
    heard.end()

    assert [] == rows
