"""What only real processes can show: orphans, ports, logs, exits, files."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import InstanceDied, LaunchError, PortTaken, TeardownError, Unavailable
from harness.core import ports
from harness.core.deadline import Deadline, Observation, poll
from harness.core.launch import InProcess, Launch
from harness.runtime import processes as processes_module
from harness.runtime import supervisor_client, supervisor_process, tree
from harness.runtime.base import State
from harness.runtime.folder import clear_run_folder
from harness.runtime.instance import ProcessInstance
from harness.runtime.proc import wait_gone
from harness.runtime.processes import ProcessRuntime
from harness.runtime.tree import running_in, state_of
from tests.support import environment, leftovers, survivors

pytestmark = pytest.mark.real

OWNER = """
import os, sys, time
from harness.runtime.processes import ProcessRuntime
from harness.core.launch import InProcess, Launch
runtime = ProcessRuntime(dict(os.environ))
for number in range(5):
    # A grandchild in a session of its own whose parent has gone, as daemons make them.
    script = "(setsid sleep 300 &); exec sleep 300"
    print(runtime.start(Launch(f"n{number}", ("sh", "-c", script))).pid, end=" ")
print(runtime.owner, flush=True)
sys.stdin.read()
"""


def owner_process(folder: Path) -> subprocess.Popen[str]:
    """A process that owns a runtime with five trees, like pytest or the CLI in the foreground."""
    return subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def output_of(instance: ProcessInstance, lines: int = 1) -> str:
    """The log once it has that many lines."""
    seen = poll(lambda: Observation(instance.log.read_text().count("\n") >= lines), Deadline(10))
    assert seen.ok, instance.log.read_text()
    return instance.log.read_text()


def test_kill_9_of_the_owner_leaves_nothing(tmp_path: Path) -> None:
    """Neither processes, nor grandchildren in other sessions, nor folders."""
    owner = owner_process(tmp_path)
    assert owner.stdout is not None
    owner.stdout.readline()
    assert poll(lambda: Observation(len(survivors(tmp_path)) >= 12), Deadline(5)).ok

    owner.kill()
    owner.communicate()

    assert [] == leftovers(tmp_path)


def test_kill_9_of_the_supervisor_leaves_no_direct_children(tmp_path: Path) -> None:
    """The death signal is the second safeguard, if the supervisor can no longer clean up."""
    with owner_process(tmp_path) as owner:
        assert owner.stdout is not None
        *children, supervisor = (int(word) for word in owner.stdout.readline().split())

        os.kill(supervisor, signal.SIGKILL)

        assert len(children) == 5
        assert all(wait_gone(child, 5) for child in children)
        owner.kill()
        owner.communicate()
    for line in subprocess.run(["pgrep", "-f", "sleep 300"], capture_output=True).stdout.split():
        # What the killed supervisor could not reap, by its own id and only if it is this test's.
        # Another test's may end meanwhile.
        with contextlib.suppress(OSError):
            if f"TMPDIR={tmp_path / 'tmp'}" in Path(f"/proc/{int(line)}/environ").read_text():
                os.kill(int(line), signal.SIGKILL)


def test_the_log_holds_both_streams_from_the_first_byte(processes: ProcessRuntime) -> None:
    """A file, so a chatty child never blocks on a full pipe."""
    script = "echo out; echo err >&2; head -c 300000 /dev/zero | tr '\\0' x; echo; echo end"

    text = output_of(processes.start(Launch("chatty", ("sh", "-c", script))), 4)

    assert ["out", "err", "end"] == [text.split()[0], text.split()[1], text.split()[-1]]
    assert len(text) > 300_000


def test_an_exit_is_known_at_once_with_its_code(processes: ProcessRuntime) -> None:
    """The supervisor reports it; the process is not polled."""
    instance = processes.start(Launch("brief", ("sh", "-c", "exit 7")))

    assert poll(lambda: Observation(instance.exit_code == 7), Deadline(5)).ok


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(
    processes: ProcessRuntime,
) -> None:
    """Stop always ends."""
    script = "trap '' TERM; echo armed; while true; do sleep 0.05; done"
    instance = processes.start(Launch("stubborn", ("sh", "-c", script)))
    output_of(instance)

    instance.stop(grace=0.2)

    assert -9 == instance.exit_code


def test_a_restart_keeps_ports_and_data(processes: ProcessRuntime) -> None:
    """Same command, same folder, log appended."""
    port = processes.reserve().port
    script = f"date >> data; wc -l < data; exec sleep 60 # {port}"
    instance = processes.start(Launch("keeper", ("sh", "-c", script), ports={"main": port}))
    output_of(instance)

    instance.restart()

    assert ["1", "2"] == output_of(instance, 2).split()


def test_an_exit_is_expected_of_the_life_that_was_ended_only(processes: ProcessRuntime) -> None:
    """After a restart the next one is not."""
    instance = processes.start(Launch("one", ("sleep", "60")))
    assert not instance.exit_expected

    instance.kill()
    assert instance.exit_expected

    instance.restart()
    assert not instance.exit_expected


def test_files_and_folders_are_there_before_the_process(
    processes: ProcessRuntime, tmp_path: Path
) -> None:
    """In the node's folder, which is its working folder."""
    (tmp_path / "prepared" / "deep").mkdir(parents=True)
    (tmp_path / "prepared" / "deep" / "b").write_text("copied\n")
    launch = Launch(
        "reader",
        ("sh", "-c", "cat conf/a data/deep/b"),
        files={"conf/a": "written\n"},
        folders={"data": tmp_path / "prepared"},
    )

    assert ["written", "copied"] == output_of(processes.start(launch), 2).split()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start as somebody else")
