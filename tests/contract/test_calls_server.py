"""The recorder between an app and its sidecar: what passes, when, and what it does at an end."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.ports import free_port
from harness.probe import calls_server
from harness.probe.api_calls import Call, CallRecord
from harness.ready.loopback import ask
from harness.ready.tcp import TcpCheck

pytestmark = pytest.mark.real

REQUEST = b"POST /v1.0/publish/bus/t HTTP/1.1\r\nhOST: x\r\nContent-Length:2\r\n\r\n{}"
RESPONSE = b"HTTP/1.1 200 Fine\r\nx-oDD:   1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\none\r\n"
REST = b"3\r\ntwo\r\n0\r\n\r\n"


class Between:
    """The recorder, with a sidecar that the test plays.

    Attributes:
        daprd: the address at which the recorder expects the sidecar.
    """

    def __init__(self, daprd: Endpoint, listen: Endpoint, read: Endpoint) -> None:
        self.daprd = daprd
        self._listen = listen
        self._read = read
        self._server: socket.socket | None = None

    def serve(self) -> socket.socket:
        """Listen as the sidecar."""
        self._server = socket.create_server((self.daprd.host, self.daprd.port))
        self._server.settimeout(30)
        return self._server

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """A connection of the app, and the one of the sidecar that belongs to it."""
        server = self._server or self.serve()
        app = self.app()
        sidecar, _ = server.accept()
        sidecar.settimeout(30)
        return app, sidecar

    def app(self) -> socket.socket:
        """A connection of the app."""
        return socket.create_connection((self._listen.host, self._listen.port), timeout=30)

    def calls(self) -> list[Call]:
        """What is recorded."""
        return list(CallRecord(self._read, 0).read())

    def one_call(self) -> Call:
        """The only call that is recorded, as soon as it is."""
        poll(lambda: Observation(bool(self.calls())), Deadline(30))
        (call,) = self.calls()
        return call

    def close(self) -> None:
        """Stop listening as the sidecar."""
        if self._server:
            self._server.close()
            self._server = None


@pytest.fixture
def between(tmp_path: Path) -> Iterator[Between]:
    """The recorder, running."""
    daprd, listen, read = (Endpoint(LOOPBACK, free_port()) for _ in range(3))
    program = [sys.executable, calls_server.__file__, str(listen), str(daprd), str(read)]
    with subprocess.Popen([*program, str(tmp_path / "record")]) as process:
        made = Between(daprd, listen, read)
        try:
            assert poll(TcpCheck(read).observe, Deadline(30)).ok
            yield made
        finally:
            made.close()
            process.terminate()


def received(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer if the connection ends before."""
    found = b""
    while len(found) < size and (piece := connection.recv(size - len(found))):
        found += piece
    return found


def test_bytes_pass_unchanged_and_at_once(between: Between) -> None:
    """Both directions, odd spellings included; the first part of a stream does not wait."""
    app, sidecar = between.connect()
    with app, sidecar:
        app.sendall(REQUEST)
        assert REQUEST == received(sidecar, len(REQUEST))
        sidecar.sendall(RESPONSE)
        assert RESPONSE == received(app, len(RESPONSE))
        assert [] == between.calls()
        sidecar.sendall(REST)
        assert REST == received(app, len(REST))

        (call,) = between.calls()

    assert (200, {}, "onetwo") == (call.status, call.data, call.answer)


def test_what_is_not_http_passes_as_well(between: Between) -> None:
    """Such as HTTP/2, in both directions."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    app, sidecar = between.connect()
    with app, sidecar:
        app.sendall(preface)
        assert preface == received(sidecar, len(preface))
        sidecar.sendall(b"\x00\x00\x00\x04")
        assert b"\x00\x00\x00\x04" == received(app, 4)

    assert [] == between.calls()


def test_a_sidecar_that_does_not_listen_is_a_reset_connection(between: Between) -> None:
    """Nothing is answered in its place; when it listens, calls pass."""
    with between.app() as app, pytest.raises(ConnectionResetError):
        received(app, 1)

    app, sidecar = between.connect()
    with app, sidecar:
        app.sendall(REQUEST)
        assert REQUEST == received(sidecar, len(REQUEST))


def test_a_sidecar_that_dies_closes_the_connection_of_the_app(between: Between) -> None:
    """Its call is recorded without a status."""
    app, sidecar = between.connect()
    with app:
        app.sendall(REQUEST)
        received(sidecar, len(REQUEST))
        sidecar.close()
        assert b"" == received(app, 1)

    assert between.one_call().status is None


def test_an_idle_connection_that_the_sidecar_closes_is_closed(between: Between) -> None:
    """An HTTP client that keeps it notices, and opens another one."""
    app, sidecar = between.connect()
    with app:
        sidecar.close()
        assert b"" == received(app, 1)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_app_that_hangs_up_ends_the_call_at_the_sidecar(between: Between, how: str) -> None:
    """A request whose caller has gone is cancelled there, as without the recorder."""
    app, sidecar = between.connect()
    with sidecar:
        app.sendall(REQUEST)
        received(sidecar, len(REQUEST))
        if how == "reset":
            app.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        app.close()
        try:
            assert b"" == received(sidecar, 1)
        except ConnectionResetError:
            assert how == "reset"


def test_a_request_can_end_before_its_response(between: Between) -> None:
    """An app that has closed its half of the connection still gets the response."""
    app, sidecar = between.connect()
    with app, sidecar:
        app.sendall(REQUEST)
        app.shutdown(socket.SHUT_WR)
        assert REQUEST == received(sidecar, len(REQUEST) + 1)
        sidecar.sendall(RESPONSE + REST)
        assert RESPONSE + REST == received(app, len(RESPONSE + REST))

    assert 200 == between.one_call().status


def test_the_record_can_be_read_and_nothing_else(between: Between, tmp_path: Path) -> None:
    """It is its owner's alone; another path on its port is neither answered nor recorded."""
    answer = ask("POST", f"{between._read.http}/v1.0/publish/bus/t", json={})

    assert 404 == answer.status_code
    assert [] == between.calls()
    assert 0o600 == (tmp_path / "record").stat().st_mode & 0o777


def test_a_path_of_the_record_is_the_sidecars_on_the_port_of_the_app(between: Between) -> None:
    """The app's port has no path of its own."""
    request = b"GET /__inbox__/record?from=0 HTTP/1.1\r\nHost: x\r\n\r\n"
    app, sidecar = between.connect()
    with app, sidecar:
        app.sendall(request)

        assert request == received(sidecar, len(request))
