"""What a task is: as a row, as a request, as an answer."""

from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.common.database import UTC_TIME, now


class Base(DeclarativeBase):
    """Tables of this service."""


class TaskRow(Base):
    """A task of one user."""

    __tablename__ = "tasks"

    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: str(uuid.uuid4()))
    user_id: Mapped[str] = mapped_column(String(200), index=True)
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(default="")
    completed: Mapped[bool] = mapped_column(default=False)
    remind_at: Mapped[datetime | None] = mapped_column(UTC_TIME, default=None)
    created_at: Mapped[datetime] = mapped_column(UTC_TIME, default=now)
    updated_at: Mapped[datetime] = mapped_column(UTC_TIME, default=now, onupdate=now)


class NewTask(BaseModel):
    """What a user says to make a task."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"title": "Buy milk", "remind_at": "2030-01-31T09:00:00+01:00"}]
        },
    )

    title: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=10_000)
    remind_at: AwareDatetime | None = None


class TaskChange(BaseModel):
    """What a user changes; fields left out stay as they are, ``remind_at: null`` cancels."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"title": "Buy oat milk"}]}
    )

    title: str = Field(default="", min_length=1, max_length=200)
    description: str = Field(default="", max_length=10_000)
    remind_at: AwareDatetime | None = None


class Task(BaseModel):
    """A task as a user sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    user_id: str
    title: str
    description: str
    completed: bool
    remind_at: AwareDatetime | None
    created_at: AwareDatetime
    updated_at: AwareDatetime
