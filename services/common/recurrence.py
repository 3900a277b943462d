"""When a task comes again, as every service understands it."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.common.times import Time

TIME_ZONES = frozenset(available_timezones())
"""Of the IANA database as it is installed here."""


def _known_zone(name: str) -> str:
    if name not in TIME_ZONES:
        raise ValueError("is not a time zone of the IANA database, such as Europe/Berlin")
    return name


def _a_number(value: object) -> object:
    # Pydantic would take "2" and true for integers, which JSON Schema does not.
    if isinstance(value, str | bool):
        raise ValueError("is not a number")  # pydantic reports ValueError only
    return value


TimeZone = Annotated[
    str,
    AfterValidator(_known_zone),
    Field(json_schema_extra={"enum": sorted(TIME_ZONES)}),
]
Weekday = Literal["mo", "tu", "we", "th", "fr", "sa", "su"]
# The bounds come first: behind the validator they would be checked and not be described.
Interval = Annotated[int, Field(ge=1, le=366), BeforeValidator(_a_number)]
Count = Annotated[int, Field(ge=1, le=10_000), BeforeValidator(_a_number)]


class Recurrence(BaseModel):
    """When a task comes again, by the clock on the wall of a time zone.

    A series without ``until`` and ``count`` has no end: there is always one occurrence at a time.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "anyOf": [
                {"properties": {"frequency": {"const": "weekly"}}},
                {"properties": {"weekdays": {"maxItems": 0}}},
            ]
        },
    )

    frequency: Literal["daily", "weekly", "monthly", "yearly"]
    interval: Interval = Field(default=1, description="every so many of them")
    weekdays: list[Weekday] = Field(
        default=[], max_length=7, description="of a weekly task; its own weekday when empty"
    )
    timezone: TimeZone = "UTC"
    until: Time | None = Field(default=None, description="no occurrence after it")
    count: Count | None = Field(default=None, description="occurrences in all")
    start: Time | None = Field(
        default=None, description="the first occurrence; the task's due time when left out"
    )

    @model_validator(mode="after")
    def _weekdays_are_of_weeks(self) -> Self:
        if self.weekdays and self.frequency != "weekly":
            raise ValueError("weekdays belong to a weekly recurrence")
        return self
