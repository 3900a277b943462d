"""Makes the inputs of a recording again, in their order, at their pace or faster. It blocks."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import httpx

from harness.bundle.recording import Given
from harness.core.deadline import Deadline, ticks
from harness.core.errors import ConfigError, DaprError, HarnessError, SystemFailure, did_you_mean
from harness.core.masking import MASK
from harness.dapr.calls import Call
from harness.replay.producing import produce
from harness.replay.substitution import Substitution
from harness.stack.world import World

AT_ONCE = 32
"""The number of inputs that are made at the same time, at most."""


SHORT = 50_000_000
"""Nanoseconds in which a test has not waited for anything."""


@dataclass(frozen=True)
class Done:
    """An input that was made again.

    Attributes:
        error: what was raised; "" if nothing was.
        made: whether it could be made at all.
    """

    given: Given
    error: str = ""
    made: bool = True


class Player:
    """Makes inputs on a stack.

    Args:
        world: a world of the stack.
        substitution: fits the inputs to it.
        began: when the recorded test began, in nanoseconds since the epoch.
        speed: how much faster than recorded; 0 for as fast as possible.
        settle: waits until the system has settled, at most for some seconds.
    """

    def __init__(
        self, world: World, substitution: Substitution, began: int, speed: float,
        settle: Callable[[float], object],
    ) -> None:  # fmt: skip
        self._world = world
        self._settle = settle
        self._fit = substitution
        self._began = began
        self._speed = speed
        self._changes: dict[str, AbstractContextManager[Any]] = {}
        self._makers: Mapping[str, Callable[[Given, Mapping[str, Any]], None]] = {
            "call": self._call,
            "request": self._request,
            "node": self._node,
            "fault": self._fault,
            "clock": self._clock,
            "resources": self._resources,
            "record": self._record,
        }

    def play(self, inputs: Sequence[Given]) -> list[Done]:
        """Make every input. One begins when all have ended that had ended before it was recorded.

        What the system did between two inputs may matter to the second one. If there is less time
        than was recorded, the second one therefore waits until the system has settled, at most as
        long as was recorded. The result has the same order.
        """
        since = time.monotonic()
        running: list[tuple[int | None, Future[Done]]] = []
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="replay") as pool:
            for each in inputs:
                ends = [end for end, _ in running if end is not None and end <= each.at]
                earlier = [one for end, one in running if end in ends]
                wait(earlier)
                self._wait_until(each.at, since)
                if earlier and self._speed != 1:
                    self._let_settle(each.at - max(ends))
                running.append((_end(each), pool.submit(self._perform, each)))
        return [one.result() for _, one in running]

    def _wait_until(self, at: int, since: float) -> None:
        if self._speed <= 0:
            return
        due = max(0, at - self._began) / 1e9 / self._speed
        for _ in ticks(Deadline(max(0.0, since + due - time.monotonic()))):
            pass

    def _let_settle(self, gap: int) -> None:
        if gap >= SHORT:
            self._settle(gap / 1e9)

    def _perform(self, each: Given) -> Done:
        fitted = self._fit.of(each.given)
        try:
            made = self._makers.get(each.kind)
            if made is None:
                raise ConfigError(f"{each.kind!r} is no kind of input")
            made(each, fitted)
        except ConfigError as error:
            return Done(each, str(error), made=False)
        except (DaprError, HarnessError, SystemFailure, httpx.HTTPError) as error:
            return Done(each, f"{type(error).__name__}: {error}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return Done(each, f"its arguments make no sense: {error!r}", made=False)
        return Done(each)

    def _call(self, each: Given, given: Mapping[str, Any]) -> None:
        call: Call[httpx.Response] = Call(
            each.what, given["path"], _itself, headers=_headers(given), content=content_of(given)
        )
        self._learn(each, self._world.sidecar(each.target).run(call))

    def _request(self, each: Given, given: Mapping[str, Any]) -> None:
        answer = self._world.app(each.target).request(
            each.what, given["path"], headers=_headers(given), content=content_of(given)
        )
        self._learn(each, answer)

    def _learn(self, each: Given, answer: httpx.Response) -> None:
        now = {"etag": answer.headers.get("etag", ""), "body": answer.text}
        self._fit.learn(each.answer, now)

    def _node(self, each: Given, given: Mapping[str, Any]) -> None:
        _one_of(self._world, each.what, NODE)(each.target, **given)

    def _fault(self, each: Given, given: Mapping[str, Any]) -> None:
        _one_of(self._world.inbox(each.target), each.what, ("fail_next", "clear_faults"))(**given)

    def _clock(self, each: Given, given: Mapping[str, Any]) -> None:
        name = {"advance-to": "advance_to", "run-until-idle": "run_until_idle"}.get(
            each.what, each.what
        )
        named = {"to": "moment"}
        arguments = {named.get(key, key): value for key, value in given.items()}
        if name in ("freeze", "flow"):
            arguments.pop("timeout", None)
        _one_of(self._world.clock, name, CLOCK)(**arguments)

    def _resources(self, each: Given, given: Mapping[str, Any]) -> None:
        if each.what == "take_back":
            if each.target in self._changes:
                self._changes.pop(each.target).__exit__(None, None, None)
            return
        change = self._world.resources(*given["documents"], apps=given["apps"])
        change.__enter__()
        self._changes[each.target] = change

    def _record(self, each: Given, given: Mapping[str, Any]) -> None:
        produce(
            self._world.beginning.brokers,
            self._world.stack.book.namespace + each.target,
            partition=given["partition"],
            key=content_of(given["key"]),
            headers=[(name, content_of(value)) for name, value in given["headers"]],
            value=content_of(given["value"]) or b"",
        )


NODE = ("restart", "await_ready", "stop", "kill", "pause", "resume")
CLOCK = ("advance", "advance_to", "run_until_idle", "freeze", "flow", "tick")


def content_of(given: Mapping[str, Any]) -> bytes | None:
    """The bytes of a recorded body."""
    if "base64" in given:
        return base64.b64decode(given["base64"], validate=True)
    body = given.get("body")
    return None if body is None else str(body).encode()


def _headers(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in given["headers"].items() if value != MASK}


def _end(each: Given) -> int | None:
    """When it had ended, in nanoseconds since the epoch."""
    return None if each.took is None else each.at + round(each.took * 1e9)


def _one_of(thing: object, name: str, known: Sequence[str]) -> Callable[..., Any]:
    if name not in known:
        raise ConfigError(f"{name!r} is no operation", hint=did_you_mean(name, known))
    found: Callable[..., Any] = getattr(thing, name)
    return found


def _itself(answer: httpx.Response) -> httpx.Response:
    return answer
