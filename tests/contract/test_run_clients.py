"""A run with several clients: they share its nodes, and none of them can harm the others."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import ConfigError, InstanceDied, LaunchError, Unavailable
from harness.core.deadline import Deadline, Observation, poll
from harness.core.journal import Entry
from harness.core.launch import Launch
from harness.runtime import folder as folders
from harness.runtime.attached import AttachedProcesses, Run
from harness.runtime.base import State
from harness.runtime.folder import door_of
from harness.runtime.proc import wait_gone
from harness.runtime.processes import ProcessRuntime
from harness.runtime.supervisor.clients import LONGEST_LINE, PROTOCOL
from tests.support import environment, whole_lines

pytestmark = pytest.mark.real

PATH = {"PATH": os.environ["PATH"]}
SLEEPER = Launch("sleeper", ("sleep", "300"))
STUBBORN = Launch("stubborn", ("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"), grace=0.5)

CLIENT = """
import os, sys
from pathlib import Path
from harness.core.launch import Launch
from harness.runtime.attached import AttachedProcesses, Run
run = Run(Path(sys.argv[1]), int(sys.argv[2]), lambda _: None)
client = AttachedProcesses(run, dict(os.environ))
client.prepare([Launch("sleeper", ("sleep", "300"))])
with client.operation("hold", "sleeper") if sys.argv[3] == "holding" else client as _:
    print("connected", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def starter() -> Iterator[ProcessRuntime]:
    with ProcessRuntime(PATH) as runtime:
        runtime.start(SLEEPER)
        yield runtime


def joined(starter: ProcessRuntime, *launches: Launch) -> AttachedProcesses:
    """A second client in this process."""
    client = AttachedProcesses(Run(starter.folder, starter.owner, lambda _: None, False), PATH)
    client.prepare(launches or [SLEEPER])
    return client


def in_a_process(starter: ProcessRuntime, role: str = "idle") -> subprocess.Popen[str]:
    """A client in a process of its own, once it is connected."""
    made = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(starter.folder), str(starter.owner), role],
        env=environment(starter.folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert made.stdout is not None
    assert "connected\n" == made.stdout.readline()
    return made


def knock(starter: ProcessRuntime) -> socket.socket:
    """A connection that has not said anything."""
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(30)
    line.connect(str(door_of(starter.folder)))
    return line


def introduced(starter: ProcessRuntime, op: str) -> socket.socket:
    """A connection that has said hello and asked for one thing, when both have been answered."""
    line = knock(starter)
    hello = {"id": 1, "op": "hello", "protocol": PROTOCOL, "who": "x"}
    requests = [hello, {"id": 2, "op": op, "after": 0}]
    # In one piece, which the supervisor answers before it answers anybody else.
    line.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in requests))
    assert eventually(lambda: all(row["who"] for row in starter.request("state")["clients"]))
    return line


def told(line: socket.socket) -> list[dict[str, Any]]:
    """Everything that is said until the other side hangs up."""
    with line, line.makefile("rb") as stream:
        return [json.loads(each) for each in stream]


def eventually(ask: Any) -> bool:
    return poll(lambda: Observation(bool(ask())), Deadline(30)).ok


def entries(starter: ProcessRuntime) -> list[Mapping[str, Any]]:
    """The journal of the run."""
    return [json.loads(line) for line in whole_lines(starter.folder / "journal.jsonl")]


def test_a_restart_by_one_client_is_seen_by_the_other(starter: ProcessRuntime) -> None:
    """It sees the new process id, and the old one's exit was expected."""
    (first,) = starter._instances.values()
    old = first.pid
    with joined(starter) as client:
        second = client.start(SLEEPER)
        assert old == second.pid

        second.restart()
        new = second.pid
        assert eventually(lambda: first.pid == new)

        assert old != new
        assert [None, None] == [first.exit_code, second.exit_code]
    assert not wait_gone(new, 0)


