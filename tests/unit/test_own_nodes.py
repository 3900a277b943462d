"""A node of a user's own class: what it gets for free, and what its mistakes lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import BaseNode, ConfigError, Launch, NotReady, Scope
from harness.core.deadline import Check
from tests.support import Fake, ScriptedCheck
from tests.unit.test_stack import stack_of

METHODS = ("plan", "start_after", "checks", "initialize", "post_checks", "exports")


@dataclass(frozen=True)
class Mock(BaseNode):
    """The smallest node that others can use."""

    name: str = "payments"

    def plan(self, scope: Scope) -> Launch:
        return Launch(self.name, ("serve",), ports={"main": scope.listen().port})

    def exports(self, scope: Scope) -> Mapping[str, str]:
        return {"url": scope.endpoint().http}


def test_a_node_needs_a_name_and_a_plan_only(tmp_path: Path) -> None:
    """Whoever refers to it starts after it, and is told its address."""
    stack, made = stack_of(tmp_path, Fake("shop", text="${payments.url}"), Mock())

    with stack:
        assert made[0].events == ["started payments", "started shop"]
        port = stack.book.endpoint("payments").port
        assert {"url": f"http://127.0.0.1:{port}"} == stack.book.exports("payments")


class BadCheck(ScriptedCheck):
    """A check that cannot be observed."""

    def observe(self):  # type: ignore[no-untyped-def]  # never returns
        raise ZeroDivisionError("in the check")


@dataclass(frozen=True)
class Broken(Mock):
    """It raises in one of its methods."""

    bad: str = ""

    def _maybe(self, method: str) -> None:
        if method == self.bad:
            raise ZeroDivisionError(f"in {method}")

    def plan(self, scope: Scope) -> Launch:
        self._maybe("plan")
        return super().plan(scope)

    def start_after(self, scope: Scope) -> Iterable[Check]:
        self._maybe("start_after")
        return ()

    def checks(self, scope: Scope) -> Iterator[Check]:
        yield ScriptedCheck()
        self._maybe("checks")
        if self.bad == "observe":
            yield BadCheck()

    def initialize(self, scope: Scope) -> None:
        self._maybe("initialize")

    def post_checks(self, scope: Scope) -> Iterable[Check]:
        self._maybe("post_checks")
        return ()

    def exports(self, scope: Scope) -> Mapping[str, str]:
        self._maybe("exports")
        return super().exports(scope)


@pytest.mark.parametrize("method", [*METHODS, "observe"])
def test_a_node_that_raises_is_named_with_its_method_and_line(tmp_path: Path, method: str) -> None:
    """Whatever it was started for, and nothing of the stack is left."""
    user = Fake("shop", text="${payments.url}")
    stack, made = stack_of(tmp_path, user, Broken(bad=method))
    shown = "checks" if method == "observe" else method

    with pytest.raises(ConfigError, match=rf"'payments': Broken.{shown} raised Zero") as caught:
        stack.start()

    assert f"{__file__}:" in caught.value.last
    assert "raise ZeroDivisionError" in caught.value.last
    assert "tests.unit.test_own_nodes.Broken" in caught.value.hint
    assert all("closed" in each.events for each in made)


class Unready(Mock):
    """Its own error is clear already."""

    def checks(self, scope: Scope) -> Iterable[Check]:
        raise NotReady("the licence has expired")


def test_an_error_of_the_harness_passes(tmp_path: Path) -> None:
    """A node may raise it on purpose."""
    stack, _ = stack_of(tmp_path, Unready())

    with pytest.raises(NotReady, match="the licence has expired"):
        stack.start()
