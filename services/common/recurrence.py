"""The recurrence of a task, shared by all services."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.common.times import Time

TIME_ZONES = frozenset(available_timezones())
"""The names in the installed IANA database."""


def _known_zone(name: str) -> str:
    if name not in TIME_ZONES:
        raise ValueError("is not a time zone of the IANA database, such as Europe/Berlin")
    return name


def _a_number(value: object) -> object:
    # Pydantic would accept "2" and true as integers, which JSON Schema does not.
    if isinstance(value, str | bool):
        raise ValueError("is not a number")  # pydantic reports only ValueError
    return value


TimeZone = Annotated[
    str,
    AfterValidator(_known_zone),
    Field(json_schema_extra={"enum": sorted(TIME_ZONES)}),
]
Weekday = Literal["mo", "tu", "we", "th", "fr", "sa", "su"]
# The bounds come first: after the validator, they would be checked but not described.
Interval = Annotated[int, Field(ge=1, le=366), BeforeValidator(_a_number)]
Count = Annotated[int, Field(ge=1, le=10_000), BeforeValidator(_a_number)]


class Recurrence(BaseModel):
    """The recurrence of a task, in local time of a time zone.

    A series without ``until`` and ``count`` is endless: there is always one occurrence at a time.
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
