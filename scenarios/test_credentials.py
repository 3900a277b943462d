"""The application on a broker that asks for a password, by one file of components."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from harness import AsyncWorld, Settings, Stack, running
from harness.probe.atap import AsyncEventTap
from scenarios.test_contacts import RECEIVER, add, contact, soon
from scenarios.test_task_events import new_task, notifications
from scenarios.topology import todo

pytestmark = pytest.mark.own_stack

SECURED = [("PLAIN", False, "components/sasl"), ("SCRAM-SHA-512", True, "components/sasl-tls")]
"""Mechanism, TLS, and the folder with the components for them."""


@pytest.fixture(scope="module", params=SECURED, ids=lambda each: each[0])
def stack(request: pytest.FixtureRequest, dapr_settings: Settings) -> Iterator[Stack]:
    """The application; only the components of its events, its mail and its webhooks are others."""
    sasl, tls, folder = request.param
    folders = ("components", folder, "components/outgoing")
    topology = todo(resources=folders, sasl=sasl, tls=tls, outgoing=True)
    with running(topology, dapr_settings) as started:
        yield started


@pytest_asyncio.fixture
async def dapr(stack: Stack) -> AsyncIterator[AsyncWorld]:
    """A world on that stack."""
    async with AsyncWorld(stack) as world:
        yield world


async def test_a_task_becomes_an_event_and_a_notification(dapr: AsyncWorld) -> None:
    """Taps have the credentials too: by the topology's broker, and by its component."""
    user, tap = dapr.name("user"), await dapr.topic("task-events", "pubsub")
    assert isinstance(tap, AsyncEventTap)

    task = await new_task(dapr, user)

    for topic in (dapr.topic("task-events"), tap):
        seen = await topic.next(subject=task["id"])
        assert (task["id"], "com.taskmanager.task.created") == (seen.key, seen.type)

    event = dapr.ledger.event(topic="task-events", subject=task["id"])
    await event.delivered_to("notification-service")
    assert [task["id"]] == [each["task_id"] for each in await notifications(dapr, user)]


async def test_mail_and_webhooks_pass_receivers_that_ask_for_credentials(dapr: AsyncWorld) -> None:
    """A password after STARTTLS, and a bearer token, both from secrets."""
    user = dapr.name("ada")
    await contact(dapr, user, email=f"{user}@example.org", webhook=True)

    await add(dapr, user, "Buy milk", remind_at=soon())
    mail = await dapr.inbox(RECEIVER).next(method="MAIL", path=f"{user}@example.org")
    webhook = await dapr.inbox(RECEIVER).next(path=f"/webhooks/{user}")

    assert "Reminder: Buy milk" == mail.data["subject"]
    assert (202, "Task created: Buy milk") == (webhook.status, webhook.data["message"])


def test_the_start_waited_for_the_groups_of_every_subscriber(stack: Stack) -> None:
    """The check authenticates as the sidecar does; it is skipped for none."""
    facts = {
        entry.node: entry.facts["fact"]
        for entry in stack.journal
        if (entry.kind, entry.facts.get("check")) == ("check.passed", "group")
    }

    groups = {"notification-service", "recurring-task-service", "frontend"}
    assert groups <= {
        name.removesuffix("-daprd") for name, fact in facts.items() if "STABLE" in fact
    }
    assert not [fact for fact in facts.values() if "not checked" in fact]


async def test_no_credential_is_in_an_argument_a_log_or_a_resource(
    dapr: AsyncWorld, stack: Stack
) -> None:
    """Of any process of the stack, broker and sidecars included."""
    user = dapr.name("ada")
    await contact(dapr, user, webhook=True)
    await add(dapr, user, "Buy milk")
    await dapr.inbox(RECEIVER).next(path=f"/webhooks/{user}")
    broker, receiver = dapr.exports("broker"), dapr.exports("receiver")
    words = [broker["password"], receiver["password"], receiver["token"]]
    texts = {str(path): path.read_text() for path in Path(stack.folder, "logs").glob("*.log")}
    texts |= {
        str(path): path.read_text() for path in stack.folder.glob("nodes/*-daprd/**/resources/*")
    }
    received = await dapr.inbox(RECEIVER, from_beginning=True).all()
    texts["record"] = "\n".join(map(str, received))

    assert len(texts) > 20
    assert received
    assert [] == [name for name, text in texts.items() for word in words if word in text]
    assert [] == shown_in_arguments(words)


def shown_in_arguments(words: Sequence[str]) -> list[Path]:
    """The processes of this machine, those in containers included, that have a word as argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            text = path.read_text(errors="replace")
            found += [path] if any(word in text for word in words) else []
    return found
