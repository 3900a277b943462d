"""What the sidecar shall be told about a change, committed together with the change.

A row and its event are one commit, so a task that was acknowledged has its event, whatever dies
in between. `relay` tells the sidecar afterwards: at least once, and in order for each key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, Identity, String
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.common.database import UTC_TIME, now
from services.common.settings import settings
from services.common.sidecar import CLOUD_EVENT, publish_path
from services.common.tracing import trace_headers


class Base(DeclarativeBase):
    """The outbox of this service."""


class OutboxRow(Base):
    """One call to the sidecar that is still to be made."""

    # Services may share a database, and a service tells its own sidecar only.
    __tablename__ = f"outbox_{settings().app_id.replace('-', '_')}"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(String(300), index=True)
    method: Mapped[str] = mapped_column(String(10))
    path: Mapped[str]
    params: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    body: Mapped[Any | None] = mapped_column(JSON)
    content_type: Mapped[str] = mapped_column(String(100), default="application/json")
    trace: Mapped[dict[str, str]] = mapped_column(JSON, server_default="{}")
    expires_at: Mapped[datetime | None] = mapped_column(UTC_TIME, default=None)
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None] = mapped_column(UTC_TIME, default=None)


@dataclass(frozen=True)
class Call:
    """A call to the sidecar.

    Attributes:
        key: calls of one key are made one after the other, in the order of their commits.
        expires_in: for how long a call that fails is made again; None for ever.
    """

    key: str
    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"
    expires_in: timedelta | None = None


def publishing(topic: str, key: str, event: dict[str, Any], ttl: timedelta | None = None) -> Call:
    """The call that publishes a CloudEvent; events of one key keep their order.

    Args:
        ttl: after which nobody needs the event: a sidecar that gets it later drops it.
    """
    # Metadata must be query parameters: daprd ignores them as headers.
    params = {"metadata.partitionKey": key}
    if ttl is not None:
        params["metadata.ttlInSeconds"] = str(int(ttl.total_seconds()))
    return Call(key, "POST", publish_path(topic), params, event, CLOUD_EVENT)


async def tell(database: AsyncSession, *calls: Call) -> None:
    """Add calls to the transaction.

    The change itself is flushed first: its row's lock makes two changes of one task commit in the
    order of their calls' numbers.
    """
    await database.flush()
    database.add_all(_row(call) for call in calls)


def _row(call: Call) -> OutboxRow:
    values = {**vars(call)}
    expires_in = values.pop("expires_in")
    end = now() + expires_in if expires_in else None
    return OutboxRow(**values, trace=trace_headers(), expires_at=end)
