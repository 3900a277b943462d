"""The calls by which output bindings are used."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

from services.common.outbox import Call

GIVEN_UP = timedelta(days=1)
"""After a day nobody needs a reminder of yesterday."""


def mail(key: str, to: Sequence[str], subject: str, paragraphs: Sequence[str]) -> Call:
    """The call that sends a mail.

    Every field is said each time: what one call says would stay for the next ones
    (components-contrib 1.18.3). A body is always sent as HTML.
    """
    # A line break in a subject would begin another header.
    metadata = {"emailTo": ";".join(to), "subject": " ".join(subject.split())}
    body = "".join(f"<p>{html.escape(each)}</p>" for each in paragraphs)
    return _create("mail", f"mail-{key}", body, metadata)


def webhook(key: str, path: str, event_id: str, data: object) -> Call:
    """The call that posts JSON to the receiver of webhooks.

    Args:
        event_id: sent as the header ``Event-Id``, for who gets a call twice.
    """
    # A name that begins with an upper-case letter becomes a header.
    return _create("webhook", f"webhook-{key}", data, {"path": quote(path), "Event-Id": event_id})


def _create(binding: str, key: str, data: object, metadata: dict[str, str]) -> Call:
    body = {"operation": "create", "data": data, "metadata": metadata}
    return Call(key, "POST", f"/v1.0/bindings/{binding}", body=body, expires_in=GIVEN_UP)
