"""The scenarios of events on Redis streams and on RabbitMQ, by one other file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from harness import AsyncWorld, Redis, Settings, Stack, running
from scenarios.rabbitmq import SERVER, Epmd, RabbitMQ, server
from scenarios.test_contacts import test_every_notification_is_a_webhook  # noqa: F401 - it runs here too
from scenarios.test_credentials import shown_in_arguments
from scenarios.test_frontend import test_a_notification_is_told_as_it_is_made  # noqa: F401 - it runs here too
from scenarios.test_series import (  # noqa: F401 - it runs here too
    test_a_completed_daily_task_appears_again_for_the_next_day,
    test_only_completions_reach_the_service,
)
from scenarios.test_task_events import (  # noqa: F401 - it runs here too
    test_a_handler_that_fails_twice_gets_the_event_until_it_succeeds,
    test_an_event_that_is_not_one_of_ours_is_a_dead_letter,
    test_an_event_that_is_published_twice_is_notified_once,
    test_every_event_becomes_one_notification_of_its_owner,
)
from scenarios.topology import Events, todo

pytestmark = pytest.mark.own_stack

BROKERS = {
    "redis-streams": Events((Redis("streams"),), {"STREAMS_PASSWORD": "${streams.password}"}),
    "rabbitmq": Events((Epmd(), RabbitMQ()), {"RABBITMQ_URL": "${rabbitmq.url}"}),
}
"""By the folder with their components."""

PRESENT = [name for name in BROKERS if name != "rabbitmq" or server()]
"""Debian's package has RabbitMQ, and needs an Erlang."""


@pytest.fixture(scope="module", params=PRESENT)
def broker(request: pytest.FixtureRequest) -> str:
    """Each of them."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def stack(broker: str, dapr_settings: Settings) -> Iterator[Stack]:
    """The application without Kafka; no service knows."""
    folders = ("components", f"components/{broker}")
    with running(todo(resources=folders, events=BROKERS[broker]), dapr_settings) as started:
        yield started


@pytest_asyncio.fixture
async def dapr(stack: Stack) -> AsyncIterator[AsyncWorld]:
    """A world on that stack."""
    async with AsyncWorld(stack) as world:
        yield world


def test_the_start_waited_for_every_subscription(stack: Stack) -> None:
    """By the broker's own word, and not only by the sidecar's."""
    facts = {
        entry.node: entry.facts["fact"]
        for entry in stack.journal
        if (entry.kind, entry.facts.get("check")) == ("check.passed", "group")
    }

    readers = ("notification-service-daprd", "recurring-task-service-daprd", "frontend-daprd")
    assert [True] * 3 == ["missing none" in facts[name] for name in readers]


def test_no_password_of_a_broker_is_in_an_argument(dapr: AsyncWorld, broker: str) -> None:
    """Of no process of the machine, whatever the runtime."""
    key = {"redis-streams": ("streams", "password"), "rabbitmq": ("rabbitmq", "url")}[broker]
    value = dapr.exports(key[0])[key[1]]

    assert [] == shown_in_arguments([urlsplit(value).password or value])


def test_rabbitmq_is_among_the_brokers() -> None:
    """Every scenario above has run on it."""
    if server() is None:
        pytest.skip(f"{SERVER} is not installed")
    assert "rabbitmq" in PRESENT
