"""Settings of a service, from its environment."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from services.common.schedules import SUCH_AS, require_schedule

LONGEST_RETENTION = 36_500
"""A hundred years, in days."""


class ServiceSettings(BaseSettings):
    """The configuration of a service; names as set by Dapr and the platform."""

    database_url: str = Field(
        default="", description="postgresql://user:password@host:port/database"
    )
    dapr_http_port: int = 3500
    dapr_api_token: str = ""
    app_api_token: str = ""
    app_id: str = ""
    pubsub_name: str = "pubsub"
    updates_name: str = "updates"
    state_store: str = "statestore"
    repair_schedule: str = Field(
        default="@every 60s", description="when to look for series that no event has continued"
    )
    retention_days: int = Field(
        default=90,
        description="how long notifications, dead letters and failing calls are kept; longer than "
        "the broker keeps events, because a notification's row shows that its event was handled",
    )
    conversation_name: str = Field(
        default="assistant",
        description="the conversation component by which the assistant speaks, if it is loaded",
    )
    openai_url: str = Field(
        default="",
        description="an OpenAI-compatible endpoint, used instead: https://models.example.org/v1",
    )
    openai_model: str = ""
    openai_api_key: str = ""
    assistant_seconds: float = Field(
        default=30.0, gt=0, description="how long a turn with the assistant may take"
    )
    allowed_hosts: str = Field(
        default="",
        description="names by which browsers may reach the page, besides localhost and any IP "
        "address: todo.example.org,todo.internal",
    )

    sign_in: Literal["development", "external", "off"] = Field(
        default="development",
        description="who issues the tokens of users: the page's service, to whoever gives a name; "
        "another provider with the same secret; or off, and every request may reach every user",
    )
    better_auth_secret: SecretStr = Field(
        default=SecretStr(""), description="the key of all tokens, at least 32 bytes"
    )

    @field_validator("retention_days")
    @classmethod
    def _keeps_something(cls, days: int) -> int:
        if not 1 <= days <= LONGEST_RETENTION:
            raise ValueError(
                f"RETENTION_DAYS is {days}, but must be between 1 and {LONGEST_RETENTION}: "
                "with 0, the cleanup would remove what has just been stored"
            )
        return days

    @field_validator("repair_schedule")
    @classmethod
    def _is_a_schedule(cls, schedule: str) -> str:
        try:
            return require_schedule(schedule)
        except ValueError as error:
            raise ValueError(
                f"REPAIR_SCHEDULE is {schedule!r}, which no job can have: {error}. "
                f"Use a schedule {SUCH_AS}"
            ) from None


@cache
def settings() -> ServiceSettings:
    """The settings of this process, read once."""
    return ServiceSettings()
