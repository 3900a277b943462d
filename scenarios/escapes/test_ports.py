"""Dapr 1.18.2: "Sidecar reserves its internal gRPC port before initializing components"."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from harness import Settings
from harness.core.deadline import Deadline, Observation, poll
from harness.core.launch import Launch
from harness.provision.toolbox import Provisioner
from harness.runtime.processes import ProcessRuntime

PORTS = ("dapr-http-port", "dapr-grpc-port", "dapr-internal-grpc-port", "metrics-port")
LISTEN = ("dapr-listen-addresses", "dapr-internal-grpc-listen-address")
STORE = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: silent}}
spec:
  type: state.redis
  version: v1
  ignoreErrors: true
  initTimeout: 60s
  metadata:
  - {{name: redisHost, value: "127.0.0.1:{port}"}}
  - {{name: redisMaxRetries, value: "-1"}}
"""
RUNNING = "Internal gRPC server is running"


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


@pytest.mark.escape(
    fixed_in="1.18.2", shows=r"daprd ended with code \d+:.*bind: address already in use"
)
def test_no_connection_that_begins_while_components_start_takes_the_internal_port(
    dapr_settings: Settings, silent: socket.socket
) -> None:
    """One that a component opens gets its own port from the kernel; this one asks for daprd's."""
    daprd = str(Provisioner(dapr_settings).path("daprd"))
    with ProcessRuntime(dapr_settings.inherited) as runtime, contextlib.ExitStack() as opened:
        ports = [runtime.reserve().port for _ in PORTS]
        argv = [f"--{flag}={port}" for flag, port in zip(PORTS, ports, strict=True)]
        argv += ["--app-id=clock", "--resources-path=resources"]
        argv += [f"--{flag}=127.0.0.1" for flag in LISTEN]
        files = {"resources/store.yaml": STORE.format(port=silent.getsockname()[1])}
        held = dict(zip(PORTS, ports, strict=True))
        sidecar = runtime.start(Launch("clock", (daprd, *argv), ports=held, files=files))

        begun, _ = silent.accept()  # the component is being initialized now
        taken = opened.enter_context(socket.socket())
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", ports[2]))
            taken.connect(silent.getsockname())
        begun.close()
        silent.close()  # and its initialization fails, which its component ignores

        def look() -> Observation:
            log = sidecar.log.read_text()
            return Observation(RUNNING in log or sidecar.exit_code is not None, log[-8_000:])

        seen = poll(look, Deadline(90))
        assert sidecar.exit_code is None, f"daprd ended with code {sidecar.exit_code}:\n{seen.fact}"
        assert seen.ok, seen.fact
