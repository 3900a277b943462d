"""A task as a row, as a request, and as a response."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import JSON, Index, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.common.database import UTC_TIME, now
from services.common.recurrence import Recurrence
from services.common.text_types import Storable
from services.common.times import Time

LONGEST_TITLE = 200


class Base(DeclarativeBase):
    """Tables of this service."""


class TaskRow(Base):
    """A task of one user.

    ``follows`` is unique, so that a completed task has one next occurrence however often it is
    requested; ``series_over`` means that it will have none. ``reminded_for`` is the ``remind_at``
    whose reminder was sent.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        Index(
            "tasks_to_remind_of",
            "remind_at",
            postgresql_where=text("NOT completed AND remind_at IS DISTINCT FROM reminded_for"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: str(uuid.uuid4()))
    user_id: Mapped[str] = mapped_column(String(200), index=True)
    title: Mapped[str] = mapped_column(String(LONGEST_TITLE))
    description: Mapped[str] = mapped_column(default="")
    completed: Mapped[bool] = mapped_column(default=False)
    completed_at: Mapped[datetime | None] = mapped_column(UTC_TIME, default=None)
    due_at: Mapped[datetime | None] = mapped_column(UTC_TIME, default=None)
    remind_at: Mapped[datetime | None] = mapped_column(UTC_TIME, default=None)
    reminded_for: Mapped[datetime | None] = mapped_column(UTC_TIME, default=None)
    recurrence: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    follows: Mapped[str | None] = mapped_column(unique=True, default=None)
    series_over: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UTC_TIME, default=now)
    updated_at: Mapped[datetime] = mapped_column(UTC_TIME, default=now)


Title = Annotated[Storable, Field(min_length=1, max_length=LONGEST_TITLE)]
Text = Annotated[Storable, Field(max_length=10_000)]


class NewTask(BaseModel):
    """The fields of a new task."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"title": "Buy milk", "remind_at": "2030-01-31T09:00:00+01:00"}],
            "anyOf": [
                {"properties": {"recurrence": {"type": "null"}}},
                {"properties": {"due_at": {"type": "string"}}, "required": ["due_at"]},
            ],
        },
    )

    title: Title
    description: Text = ""
    due_at: Time | None = None
    remind_at: Time | None = None
    recurrence: Recurrence | None = None

    @model_validator(mode="after")
    def _recurring_from_when(self) -> Self:
        if self.recurrence is not None and self.due_at is None:
            raise ValueError("a recurring task needs due_at, from which it recurs")
        return self


class TaskChange(BaseModel):
    """The changed fields; fields that are left out do not change, null clears a field."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"title": "Buy oat milk"}]}
    )

    title: Title = ""
    description: Text = ""
    due_at: Time | None = None
    remind_at: Time | None = None
    recurrence: Recurrence | None = None


class Next(BaseModel):
    """The next occurrence of a completed task, computed by the caller."""

    model_config = ConfigDict(extra="forbid")

    due_at: Time | None = Field(description="null when the series is over")
    remind_at: Time | None = None


class Task(BaseModel):
    """A task as shown to the user."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    user_id: str
    title: str
    description: str
    completed: bool
    completed_at: Time | None
    due_at: Time | None
    remind_at: Time | None
    recurrence: Recurrence | None
    follows: str | None
    version: int
    created_at: Time
    updated_at: Time