def test_root_starts_an_unprivileged_launch_as_nobody(processes: ProcessRuntime) -> None:
    """PostgreSQL refuses to run as root."""
    launch = Launch(
        "id", ("sh", "-c", "id -u; touch mine; ls"), process=InProcess(unprivileged=True)
    )

    assert ["65534", "mine"] == output_of(processes.start(launch), 2).split()


def test_a_missing_program_is_reported_by_name(processes: ProcessRuntime) -> None:
    """Before anything is spawned."""
    with pytest.raises(LaunchError, match="'no-such-program' cannot be started"):
        processes.start(Launch("x", ("no-such-program",)))


def test_a_program_without_the_executable_bit_is_told_apart(
    processes: ProcessRuntime, tmp_path: Path
) -> None:
    """With the command that mends it."""
    (tmp_path / "tool").write_text("#!/bin/sh\n")

    with pytest.raises(LaunchError, match=r"not executable\n.*chmod \+x"):
        processes.start(Launch("x", (str(tmp_path / "tool"),)))


def test_a_wanted_port_that_is_taken_names_its_owner(processes: ProcessRuntime) -> None:
    """Process id and command."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PortTaken, match=f"port {port} is held by pid {os.getpid()}"):
            processes.reserve(port)


def test_a_listener_on_another_interface_is_noticed_too(processes: ProcessRuntime) -> None:
    """Bound everywhere for a moment before it is held on loopback."""
    with socket.create_server(("127.0.0.2", 0)) as taken, pytest.raises(PortTaken):
        processes.reserve(taken.getsockname()[1])


def test_ports_are_held_until_the_launch_that_lists_them(processes: ProcessRuntime) -> None:
    """No other process can bind it before; the launched one can."""
    port = processes.reserve().port
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", port))
    serve = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")

    processes.start(Launch("server", serve, ports={"main": port}))

    def accepts() -> Observation:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError as error:
            return Observation(False, str(error))
        return Observation(True)

    assert poll(accepts, Deadline(10)).ok


def test_no_port_is_given_to_two_stacks() -> None:
    """Leased across processes, below the range that outgoing connections are drawn from."""
    floor = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    runtimes = [ProcessRuntime({"PATH": os.environ["PATH"]}) for _ in range(4)]
    try:
        with ThreadPoolExecutor(4) as pool:
            ports = list(pool.map(lambda r: [r.reserve().port for _ in range(100)], runtimes))
    finally:
        for runtime in runtimes:
            runtime.close()

    given = [port for each in ports for port in each]
    assert len(set(given)) == 400
    assert max(given) < floor


def test_a_port_stays_leased_to_the_launch_that_has_not_bound_it_yet(
    processes: ProcessRuntime,
) -> None:
    """It is released only for that launch."""
    port = processes.reserve().port
    processes.start(Launch("slow", ("sleep", "300"), ports={"main": port}))

    with (
        ProcessRuntime({"PATH": os.environ["PATH"]}) as other,
        pytest.raises(PortTaken, match=f"port {port} is leased by another node or stack"),
    ):
        other.reserve(port)


def test_what_ignores_every_signal_is_killed_at_the_end(tmp_path: Path) -> None:
    """A grandchild in a session of its own, which no death signal reaches."""
    deaf = r"trap '' TERM INT HUP; echo \$\$; while true; do sleep 0.1; done"
    runtime = ProcessRuntime({"PATH": os.environ["PATH"]})
    try:
        parent = runtime.start(Launch("deaf", ("sh", "-c", f'setsid sh -c "{deaf}" & wait')))
        pid = int(output_of(parent))
    finally:
        runtime.close()

    gone = wait_gone(pid, 0)
    if not gone:
        os.kill(pid, signal.SIGKILL)
    assert pid != parent.pid
    assert gone


LAST = """
import os, signal, sys, threading

