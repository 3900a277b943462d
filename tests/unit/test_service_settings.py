"""Settings of the services that make no sense are refused when a service starts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.common.settings import ServiceSettings


@pytest.mark.parametrize("days", ["0", "-1", "36501"])
def test_a_retention_that_keeps_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, days: str
) -> None:
    """By the name of its variable, with what is allowed."""
    monkeypatch.setenv("RETENTION_DAYS", days)

    with pytest.raises(ValidationError, match=f"RETENTION_DAYS is {days}, but must be between 1"):
        ServiceSettings()


def test_a_retention_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one with a unit."""
    monkeypatch.setenv("RETENTION_DAYS", "90d")

    with pytest.raises(ValidationError, match=r"retention_days\n.*valid integer"):
        ServiceSettings()


@pytest.mark.parametrize(("days", "kept"), [("1", 1), ("36500", 36_500), (None, 90)])
def test_a_retention_of_at_least_a_day_is_kept(
    monkeypatch: pytest.MonkeyPatch, days: str | None, kept: int
) -> None:
    """Ninety days if nothing is said."""
    monkeypatch.delenv("RETENTION_DAYS", raising=False)
    if days is not None:
        monkeypatch.setenv("RETENTION_DAYS", days)

    assert kept == ServiceSettings().retention_days


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("*/5 * * * *", "it has 5 fields, not 6"),
        ("", "it has 0 fields, not 6"),
        ("every day", "it has 2 fields, not 6"),
        ("0 60 * * * *", "'60' is no minute, which is 0 to 59"),
        ("0 0 0 * * sun-mars", "'mars' is not a number"),
        ("0 0 0 * * 5-1", "'5-1' is no day of the week, which is 0 to 6"),
        ("0 x,/ * * * *", "'x' is not a number"),
        ("0 */a * * * *", "'*/a' is no minute"),
        ("0 0 0 30 2 *", "it would never fire"),
        ("@every 0s", "it would fire without a pause"),
        ("@every 5", "there is no schedule '@every 5'"),
        ("TZ=Mars/Olympus @daily", "there is no time zone 'Mars/Olympus'"),
    ],
)
def test_a_schedule_that_no_job_can_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, schedule: str, reason: str
) -> None:
    """By the name of its variable, with the reason and with what is right."""
    monkeypatch.setenv("REPAIR_SCHEDULE", schedule)

    with pytest.raises(ValidationError) as refused:
        ServiceSettings()

    said = str(refused.value)
    assert f"REPAIR_SCHEDULE is {schedule!r}, which no job can have: " in said
    assert reason in said
    assert "Use a schedule such as '@every 60s'" in said
    assert "'0 */5 * * * *'" in said


@pytest.mark.parametrize("schedule", ["@every 2s", "0 */5 * * * *", "@daily"])
def test_a_schedule_that_a_job_can_have_is_kept(
    monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    """Unchanged; tests/claims/test_jobs.py asks daprd for more of them."""
    monkeypatch.setenv("REPAIR_SCHEDULE", schedule)

    assert schedule == ServiceSettings().repair_schedule
