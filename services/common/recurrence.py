"""When a task comes again, as every service understands it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

FIRST_YEAR, LAST_YEAR = 1970, 2200
"""Of any time here: no task lies beyond, and reckoning near the ends of the calendar fails."""


def _in_utc(time: datetime) -> datetime:
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ValueError(f"lies outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return time.astimezone(UTC)


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is no time zone of the IANA database, such as Europe/Berlin")
    return name


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""An instant; one without a zone is refused, and all are told in UTC."""

Weekday = Literal["mo", "tu", "we", "th", "fr", "sa", "su"]


class Recurrence(BaseModel):
    """When a task comes again, by the clock on the wall of a time zone.

    A series without ``until`` and ``count`` has no end: there is always one occurrence at a time.
    """

    model_config = ConfigDict(extra="forbid")

    frequency: Literal["daily", "weekly", "monthly", "yearly"]
    interval: int = Field(default=1, ge=1, le=366, description="every so many of them")
    weekdays: list[Weekday] = Field(
        default=[], max_length=7, description="of a weekly task; its own weekday when empty"
    )
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    until: Time | None = Field(default=None, description="no occurrence after it")
    count: int | None = Field(default=None, ge=1, le=10_000, description="occurrences in all")
    start: Time | None = Field(
        default=None, description="the first occurrence; the task's due time when left out"
    )

    @model_validator(mode="after")
    def _weekdays_are_of_weeks(self) -> Self:
        if self.weekdays and self.frequency != "weekly":
            raise ValueError("weekdays belong to a weekly recurrence")
        return self
