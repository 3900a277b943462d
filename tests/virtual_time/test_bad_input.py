"""What a clock does with bad input and accidents, in a running system."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import (
    App,
    ProbeError,
    ProbeTimeout,
    Scheduler,
    Settings,
    Stack,
    Topology,
    World,
    running,
)
from harness.core.node import Node
from harness.nodes.virtual_scheduler import VirtualScheduler
from harness.ready import loopback
from harness.virtual_time.connections import WINDOW
from tests.projects import MINI_FILES
from tests.support import cli, project

pytestmark = [pytest.mark.real, pytest.mark.own_stack]

APPS = Path(__file__).parent / "apps"
JOBS, EVERY = 1000, 6
"""How many jobs are due at one moment, and which of them wait at the gate: each sixth."""


def started(scheduler: Node, app: str = "shop:app") -> Any:
    """One app on a scheduler."""
    topology = Topology(scheduler, App("shop", asgi=app, cwd=APPS, inbox=True))
    return running(topology, Settings.load(runtime="processes"))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One app in virtual time."""
    with started(VirtualScheduler(start="2027-01-15T12:00:00Z")) as found:
        yield found


def api(world: World) -> httpx.Client:
    """The API of the sidecar."""
    endpoint, token = world.sidecar_address("shop")
    return loopback.client(endpoint.http, timeout=30, token=token)


def asked(world: World, job: dict[str, Any]) -> tuple[int, str]:
    """What daprd answers to a job."""
    with api(world) as daprd:
        answer = daprd.post("/v1.0/jobs/wrong", json={"data": 1, **job})
    return answer.status_code, answer.text


def delivered(world: World) -> Counter[str]:
    """How often each job has reached the app."""
    seen = world.inbox("shop").seen
    return Counter(each.path.removeprefix("/job/") for each in seen if "/job/" in each.path)


def test_a_wrong_job_gets_the_answer_that_daprd_gives_with_its_own_scheduler(world: World) -> None:
    """Word for word: with the status, the code and the details."""
    wrong: list[dict[str, Any]] = [
        {"schedule": "every day"},
        {"schedule": "0 0 0 32 * *"},
        {"schedule": "@every soon"},
        {"schedule": "TZ=Nowhere/Land 0 0 9 * * *"},
        {"dueTime": "tomorrow"},
        {"schedule": "@daily", "ttl": "P"},
        {},
    ]
    ours = [asked(world, job) for job in wrong]
    with started(Scheduler()) as stack, World(stack) as real:
        theirs = [asked(real, job) for job in wrong]

    assert theirs == ours
    assert {400, 500} == {status for status, _ in ours}


def test_only_one_of_two_tests_moves_a_clock(stack: Stack, world: World) -> None:
    """The other one is told so; it can look, and move the clock as soon as the first is done."""
    name = world.name("slow")
    world.sidecar("shop").schedule_job(name, due="1h", data=1)
    due = world.clock.now() + timedelta(hours=1)
    world.pause("shop")
    with World(stack) as other, ThreadPoolExecutor(1) as pool:
        first = pool.submit(world.clock.advance, "2h", timeout=60)
        try:
            other.eventually(lambda: other.clock.now() == due)
            with pytest.raises(ProbeError, match="this clock is being moved by another call"):
                other.clock.advance("1s")
            assert due == other.clock.now()
        finally:
            world.resume("shop")
        assert (1, due + timedelta(hours=1)) == (first.result().fired, other.clock.now())
        assert 0 == other.clock.advance("1s").fired


@pytest.mark.parametrize("target", ["compose", "k8s"])
def test_virtual_time_is_not_rendered(tmp_path: Path, target: str) -> None:
    """It needs the harness, which no cluster has; the sentence says what to do."""
    folder = project(tmp_path, **MINI_FILES)
    topology = folder / "topology.py"
    topology.write_text(topology.read_text().replace('"{port}"]))', '"{port}"]), time="virtual")'))

    done = cli(folder, "render", target, "--folder", str(tmp_path / "out"))

    assert 2 == done.returncode
    assert "'scheduler' has virtual time, which needs the harness" in done.stderr
    assert 'time="real" in a rendered system' in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("virtual", [True, False], ids=["virtual", "real"])
