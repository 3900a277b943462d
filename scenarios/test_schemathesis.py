"""Requests that a service's description allows or forbids, sent through two sidecars."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, Response
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth
from schemathesis.specs.openapi.schemas import OpenApiSchema

from harness import World
from scenarios.signing import sign
from scenarios.test_task_events import changes

pytestmark = [pytest.mark.generated, pytest.mark.any_runtime]

APPS = ("backend-service", "notification-service", "recurring-task-service", "frontend")
EXAMPLES = 10
UNSPEAKABLE = re.compile(r"%|\\x|\\u|[\x00-\x1f\x7f]")
CALM = hypothesis_settings(
    max_examples=EXAMPLES,
    # Shrinking would exceed the test's time limit, which would hide the finding.
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
"""Each run has another seed, or that of `--hypothesis-seed`; if CI is set, always the same."""
ACCEPTED = ["2xx", "404", "409", "412"]
"""For valid data: success, not found, or a conflict with the state or version."""
TASK = "/api/{user_id}/tasks/{task_id}"
PASSED_ON = (
    "^/api/{user_id}/(tasks|tasks/{task_id}|tasks/{task_id}/complete|"
    "conversations/{conversation_id}/messages|chat|notifications|contact)$"
)
"""The operations that the page's service forwards to the others."""


def schema_of(dapr: World, app: str, by: str = "") -> OpenApiSchema:
    """A service's description; it is called by invocation, never directly.

    Args:
        app: the described service.
        by: another app, which forwards the requests.
    """
    described = dapr.app(app).get("/openapi.json").raise_for_status().json()
    if by:
        described["paths"] = {
            path: body for path, body in described["paths"].items() if re.search(PASSED_ON, path)
        }
    schema = schemathesis.openapi.from_dict(described)
    url, headers = _way(dapr, app, by)
    schema.config.update(base_url=url, headers=headers, request_timeout=15)
    schema.config.checks.positive_data_acceptance.expected_statuses = ACCEPTED
    # Each request is signed for its user instead.
    schema.config.generation.update(with_security_parameters=False)
    return schema


def _way(dapr: World, app: str, by: str) -> tuple[str, dict[str, str]]:
    """The URL and headers for calling an app, from an app that may call all operations."""
    if app == "recurring-task-service":
        # As its sidecar forwards the backend's calls, but without the breaker in front of it.
        token = dapr.token("app-api")
        return dapr.url(app), {"dapr-api-token": token, "dapr-caller-app-id": "backend-service"}
    endpoint, token = dapr.sidecar_address("frontend" if by else "recurring-task-service")
    headers = {"dapr-api-token": token, "x-requested-with": "page"}
    return f"{endpoint.http}/v1.0/invoke/{by or app}/method", headers


def operations(schema: OpenApiSchema) -> Iterator[Any]:
    """Every operation in a description."""
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        yield found.ok()


class Calls:
    """Sends requests, each signed as the user whose path it is for, unless sign-in is off.

    Attributes:
        enforced: operations that have rejected a request without a token, and one with another.
    """

    def __init__(self, dapr: World, *, sign_in: bool = True) -> None:
        self._dapr = dapr
        self._sign_in = sign_in
        self.enforced: set[str] = set()

    def __call__(self, case: Case[Any]) -> Response:
        """Send one; the response must match the description, and must not be a server error."""
        headers = dict(sign(case.formatted_path, self._dapr.token)) if self._sign_in else {}
        answer = case.call(headers=headers)
        if _is_unspeakable(case, answer):
            return answer
        # 503 is described, but must not occur in an undisturbed system.
        assert answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR, (
            case.as_curl_command(), answer,
        )  # fmt: skip
        # Valid data is accepted, and invalid data is not. The check sends more requests: once.
        known = not self._sign_in or case.operation.label in self.enforced
        case.validate_response(
            answer, headers=headers, excluded_checks=[ignored_auth] if known else []
        )
        if headers and answer.status_code < httpx.codes.BAD_REQUEST:
            self.enforced.add(case.operation.label)
        return answer