def test_a_kill_by_another_client_is_a_death_that_names_it(starter: ProcessRuntime) -> None:
    """A wait of the first client must end, and its message must not blame the node."""
    (first,) = starter._instances.values()
    with joined(starter) as client:
        client.start(SLEEPER).kill()

        assert eventually(lambda: first.state is State.EXITED)

    assert not first.exit_expected
    assert first.exit_reason.startswith("kill was requested by ")
    assert f"(pid {os.getpid()})" in first.exit_reason


def test_operations_on_one_node_are_carried_out_one_after_the_other() -> None:
    """The second waits until the first is done; those on other nodes do not wait."""
    with ProcessRuntime(PATH) as starter:
        stubborn = starter.start(STUBBORN)
        sleeper = starter.start(SLEEPER)
        with joined(starter, STUBBORN, SLEEPER) as client:
            theirs = client.start(STUBBORN)
            threads = [threading.Thread(target=each.restart) for each in (stubborn, theirs)]
            for thread in threads:
                thread.start()
            assert eventually(lambda: "operation.begun" in [e["kind"] for e in entries(starter)])
            sleeper.restart()
            for thread in threads:
                thread.join()

        kinds = [
            each["kind"] for each in entries(starter)
            if each["node"] == "stubborn" and each["kind"].startswith("operation")
        ]  # fmt: skip
        assert ["operation.begun", "operation.ended"] * 2 == kinds
        order = [e["node"] for e in entries(starter) if e["kind"] == "operation.ended"]
        assert ["sleeper", "stubborn", "stubborn"] == order


def test_kill_9_of_a_client_harms_neither_the_run_nor_its_other_clients(
    starter: ProcessRuntime,
) -> None:
    """Not even one that holds a node."""
    (first,) = starter._instances.values()
    other = in_a_process(starter, "holding")

    other.kill()
    other.communicate()
    first.restart()

    assert eventually(lambda: 1 == len(starter.request("state")["clients"]))
    assert not wait_gone(first.pid, 0)


def test_a_run_ends_with_its_last_client_and_not_before(tmp_path: Path) -> None:
    """Here the starter disconnects first, and the other client is killed."""
    starter = ProcessRuntime(PATH)
    pid = starter.start(SLEEPER).pid
    other = in_a_process(starter)

    assert 1 == starter.leave()
    starter.close()
    assert not wait_gone(pid, 0.5)
    other.kill()
    other.communicate()

    assert wait_gone(pid, 30)
    assert wait_gone(starter.owner, 30)
    assert not starter.folder.exists()
    assert not door_of(starter.folder).exists()


def test_a_starter_that_is_killed_does_not_end_a_run_that_has_another_client(
    tmp_path: Path,
) -> None:
    """As in `up --attach` with a shell beside it."""
    script = (
        "import os, sys\nfrom harness.runtime.processes import ProcessRuntime\n"
        "from harness.core.launch import Launch\nruntime = ProcessRuntime(dict(os.environ))\n"
        "print(runtime.start(Launch('sleeper', ('sleep', '300'))).pid, runtime.owner, "
        "runtime.folder, flush=True)\nsys.stdin.read()\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", script], env=environment(tmp_path), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert first.stdout is not None
    pid, owner, folder = first.stdout.readline().split()
    client = AttachedProcesses(Run(Path(folder), int(owner), lambda _: None), PATH)
    client.prepare([SLEEPER])

    first.kill()
    first.communicate()
    assert not wait_gone(int(pid), 0.5)
    assert 0 == client.leave()
    client.close()

    assert wait_gone(int(pid), 30)
    assert wait_gone(int(owner), 0)


