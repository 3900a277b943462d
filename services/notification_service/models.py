"""The models of notifications."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StringConstraints
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.common.database import UTC_TIME, now
from services.common.text_types import Storable, UserId


class Base(DeclarativeBase):
    """Tables of this service."""


class NotificationRow(Base):
    """A notification. The event's id is its key: a second delivery finds that it exists, even if
    both arrive at the same moment, because the database decides."""

    __tablename__ = "notifications"

    event_id: Mapped[str] = mapped_column(String(300), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(200), index=True)
    task_id: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(100))
    message: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UTC_TIME, default=now)


class ContactRow(Base):
    """Where else a user is notified, besides the page."""

    __tablename__ = "contacts"

    user_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    email: Mapped[str | None] = mapped_column(String(254))
    webhook: Mapped[bool]


class DeadLetterRow(Base):
    """An event that no handler could accept, unchanged."""

    __tablename__ = "dead_letters"

    key: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str]
    kind: Mapped[str]
    event: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UTC_TIME, default=now)


class _Titled(BaseModel):
    title: Storable = ""


class _AboutTask(_Titled):
    user_id: Storable = Field(min_length=1, max_length=200)
    task_id: Storable = Field(min_length=1, max_length=100)
    task: _Titled | None = None


class TaskEvent(BaseModel):
    """The required fields of a task event.

    As strict as the table: an event that the table cannot hold would be redelivered forever, and
    block every later event.
    """

    id: Storable = Field(min_length=1, max_length=300)
    type: str
    data: _AboutTask


class DeadLetter(BaseModel):
    """An event that no handler could accept."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: str
    event: str
    created_at: AwareDatetime


Email = Annotated[
    str,
    # As accepted by a browser's <input type="email"> according to the HTML standard; so no
    # semicolon, at which the mail binding would split.
    StringConstraints(
        max_length=254,
        pattern=r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
        r"(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$",
    ),
]


class Contact(BaseModel):
    """Where else a user is notified, besides the page.

    Attributes:
        email: the address for reminders.
        webhook: whether the webhook receiver gets every notification.
    """

    model_config = ConfigDict(
        from_attributes=True,
        extra="forbid",
        json_schema_extra={"examples": [{"email": "ada@example.org", "webhook": True}]},
    )

    email: Email | None = None
    webhook: StrictBool = False


class NewNotification(BaseModel):
    """A notification that another service asks for.

    Attributes:
        task_id: the task that it is about; "" for none.
        id: the same for a request and its repetition; each request without it is a new one.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"user_id": "ada", "message": "Your import is complete"}]},
    )

    user_id: UserId
    message: Storable = Field(min_length=1, max_length=1000)
    task_id: str = Field("", max_length=100, pattern=r"^[A-Za-z0-9-]*$")
    id: str | None = Field(None, max_length=64, pattern=r"^[A-Za-z0-9-]+$")


class Notification(BaseModel):
    """A notification as shown to the user."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "event_id": "0b6a…",
                    "user_id": "ada",
                    "task_id": "5d1c…",
                    "kind": "com.taskmanager.task.created",
                    "message": "Task created: Buy milk",
                    "created_at": "2030-01-31T08:00:00Z",
                }
            ]
        },
    )

    event_id: str
    user_id: str
    task_id: str
    kind: str
    message: str
    created_at: AwareDatetime
