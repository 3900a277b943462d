"""The parts around the agenda: durations in words, streams and limits, moves, and the protocol."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import grpc
import pytest

from harness import App, ConfigError, Sidecar, Topology, VirtualScheduler
from harness.core.deadline import Deadline, Observation, apoll
from harness.core.node import Target as RunTarget
from harness.nodes.control import Scheduler
from harness.provision.versions import DAPR
from harness.virtual_time import messages
from harness.virtual_time.agenda import Agenda, Outcome
from harness.virtual_time.answers import moment_of, text_of
from harness.virtual_time.civil import SECOND, civil
from harness.virtual_time.connections import (
    ACTOR,
    APP,
    WINDOW,
    Connections,
    Gates,
    Joining,
    Target,
    limits_of,
)
from harness.virtual_time.engine import Engine
from harness.virtual_time.gotime import rfc3339
from harness.virtual_time.jobs import Job, Policy
from harness.virtual_time.moves import Moves, Refused
from harness.virtual_time.published import Published, shown
from harness.virtual_time.server import OPTIONS, made
from harness.virtual_time.storage import File
from harness.virtual_time.words import moment_after, moment_named
from tests.support import ROOT

NOW = civil((2027, 1, 31, 9, 0, 0))
SHOP = Target(APP, "default", "shop")
TIMER = Target(ACTOR, "default", "shop", "dapr.internal.default.shop.workflow", "1")


class Stream:
    """Answers everything at once, or later."""

    def __init__(self, engine: Engine | None = None, outcome: Outcome = Outcome.SUCCESS) -> None:
        self.engine = engine
        self.outcome = outcome
        self.sent: list[tuple[int, str]] = []

    def send(self, number: int, name: str, _job: Job) -> None:
        self.sent.append((number, name))
        if self.engine is not None:
            loop = asyncio.get_running_loop()
            loop.call_soon(self.engine.tell, self, number, self.outcome)


class Seeing(Stream):
    """Looks at the time that apps see when it is sent something."""

    def __init__(self, engine: Engine, path: Path) -> None:
        super().__init__(engine)
        self.path = path
        self.seen: list[int] = []

    def send(self, number: int, name: str, job: Job) -> None:
        self.seen.append(shown(self.path))
        super().send(number, name, job)


def engine_of(target: Target = SHOP) -> Engine:
    """An engine whose jobs are all for one target."""
    return Engine(Agenda(NOW), lambda _: target)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("28 days", "2027-02-28T09:00:00Z"), ("1 month", "2027-03-03T09:00:00Z"),
        ("1 year 2 days", "2028-02-02T09:00:00Z"), ("1 hour 30 minutes", "2027-01-31T10:30:00Z"),
        ("1.5 hours", "2027-01-31T10:30:00Z"), ("90m", "2027-01-31T10:30:00Z"),
        ("0s", "2027-01-31T09:00:00Z"),
        ("P1DT2H", "2027-02-01T11:00:00Z"), (" 2 weeks ", "2027-02-14T09:00:00Z"),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_people_write_it(text: str, expected: str) -> None:
    """In words, as Go's, or as ISO 8601."""
    assert expected == rfc3339(moment_after(text, NOW))


