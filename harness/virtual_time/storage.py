"""Keeps a scheduler's jobs and its time in a file, so that they survive a restart."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.virtual_time.agenda import Entry
from harness.virtual_time.jobs import Job, Plan, Policy, Progress

TABLES = """
CREATE TABLE IF NOT EXISTS jobs (name TEXT PRIMARY KEY, revision INTEGER, plan TEXT,
    message BLOB, target BLOB, count INTEGER, last TEXT, attempts INTEGER);
CREATE TABLE IF NOT EXISTS clock (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), now TEXT);
"""
# What is written survives the end of this program, which is what restarts are about; that of the
# machine ends the run as well.
FAST = "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"


class File:
    """Jobs in an SQLite file.

    Args:
        path: created if it is not there.
    """

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.executescript(FAST + TABLES)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def save(self, entry: Entry) -> None:
        """Keep a job, in place of one with the same name."""
        plan, done = entry.plan, entry.progress
        last = None if done.last is None else str(done.last)
        row = (entry.name, entry.revision, _text(plan), plan.job.message, plan.job.target)
        values = (*row, done.count, last, done.attempts)
        self._file.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def remove(self, name: str) -> None:
        """Forget a job."""
        self._file.execute("DELETE FROM jobs WHERE name = ?", (name,))

    def entries(self) -> Iterator[Entry]:
        """Every job that was kept, in the order in which they were scheduled."""
        rows = self._file.execute("SELECT * FROM jobs ORDER BY revision").fetchall()
        for name, revision, plan, message, target, count, last, attempts in rows:
            progress = Progress(count, None if last is None else int(last), attempts)
            yield Entry(name, revision, _plan(plan, message, target), progress)

    @property
    def now(self) -> int | None:
        """The moment that was kept last; None if there is none."""
        row = self._file.execute("SELECT now FROM clock").fetchone()
        return None if row is None else int(row[0])

    def keep_now(self, moment: int) -> None:
        """Keep the moment."""
        self._file.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (str(moment),))


def _text(plan: Plan) -> str:
    job = plan.job
    return json.dumps(
        {
            "schedule": job.schedule,
            "due_time": job.due_time,
            "ttl": job.ttl,
            "repeats": job.repeats,
            "policy": [job.policy.interval, job.policy.retries],
            "begin": plan.begin,
            "due": plan.due,
            "expiration": plan.expiration,
        }
    )


def _plan(text: str, message: bytes, target: bytes) -> Plan:
    found: dict[str, Any] = json.loads(text)
    times = {name: found.pop(name) for name in ("begin", "due", "expiration")}
    job = Job(**{**found, "policy": Policy(*found["policy"])})
    return Plan(replace(job, message=message, target=target), **times)