def end(*_):
    with open(sys.argv[2], "w") as file:
        try:
            os.kill(int(sys.argv[1]), 0)
            file.write("the other lives\\n")
        except ProcessLookupError:
            file.write("the other is gone\\n")
        threading.Event().wait(1.2)
        file.write("done\\n")
    os._exit(0)

signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_what_ends_last_is_asked_when_all_others_have_ended_and_has_its_own_grace(
    tmp_path: Path,
) -> None:
    """The others have a second; it needs longer."""
    said = tmp_path / "said"
    with ProcessRuntime({"PATH": os.environ["PATH"]}) as runtime:
        slow = "trap 'sleep 0.3; exit' TERM; echo ready; while :; do sleep 0.05; done"
        early = runtime.start(Launch("early", ("sh", "-c", slow)))
        words = (sys.executable, "-c", LAST, str(early.pid), str(said))
        late = runtime.start(Launch("late", words, ends_last=True, grace=30))
        assert ("ready\n", "ready\n") == (output_of(early), output_of(late))

    assert ["the other is gone", "done"] == said.read_text().splitlines()


def test_the_last_command_of_a_launch_is_executed_when_its_process_has_been_killed(
    tmp_path: Path,
) -> None:
    """It removes what does not end with a process; its node could not."""
    said = tmp_path / "said"
    with ProcessRuntime({"PATH": os.environ["PATH"]}) as runtime:
        words = ("sh", "-c", "echo ready; exec sleep 300")
        node = runtime.start(Launch("node", words, at_end=("sh", "-c", f"echo gone > {said}")))
        assert "ready\n" == output_of(node)
        node.kill()
        assert not said.exists()

    assert "gone\n" == said.read_text()


def test_what_a_run_writes_is_its_owners_alone(processes: ProcessRuntime) -> None:
    """Logs, what a node writes, and who owns the run; whatever the umask of the harness."""
    passable = 0o711 if os.geteuid() == 0 else 0o700
    output_of(processes.start(Launch("writer", ("sh", "-c", "umask 0; echo x > data; echo done"))))

    modes = {
        str(path.relative_to(processes.folder)): path.stat().st_mode & 0o777
        for path in (processes.folder, *processes.folder.rglob("*"))
    }
    assert {
        ".": passable,
        "journal.jsonl": 0o600,
        "logs": 0o700,
        "logs/supervisor.log": 0o600,
        "logs/writer.log": 0o600,
        "nodes": passable,
        "nodes/writer": 0o700,
        "nodes/writer/data": 0o666,
        "owner": 0o600,
    } == modes