def _is_unspeakable(case: Case[Any], answer: Response) -> bool:
    """Whether daprd has refused to forward a request."""
    if (
        answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
        and b"ERR_DIRECT_INVOKE" in answer.content
    ):
        # daprd 1.18.2 does not forward paths with a control character or a percent sign. No
        # description allows them.
        assert UNSPEAKABLE.search(str(case.path_parameters)), (
            case.as_curl_command(), answer.text,
        )  # fmt: skip
        return True
    return False


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(
    ("app", "by"),
    [
        *((app, "") for app in APPS),
        ("backend-service", "frontend"),
        ("notification-service", "frontend"),
    ],
)
def test_every_answer_is_as_described(
    dapr_sync: World, app: str, by: str, mode: GenerationMode
) -> None:
    """For valid and for invalid data: no 5xx, and the response matches the schema."""
    send_all(schema_of(dapr_sync, app, by), mode, Calls(dapr_sync))


def send_all(schema: OpenApiSchema, mode: GenerationMode, call: Calls) -> None:
    """Send generated requests to every operation of a description."""
    tried = 0
    for operation in operations(schema):

        @CALM
        @given(case=operation.as_strategy(mode))
        def one(case: Case[Any]) -> None:
            nonlocal tried
            tried += 1
            call(case)

        try:
            one()
        except Unsatisfiable:
            # An operation without parameters cannot get invalid data.
            assert mode is GenerationMode.NEGATIVE
    assert tried >= EXAMPLES


def fits(change: Any, task: dict[str, Any]) -> bool:
    """Whether a task can be changed like this: a series needs a time from which it recurs."""
    after = {**task, **change}
    return after["recurrence"] is None or after["due_at"] is not None


def plain(task: Any, names: Any) -> dict[str, Any]:
    """A task's own fields, times as instants; the service completes a recurrence."""
    kept = {name: task[name] for name in names if name != "recurrence"}
    times = {name for name in kept if name.endswith("_at") and kept[name] is not None}
    return {**kept, **{name: datetime.fromisoformat(kept[name]) for name in times}}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("by", ["", "frontend"])
def test_every_task_lives_a_whole_life_and_each_change_is_one_event(
    dapr_sync: World, by: str
) -> None:
    """For any valid data: created, read, changed, completed, deleted, and then gone."""
    schema = schema_of(dapr_sync, "backend-service", by)
    create, update = schema["/api/{user_id}/tasks"]["POST"], schema[TASK]["PUT"]
    user, call = dapr_sync.name("user"), Calls(dapr_sync)
    seen: Counter[tuple[str, int]] = Counter()
    expected: dict[str, list[str]] = {}

    @CALM
    @given(new=create.as_strategy(), change=update.as_strategy())
    def life(new: Case[Any], change: Case[Any]) -> None:
        def ask(step: str, case: Case[Any] | Any, **path: str) -> Any:
            case = case if isinstance(case, Case) else case.Case(headers=schema.config.headers)
            case.path_parameters = {"user_id": user, **path}
            answer = call(case)
            seen[step, answer.status_code] += 1
            return answer.json() if answer.content else None

        change.headers.pop("if-match", None)
        made = ask("create", new)
        about = {"task_id": made["id"]}
        read = ask("read", schema[TASK]["GET"], **about)
        may_change = fits(change.body, made)
        changed = ask("change" if may_change else "change refused", change, **about)
        completed = ask("complete", schema[f"{TASK}/complete"]["POST"], **about)
        ask("delete", schema[TASK]["DELETE"], **about)
        for verb in ("GET", "DELETE"):
            ask("gone", schema[TASK][verb], **about)
        ask("gone", schema[f"{TASK}/complete"]["POST"], **about)
        ask("gone", change, **about)

        assert made == read
        assert plain(new.body, new.body) == plain(made, new.body)
        assert not may_change or plain(change.body, change.body) == plain(changed, change.body)
        assert completed["completed"]
        updated = ["updated"] if may_change else []
        expected[made["id"]] = changes("created", *updated, "completed", "deleted")

    life()
    lives, refused = len(expected), seen.pop(("change refused", 409), 0)

    assert {
        ("create", 201): lives, ("read", 200): lives, ("change", 200): lives - refused,
        ("complete", 200): lives, ("delete", 204): lives, ("gone", 404): 4 * lives,
    } == +seen  # fmt: skip
    for task, types in expected.items():
        # The last event of the task: events of one task keep their order.
        dapr_sync.ledger.event(type=types[-1], subject=task).path()
        events = dapr_sync.ledger.events(topic="task-events", subject=task)
        assert types == [each.type for each in events for _ in each.originals]
