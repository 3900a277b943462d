"""Free ports: never one number for two."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Unavailable
from harness.core import ports
from harness.core.ports import Ports, free_port


@pytest.fixture
def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of leases that only this test uses."""
    free_port()  # this process's own lie where they always do
    monkeypatch.setattr(ports, "LEASES", tmp_path / "leases")
    return tmp_path / "leases"


@pytest.fixture
def others(leases: Path) -> Iterator[Ports]:
    """What another process would have."""
    with Ports() as opened:
        yield opened


@pytest.fixture
def fading() -> int:
    """A port whose last listener has gone, and with a connection that has not faded away yet."""
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)) as listening,
        socket.create_connection(("127.0.0.1", port)) as caller,
    ):
        answering, _ = listening.accept()
        # Who closes first keeps the connection in TIME_WAIT.
        answering.close()
        assert caller.recv(1) == b""
    with socket.socket() as strict, pytest.raises(OSError, match="in use"):
        strict.bind(("127.0.0.1", port))
    return port


def test_no_free_port_is_given_twice() -> None:
    """For as long as this process lives."""
    assert 200 == len({free_port() for _ in range(200)})


def test_no_port_is_one_that_an_outgoing_connection_could_take(others: Ports) -> None:
    """Before it is used: all lie below that range, also when its border was reached."""
    floor = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    others._next = floor - 5

    found = [others.reserve() for _ in range(20)]

    assert max(found) < floor


def test_a_given_port_can_be_listened_on() -> None:
    """It is not held."""
    socket.create_server(("127.0.0.1", free_port())).close()


def test_a_leased_port_is_given_only_to_who_requests_it_by_number() -> None:
    """Others that look for any port pass over it; a stack whose file names it gets it."""
    port = free_port()
    with Ports() as others:
        others._next = port - 1

        assert port != others.reserve()
        assert port == others.reserve(port)


def test_a_lease_outlives_the_release_of_its_port(others: Ports) -> None:
    """No other process may get it between its release and the launch's own bind."""
    with Ports() as ours:
        port = ours.reserve()
        ours.release([port])
        others._next = port - 1

        with pytest.raises(OSError, match=f"port {port} is leased by another node or stack"):
            others.reserve(port)
        assert port != others.reserve()
    assert port == others.reserve(port)


def test_a_port_can_be_had_again_at_once(fading: int, others: Ports) -> None:
    """As `App(port=8000)` wants it after `down` and `up`."""
    assert fading == others.reserve(fading)


def test_a_port_that_was_had_again_is_held_all_the_same(fading: int, others: Ports) -> None:
    """Also against servers that ask for the reuse of addresses, as most do."""
    others.reserve(fading)

    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", fading))
    others.release([fading])
    socket.create_server(("127.0.0.1", fading)).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_a_listener_is_noticed_whatever_it_allows(others: Ports, host: str) -> None:
    """One that reuses addresses, on any interface."""
    with (
        socket.create_server((host, free_port())) as taken,
        pytest.raises(OSError, match="in use"),
    ):
        others.reserve(taken.getsockname()[1])


def test_a_lease_that_is_a_link_makes_no_file_elsewhere(
    leases: Path, others: Ports, tmp_path: Path
) -> None:
    """Neither for a port that was asked for, nor for any."""
    port, target = 20_000, tmp_path / "target"
    (leases / str(port)).symlink_to(target)
    others._next = port - 1

    with pytest.raises(OSError, match="symbolic links"):
        others.reserve(port)
    assert port != others.reserve()
    assert not target.exists()


def test_leases_in_a_folder_of_another_owner_are_rejected(leases: Path, tmp_path: Path) -> None:
    """Here a link to another one, as anybody can make it in /tmp."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    leases.symlink_to(elsewhere)

    with pytest.raises(Unavailable, match=r"leases cannot be trusted(.|\n)*a symbolic link"):
        Ports()
    assert [] == list(elsewhere.iterdir())