@pytest.mark.parametrize("text", ["", "days", "2 fortnights", "1 day ago", "-1h", "1.5 months"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With an example of one."""
    with pytest.raises(ValueError, match=r"duration|cannot go back|a part of"):
        moment_after(text, NOW)


def test_a_moment_needs_a_zone() -> None:
    """As text and as a datetime."""
    with pytest.raises(ValueError, match="is not a moment"):
        moment_named("2027-01-31T09:00:00")
    with pytest.raises(ConfigError, match="has no zone"):
        text_of(datetime(2027, 1, 31))
    with pytest.raises(ConfigError, match="is not a moment"):
        VirtualScheduler(start="tomorrow")

    assert "2027-01-31T09:00:00Z" == text_of(moment_of(NOW))
    assert "1500000us" == text_of(timedelta(seconds=1.5))
    assert datetime(2027, 1, 31, 9, tzinfo=UTC) == moment_of(NOW + 999)


def test_streams_take_turns_until_they_are_gone() -> None:
    """Each for its own app, namespace and actor types."""
    streams: Connections[str] = Connections()
    streams.add("one", Joining("default", "shop", actor_types=["Cart"]))
    two = "".join(("t", "wo"))
    streams.add(two, Joining("default", "shop"))
    assert ["one", "two", "one"] == [streams.stream_of(SHOP) for _ in range(3)]
    assert "one" == streams.stream_of(Target(ACTOR, "default", "any", "Cart", "7"))
    assert streams.stream_of(Target(APP, "other", "shop")) is None

    streams.remove("one")
    streams.remove("one")

    assert ["two", "two"] == [streams.stream_of(SHOP) for _ in range(2)]
    assert streams.stream_of(Target(ACTOR, "default", "any", "Cart", "7")) is None


def test_limits_are_those_of_the_sidecars_and_our_own() -> None:
    """By actor type, and by the key of the job within it."""
    said = {"Cart": 2, "Cart:slow": 1, "Box": 3}
    cart = Target(ACTOR, "default", "shop", "Cart", "7", "slow")

    own = f"default||{ACTOR}||Cart"
    assert {own: WINDOW, "Cart": 2, "Cart:slow": 1} == limits_of(cart, said)
    assert {f"default||{APP}||shop": WINDOW} == limits_of(SHOP, said)


def test_what_is_over_a_limit_starts_when_another_has_ended() -> None:
    """In order, and without holding up what has other limits."""
    gates, started = Gates(), []
    for name, keys in (("a", ["x"]), ("b", ["x"]), ("c", ["x", "y"]), ("d", ["y"])):
        gates.enter(keys, {"x": 1, "y": 1}, lambda name=name: started.append(name))  # type: ignore[misc]
    assert ["a", "d"] == started
    gates.leave(["x"])
    assert ["a", "d", "b"] == started
    gates.leave(["x"])
    gates.leave(["y"])
    assert ["a", "d", "b", "c"] == started


async def test_a_burst_is_sent_in_parts() -> None:
    """No more at once than the window, all of them in order."""
    engine = engine_of()
    stream = Stream()
    engine.join(stream, Joining("default", "shop"))
    for number in range(300):
        engine.put(SHOP, f"{number:04}", Job(due_time="0s"), NOW)
    assert 100 == len(stream.sent)

    for number in range(1, 301):
        assert engine.tell(stream, number, Outcome.SUCCESS)

    assert [f"{number:04}" for number in range(300)] == [name for _, name in stream.sent]
    assert 0 == len(engine.agenda)


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    """Where apps see the time."""
    with closing(Published(tmp_path / "now")) as found:
        yield found


async def test_a_burst_of_any_size_waits_when_its_sidecar_leaves_and_comes_back_in_order() -> None:
    """What was under way comes first, and nothing stays behind."""
    engine, names = engine_of(), [f"{number:04}" for number in range(2000)]
    first, second = Stream(), Stream()
    engine.join(first, Joining("default", "shop"))
    for name in names:
        engine.put(SHOP, name, Job(due_time="0s"), NOW)

    engine.leave(first)
    assert 2000 == len(engine.agenda.waiting())

    engine.join(second, Joining("default", "shop"))
    for number in range(1, 2001):
        assert engine.tell(second, number, Outcome.SUCCESS)
    assert names[:WINDOW] == [name for _, name in first.sent]
    assert names == [name for _, name in second.sent]
    assert 0 == len(engine.agenda)


async def test_time_stops_at_every_moment_until_all_is_answered(published: Published) -> None:
    """A retry that becomes due on the way is fired before what is later."""
    engine = engine_of()
    moves = Moves(engine, lambda _: None, published)
    stream = Stream(engine, Outcome.FAILED)
    engine.join(stream, Joining("default", "shop"))
    engine.put(SHOP, "fails", Job(due_time="1s", policy=Policy(SECOND, 2)), NOW)
    engine.put(SHOP, "later", Job(due_time="2500ms", policy=Policy(SECOND, 0)), NOW)

    fired = await moves.advance_to(NOW + 60 * SECOND, 100, 5)

    assert (4, NOW + 60 * SECOND) == (fired, moves.now())
    assert ["fails", "fails", "later", "fails"] == [name for _, name in stream.sent]


async def test_every_moment_is_kept_before_what_is_due_then_fires(published: Published) -> None:
    """A restart does not go back in time."""
    engine = engine_of()
    stream = Stream(engine)
    moves = Moves(engine, lambda moment: stream.sent.append((moment - NOW, "kept")), published)
    engine.join(stream, Joining("default", "shop"))
    engine.put(SHOP, "job", Job(schedule="@every 10s", repeats=2), NOW)

    await moves.advance_to(NOW + 30 * SECOND, 100, 5)

    ten = 10 * SECOND
    expected = [(ten, "kept"), (1, "job"), (2 * ten, "kept"), (2, "job"), (3 * ten, "kept")]
    assert expected == stream.sent


async def test_apps_see_a_moment_before_what_is_due_then_fires(tmp_path: Path) -> None:
    """A handler that asks for the time gets at least the due time."""
    engine, path = engine_of(), tmp_path / "now"
    with closing(Published(path)) as published:
        stream = Seeing(engine, path)
        moves = Moves(engine, lambda _: None, published)
        engine.join(stream, Joining("default", "shop"))
        engine.put(SHOP, "job", Job(schedule="@every 10s", repeats=2), NOW)

        await moves.advance_to(NOW + 60 * SECOND, 100, 5)

    assert [NOW + 10 * SECOND, NOW + 20 * SECOND] == stream.seen
    assert NOW + 60 * SECOND == shown(path)


async def test_a_restart_begins_at_the_moment_that_apps_have_seen(tmp_path: Path) -> None:
    """Time that flowed has flowed on without the scheduler; then it stands."""
    path = tmp_path / "jobs"
    with closing(File(path)) as file, closing(Published(tmp_path / "now")) as published:
        _, moves = made(file, published, "2027-01-31T09:00:00Z")
        moves.flow(1e6)
        seen = shown(tmp_path / "now")

        _, again = made(file, published, "2027-01-31T09:00:00Z")

        assert NOW <= seen <= again.now() == shown(tmp_path / "now") == file.now
        moves.freeze()


async def test_a_clock_is_moved_by_one_call_at_a_time(published: Published) -> None:
    """The second is refused, as is a flow, and the first goes on."""
    engine = engine_of()
    moves = Moves(engine, lambda _: None, published)
    stream = Stream()
    engine.join(stream, Joining("default", "shop"))
    engine.put(SHOP, "slow", Job(due_time="1s"), NOW)
    first = asyncio.create_task(moves.advance_to(NOW + 9 * SECOND, 100, 30))

    async def sent() -> Observation:
        return Observation(bool(stream.sent))

    assert (await apoll(sent, Deadline(10))).ok
    with pytest.raises(Refused, match="moved by another call"):
        await moves.run_until_idle(100, 1)
    with pytest.raises(Refused, match="moved by another call"):
        moves.flow(1.0)

    engine.tell(stream, 1, Outcome.SUCCESS)

    assert 1 == await first
    assert NOW + 9 * SECOND == moves.now()


async def test_retries_without_an_end_are_stopped_by_the_limit(published: Published) -> None:
    """They take no time, so time would never go on."""
    engine = engine_of()
    moves = Moves(engine, lambda _: None, published)
    stream = Stream(engine, Outcome.FAILED)
    engine.join(stream, Joining("default", "shop"))
    engine.put(SHOP, "endless", Job(due_time="1s", policy=Policy(0, None)), NOW)

    with pytest.raises(Refused, match="more than the limit of firings at 2027-01-31T09:00:01Z"):
        await moves.advance_to(NOW + 60 * SECOND, 50, 5)

    engine.agenda.delete(f"{SHOP.prefix}endless")
    assert 51 <= len(stream.sent) <= 60


def test_the_time_of_a_workflow_is_daprds_and_that_of_a_job_is_absolute() -> None:
    """daprd's clock is an hour ahead: its timer for now is due now."""
    hour = 3600 * SECOND
    for target, due in ((TIMER, NOW), (SHOP, NOW + hour)):
        engine = engine_of(target)
        engine.put(target, "job", Job(due_time=rfc3339(NOW + hour)), NOW + hour)
        entry = engine.agenda.get(f"{target.prefix}job")
        assert entry is not None
        assert due == entry.progress.next


def test_a_topology_with_virtual_time_has_our_scheduler() -> None:
    """By one word, in its place, and only where the harness runs it."""
    topology = Topology(App("shop", asgi="m:x"), time="virtual")
    resolved = topology.resolved(RunTarget("processes"))

    assert isinstance(topology["scheduler"], Scheduler)
    assert isinstance(resolved["scheduler"], VirtualScheduler)
    assert isinstance(
        topology.with_time("real").resolved(RunTarget("processes"))["scheduler"], Scheduler
    )
    with pytest.raises(ConfigError, match="virtual time, which needs the harness"):
        topology.resolved(RunTarget("containers", alone=True))
    with pytest.raises(ConfigError, match="there is no time 'virtuel'"):
        Topology(time="virtuel")


def test_a_virtual_scheduler_takes_the_place_of_the_one_that_a_sidecar_brings() -> None:
    """If it is given as a node."""
    topology = Topology(Sidecar("shop"), VirtualScheduler(start="2027-01-01T00:00:00Z"))
    assert isinstance(topology["scheduler"], VirtualScheduler)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """What reads the descriptors out of Dapr's Go code."""
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / "dapr_protos.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_messages_are_those_of_the_pinned_dapr(tool: ModuleType) -> None:
    """Otherwise run ``python tools/dapr_protos.py``."""
    go = shutil.which("go")
    asked = [go, "env", "GOMODCACHE"] if go else ["true"]
    cache = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    folder = Path(cache) / "github.com" / "dapr" / f"dapr@v{DAPR}"
    if not folder.exists():
        pytest.skip("Dapr's sources are not in the Go module cache")
    assert tool.descriptors(folder) == messages.descriptors()


def test_the_calls_are_all_of_the_service_and_stream_as_it_says() -> None:
    """Eight of them."""
    kinds = {
        (False, False): "unary_unary",
        (False, True): "unary_stream",
        (True, True): "stream_stream",
    }
    told = {
        each.name: kinds[each.client_streaming, each.server_streaming]
        for each in messages.service().methods
    }
    assert told == messages.METHODS
    assert 8 == len(told)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY = 4, 6, 7


def frame(kind: int, content: bytes = b"") -> bytes:
    """A frame of HTTP/2 for the whole connection."""
    return len(content).to_bytes(3, "big") + bytes([kind, 0]) + bytes(4) + content


async def next_kind(reader: asyncio.StreamReader) -> int:
    """What kind the next frame is of."""
    head = await asyncio.wait_for(reader.readexactly(9), 10)
    await reader.readexactly(int.from_bytes(head[:3], "big"))
    return head[3]


async def test_a_sidecar_that_pings_all_the_time_stays_connected() -> None:
    """daprd pings every ten seconds at least, for which gRPC hangs up by default."""
    server = grpc.aio.server(options=OPTIONS)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(PREFACE + frame(SETTINGS))
    for _ in range(10):
        writer.write(frame(PING, bytes(8)))
        while (kind := await next_kind(reader)) != PING:
            assert kind != GOAWAY
    writer.close()
    await server.stop(None)