def test_the_end_of_a_run_is_a_death_that_names_its_cause(starter: ProcessRuntime) -> None:
    """`down` sends a signal to the supervisor."""
    starter.detach()
    with joined(starter) as client:
        instance = client.start(SLEEPER)
        os.kill(starter.owner, signal.SIGTERM)

        assert eventually(lambda: instance.state is State.EXITED)

        assert "the stack was ended by the signal SIGTERM" == instance.exit_reason
        with pytest.raises(InstanceDied, match="the stack has been ended"):
            client.request("state")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"no json\n", "not a request: b'no json'"),
        (b'{"id": 1}\n', "not a request"),
        (b'{"id": "x", "op": "state"}\n', "not a request"),
        (b"[" * 100_000 + b"\n", "not a request"),
    ],
)
def test_a_client_that_sends_garbage_gets_an_error_and_is_disconnected(
    starter: ProcessRuntime, sent: bytes, reason: str
) -> None:
    """The others go on."""
    with knock(starter) as line:
        line.sendall(sent)

        (answer,) = told(line)

    assert answer["event"] == "refused"
    assert reason in answer["reason"]
    assert 1 == len(starter.request("state")["clients"])


def test_a_line_without_an_end_is_not_read_for_ever(starter: ProcessRuntime) -> None:
    """100 MB of it: the client is disconnected long before."""
    with knock(starter) as line, pytest.raises(OSError):  # noqa: PT011 - EPIPE or ECONNRESET
        line.sendall(b"x" * 100_000_000)

    assert 1 == len(starter.request("state")["clients"])


def test_a_client_that_never_speaks_or_never_reads_holds_nobody_up(
    starter: ProcessRuntime,
) -> None:
    """One that asks for much and reads nothing is disconnected in the end."""
    with knock(starter), knock(starter) as line:
        line.sendall(
            json.dumps({"id": 1, "op": "hello", "protocol": PROTOCOL, "who": "x"}).encode()
        )
        line.sendall(b"\n")
        line.settimeout(0.2)
        asked = 0
        request = b'{"id": 2, "op": "state"}\n' * 1000
        try:
            while asked < LONGEST_LINE:
                asked += line.send(request)
        except OSError:  # full, or disconnected
            pass

        (first,) = starter._instances.values()
        first.restart()

    assert eventually(lambda: 1 == len(starter.request("state")["clients"]))


def test_an_event_reaches_every_subscriber_and_no_other_client(starter: ProcessRuntime) -> None:
    """The last of them gets the same as the first."""
    lines = [introduced(starter, op) for op in ("subscribe", "state", "subscribe")]
    (first,) = starter._instances.values()
    first.restart()
    for line in lines:
        line.shutdown(socket.SHUT_WR)
    heard = [[each for each in told(line) if each.get("event") == "entry"] for line in lines]

    assert [] == heard[1]
    assert ["restart"] == [each["act"] for each in heard[0] if each["kind"] == "operation.ended"]
    begun = [each["seq"] for each in heard[0] if each.get("kind") == "process.started"]
    assert begun == [each["seq"] for each in heard[2] if each.get("kind") == "process.started"]
    assert 2 == len(begun)


def test_a_subscriber_that_never_reads_is_disconnected(starter: ProcessRuntime) -> None:
    """Its events would otherwise fill the supervisor's memory."""
    with introduced(starter, "subscribe"):
        for _ in range(20):
            starter.note(Entry(0.0, "test.noted", "", {"fact": "x" * 1_000_000}))

        assert eventually(lambda: 1 == len(starter.request("state")["clients"]))


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({"op": "state"}, "the first request must be hello"),
        ({"op": "finish"}, "the first request must be hello"),
        ({"op": "hello", "protocol": 99, "who": "x"}, "speaks protocol 1, and the client 99"),
        ({"op": "hello"}, "hello: KeyError"),
    ],
)
def test_a_client_must_introduce_itself_first(
    starter: ProcessRuntime, sent: dict[str, Any], error: str
) -> None:
    """With the protocol that the supervisor speaks."""
    with knock(starter) as line:
        line.sendall(json.dumps({"id": 1, **sent}).encode() + b"\n")
        line.shutdown(socket.SHUT_WR)

        answers = told(line)

    assert 1 == answers[0]["id"]
    assert error in answers[0]["error"]


