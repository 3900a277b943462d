"""Claims about jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from harness import World
from services.common.schedules import require_schedule

pytestmark = pytest.mark.real

LATER = "1h"
TAKEN = (
    "@every 60s", "@every 1h30m", "@every 1.5s", "@daily", "@hourly", "0 */5 * * * *",
    "*/5 * * * * *", "0 0 2 * * mon-fri", "15,45 0 9-17/2 ? JAN,mar *", "0 0 0 29 2 *",
    "0 0 0 31 2 1", "5/10 * * * * *", "TZ=UTC 0 0 2 * * *", "CRON_TZ=Europe/Berlin @daily",
)  # fmt: skip
REFUSED = (
    "*/5 * * * *", "0 2 * * *", "* * * * * * *", "60 * * * * *", "0 60 * * * *", "0 0 24 * * *",
    "0 0 0 0 * *", "0 0 0 * 13 *", "0 0 0 * * 7", "*/0 * * * * *", "5-1 * * * * *",
    "x * * * * *", "0 0 fri * * *", "-5 * * * * *", "1-2-3 * * * * *", "*/2/3 * * * * *",
    "@every", "@every soon", "@every 5", "@Daily", "@reboot", "every day", "5m",
    "2031-05-04T02:00:00Z", "TZ=Mars/Olympus 0 0 2 * * *",
)  # fmt: skip
USELESS = ("0 0 0 30 2 *", "0 0 0 31 4,6,9,11 *", "@every 0s", ", 0 * * * *")


@pytest.mark.parametrize("version", ["v1.0", "v1.0-alpha1"])
def test_both_paths_are_routed(daprd: httpx.Client, dapr_sync: World, version: str) -> None:
    """204 for a job that was taken, 200 for one that is read, 204 for one that is deleted."""
    path = f"/{version}/jobs/{dapr_sync.name('job')}"

    made = daprd.post(path, json={"dueTime": LATER, "data": None})
    read = daprd.get(path)
    gone = daprd.delete(path)

    assert [204, 200, 204] == [each.status_code for each in (made, read, gone)]


def test_a_job_is_delivered_at_its_own_path_without_an_envelope(
    daprd: httpx.Client, dapr_sync: World
) -> None:
    """``POST /job/{name}``; the body is the data itself."""
    name = dapr_sync.name("job")

    daprd.post(f"/v1.0/jobs/{name}", json={"dueTime": "0s", "data": {"a": 1}}).raise_for_status()
    delivery = dapr_sync.inbox("backend-service").next(path=f"/job/{name}")

    assert ("POST", {"a": 1}) == (delivery.method, delivery.data)


def test_an_instant_is_no_schedule(daprd: httpx.Client, dapr_sync: World) -> None:
    """``schedule`` recurs: cron with seconds, or @every; a time is refused with 500."""
    at = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = f"/v1.0/jobs/{dapr_sync.name('job')}"

    refused = daprd.post(path, json={"schedule": at, "data": None})
    five_fields = daprd.post(path, json={"schedule": "*/5 * * * *", "data": None})
    taken = daprd.post(path, json={"dueTime": at, "data": None})

    assert [500, 500, 204] == [each.status_code for each in (refused, five_fields, taken)]
    daprd.delete(path)


@pytest.mark.parametrize(
    ("schedules", "status", "ours"),
    [(TAKEN, 204, True), (REFUSED, 500, False), (USELESS, 204, False)],
    ids=["taken", "refused", "taken, but of no use"],
)
def test_a_service_refuses_the_schedules_that_daprd_refuses_and_those_of_no_use(
    daprd: httpx.Client, dapr_sync: World, schedules: tuple[str, ...], status: int, ours: bool
) -> None:
    """daprd takes some that never fire, or fire without a pause."""
    path = f"/v1.0/jobs/{dapr_sync.name('job')}"

    def asked(schedule: str) -> int:
        """What daprd says of a job that does not fire during the test."""
        body = {"schedule": schedule, "dueTime": LATER, "data": None, "overwrite": True}
        return daprd.post(path, json=body).status_code

    assert dict.fromkeys(schedules, status) == {each: asked(each) for each in schedules}
    assert dict.fromkeys(schedules, ours) == {each: _accepted(each) for each in schedules}
    daprd.delete(path)


def _accepted(schedule: str) -> bool:
    try:
        return require_schedule(schedule) == schedule
    except ValueError:
        return False


def test_the_same_name_again_is_a_conflict(daprd: httpx.Client, dapr_sync: World) -> None:
    """409, unless the body says overwrite."""
    path, body = f"/v1.0/jobs/{dapr_sync.name('job')}", {"dueTime": LATER, "data": None}

    first, second = daprd.post(path, json=body), daprd.post(path, json=body)
    third = daprd.post(path, json={**body, "overwrite": True})

    assert [204, 409, 204] == [each.status_code for each in (first, second, third)]
    daprd.delete(path)


def test_an_unknown_job_can_be_deleted_and_not_be_read(
    daprd: httpx.Client, dapr_sync: World
) -> None:
    """204 for the deletion; 500, and not 404, for the reading."""
    path = f"/v1.0/jobs/{dapr_sync.name('job')}"

    assert [204, 500] == [daprd.delete(path).status_code, daprd.get(path).status_code]


def test_a_past_time_fires_at_once(daprd: httpx.Client, dapr_sync: World) -> None:
    """And the answer of the handler is looked at by its status only."""
    name = dapr_sync.name("job")
    body = {"dueTime": "2020-01-01T00:00:00Z", "data": {}}

    daprd.post(f"/v1.0/jobs/{name}", json=body).raise_for_status()

    assert 200 == dapr_sync.inbox("backend-service").next(path=f"/job/{name}").status


def test_a_recurring_job_fires_as_often_as_it_says(dapr_sync: World) -> None:
    """``schedule`` with ``repeats``; a job that is due later shows that there is no third."""
    name, sidecar = dapr_sync.name("job"), dapr_sync.sidecar("backend-service")
    inbox = dapr_sync.inbox("backend-service")

    sidecar.schedule_job(name, schedule="@every 1s", repeats=2, data="tick")
    inbox.collect(2, path=f"/job/{name}")
    sidecar.schedule_job(f"later-{name}", due="2s")
    inbox.next(path=f"/job/later-{name}")

    assert 2 == len(inbox.all(path=f"/job/{name}"))


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [
        pytest.param({"drop": {}}, 1, id="drop"),
        pytest.param({"constant": {"interval": "0.2s", "maxRetries": 2}}, 3, id="constant"),
        pytest.param(None, 4, id="what a job without one gets"),
    ],
)
def test_a_job_that_fails_is_tried_again_by_its_policy(
    dapr_sync: World, policy: dict[str, Any] | None, attempts: int
) -> None:
    """Dropped at once, so often, or three times a second apart."""
    name, sidecar = dapr_sync.name("job"), dapr_sync.sidecar("backend-service")
    inbox = dapr_sync.inbox("backend-service")
    inbox.fail_next(f"/job/{name}", times=100)

    sidecar.schedule_job(name, due="0s", failure_policy=policy)
    inbox.collect(attempts, path=f"/job/{name}")
    sidecar.schedule_job(f"later-{name}", due="2s")
    inbox.next(path=f"/job/later-{name}")

    assert [500] * attempts == [each.status for each in inbox.all(path=f"/job/{name}")]


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param({"interval": "0.1s"}, id="left out"),
        pytest.param({"interval": "0.1s", "maxRetries": None}, id="null"),
    ],
)
def test_a_job_without_a_maximum_of_retries_is_tried_until_it_succeeds(
    dapr_sync: World, policy: dict[str, Any]
) -> None:
    """Far more often than the default, which is three times."""
    name, sidecar = dapr_sync.name("job"), dapr_sync.sidecar("backend-service")
    inbox = dapr_sync.inbox("backend-service")
    inbox.fail_next(f"/job/{name}", times=40)

    sidecar.schedule_job(name, due="0s", failure_policy={"constant": policy})
    seen = inbox.collect(41, path=f"/job/{name}", timeout=60)

    assert [*[500] * 40, 200] == [each.status for each in seen]


def test_a_handler_that_says_404_is_not_asked_again(dapr_sync: World) -> None:
    """The job is done: an app with the wrong route loses its reminders in silence."""
    name, sidecar = dapr_sync.name("job"), dapr_sync.sidecar("backend-service")
    inbox = dapr_sync.inbox("backend-service")
    inbox.fail_next(f"/job/{name}", times=100, status=404)

    sidecar.schedule_job(name, due="0s")
    inbox.next(path=f"/job/{name}")
    sidecar.schedule_job(f"later-{name}", due="2s")
    inbox.next(path=f"/job/later-{name}")

    assert [404] == [each.status for each in inbox.all(path=f"/job/{name}")]


def test_what_a_handler_answers_with_200_does_not_matter(dapr_sync: World) -> None:
    """RETRY and DROP are words for events: the job is done, although its policy is to try again."""
    names = {word: dapr_sync.name(word.lower()) for word in ("RETRY", "DROP")}
    sidecar, inbox = dapr_sync.sidecar("backend-service"), dapr_sync.inbox("backend-service")
    again = {"constant": {"interval": "0.1s", "maxRetries": 5}}
    for word, name in names.items():
        answer = f'{{"status": "{word}"}}'
        inbox.fail_next(f"/job/{name}", times=100, status=200, answer=answer)
        sidecar.schedule_job(name, due="0s", failure_policy=again)

    for name in names.values():
        inbox.next(path=f"/job/{name}")
    later = dapr_sync.name("later")
    sidecar.schedule_job(later, due="1s")
    inbox.next(path=f"/job/{later}")

    found = {word: len(inbox.all(path=f"/job/{name}")) for word, name in names.items()}
    assert {"RETRY": 1, "DROP": 1} == found
