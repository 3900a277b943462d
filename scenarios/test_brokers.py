"""The scenarios of events on Redis streams and on RabbitMQ, by one other file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from harness import AsyncWorld, Redis, Settings, Stack, running
from harness.probe.atap import AsyncTap
from scenarios.rabbitmq import ABSENT, Epmd, RabbitMQ, server
from scenarios.test_contacts import test_every_notification_is_a_webhook  # noqa: F401 - it runs here too
from scenarios.test_credentials import shown_in_arguments
from scenarios.test_frontend import (  # noqa: F401 - it runs here too
    test_a_notification_delivered_twice_is_told_once,
    test_a_notification_is_told_as_it_is_made,
    test_what_is_not_a_notification_is_dropped,
)
from scenarios.test_outbox import test_the_outbox_is_empty_when_all_is_told  # noqa: F401 - it runs here too
from scenarios.test_reminders import (  # noqa: F401 - it runs here too
    test_a_moved_reminder_fires_at_its_new_time,
    test_a_reminder_fires_on_time_and_is_notified,
    test_a_reminder_in_the_past_fires_at_once,
    test_a_reminder_that_is_set_or_moved_is_an_event,
    test_an_event_that_no_rule_knows_goes_the_default_route,
)
from scenarios.test_send_notification import test_a_service_notifies_a_user_by_invocation  # noqa: F401 - it runs here too
from scenarios.test_series import (  # noqa: F401 - it runs here too
    test_a_completed_daily_task_appears_again_for_the_next_day,
    test_a_completion_that_is_delivered_again_makes_nothing_more,
    test_only_completions_reach_the_service,
)
from scenarios.test_task_events import (  # noqa: F401 - it runs here too
    test_a_handler_that_fails_twice_gets_the_event_until_it_succeeds,
    test_a_lost_acknowledgement_does_not_notify_twice,
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


@pytest.fixture(scope="module", params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    """Each of them."""
    name: str = request.param
    if name == "rabbitmq" and server() is None:
        pytest.skip(ABSENT)
    return name


@pytest.fixture(scope="module")
def stack(broker: str, dapr_settings: Settings) -> Iterator[Stack]:
    """The application without Kafka; no service knows."""
    folders = ("components", f"components/{broker}")
    with running(todo(resources=folders, events=BROKERS[broker]), dapr_settings) as started:
        yield started


class World(AsyncWorld):
    """A world whose topics are those of the component, as on no other broker than Kafka."""

    def topic(self, name: str, pubsub: str = "pubsub") -> AsyncTap:
        return super().topic(name, pubsub)


@pytest_asyncio.fixture
async def dapr(stack: Stack) -> AsyncIterator[AsyncWorld]:
    """A world on that stack; a tap shows what is published after it was opened."""
    async with World(stack) as world:
        for topic in ("task-events", "task-updates", "reminders"):
            await world.topic(topic)
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
