"""A stack whose events are on Redis is emptied when all of them are handled."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness import App, IsolatedStack, ProbeTimeout, Redis, Settings, Topology, World, running
from harness.core.endpoint import Endpoint
from harness.ready.redis_groups import StreamGroup
from harness.ready.resp import RedisAccess
from harness.stack import cleaning
from tests.contract.test_taps_on_brokers import APP, LONG, REDIS, SECRETS, SUBSCRIPTION
from tests.support import project

pytestmark = pytest.mark.real


def topology() -> Topology:
    """An app that gets events of Redis."""
    shop = App(
        "shop",
        command=[sys.executable, "shop.py", "{port}"],
        inbox=True,
        sidecar_env={"REDIS_PASSWORD": "${redis.password}"},
    )
    return Topology(Redis(), shop, resources="components")


def test_an_event_that_is_not_acknowledged_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then all keys are gone, and subscriptions go on. A tap's group may stay behind."""
    folder = project(
        tmp_path,
        shop_py=APP,
        components__bus_yaml=REDIS.replace("NAME", "bus"),
        components__env_yaml=SECRETS,
        components__orders_yaml=SUBSCRIPTION,
    )
    settings = Settings.load(folder, dict(os.environ), runtime="processes")
    with running(topology(), settings) as stack, World(stack) as world:
        exports = stack.book.exports("redis")
        endpoint = Endpoint(exports["host"], int(exports["port"]))
        second = RedisAccess(endpoint, exports["password"], database="2")
        second.ask(("SET", "key", "value"))
        sidecar, inbox = world.sidecar("shop"), world.inbox("shop")
        world.pause("shop")
        sidecar.publish("bus", "orders", {"id": "first"})
        with monkeypatch.context() as short:
            short.setattr(cleaning, "SETTLING", 2.0)
            with pytest.raises(ProbeTimeout, match="group shop has not acknowledged 1 events"):
                cleaning.clean(stack)
        assert ["value"] == second.ask(("GET", "key"))
        world.resume("shop")
        second.ask(("XGROUP", "CREATE", "left", "tap-12345678", "0", "MKSTREAM"))
        second.ask(("XADD", "left", "*", "name", "value"))

        cleaning.clean(stack)

        assert [200] == [each.status for each in inbox.all(path="/orders")]
        assert [["left"], 0] == second.ask(("KEYS", "*"), ("XLEN", "left"))
        sidecar.publish("bus", "orders", {"id": "second"})
        assert {"id": "second"} == inbox.next(
            path="/orders", timeout=LONG, where=lambda event: "second" in str(event.data)
        ).data


def test_copies_have_events_of_their_own_on_redis(tmp_path: Path) -> None:
    """Each starts a server of its own."""
    folder = project(
        tmp_path,
        shop_py=APP,
        components__bus_yaml=REDIS.replace("NAME", "bus"),
        components__env_yaml=SECRETS,
        components__orders_yaml=SUBSCRIPTION,
    )
    settings = Settings.load(folder, dict(os.environ), runtime="processes")
    with (
        running(topology(), settings) as stack,
        IsolatedStack(stack) as copy,
        World(stack) as base,
        World(copy) as world,
    ):
        world.sidecar("shop").publish("bus", "orders", {"id": "of the copy"})
        base.sidecar("shop").publish("bus", "orders", {"id": "of the stack"})

        for view, own in ((world, "of the copy"), (base, "of the stack")):
            assert {"id": own} == view.inbox("shop").next(path="/orders", timeout=LONG).data
        assert 1 == len(world.inbox("shop").all(path="/orders"))
        assert 1 == len(base.inbox("shop").all(path="/orders"))


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (StreamGroup("orders", "shop", 0, "2-0", "2-0"), False),
        (StreamGroup("orders", "shop", 1, "2-0", "2-0"), True),
        (StreamGroup("orders", "shop", 0, "1-0", "2-0"), True),
        (StreamGroup("orders", "tap-0123", 1, "1-0", "2-0"), False),
    ],
)
def test_a_group_has_to_handle_what_it_has_not_read_or_acknowledged(
    group: StreamGroup, *, expected: bool
) -> None:
    """What is left to a tap is nobody's concern."""
    assert expected == group.has_to_handle