def test_a_stopped_supervisor_is_named_and_closing_continues_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No wait for it is without a limit."""
    monkeypatch.setattr(supervisor_client, "ANSWERING", 0.5)
    monkeypatch.setattr(supervisor_client, "OPERATING", 0.5)
    runtime = ProcessRuntime({"PATH": os.environ["PATH"]})
    os.kill(runtime.owner, signal.SIGSTOP)
    try:
        with pytest.raises(LaunchError, match=rf"pid {runtime.owner}(.|\n)*T \(stopped\)"):
            runtime.start(Launch("x", ("true",)))
        runtime.close()
    finally:
        if not wait_gone(runtime.owner, 0):
            os.kill(runtime.owner, signal.SIGCONT)

    assert wait_gone(runtime.owner, 0)
    assert not runtime.folder.exists()


def test_a_supervisor_that_does_not_end_is_killed_with_all_below_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here it stays stopped; the processes it started are in other sessions."""
    runtime = ProcessRuntime({"PATH": os.environ["PATH"]})
    parent = runtime.start(Launch("parent", ("sh", "-c", "setsid sleep 300 & echo $!; wait")))
    grandchild = int(output_of(parent))
    # From here on, it does not answer; on a busy machine, its start takes longer than this.
    monkeypatch.setattr(supervisor_process, "STOPPING", 0.5)
    monkeypatch.setattr(supervisor_client, "ANSWERING", 0.5)
    monkeypatch.setattr(processes_module, "send", lambda _pid, _number: None)
    os.kill(runtime.owner, signal.SIGSTOP)

    with pytest.raises(TeardownError, match=rf"supervisor \(pid {runtime.owner}\) did not end"):
        runtime.close()

    gone = [wait_gone(pid, 10) for pid in (runtime.owner, parent.pid, grandchild)]
    if not gone[-1]:
        os.kill(grandchild, signal.SIGKILL)
    assert [True, True, True] == gone
    assert "" == clear_run_folder(runtime.folder)


def test_whoever_asks_for_the_state_is_told_of_a_process_that_has_ended(
    processes: ProcessRuntime,
) -> None:
    """Even if the supervisor reads the request before it was told of the end."""
    child = processes.start(Launch("child", ("sleep", "300")))
    os.kill(processes.owner, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        try:
            asking = pool.submit(processes.request, "state")
            line = processes._supervisor._socket
            assert poll(lambda: Observation(unread(line) > 0), Deadline(10)).ok
            os.kill(child.pid, signal.SIGKILL)
            stat = Path(f"/proc/{child.pid}/stat")
            assert poll(lambda: Observation(") Z " in stat.read_text()), Deadline(10)).ok
        finally:
            os.kill(processes.owner, signal.SIGCONT)
        told = asking.result(10)["nodes"]["child"]

    assert -signal.SIGKILL == told["code"]


def unread(line: socket.socket) -> int:
    """Bytes that were sent and that the other side has not read."""
    return int.from_bytes(fcntl.ioctl(line, termios.TIOCOUTQ, b"\0" * 4), sys.byteorder)


def test_a_supervisor_that_dies_leaves_no_folder(processes: ProcessRuntime) -> None:
    """While it starts or later: who started it is there to remove it."""
    os.kill(processes.owner, signal.SIGKILL)

    with pytest.raises(InstanceDied, match="supervisor has ended"):
        poll(lambda: Observation(processes.reserve().port == 0), Deadline(30))
    processes.close()

    assert not processes.folder.exists()


def test_a_supervisor_that_cannot_be_started_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor hides why."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/no/such/python")

    with pytest.raises(FileNotFoundError, match="/no/such/python"):
        ProcessRuntime({})

    assert [] == list(tmp_path.glob("dapr-harness-*/*"))


