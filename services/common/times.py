"""Times as accepted and returned by every service."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, WithJsonSchema

FIRST_YEAR, LAST_YEAR = 1970, 2200
"""The limits of all times, in UTC; arithmetic near the calendar's limits would fail."""

_YEAR = "(?:19[7-9][0-9]|2[01][0-9][0-9]|2200)"
_LEAP_YEAR = (
    "(?:19(?:7[26]|8[048]|9[26])"
    "|20(?:[02468][048]|[13579][26])"
    "|21(?:0[48]|[2468][048]|[13579][26]))"
)
_DATE = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP_YEAR}-02-29)"
)
_HOUR_AND_MINUTE = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
# On the first and the last day, only UTC is allowed: an offset could lead out of the range.
_EDGE = f"(?:{FIRST_YEAR}-01-01|{LAST_YEAR}-12-31)T[^Z]*[+-](?!00:00)"
PATTERN = (
    f"^(?!{_EDGE}){_DATE}T{_HOUR_AND_MINUTE}:[0-5][0-9](?:\\.[0-9]{{1,6}})?"
    f"(?:Z|[+-]{_HOUR_AND_MINUTE})$"
)
"""RFC 3339 with seconds, up to six fractional digits and an offset, in the years above.

This is exactly what is accepted, so a description can promise it: invalid days of a month are
    excluded, and so is every offset that leads out of the years.
"""

_WRITTEN = re.compile(PATTERN.removesuffix("$"))


def _as_written(value: object) -> object:
    """Rows and events of this system contain datetimes; all external input is text."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _WRITTEN.fullmatch(value):
        raise ValueError(
            "is not a time such as 2030-01-31T09:00:00+01:00, with seconds and a time zone, "
            f"in the years {FIRST_YEAR} to {LAST_YEAR}"
        )
    return value


def _in_utc(time: datetime) -> datetime:
    time = time.astimezone(UTC)
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ValueError(f"lies outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return time


Time = Annotated[
    AwareDatetime,
    BeforeValidator(_as_written),
    AfterValidator(_in_utc),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": PATTERN}),
]
"""A time; one without a time zone is rejected, and all are returned in UTC."""
