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
