"""Apps whose own "now" follows the clock of their stack, beside an unmodified daprd."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness import (
    App,
    Clock,
    ConfigError,
    Postgres,
    Settings,
    Stack,
    Topology,
    Unavailable,
    VirtualScheduler,
    World,
    running,
)
from harness.provision.faketime import faketime_library
from harness.ready import loopback

pytestmark = [pytest.mark.real, pytest.mark.own_stack]

APPS = Path(__file__).parent / "apps"
START = "2027-01-15T12:00:00Z"
START_MOMENT = datetime(2027, 1, 15, 12, tzinfo=UTC)
MEMORY = Path("/dev/shm")


def require_faketime() -> None:
    """Skip the test without libfaketime."""
    try:
        faketime_library(threads=False)
    except Unavailable:
        pytest.skip("libfaketime is not installed; tools/faketime installs Debian's")


def topology() -> Topology:
    """An app that follows the clock, and one that does not."""
    return Topology(
        VirtualScheduler(start=START),
        App("clocked", asgi="clocked:app", cwd=APPS, follow_clock=True),
        App("real", asgi="clocked:app", cwd=APPS),
        sign=signed,
    )


def signed(path: str, token: Callable[[str], str], now: datetime) -> Mapping[str, str]:
    """A header that is valid at a time."""
    return {"x-now": now.isoformat()}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All of them, up."""
    with running(topology(), Settings.load(runtime="processes")) as found:
        yield found


def told(world: World, app: str = "clocked") -> dict[str, Any]:
    """What an app says of its time."""
    return dict(world.app(app).get("/").raise_for_status().json())


def now_of(world: World, app: str = "clocked") -> datetime:
    """An app's now."""
    return datetime.fromisoformat(told(world, app)["now"])


def test_the_now_of_an_app_is_that_of_the_clock(world: World, clock: Clock) -> None:
    """At the start and after a move; that of another app stays real."""
    assert clock.now() == now_of(world)
    clock.advance("3 months")

    seen = told(world)

    assert clock.now() == datetime.fromisoformat(seen["now"])
    assert clock.now().date().isoformat() == seen["date"]
    assert (clock.now() - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) == seen[
        "time_ns"
    ] // 1000
    assert now_of(world, "real") < datetime(2027, 1, 1, tzinfo=UTC) < clock.now()


def test_requests_are_signed_with_the_time_of_the_app(world: World, clock: Clock) -> None:
    """Of the clock if it follows it, otherwise with the real one."""
    assert clock.now() == datetime.fromisoformat(told(world)["signed"])
    assert datetime.fromisoformat(told(world, "real")["signed"]) < START_MOMENT


def test_in_the_handler_of_a_job_it_is_the_due_time(world: World, clock: Clock) -> None:
    """Of each firing, although one move goes over all of them."""
    name, before = world.name("rent"), clock.now()
    world.sidecar("clocked").schedule_job(name, due="24h")
    clock.advance("30 days")

    at = datetime.fromisoformat(told(world)["delivered"][name])

    assert before + timedelta(days=1) == at
    assert before + timedelta(days=30) == now_of(world)


def test_time_flows_in_the_app_and_stands_when_it_is_frozen(world: World, clock: Clock) -> None:
    """It never goes back, and both agree when it stands."""
    before = now_of(world)
    clock.flow(speed=36_000)
    flowing = now_of(world)
    world.eventually(lambda: now_of(world) > flowing + timedelta(hours=1))
    last = now_of(world)

    frozen = clock.freeze().now

    assert before <= flowing <= last <= frozen
    assert [frozen, frozen] == [now_of(world), now_of(world)]


def test_a_restarted_app_still_follows(world: World, clock: Clock) -> None:
    """And so does one that was killed."""
    clock.advance("1 day")
    world.restart("clocked")
    assert clock.now() == now_of(world)

    world.kill("clocked")
    world.restart("clocked")
    clock.advance("1 day")

    assert clock.now() == now_of(world)


def test_an_app_keeps_its_time_while_the_scheduler_is_away(world: World, clock: Clock) -> None:
    """Time that flows goes on without it, and the restarted scheduler begins where it is then."""
    clock.advance("1 day")
    standing = clock.now()
    world.kill("scheduler")
    assert standing == now_of(world)
    world.restart("scheduler")
    assert standing == clock.now() == now_of(world)

    clock.flow(speed=36_000)
    world.kill("scheduler")
    flowing = now_of(world)
    world.eventually(lambda: now_of(world) > flowing)
    seen = now_of(world)
    world.restart("scheduler")

    assert seen <= clock.now() == now_of(world)
    clock.advance("1 hour")
    assert clock.now() == now_of(world)
    # The sidecar connects to the new scheduler when it has noticed, and jobs wait until then.
    name = world.name("later")
    world.sidecar("clocked").schedule_job(name, due="0s")
    world.eventually(lambda: name in told(world)["delivered"], timeout=30)


