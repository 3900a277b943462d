"""Notifications outside the page: a mail for a reminder, a webhook for every notification."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness import AsyncWorld
from scenarios.test_task_events import changes

RECEIVER = "receiver"


async def contact(dapr: AsyncWorld, user: str, **values: Any) -> None:
    """Set where a user is notified."""
    answer = await dapr.app("notification-service").put(f"/api/{user}/contact", json=values)
    assert 200 == answer.status_code, answer.text


async def add(dapr: AsyncWorld, user: str, title: str, **fields: str) -> str:
    """Add a task and return its id."""
    answer = await dapr.app("backend-service").post(
        f"/api/{user}/tasks", json={"title": title, **fields}
    )
    assert 201 == answer.status_code, answer.text
    return str(answer.json()["id"])


def soon() -> str:
    """A time shortly after now."""
    return (datetime.now(UTC) + timedelta(seconds=1)).isoformat()


async def test_a_reminder_comes_by_mail(dapr: AsyncWorld) -> None:
    """To the user's address, from ours; the user's input is text and not markup."""
    user = dapr.name("ada")
    address = f"{user}@example.org"
    await contact(dapr, user, email=address)

    await add(dapr, user, "Buy <b>milk</b> & bread", remind_at=soon())
    mail = await dapr.inbox(RECEIVER).next(method="MAIL", path=address)

    assert "todo@example.org" == mail.data["from"]
    assert [address] == mail.data["to"]
    assert "Reminder: Buy <b>milk</b> & bread" == mail.data["subject"]
    text = mail.data["text"]
    said, _, key = text.partition("<!-- ")
    assert f"<p>Reminder: Buy &lt;b&gt;milk&lt;/b&gt; &amp; bread</p><p>For {user}.</p>" == said
    assert uuid.UUID(key.removesuffix(" -->"))
    assert mail.data["headers"]["Content-Type"].startswith("text/html")


async def test_a_line_break_in_a_title_makes_no_header(dapr: AsyncWorld) -> None:
    """A subject is one line."""
    user = dapr.name("eve")
    address = f"{user}@example.org"
    await contact(dapr, user, email=address)

    await add(dapr, user, "Buy milk\r\nBcc: all@example.org", remind_at=soon())
    mail = await dapr.inbox(RECEIVER).next(method="MAIL", path=address)

    assert "Reminder: Buy milk Bcc: all@example.org" == mail.data["subject"]
    assert ([address], False) == (mail.data["to"], "Bcc" in mail.data["headers"])


async def test_the_mails_of_two_users_do_not_mix(dapr: AsyncWorld) -> None:
    """The binding keeps fields of earlier requests, so each request sets all of them."""
    users = [dapr.name(name) for name in ("ann", "bob", "cem")]
    await asyncio.gather(*(contact(dapr, each, email=f"{each}@example.org") for each in users))

    await asyncio.gather(*(add(dapr, each, f"Of {each}", remind_at=soon()) for each in users))

    for user in users:
        mail = await dapr.inbox(RECEIVER).next(method="MAIL", path=f"{user}@example.org")
        assert ([f"{user}@example.org"], f"Reminder: Of {user}") == (
            mail.data["to"],
            mail.data["subject"],
        )


async def test_every_notification_is_a_webhook(dapr: AsyncWorld) -> None:
    """In the order of the events, with the event's id to recognize a repetition."""
    user, backend = dapr.name("ada"), dapr.app("backend-service")
    await contact(dapr, user, webhook=True)

    task = await add(dapr, user, "Pay the rent")
    await backend.post(f"/api/{user}/tasks/{task}/complete")
    first, second = await dapr.inbox(RECEIVER).collect(2, path=f"/webhooks/{user}")

    assert ["Task created: Pay the rent", "Task completed: Pay the rent"] == [
        first.data["message"],
        second.data["message"],
    ]
    assert ("POST", first.data["event_id"]) == (first.method, first.headers["event-id"])
    assert first.headers["content-type"].startswith("application/json")


async def test_each_webhook_has_the_id_of_its_event(dapr: AsyncWorld) -> None:
    """As the broker has it."""
    user, backend = dapr.name("ada"), dapr.app("backend-service")
    await contact(dapr, user, webhook=True)

    task = await add(dapr, user, "Pay the rent")
    await backend.post(f"/api/{user}/tasks/{task}/complete")
    calls = await dapr.inbox(RECEIVER).collect(2, path=f"/webhooks/{user}")

    story = changes("created", "completed")
    events = await dapr.ledger.published(*story, topic="task-events", data={"user_id": user})
    assert [each.id for each in events] == [each.data["event_id"] for each in calls]


async def test_a_webhook_that_is_refused_is_made_again(dapr: AsyncWorld) -> None:
    """The outbox does this: no acknowledged call is lost, and the order is kept."""
    user, receiver = dapr.name("ada"), dapr.inbox(RECEIVER)
    path = f"/webhooks/{user}"
    await contact(dapr, user, webhook=True)
    await receiver.fail_next(path, times=3, status=503)

    await add(dapr, user, "one")
    # Events of two tasks have no mutual order, so the first has to be there before the second.
    await receiver.next(path=path, timeout=20)
    await add(dapr, user, "two")

    seen = await dapr.ledger.requests(RECEIVER, path).answered(503, 503, 503, 202, 202, timeout=20)
    messages = [each.data["message"] for each in seen]
    assert [*["Task created: one"] * 4, "Task created: two"] == messages
    first, *again, other = [each.headers["idempotency-key"] for each in seen]
    assert [first] * 3 == again
    assert first != other


async def test_who_has_said_nothing_is_told_on_the_page_only(dapr: AsyncWorld) -> None:
    """Nothing leaves the system for a user who did not opt in."""
    quiet, loud = dapr.name("quiet"), dapr.name("loud")
    await contact(dapr, loud, webhook=True)

    await add(dapr, quiet, "Mine")
    await dapr.table("notifications").row(user_id=quiet)
    await add(dapr, loud, "Ours")

    await dapr.inbox(RECEIVER).nothing_before(
        {"path": f"/webhooks/{loud}"}, where=lambda each: quiet in f"{each.path}{each.data}"
    )


@pytest.mark.parametrize(
    "email", ["no address", "a@b;c@d", "a@b\r\nBcc: c@d", "", "a" * 250 + "@example.org"]
)
async def test_what_is_no_address_is_refused(dapr: AsyncWorld, email: str) -> None:
    """Two addresses in one field are invalid."""
    answer = await dapr.app("notification-service").put(
        f"/api/{dapr.name('ada')}/contact", json={"email": email}
    )

    assert (422, "body/email") == (answer.status_code, answer.json()["errors"][0]["at"])


async def test_a_contact_can_be_taken_back(dapr: AsyncWorld) -> None:
    """The last setting applies."""
    user, service = dapr.name("ada"), dapr.app("notification-service")
    await contact(dapr, user, email="ada@example.org", webhook=True)

    await contact(dapr, user)

    answer = await service.get(f"/api/{user}/contact")
    assert {"email": None, "webhook": False} == answer.json()
