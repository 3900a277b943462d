"""Texts that a scheduler accepts or refuses, each with all that it answers."""

from __future__ import annotations

from typing import Any

from tests.virtual_time.room import Room, Script

SCHEDULES = (
    "* * * * * *", "0 0 0 1 1 *", "0 0 0 29 2 *", "*/5 * * * * *", "5/10 * * * * *",
    "0 0 9-17/2 * * *",
    "15,45 0 0 ? jan,MAR mon-fri", "0 0 0 L * *", "* * * * *", "* * * * * * *", "60 * * * * *",
    "* 60 * * * *", "* * 24 * * *", "* * * 0 * *", "* * * 32 * *", "* * * * 13 *", "* * * * * 7",
    "* * * * * sun-sat-mon", "*/0 * * * * *", "*/2/3 * * * * *", "5-1 * * * * *", "x * * * * *",
    "-5 * * * * *", "+5 * * * * *", "1.5 * * * * *", "99999999999999999999 * * * * *",
    "5-x * * * * *",
    "*/x * * * * *", "*-7 * * * * *", ", * * * * *", "  0   0 0 1 1 *  ", "0 0 0 1 1 fri#2",
    "@every 1h", "@every 1h30m", "@every 1.5h", "@every 5", "@every soon", "@every", "@every ",
    "@Daily",
    "@daily", "@hourly", "@weekly", "@monthly", "@yearly", "@annually", "@midnight", "@reboot",
    "@every 1d", "@every 0", "@every -1h", "@every 1h-", "@every .h", "@every 9999999999h",
    "CRON_TZ=UTC 0 0 2 * * *", "TZ=Europe/Berlin @daily", "TZ=Nowhere/Land @daily", "TZ= @daily",
    "TZ=../etc @daily", "TZ=UTC x", "2027-01-31T09:00:00Z", "PT1H", "R5/PT1H", "every day", " ",
)  # fmt: skip
"""What `schedule` can be told. A zone alone is not among them: it ends the real scheduler."""

MOMENTS = (
    "1h", "1h30m5s", "1.5h", "300ms", "100us", "100µs", "1ns", "0", "+1h", "-1h", "1", "h", "",
    " 1h", "1h ",
    "1d", "1 hour", "1e3s", "9223372036s", "92233720369s", "PT1H", "P1D", "P1W", "P1M",
    "P1Y2M3DT4H5M6S",
    "P1DT", "PT", "P", "P1", "P1H", "PT1D", "PT1.5H", "P-1D", "R0/PT1H", "R5/PT1H", "R/PT1H", "R5",
    "p1d",
    "2100-01-01T00:00:00Z", "2100-01-01T00:00:00+01:00", "2100-01-01T00:00:00.123456789Z",
    "2100-01-01T00:00:00,5Z", "2100-01-01T1:00:00Z", "2100-01-01T00:00:00", "2100-01-01 00:00:00Z",
    "2100-02-30T00:00:00Z", "2100-01-01T24:00:00Z", "2100-01-01T00:00:60Z", "2100-01-01",
    "2100-01-01t00:00:00z",
    "2100-01-01T00:00:00+0100", "2100-01-01T00:00:00+25:00", "tomorrow", "@daily", "0 0 0 1 1 *",
)  # fmt: skip
"""What `due_time` and `ttl` can be told."""

NAMES = (
    "", ".", "..", "a/b", "a\\b", "a#b", "a?b", "a|b", "a||b", "a b", "ä", "a\nb", "a\x00b",
    "a\x85b", "a%2Fb",
    "a" * 490, "a" * 520, "ä" * 250, "||", "a,b", "日本", "-", "a\u2028b",
)  # fmt: skip

JOBS: tuple[dict[str, Any], ...] = (
    {}, {"repeats": 1}, {"due_time": "1h", "repeats": 0}, {"due_time": "1h", "repeats": 1},
    {"due_time": "1h", "repeats": 2}, {"due_time": "1h", "ttl": "1h"},
    {"schedule": "@every 1h", "ttl": "1h"},
    {"schedule": "@every 1h", "due_time": "2h", "ttl": "1h"}, {"schedule": "", "due_time": "1h"},
    {"schedule": "@every 1h", "due_time": "2h", "ttl": "2020-01-01T00:00:00Z"},
    {"schedule": "@every 1h", "repeats": 0},
    {"schedule": "@every 1h", "due_time": "1h", "ttl": "-1m"},
    {"schedule": "@every 1h", "due_time": "2100-01-01T00:00:00Z", "ttl": "P1M", "repeats": 5},
    {"schedule": "@every 1h", "ttl": "soon"},
    {"schedule": "x", "due_time": "soon", "ttl": "soon", "repeats": 0},
    {"due_time": "1h", "failure_policy": {"constant": {"interval": {"seconds": -5}}}},
    {"ttl": "1h"},
)  # fmt: skip


def _scheduling(name: str, job: dict[str, Any]) -> Script:
    async def ask(room: Room) -> None:
        await room.schedule(name, **job)
        await room.list()
        await room.delete(name)

    return ask


LATER = {"due_time": "1h"}
AFTERWARDS = {"schedule": "@every 1h", "due_time": "1h"}
TEXTS: dict[str, Script] = {
    **{f"schedule {text!r}": _scheduling("job", LATER | {"schedule": text}) for text in SCHEDULES},
    **{f"due time {text!r}": _scheduling("job", {"due_time": text}) for text in MOMENTS},
    **{f"ttl {text!r}": _scheduling("job", AFTERWARDS | {"ttl": text}) for text in MOMENTS},
    **{f"name {text!r:.40}": _scheduling(text, dict(LATER)) for text in NAMES},
    **{f"job {job}": _scheduling("job", dict(job)) for job in JOBS},
}
