"""The call that a sidecar's cron binding makes to its app, made when a test wants it.

It goes through the sidecar, by the call with which another sidecar invokes an app
(``CallLocal``), but without the headers that name a caller. daprd's binding sends its events to the
same channel, so the app gets the same request, with its token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from harness.core.errors import ConfigError, ProbeError, ProbeTimeout, SystemFailure
from harness.ready.rpc import is_overdue
from harness.virtual_time.messages import INTERNALS, message, require_grpc

READ_AT, ZONE = "readTimeUTC", "timeZone"
LOCAL = "Local"
"""The zone that daprd always states: how Go calls the machine's."""
LONGEST = 500
"""Characters of an answer that a message shows."""


@dataclass(frozen=True)
class Target:
    """One sidecar that has loaded the binding.

    Attributes:
        app: its app's node.
        internal: HOST:PORT at which it accepts calls of other sidecars.
        path: the app's path for the binding.
        asks: whether daprd asks the app with OPTIONS before it uses the binding.
    """

    app: str
    internal: str
    path: str
    asks: bool


@dataclass(frozen=True)
class Answer:
    """What one app answered to a tick.

    Attributes:
        app: its node; replicas differ in their numbers.
        status: the HTTP status, from 200 to 299.
        text: the body.
    """

    app: str
    status: int
    text: str


@dataclass(frozen=True)
class Ticked:
    """A tick that every app has handled.

    Attributes:
        at: the moment that the apps were told.
        answers: one for each replica of each app that uses the binding.
    """

    at: datetime
    answers: tuple[Answer, ...]


Finder = Callable[[str], Sequence[Target]]
"""Finds the sidecars that have loaded the binding of a name."""


def no_sidecars(binding: str) -> Sequence[Target]:
    """The finder of a clock that belongs to no stack.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(f"this clock knows no sidecars with a cron binding {binding!r}")


def tick(binding: str, find: Finder, at: datetime, timeout: float) -> Ticked:
    """Make the call of a cron binding in every sidecar that has it, at the same time.

    Args:
        binding: the component's name.
        find: finds the sidecars.
        at: the moment to tell the apps.
        timeout: seconds within which all of them must answer.

    Raises:
        SystemFailure: no app uses the binding, or one answered with an error.
        ProbeTimeout: one did not answer in time.
        ProbeError: a sidecar, or the app behind it, is away.
    """
    require_grpc()
    targets = _users(binding, find(binding), timeout)
    headers = {READ_AT: go_time(at), ZONE: LOCAL}
    answers = _all("POST", targets, headers, timeout)
    if wrong := [each for each in answers if not _is_success(each.status)]:
        raise SystemFailure(
            f"the tick of {binding!r} failed",
            expected="a status from 200 to 299",
            last="; ".join(f"{each.app}: {each.status} {each.text[:LONGEST]}" for each in wrong),
            hint="daprd itself ignores the answer, and calls again at the binding's next time",
        )
    return Ticked(at, tuple(answers))


def go_time(moment: datetime) -> str:
    """A moment as Go prints it, in UTC."""
    utc = moment.astimezone(UTC)
    fraction = f".{utc.microsecond:06}".rstrip("0").rstrip(".")
    return f"{utc:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def _users(binding: str, targets: Sequence[Target], timeout: float) -> list[Target]:
    """The targets whose app takes the binding's events, as daprd finds out when it starts."""
    asked = [each for each in targets if each.asks]
    answers = {each.app: each for each in _all("OPTIONS", asked, {}, timeout)}
    users = [each for each in targets if not each.asks or _takes(answers[each.app].status)]
    if not users:
        told = "; ".join(f"{each.app}: {each.status}" for each in answers.values())
        raise SystemFailure(
            f"no app uses the cron binding {binding!r}, so daprd calls none",
            expected=f"a status from 200 to 299, or 405, for OPTIONS {targets[0].path}",
            last=told,
            hint="give the app this route, or the component the metadata `direction: input`",
        )
    return users


def _takes(status: int) -> bool:
    return _is_success(status) or status == HTTPStatus.METHOD_NOT_ALLOWED


def _is_success(status: int) -> bool:
    return status // 100 == 2


def _all(
    verb: str, targets: Sequence[Target], headers: dict[str, str], timeout: float
) -> list[Answer]:
    """Send the same request to all of them; their answers in the same order."""
    import grpc

    with ExitStack() as opened:
        calls = []
        for each in targets:
            channel = opened.enter_context(grpc.insecure_channel(each.internal))
            call = channel.unary_unary(
                f"/{INTERNALS}.ServiceInvocation/CallLocal",
                request_serializer=_message("InternalInvokeRequest").SerializeToString,
                response_deserializer=_message("InternalInvokeResponse").FromString,
            )
            calls.append(call.future(_request(verb, each.path, headers), timeout=timeout))
        pairs = zip(targets, calls, strict=True)
        return [_answer(verb, target, call, timeout) for target, call in pairs]


def _request(verb: str, path: str, headers: dict[str, str]) -> Any:
    request = _message("InternalInvokeRequest")(ver="V1")
    request.message.method = path
    request.message.content_type = "application/json"
    request.message.http_extension.verb = request.message.http_extension.Verb.Value(verb)
    for name, value in headers.items():
        request.metadata[name].values.append(value)
    return request


def _answer(verb: str, target: Target, call: Any, timeout: float) -> Answer:
    import grpc

    try:
        found = call.result()
    except grpc.RpcError as error:
        raise _silence(verb, target, error, timeout) from None
    text = found.message.data.value.decode(errors="replace")
    return Answer(target.app, found.status.code, text)


def _silence(verb: str, target: Target, error: Any, timeout: float) -> Exception:
    code, told = error.code().name, str(error.details())
    if is_overdue(error):
        return ProbeTimeout(
            f"{target.app} did not answer the tick",
            last=f"the sidecar took the call at {target.internal}",
            budget=timeout,
            hint=f"look at the log of {target.app}; what it has begun goes on",
        )
    who = "sidecar" if code == "UNAVAILABLE" else "app"
    done = "no app was called" if verb == "OPTIONS" else "other apps may have handled the tick"
    return ProbeError(
        f"the {who} of the tick is away: {target.app}",
        last=f"{code}: {told[:LONGEST]}",
        hint=f"{done}; start what is missing, and tick again",
    )


def _message(name: str) -> Any:
    return message(f"{INTERNALS}.{name}")