def test_a_scheduler_without_its_data_has_no_jobs_and_takes_new_ones(virtual: bool) -> None:
    """As Dapr's own: the sidecar comes back by itself."""
    with started(VirtualScheduler() if virtual else Scheduler()) as stack, World(stack) as world:
        lost, new = world.name("lost"), world.name("new")
        with api(world) as daprd:
            daprd.post(f"/v1.0/jobs/{lost}", json={"dueTime": "24h", "data": 1}).raise_for_status()
            assert daprd.get(f"/v1.0/jobs/{lost}").is_success
            world.kill("scheduler")
            home = world.stack.folder / "nodes" / "scheduler"
            for each in list(home.iterdir()):
                shutil.rmtree(each) if each.is_dir() else each.unlink()
            world.restart("scheduler")

            def accepts() -> bool:
                given = {"dueTime": "1s", "data": 2, "overwrite": True}
                return daprd.post(f"/v1.0/jobs/{new}", json=given).is_success

            world.eventually(accepts, timeout=30)
            gone = daprd.get(f"/v1.0/jobs/{lost}")
        if virtual:
            world.eventually(lambda: world.clock.advance("1 day").waiting == (), timeout=30)

        assert "job not found" in gone.text
        assert 2 == world.inbox("shop").next(path=f"/job/{new}", timeout=30).data
        assert 0 == delivered(world)[lost]


@pytest.mark.parametrize("virtual", [True, False], ids=["virtual", "real"])
def test_a_firing_under_way_is_repeated_when_a_scheduler_is_killed(virtual: bool) -> None:
    """By Dapr's own as well: neither knows what became of it."""
    scheduler = VirtualScheduler() if virtual else Scheduler()
    with started(scheduler, app="gated:app") as stack, World(stack) as world:
        with api(world) as daprd:
            daprd.post("/v1.0/jobs/gated", json={"dueTime": "1s", "data": 1}).raise_for_status()
        if virtual:
            with pytest.raises(ProbeTimeout, match="no answer within 1 s"):
                world.clock.advance("1s", timeout=1)
        world.eventually(lambda: arrived(world) == ["gated"])

        world.kill("scheduler")
        world.restart("scheduler")

        world.eventually(lambda: len(arrived(world)) > 1, timeout=90)
        assert {"gated"} == set(arrived(world))


def test_nothing_is_lost_or_repeated_when_the_scheduler_is_killed_in_mid_move() -> None:
    """Hundreds of firings are answered, a hundred are under way, and the others not yet sent.

    What was answered does not fire again, and everything else arrives.
    """
    with started(VirtualScheduler(), app="gated:app") as stack, World(stack) as world:
        names = [
            f"{'gated' if number % EVERY == 0 else 'plain'}-{number:03}" for number in range(JOBS)
        ]
        with api(world) as daprd:
            for name in names:
                daprd.post(f"/v1.0/jobs/{name}", json={"dueTime": "1h", "data": 1})
        due = world.clock.now() + timedelta(hours=1)
        gated = [name for name in names if "gated" in name][:WINDOW]
        last = names.index(gated[-1])
        answered = [name for name in names[:last] if "plain" in name]

        with ThreadPoolExecutor(1) as pool:
            moving = pool.submit(world.clock.advance, "1 day", timeout=60)
            world.eventually(lambda: jobs_of(world) == JOBS - len(answered), timeout=60)
            assert Counter(answered) == delivered(world)
            world.kill("scheduler")
            with pytest.raises(ProbeError, match="the clock did not answer 'advance'"):
                moving.result()
        world.app("shop").post("/open").raise_for_status()
        world.restart("scheduler")

        assert due == world.clock.now()
        world.eventually(lambda: jobs_of(world) == 0, timeout=60)
        counts = delivered(world)
        assert set(names) == set(counts)
        assert {1} == {counts[name] for name in answered}
        assert 0 == world.clock.advance("1 year").fired
        assert counts == delivered(world)


def arrived(world: World) -> list[str]:
    """The jobs that have reached the app, answered or not."""
    # Not by `World.app`: each of its clients keeps a connection until the test ends.
    return list(loopback.ask("GET", f"{world.url('shop')}/arrived").json())


def jobs_of(world: World) -> int:
    """How many jobs the scheduler has."""
    url = f"{world.url('scheduler', 'clock')}/clock/now"
    return int(loopback.ask("POST", url).json()["jobs"])