def test_leases_that_cannot_be_trusted_are_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor could only die of them."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(ports, "LEASES", tmp_path / "leases")
    (tmp_path / "leases").symlink_to(tmp_path)

    with pytest.raises(Unavailable, match="leases cannot be trusted"):
        ProcessRuntime({})

    assert [] == list(tmp_path.glob("dapr-harness-*/*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_a_detached_run_outlives_its_starter_and_ends_on_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Its leftovers go with it."""
    note = tmp_path / "state.json"
    note.write_text("{}")
    runtime = ProcessRuntime({"PATH": os.environ["PATH"]})
    child = runtime.start(Launch("sleeper", ("sleep", "300")))

    runtime.detach([note])
    runtime.close()
    assert not wait_gone(child.pid, 0.2)
    os.kill(runtime.owner, number)

    assert wait_gone(child.pid, 30)
    assert poll(
        lambda: Observation(not note.exists() and not runtime.folder.exists()), Deadline(30)
    ).ok


def test_an_unreadable_supervisor_message_ends_every_request() -> None:
    """Pending and later requests both fail; closing works as usual."""

    def told(line: str) -> None:
        if line:  # the last one, which tells of the helper's end, is empty
            json.loads(line)

    with ProcessRuntime({"PATH": os.environ["PATH"]}, told) as runtime:
        instance = runtime.start(Launch("one", ("sleep", "60")))
        helper = [sys.executable, "-c", "print('no json', flush=True); input()"]
        runtime.request("listen", argv=helper)

        def refused() -> Observation:
            try:
                runtime.request("state")
            except InstanceDied as error:
                return Observation(True, str(error))
            return Observation(False)

        seen = poll(refused, Deadline(30))
        assert "cannot be understood" in seen.fact
        assert "no json" in seen.fact
        assert State.EXITED is instance.state
    assert wait_gone(instance.pid, 10)


def test_the_exit_of_a_helper_is_reported() -> None:
    """As an empty line, after its last one."""
    lines: list[str] = []
    with ProcessRuntime({"PATH": os.environ["PATH"]}, lines.append) as runtime:
        runtime.request("listen", argv=["sh", "-c", "echo last"])

        assert poll(lambda: Observation(len(lines) == 2), Deadline(30)).ok
    assert ["last", ""] == lines


def test_an_app_inherits_everything_and_a_hermetic_one_is_told_what_it_does_not() -> None:
    """Its own variables override them; a broker silently inherits the small environment."""
    small = {"PATH": os.environ["PATH"]}
    whole = {**small, "API_KEY": "key", "GIVEN": "inherited", "PASSWORD": "hidden"}
    show = ("sh", "-c", 'echo "<$API_KEY> <$GIVEN>"')
    given = {"GIVEN": "given"}
    with ProcessRuntime(small, whole=whole) as runtime:
        app = runtime.start(
            Launch("app", show, given, under_test=True, process=InProcess(inherits=True))
        )
        hermetic = runtime.start(Launch("hermetic", show, given, under_test=True))
        broker = runtime.start(Launch("broker", show, given))
        told = "dapr-harness: hermetic, so not inherited: API_KEY PASSWORD\n"

        assert "<key> <given>\n" == output_of(app)
        assert f"{told}<> <given>\n" == output_of(hermetic, 2)
        assert "<> <given>\n" == output_of(broker)


def test_what_is_paused_has_stopped_on_a_busy_core(processes: ProcessRuntime) -> None:
    """A process stops when it gets the core next; one of the lowest priority waits for that."""
    core = min(os.sched_getaffinity(0))
    here = f"import os; os.sched_setaffinity(0, [{core}]); "
    seldom = (
        here + "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)); print(0, flush=True)"
    )
    spin = "\nwhile True: pass"
    node = processes.start(Launch("seldom", (sys.executable, "-c", seldom + spin)))
    assert "0\n" == output_of(node)
    processes.start(Launch("hog", (sys.executable, "-c", here + spin)))
    for _ in range(5):
        node.pause()

        assert "T" == state_of(node.pid)[:1]

        node.resume()


def test_what_was_forked_while_others_were_listed_is_found(
    processes: ProcessRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first list does not have it."""
    node = processes.start(Launch("forked", ("sleep", "60")))
    node.pause()
    lists = iter([[], [os.getpid()]])
    monkeypatch.setattr(tree, "descendants", lambda _: next(lists))

    assert [os.getpid()] == running_in(node.pid)


def test_nothing_that_is_paused_can_fork_itself_out_of_it(processes: ProcessRuntime) -> None:
    """Neither before nor while its processes are told to stop."""
    forking = "print(0, flush=True)\nimport os\nwhile os.fork(): os.wait()\n"
    busy = "for _ in range(2_000): pass"
    node = processes.start(Launch("forking", (sys.executable, "-c", forking + busy)))
    assert "0\n" == output_of(node)
    for _ in range(5):
        node.pause()

        assert [] == running_in(node.pid)

        node.resume()