@pytest.mark.parametrize(
    ("op", "facts", "error"),
    [
        ("nonsense", {}, "unknown request 'nonsense'"),
        ("reserve", {"wanted": "x"}, "reserve: TypeError"),
        ("free", {"name": "nobody"}, "free: KeyError"),
        ("kill", {}, "kill: KeyError: 'name'"),
        ("restart", {"name": "never"}, "it was never started"),
    ],
)
def test_an_unknown_request_is_an_error_for_its_client_only(
    starter: ProcessRuntime, op: str, facts: dict[str, Any], error: str
) -> None:
    """And the connection stays."""
    with pytest.raises(LaunchError, match="failed") as caught:
        starter.request(op, **facts)

    assert error in caught.value.last
    assert starter.request("state")["nodes"]["sleeper"]["code"] is None


def test_a_node_that_has_exited_can_be_restarted_and_not_paused(starter: ProcessRuntime) -> None:
    """Nor does killing it twice fail."""
    (first,) = starter._instances.values()
    first.kill()
    first.kill()

    with pytest.raises(InstanceDied, match="sleeper is not running"):
        first.pause()
    first.restart()

    assert first.exit_code is None
    assert not wait_gone(first.pid, 0)


def test_a_client_that_joins_later_sees_what_has_happened_before(starter: ProcessRuntime) -> None:
    """A node that is paused, and one that was killed and by whom."""
    dead = starter.start(Launch("dead", ("sleep", "300")))
    dead.kill()
    (first, _) = starter._instances.values()
    first.pause()

    run = Run(starter.folder, starter.owner, lambda _: None)
    with AttachedProcesses(run, PATH) as client:
        client.prepare([SLEEPER, dead.launch])
        with pytest.raises(LaunchError, match="dead is not running in the stack") as killed:
            client.start(dead.launch)
        with pytest.raises(LaunchError, match="sleeper is paused in the stack") as paused:
            client.start(SLEEPER)

    assert "exited with code -9, kill was requested by" in killed.value.last
    assert "pause was requested by" in paused.value.last
    assert "resume sleeper" in paused.value.hint


def test_only_the_owner_of_a_run_can_connect(starter: ProcessRuntime) -> None:
    """The socket's mode and its folder's."""
    door = door_of(starter.folder)

    assert 0o600 == door.stat().st_mode & 0o777
    assert 0o700 == door.parent.stat().st_mode & 0o777


def test_a_socket_folder_of_another_owner_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is started in it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs").chmod(0o777)
    monkeypatch.setattr(folders, "DOORS", tmp_path / "theirs")

    with pytest.raises(Unavailable, match="theirs cannot be trusted"):
        ProcessRuntime(PATH)

    assert [] == list(tmp_path.glob("dapr-harness-*/*"))


def test_a_run_without_a_supervisor_cannot_be_joined(tmp_path: Path) -> None:
    """The message says which one."""
    with ProcessRuntime(PATH) as runtime:
        folder, owner = runtime.folder, runtime.owner

    with pytest.raises(ConfigError, match=rf"supervisor of the stack \(pid {owner}\)"):
        AttachedProcesses(Run(folder, owner, lambda _: None), PATH)


def test_the_journal_has_every_client_from_its_first_to_its_last_moment(
    starter: ProcessRuntime,
) -> None:
    """The supervisor writes it."""
    with joined(starter):
        pass
    assert eventually(lambda: "client.left" in [each["kind"] for each in entries(starter)])

    found = entries(starter)
    kinds = [each["kind"] for each in found]
    assert ["client.joined", "process.started", "client.joined", "client.left"] == kinds
    assert [1, 2, 3, 4] == [each["seq"] for each in found]
