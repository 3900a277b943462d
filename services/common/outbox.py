"""Calls to the sidecar about a change, committed together with the change.

A row and its event are committed together, so an acknowledged task has its event, whatever dies in
between. `relay` makes the calls afterwards: at least once, and in order for each key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, Identity, Index, String, func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.common.database import UTC_TIME, now
from services.common.settings import settings
from services.common.sidecar import CLOUD_EVENT, publish_path
from services.common.tracing import trace_headers

Lane = Literal["event", "reminder", "job", "mail", "webhook"]
"""Kinds of calls, which do not wait for each other."""

TABLE = f"outbox_{settings().app_id.replace('-', '_')}"
"""Services may share a database, and a service calls only its own sidecar."""


class Base(DeclarativeBase):
    """The outbox of this service."""


class OutboxRow(Base):
    """One pending call to the sidecar."""

    __tablename__ = TABLE
    __table_args__ = (
        Index(f"{TABLE}_turn", "lane", "due_at", "id"),
        Index(f"{TABLE}_order", "lane", "key", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    lane: Mapped[str] = mapped_column(String(20), server_default="event")
    key: Mapped[str] = mapped_column(String(300))
    method: Mapped[str] = mapped_column(String(10))
    path: Mapped[str]
    params: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    body: Mapped[Any | None] = mapped_column(JSON)
    content_type: Mapped[str] = mapped_column(String(100), default="application/json")
    trace: Mapped[dict[str, str]] = mapped_column(JSON, server_default="{}")
    created_at: Mapped[datetime] = mapped_column(UTC_TIME, default=now, server_default=func.now())
    due_at: Mapped[datetime] = mapped_column(UTC_TIME, server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(UTC_TIME, default=None)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(UTC_TIME, server_default=func.now())


@dataclass(frozen=True)
class Call:
    """A call to the sidecar.

    Attributes:
        lane: its kind; calls of one kind do not wait for those of another.
        key: calls with the same key and lane are made one after the other, in commit order.
        due_at: of two keys in a lane, the earlier one goes first; None means now.
        expires_in: how long a failing call is retried; None means without limit.
    """

    lane: Lane
    key: str
    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"
    due_at: datetime | None = None
    expires_in: timedelta | None = None


def publishing(topic: str, key: str, event: dict[str, Any], *, lane: Lane = "event") -> Call:
    """The call that publishes a CloudEvent; events of one key and lane keep their order."""
    # Metadata must be sent as query parameters: daprd ignores it in headers.
    params = {"metadata.partitionKey": key}
    return Call(lane, key, "POST", publish_path(topic), params, event, CLOUD_EVENT)


async def enqueue(database: AsyncSession, *calls: Call) -> None:
    """Add calls to the transaction.

    The change itself is flushed first: because of its row's lock, two changes of one task commit in
    the order of their calls' numbers.
    """
    await database.flush()
    database.add_all(_row(call) for call in calls)


def _row(call: Call) -> OutboxRow:
    values = {**vars(call)}
    expires_in = values.pop("expires_in")
    end = now() + expires_in if expires_in else None
    due_at = values.pop("due_at") or now()
    return OutboxRow(**values, trace=trace_headers(), due_at=due_at, expires_at=end)
