"""The calls that use output bindings."""

from __future__ import annotations

import html
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import quote

from services.common.outbox import Call

GIVEN_UP = timedelta(days=1)
"""After a day, nobody needs yesterday's reminder."""


def mail(user: str, to: Sequence[str], event_id: str, paragraphs: Sequence[str]) -> Call:
    """The call that sends a mail; its subject is the first paragraph.

    Every field is set each time, because fields of one call would remain for the next ones
    (components-contrib 1.18.3). A body is always sent as HTML. The binding sets no other headers,
    so the idempotency key is a comment at the end of the body.
    """
    # A line break in a subject would start another header.
    metadata = {"emailTo": ";".join(to), "subject": " ".join(paragraphs[0].split())}
    body = "".join(f"<p>{html.escape(each)}</p>" for each in paragraphs)
    return _create("mail", user, f"{body}<!-- {_idempotency_key('mail', event_id)} -->", metadata)


def webhook(user: str, path: str, event_id: str, data: object) -> Call:
    """The call that posts JSON to the webhook receiver.

    A receiver recognizes a repeated call by the header ``Idempotency-Key``; ``Event-Id`` is the id
    of the event that caused it.
    """
    # A name that begins with an upper-case letter becomes a header.
    headers = {"Event-Id": event_id, "Idempotency-Key": _idempotency_key("webhook", event_id)}
    return _create("webhook", user, data, {"path": quote(path), **headers})


def _idempotency_key(binding: str, event_id: str) -> str:
    """A key that is the same whenever a call is repeated, and different for every other call."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{binding}/{event_id}"))


def _create(binding: Literal["mail", "webhook"], user: str, data: object, said: Any) -> Call:
    body = {"operation": "create", "data": data, "metadata": said}
    path = f"/v1.0/bindings/{binding}"
    return Call(binding, user, "POST", path, body=body, expires_in=GIVEN_UP)
