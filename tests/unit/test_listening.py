"""Whoever waits for a port is woken when something listens on it."""

from __future__ import annotations

import socket
import sys
import threading

import pytest

from harness.core.deadline import Deadline, Observation, Wake, poll, wake_of
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.ports import free_port
from harness.ready import listening
from harness.ready.http import HttpCheck
from harness.ready.listening import PortWatch
from harness.ready.tcp import TcpCheck

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other kernels do not tell")
LONG = 30.0
ADDRESSES = [(socket.AF_INET, LOOPBACK), (socket.AF_INET, "")]
if socket.has_dualstack_ipv6():
    ADDRESSES.append((socket.AF_INET6, ""))


def watchers() -> list[threading.Thread]:
    """The threads that look."""
    return [each for each in threading.enumerate() if each.name == listening.THREAD]


def await_no_watcher() -> bool:
    return poll(lambda: Observation(not watchers()), Deadline(LONG)).ok


@linux
@pytest.mark.parametrize(("family", "host"), ADDRESSES)
def test_a_listener_wakes_and_a_bound_port_does_not(
    family: socket.AddressFamily, host: str
) -> None:
    """On any address of both families; the supervisor holds ports by binding them."""
    port, other = free_port(), free_port()
    watch = PortWatch()
    with socket.socket(family) as server:
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind((host, port))
        event, unrelated = watch.event(port), watch.event(other)
        assert event
        assert unrelated
        with socket.create_server((LOOPBACK, free_port())):
            assert not event.wait(0.05)
        server.listen()

        assert event.wait(LONG)
        assert not unrelated.is_set()


@linux
@pytest.mark.parametrize("address", ["127.0.0.2", "::1"])
def test_a_listener_that_a_check_cannot_reach_wakes_nobody(address: str) -> None:
    """Checks connect to 127.0.0.1; a program that listens elsewhere is not ready."""
    if ":" in address and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6")
    port, watch = free_port(), PortWatch()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family):
        event = watch.event(port)
        assert event
        assert not event.wait(0.05)
        with socket.create_server((LOOPBACK, port)):
            assert event.wait(LONG)


@linux
def test_any_number_of_ports_is_waited_for() -> None:
    """More than the answers to one message have room for."""
    watch = PortWatch()
    others = [watch.event(port) for port in range(1, 2000)]
    with socket.create_server((LOOPBACK, free_port())) as server:
        last = watch.event(server.getsockname()[1])
        assert last
        assert last.wait(LONG)

    assert all(others)


@linux
def test_the_thread_ends_when_nobody_waits_any_more() -> None:
    """Because the port is there, or because the wait was given up; a later wait starts another."""
    assert await_no_watcher()
    watch = PortWatch()
    given_up = watch.event(free_port())
    running = len(watchers())
    del given_up
    ended = await_no_watcher()
    with socket.create_server((LOOPBACK, free_port())) as server:
        again = watch.event(server.getsockname()[1])
        assert again
        assert again.wait(LONG)

    assert (1, True) == (running, ended)
    assert await_no_watcher()


@linux
def test_where_the_kernel_does_not_tell_checks_are_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in some sandboxes; it is tried once."""

    def refuse(*_: object) -> socket.socket:
        raise PermissionError

    watch, port = PortWatch(), free_port()
    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", refuse)
        first = watch.event(port)
        assert await_no_watcher()

    assert first
    assert not first.is_set()
    assert watch.event(port) is None


def test_only_addresses_of_this_machine_wake() -> None:
    """A forwarder listens before what it forwards to."""
    port = free_port()

    assert wake_of(TcpCheck(Endpoint("10.0.0.1", port)))() is None
    assert wake_of(TcpCheck(Endpoint(LOOPBACK, port), forwarded=True))() is None
    assert wake_of(HttpCheck(f"http://10.0.0.1:{port}/x"))() is None


@linux
def test_checks_of_a_port_are_woken_by_it() -> None:
    """Connecting and asking by HTTP alike."""
    with socket.create_server((LOOPBACK, free_port())) as server:
        endpoint = Endpoint(*server.getsockname())
        for check in (TcpCheck(endpoint), HttpCheck(f"{endpoint.http}/x")):
            woken = wake_of(check)()
            assert woken
            assert woken.wait(LONG)


class Recorded:
    """A wake that is set by the second wait; it records what it was asked for."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def is_set(self) -> bool:
        return len(self.waits) == 2

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        return self.is_set()


def test_a_poll_waits_for_its_wake_and_then_looks_as_usual() -> None:
    """It is created after a first look, and once; it never outlasts the deadline."""
    made: list[Wake] = []
    looks = 0

    def wake() -> Wake:
        made.append(Recorded())
        return made[-1]

    def look() -> Observation:
        nonlocal looks
        looks += 1
        assert looks == 1 or made
        return Observation(looks == 5)

    seen = poll(look, Deadline(LONG), wake=wake)

    assert (True, 5, 1) == (seen.ok, looks, len(made))
    assert isinstance(made[0], Recorded)
    assert 2 == len(made[0].waits)


def test_a_check_that_passes_at_once_has_no_wake() -> None:
    """Attaching to a stack starts no thread."""

    def wake() -> Wake:
        raise AssertionError

    assert poll(lambda: Observation(True), Deadline(LONG), wake=wake).ok


def test_a_wake_does_not_prolong_a_deadline() -> None:
    """It is waited for no longer than the deadline allows."""
    recorded = Recorded()

    seen = poll(lambda: Observation(False), Deadline(0.005), wake=lambda: recorded)

    assert not seen.ok
    assert all(each <= 0.005 for each in recorded.waits)
