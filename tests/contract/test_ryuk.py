"""Ryuk is started where its image is, and counts once it has confirmed what it shall remove.

Its own image can be had from a registry only. What is armed here speaks its protocol: it prints
"Started!", reads filters on port 8080 and answers ACK; or, as in testcontainers-python #1114, not.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import LaunchError
from harness.provision.images import Context
from harness.runtime.containers import reaper
from harness.stack.images import Images, packed

pytestmark = pytest.mark.real

STAND_IN = """\
import socket
server = socket.create_server(("0.0.0.0", 8080))
print("Started!", flush=True)
line, _ = server.accept()
while line.recv(4096):
    line.sendall(ANSWER)
"""
ARM = """\
from harness.runtime.containers import reaper
from harness.runtime.containers.engine import Engine
reaper.ANSWERING = 1.0
with Engine() as engine:
    print("armed" if reaper.arm_ryuk(engine) else "not here", flush=True)
    print("still armed" if reaper.arm_ryuk(engine) else "gone", flush=True)
    input()
"""
Arm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def arm(images: Images) -> Iterator[Arm]:
    """Arms a Ryuk that gives that answer, in a process of its own; it must be gone at the end."""
    tags = []

    def run(answer: bytes, **environment: str) -> subprocess.CompletedProcess[str]:
        tags.append(f"dapr-harness-test/ryuk:{answer.hex() or 'silent'}")
        script = STAND_IN.replace("ANSWER", repr(answer))
        base = images.reference("app")
        recipe = f'FROM {base}\nCOPY ryuk.py /\nCMD ["python3", "-u", "/ryuk.py"]\n'
        with packed(Context(recipe, {}, {"ryuk.py": script})) as archive:
            images.engine.build(tags[-1], archive, {}, {}, lambda _: None)
        return subprocess.run(
            [sys.executable, "-c", ARM], input="\n", capture_output=True, text=True,
            env={"PATH": "/usr/bin", "RYUK_CONTAINER_IMAGE": tags[-1], **environment},
        )  # fmt: skip

    def gone(tag: str) -> Observation:
        left = images.engine.client.containers.list(all=True, filters={"ancestor": tag})
        return Observation(not left, str(left))

    yield run
    for tag in tags:
        assert poll(partial(gone, tag), Deadline(10)).ok
        images.engine.client.images.remove(tag)


def test_ryuk_is_armed_once_where_its_image_is(arm: Arm) -> None:
    """And ends with the process that armed it."""
    done = arm(b"ACK\n")

    assert ["armed", "still armed"] == done.stdout.split("\n")[:2], done.stderr


def test_ryuk_that_does_not_confirm_is_an_error(arm: Arm) -> None:
    """Not a clean-up that will not happen."""
    done = arm(b"")

    assert "Ryuk was started but is not armed" in done.stderr
    assert "TESTCONTAINERS_RYUK_DISABLED=true" in done.stderr


def test_ryuk_can_be_left_out(arm: Arm) -> None:
    """By testcontainers' own variable."""
    done = arm(b"ACK\n", TESTCONTAINERS_RYUK_DISABLED="true")

    assert "not here" in done.stdout


@pytest.mark.parametrize("answer", [b"", b"NAK\n"])
def test_ryuk_without_ack_is_an_error(answer: bytes) -> None:
    """A closed connection, and another response, which is shown."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)

        with pytest.raises(LaunchError) as caught:
            reaper.require_answer(ours)

    assert (repr(answer) if answer else "it said nothing") in str(caught.value)
