"""How many of the tests to come need a world, and the pool from which they get it."""

from __future__ import annotations

import argparse
from bisect import bisect_right
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_options import ISOLATED, asked_of

if TYPE_CHECKING:
    from harness.stack.pool import Pool
    from harness.stack.stack import Stack

OPTION, AUTO = "dapr_worlds", "auto"
PARAMETERS = ("dapr_runtime", "dapr_version", "dapr_time")
"""The fixtures on whose parameters it depends which stack a test uses."""

HELP = (
    "how many worlds wait for the tests to come that need one: a number, 0 for none; auto is at "
    "most as many as there are such tests, and two for each core, as long as a core is idle"
)

Key = tuple[object, ...]
NEXT: pytest.StashKey[pytest.Item | None] = pytest.StashKey()
COMING: pytest.StashKey[Coming] = pytest.StashKey()


def add_worlds_option(parser: pytest.Parser, group: pytest.OptionGroup) -> None:
    """``--dapr-worlds``, and the same in pytest's file."""
    group.addoption("--dapr-worlds", type=number_of_worlds, metavar="auto|N", help=HELP)
    parser.addini(OPTION, f"the default of --dapr-worlds: {HELP}", default=AUTO)


def number_of_worlds(text: str) -> str:
    """The value of the option: ``auto``, or a number.

    Raises:
        ArgumentTypeError: it is neither.
    """
    if text != AUTO and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number")
    return text


class Worlds:
    """Notes which test is the next, as xdist tells a worker no more."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Before each test."""
        item.stash[NEXT] = nextitem


class Coming:
    """The tests of a session that need a world, by the stack that they use.

    Args:
        items: all tests, in the order in which they run.
    """

    def __init__(self, items: list[pytest.Item]) -> None:
        self._places = {item: place for place, item in enumerate(items)}
        self._needing: dict[Key, list[int]] = {}
        for item, place in self._places.items():
            if needs_world(item):
                self._needing.setdefault(stack_of(item), []).append(place)

    def after(self, item: pytest.Item) -> int:
        """How many of them use the same stack as a test, and run later."""
        needing = self._needing.get(stack_of(item), [])
        return len(needing) - bisect_right(needing, self._places.get(item, -1))


def needs_world(item: pytest.Item) -> bool:
    """Whether a test's own marker or that of its class or module asks for a world."""
    uses = ISOLATED in getattr(item, "fixturenames", ())
    return uses and asked_of(item).get("isolation") == "world"


def stack_of(item: pytest.Item) -> Key:
    """What tests that use the same stack have in common: the fixture, and its parameters."""
    info: Any = getattr(item, "_fixtureinfo", None)
    fixtures = info.name2fixturedefs.get("dapr_stack", ()) if info else ()
    chosen: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    return (*map(id, fixtures[-1:]), *(chosen.get(name) for name in PARAMETERS))


def prepared(
    request: pytest.FixtureRequest, stack: Stack
) -> tuple[Callable[[], AbstractContextManager[Stack]], Callable[[], None]]:
    """How a test gets a world of a stack, and what makes worlds for the tests after it.

    Args:
        request: of a fixture of the test.
        stack: the one of which worlds are copies.
    """
    later = later_of(request.node, request.session)

    def lease() -> AbstractContextManager[Stack]:
        return pool_of(stack, request.config).leased(request.node.nodeid, later)

    def expect() -> None:
        if later or stack.users:
            pool_of(stack, request.config).expect(later)

    return lease, expect


def pool_of(stack: Stack, config: pytest.Config) -> Pool:
    """The pool of a stack, which closes it."""
    from harness.stack.pool import Pool
    from harness.stack.room import Room, most_copies, two_for_each_core

    for each in stack.users:
        if isinstance(each, Pool):
            return each
    wanted = wanted_of(config)
    size = most_copies(stack, two_for_each_core() if wanted == AUTO else int(wanted))
    return Pool(stack, size, Room(stack, patient=wanted == AUTO))


def later_of(item: pytest.Item, session: pytest.Session) -> int:
    """How many tests that run after this one, in this process, need a world of its stack.

    A worker of xdist knows only its next test; the others may go to another worker.
    """
    following = item.stash.get(NEXT, None)
    if hasattr(session.config, "workerinput"):
        same = following is not None and stack_of(following) == stack_of(item)
        return int(same and following is not None and needs_world(following))
    if COMING not in session.stash:
        session.stash[COMING] = Coming(session.items)
    return session.stash[COMING].after(item)


def wanted_of(config: pytest.Config) -> str:
    """How many spare worlds there may be: ``auto``, or a number.

    Raises:
        UsageError: pytest's file says neither.
    """
    try:
        return str(config.getoption(OPTION) or number_of_worlds(str(config.getini(OPTION))))
    except argparse.ArgumentTypeError as error:
        raise pytest.UsageError(f"{OPTION}: {error}") from None
