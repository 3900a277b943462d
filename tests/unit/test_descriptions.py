"""What a service describes is what it accepts: generated bodies against the models themselves."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from schemathesis import GenerationMode
from schemathesis.core import NOT_SET
from schemathesis.core.parameters import ParameterLocation

from services.backend_service import app as backend
from services.backend_service.conversations import Conversation, Message
from services.backend_service.models import NewTask, TaskChange
from services.common.recurrence import TIME_ZONES, Recurrence
from services.common.times import FIRST_YEAR, LAST_YEAR, PATTERN, Time
from services.notification_service import app as notifications
from services.notification_service.models import Contact, NewNotification
from services.recurring_task_service import app as recurring
from services.recurring_task_service.app import CompletedTask

TASKS, CONVERSATION = "/api/{user_id}/tasks", "/api/{user_id}/conversations/{conversation_id}"
BODIES = [
    (backend.app, "POST", TASKS, NewTask),
    (backend.app, "PUT", TASKS + "/{task_id}", TaskChange),
    (backend.app, "PUT", CONVERSATION, Conversation),
    (backend.app, "POST", CONVERSATION + "/messages", Message),
    (notifications.app, "PUT", "/api/{user_id}/contact", Contact),
    (notifications.app, "POST", "/send-notification", NewNotification),
    (recurring.app, "POST", "/process-completion", CompletedTask),
]
# Another seed in each run: what holds holds for every one.
MANY = hypothesis_settings(
    max_examples=15,
    phases=[Phase.explicit, Phase.generate],  # shrinking takes minutes and tells little more
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TIME = TypeAdapter(Time)
TIMES = re.compile(PATTERN.removesuffix("$"))


def accepted(model: type[BaseModel], body: Any) -> bool:
    """Whether a service would take that body."""
    try:
        model.model_validate(body)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(
    ("app", "verb", "path", "model"), BODIES, ids=[each[3].__name__ for each in BODIES]
)
def test_a_body_is_accepted_exactly_if_it_is_described(
    app: FastAPI, verb: str, path: str, model: type[BaseModel], mode: GenerationMode
) -> None:
    """Rules between fields included."""
    operation = schemathesis.openapi.from_dict(app.openapi())[path][verb]

    @MANY
    @given(case=operation.as_strategy(mode))
    def one(case: Any) -> None:
        body = case.meta.components.get(ParameterLocation.BODY)
        # Bytes are what the parser of JSON refuses, before any model is asked.
        if body is not None and body.mode is mode and not isinstance(case.body, bytes):
            described = mode is GenerationMode.POSITIVE and case.body is not NOT_SET
            assert accepted(model, case.body) is described, case.body

    one()


@MANY
@given(st.from_regex(PATTERN, fullmatch=True))
def test_a_time_that_fits_the_pattern_is_accepted_and_comes_back_fitting_it(text: str) -> None:
    """What a client has read it may send again."""
    text = text.rstrip("\n")  # where Python's $ matches as well
    instant = TIME.validate_python(text)

    assert instant == datetime.fromisoformat(text)
    assert instant == TIME.validate_json(TIME.dump_json(instant))
    assert instant == TIME.validate_python(instant.isoformat())


def test_every_day_of_the_calendar_is_described_and_no_other() -> None:
    """Leap years, and the years' limits."""
    day, last = date(FIRST_YEAR - 5, 1, 1), date(LAST_YEAR + 5, 12, 31)
    described = []
    for year in range(day.year, last.year + 1):
        for month in range(1, 13):
            for number in range(1, 32):
                text = f"{year}-{month:02}-{number:02}"
                if TIMES.fullmatch(f"{text}T00:00:00Z"):
                    described.append(text)
    days = (date(LAST_YEAR, 12, 31) - date(FIRST_YEAR, 1, 1)).days + 1
    every = [str(date(FIRST_YEAR, 1, 1) + timedelta(days=n)) for n in range(days)]

    assert every == described


@pytest.mark.parametrize(
    "value",
    [
        "0182-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2201-01-01T00:00:00Z",
        "1970-01-01T00:00:00+00:01",
        "2200-12-31T23:59:59-00:01",
        "2030-02-29T00:00:00Z",
        "2030-01-31T09:00:00",
        "2030-01-31T09:00Z",
        "2030-01-31 09:00:00Z",
        "2030-01-31T09:00:60Z",
        "2030-01-31T09:00:00Z\n",
        "2030-01-31",
        "1896000000",
        1896000000,
        "",
    ],
)
def test_a_time_outside_the_schema_is_rejected(value: object) -> None:
    """Also where Python or Pydantic would read one."""
    assert not (isinstance(value, str) and TIMES.fullmatch(value))
    with pytest.raises(ValidationError):
        TIME.validate_python(value)


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "2200-12-31T23:59:59.999999+00:00"])
def test_the_first_and_the_last_instant(text: str) -> None:
    """Are accepted, and returned in UTC."""
    assert UTC is TIME.validate_python(text).tzinfo


def test_the_time_zones_are_listed() -> None:
    """So an empty name is not described."""
    described = backend.app.openapi()["components"]["schemas"]["Recurrence"]["properties"]

    assert sorted(TIME_ZONES) == described["timezone"]["enum"]
    assert {"UTC", "Europe/Berlin"} <= TIME_ZONES


@pytest.mark.parametrize("value", [1, 0, "true", "yes", None])
def test_a_flag_is_a_json_boolean(value: object) -> None:
    """And nothing that Pydantic would take for one."""
    assert not accepted(Contact, {"webhook": value})
    assert accepted(Contact, {"webhook": True})


@pytest.mark.parametrize("value", [True, "2", "2.0", 0, 10_001])
def test_a_count_is_a_json_number_within_bounds(value: object) -> None:
    """Within its bounds, which the description has."""
    assert not accepted(Recurrence, {"frequency": "daily", "count": value})
    assert accepted(Recurrence, {"frequency": "daily", "count": 2})


@pytest.mark.parametrize("name", ["a\\b", "...\\", "a/b", "a%b", "..", "a\nb"])
def test_user_names_are_limited_to_what_daprds_invocation_accepts(name: str) -> None:
    """Or the page's service would answer 404 to a name that the description allows."""
    task = {"id": "a", "completed_at": "2030-01-01T00:00:00Z"}

    assert not accepted(CompletedTask, {**task, "user_id": name})
    assert accepted(CompletedTask, {**task, "user_id": ".ada ü"})
