"""How long a call of the outbox rests after it has failed, and which lane it goes in."""

from __future__ import annotations

import pytest

from services.backend_service.events import reminder_due
from services.backend_service.models import Task
from services.common.relay import BACK_OFF, LONGEST, pause_after


@pytest.mark.parametrize("failures", range(1, 6))
def test_a_pause_doubles_with_every_failure(failures: int) -> None:
    """Between half of it and all of it, so that not all come back at once."""
    longest = BACK_OFF * 2 ** (failures - 1)

    pauses = [pause_after(failures) for _ in range(200)]

    assert all(longest / 2 <= each <= longest for each in pauses)
    assert len(set(pauses)) > 100


@pytest.mark.parametrize("failures", [8, 1025, 5000])
def test_a_pause_has_a_maximum(failures: int) -> None:
    """Half an hour into an outage, too."""
    assert LONGEST / 2 <= pause_after(failures) <= LONGEST


def test_a_due_reminder_does_not_go_with_the_events() -> None:
    """A backlog of them would make it late."""
    task = Task.model_construct(id="t", user_id="u", title="Water", remind_at=None)

    assert "reminder" == reminder_due(task).lane