SHAPES = {
    "command": App(
        "shaped",
        command=[sys.executable, "-m", "uvicorn", "clocked:app", "--port", "{port}"],
        cwd=APPS,
        hermetic=True,
        follow_clock=True,
    ),
    "reloading": App(
        "shaped",
        command=[sys.executable, "-m", "uvicorn", "clocked:app", "--reload", "--port", "{port}"],
        cwd=APPS,
        follow_clock=True,
    ),
    "own path": App(
        "shaped",
        command=[sys.executable, "-m", "uvicorn", "clocked:app", "--port", "{port}"],
        env={"PYTHONPATH": str(APPS)},
        follow_clock=True,
    ),
    "script": App(
        "shaped",
        command=["sh", "clocked.sh", sys.executable, "{port}"],
        cwd=APPS,
        follow_clock=True,
    ),
    "node": App(
        "shaped",
        command=["node", "clocked.js", "{port}"],
        cwd=APPS,
        follow_clock=True,
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_app_follows_however_it_is_started(shape: str) -> None:
    """By a command, with an own PYTHONPATH, by a script that starts Python, and on Node."""
    if shape in {"script", "node"}:
        require_faketime()
    topology = Topology(VirtualScheduler(start=START), SHAPES[shape])
    with running(topology, Settings.load(runtime="processes")) as stack, World(stack) as world:
        clock, name = world.clock, world.name("rent")
        world.sidecar("shaped").schedule_job(name, due="24h")
        clock.advance("30 days")
        seen = told(world, "shaped")

        assert clock.now() == datetime.fromisoformat(seen["now"])
        assert START_MOMENT + timedelta(days=1) == datetime.fromisoformat(seen["delivered"][name])


def test_an_app_that_does_not_follow_is_not_started() -> None:
    """Its interpreter ignores the environment: the start fails and says so."""
    command = f"{sys.executable} -I -m uvicorn clocked:app --app-dir {APPS} --port {{port}}"
    topology = Topology(
        VirtualScheduler(start=START), App("deaf", command=command, follow_clock=True)
    )

    with (
        pytest.raises(ConfigError, match="'deaf' has follow_clock=True and does not follow"),
        running(topology, Settings.load(runtime="processes")),
    ):
        pass


def test_postgresql_follows_and_with_it_the_ttl_of_state() -> None:
    """The store computes when a value expires by its own now(); time that flows is seen, too."""
    require_faketime()
    topology = Topology(
        VirtualScheduler(start=START),
        Postgres(follow_clock=True),
        App("clocked", asgi="clocked:app", cwd=APPS),
        resources=APPS / "stores",
    )
    with running(topology, Settings.load(runtime="processes")) as stack, World(stack) as world:
        clock, dsn = world.clock, world.exports("postgres")["dsn"]
        url = "/v1.0/state/rows"
        endpoint, token = world.sidecar_address("clocked")
        with (
            psycopg.connect(dsn, autocommit=True) as connection,
            loopback.client(endpoint.http, token=token) as daprd,
        ):

            def database() -> datetime:
                row = connection.execute("SELECT now()").fetchone()
                assert row is not None
                found: datetime = row[0].astimezone(UTC)
                return found

            assert clock.now() == database()
            given = [{"key": "short", "value": 1, "metadata": {"ttlInSeconds": "86400"}}]
            daprd.post(url, json=given).raise_for_status()
            clock.advance("23 hours")
            seen = [daprd.get(f"{url}/short").text]
            clock.advance("2 hours")
            seen.append(daprd.get(f"{url}/short").text)
            assert clock.now() == database()

            before = database()
            clock.flow(speed=3600)
            world.eventually(lambda: database() > before)
            assert database() <= clock.freeze().now == database()

    assert ["1", ""] == seen


def test_nothing_of_libfaketime_is_left_behind(tmp_path: Path) -> None:
    """Its shared memory outlives programs that are killed, and Node."""
    require_faketime()
    topology = Topology(VirtualScheduler(start=START), SHAPES["node"])
    with running(topology, Settings.load(runtime="processes")) as stack, World(stack) as world:
        pid = stack.instances["shaped"].pid
        world.kill("shaped")
        assert list(MEMORY.glob(f"*faketime*_{pid}"))

    assert not list(MEMORY.glob(f"*faketime*_{pid}"))
