"""Dapr 1.18.2: "Actor reminders and jobs fail to register when their name or actor ID contains
characters such as `|` or `@`".
"""

from __future__ import annotations

import pytest

from harness import World
from harness.ready.loopback import client

SHOWS = "refused.*lowercase RFC 1123 subdomain"


@pytest.mark.escape(fixed_in="1.18.2", shows=SHOWS)
def test_an_actor_may_be_named_like_a_mail_address(clock: World) -> None:
    """Its reminder is delivered to it."""
    endpoint, token = clock.sidecar_address("clock")
    with client(endpoint.http, token=token, timeout=30) as daprd:
        path = "/v1.0/actors/clock/me@example.org/reminders/ring"
        answer = daprd.post(path, json={"dueTime": "0s"})
    assert answer.is_success, f"refused: {answer.text}"

    rung = "/actors/clock/me@example.org/method/remind/ring"
    assert 200 == clock.inbox("clock").next(path=rung, timeout=60).status
