"""``up``, ``status``, ``logs``, ``token``, ``down``: one stack, two stacks, none."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.runtime.proc import wait_gone
from harness.stack.registry import Registry
from tests.going_on import GoingOn, going_on
from tests.support import CLI, cli, environment, leftovers, project, survivors

pytestmark = pytest.mark.real


def address(folder: Path, node: str, port: str, name: str = "default") -> str:
    """Where something listens, by `status --json`."""
    (row,) = json.loads(cli(folder, "status", "--name", name, "--json").stdout)
    (found,) = [each for each in row["nodes"] if each["name"] == node]
    return f"http://{found['endpoints'][port]}"


def test_up_status_logs_requests_and_down(mini: Path) -> None:
    """The whole round of a newcomer, with curl in the middle."""
    up = cli(mini, "up", "--timings")
    assert up.returncode == 0, up.stderr
    app, sidecar = address(mini, "hello", "main"), address(mini, "hello-daprd", "http")
    token = cli(mini, "token").stdout.strip()

    direct = httpx.get(f"{app}/x").text
    invoked = httpx.get(
        f"{sidecar}/v1.0/invoke/hello/method/y", headers={"dapr-api-token": token}
    ).text
    status = cli(mini, "status")
    logs = cli(mini, "logs", "hello")
    down = cli(mini, "down")

    assert ("hello", "hello") == (direct, invoked)
    assert "1:port" in up.stdout
    assert "9:group" in up.stdout
    assert 4 == len(re.findall(r" [0-9.]+ s +[0-9.]+ CPU \|", up.stdout))
    assert "healthy" in status.stdout
    assert "asked /x" in logs.stdout.splitlines()
    assert (0, "stack 'default' is down: 4 nodes") == (
        down.returncode,
        down.stdout.split(" in ")[0],
    )
    assert [] == leftovers(mini)
    assert [] == list((mini / "state").glob("*.json"))


def test_two_stacks_run_side_by_side(mini: Path) -> None:
    """Ending one leaves the other."""
    assert cli(mini, "up", "--name", "one").returncode == 0
    assert cli(mini, "up", "--name", "two").returncode == 0
    one, two = (address(mini, "hello", "main", name) for name in ("one", "two"))

    assert cli(mini, "down", "--name", "one").returncode == 0

    assert httpx.get(two).text == "hello"
    with pytest.raises(httpx.ConnectError):
        httpx.get(one)
    assert cli(mini, "down", "--name", "two").returncode == 0


def test_up_twice_is_refused_and_the_first_stays(mini: Path) -> None:
    """Exit code 2, and the way out."""
    cli(mini, "up")

    second = cli(mini, "up")

    assert second.returncode == 2
    assert "a stack named 'default' is up already" in second.stderr
    assert "dapr-harness down --name default" in second.stderr
    assert httpx.get(address(mini, "hello", "main")).text == "hello"


def test_only_one_of_two_simultaneous_starts_of_a_name_succeeds(mini: Path) -> None:
    """The other one gets exit code 2, whichever it is."""
    starts = [
        subprocess.Popen(
            [*CLI, "up"],
            cwd=mini, env=environment(mini), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]  # fmt: skip

    told = [each.communicate(timeout=30)[1] for each in starts]

    assert [0, 2] == sorted(each.returncode for each in starts), told
    assert "is being started by another process" in "".join(told) or "is up already" in "".join(
        told
    )
    assert httpx.get(address(mini, "hello", "main")).text == "hello"


def test_commands_on_a_stack_that_is_not_up_exit_with_2(mini: Path) -> None:
    """Down, status, logs and token say so with exit code 2."""
    for command in (["down"], ["status", "--name", "default"], ["logs"], ["token"]):
        done = cli(mini, *command)

        assert done.returncode == 2, command
        assert "no stack named 'default' is up" in done.stderr


def test_a_stack_whose_supervisor_was_killed_is_removed_from_the_registry(mini: Path) -> None:
    """Its state file is recognised as a dead one's and removed."""
    cli(mini, "up")
    (row,) = json.loads(cli(mini, "status", "--json").stdout)

    subprocess.run(["kill", "-9", str(row["supervisor"])], check=True)
    assert poll(lambda: Observation(not survivors(mini)), Deadline(10)).ok

    doctor = cli(mini, "doctor")
    assert "1 state files, 1 folders" in doctor.stdout
    assert "no stack named" in cli(mini, "down").stderr
    assert [] == list((mini / "state").glob("*.json"))
    assert "1 folders" in cli(mini, "down", "--stale").stdout
    assert not Path(row["folder"]).exists()


def test_a_frozen_sidecar_is_shown_as_unhealthy(mini: Path) -> None:
    """A frozen one is unhealthy, and the command ends all the same."""
    cli(mini, "up")
    (row,) = json.loads(cli(mini, "status", "--json").stdout)
    pid = next(node["pid"] for node in row["nodes"] if node["name"] == "hello-daprd")

    os.kill(pid, signal.SIGSTOP)
    try:
        (frozen,) = json.loads(cli(mini, "status", "--json").stdout)
    finally:
        os.kill(pid, signal.SIGCONT)

    states = {node["name"]: node["state"] for node in frozen["nodes"]}
    assert {"hello-daprd": "unhealthy", "hello": "running"} == {
        name: states[name] for name in ("hello-daprd", "hello")
    }
    assert 0 == cli(mini, "down").returncode


def test_up_attached_shows_logs_and_stops_everything_on_ctrl_c(mini: Path) -> None:
    """Meanwhile others can see the stack; exit code 130."""
    with going_on(mini, "up", "--attach") as attached:
        registry = Registry(mini / "state")
        up = poll(lambda: Observation(registry.find("default") is not None), Deadline(30))
        assert up.ok
        httpx.get(f"{address(mini, 'hello', 'main')}/seen")
        assert any("| asked /seen" in line for line in attached.lines())

        attached.process.send_signal(signal.SIGINT)
        attached.ended(20)

    assert attached.process.returncode == 130
    assert [] == list((mini / "state").glob("*.json"))


def test_kill_9_of_the_cli_in_the_foreground_leaves_nothing(mini: Path) -> None:
    """The supervisor notices and ends the tree."""
    with subprocess.Popen(
        [*CLI, "up", "--attach"],
        cwd=mini, env=environment(mini), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as attached:  # fmt: skip
        registry = Registry(mini / "state")
        assert poll(lambda: Observation(registry.find("default") is not None), Deadline(30)).ok
        attached.kill()

    assert [] == leftovers(mini)


def test_logs_follow_until_the_stack_ends(mini: Path) -> None:
    """-f goes on, and stops when there is nothing more to come."""
    cli(mini, "up")
    with going_on(mini, "logs", "-f", "hello") as following:
        httpx.get(f"{address(mini, 'hello', 'main')}/later")
        assert any("asked /later" in line for line in following.lines())
        cli(mini, "down")
        stderr = following.ended(20)

    assert following.process.returncode == 0
    assert "has ended" in stderr


def test_logs_of_an_unknown_node_suggest_the_known(mini: Path) -> None:
    """Exit code 2."""
    cli(mini, "up")

    done = cli(mini, "logs", "helo")

    assert (2, True) == (done.returncode, "did you mean 'hello'?" in done.stderr)


def attached_to(mini: Path) -> tuple[subprocess.Popen[str], int]:
    """An `up` in the foreground whose stack is up, and its supervisor."""
    attached = subprocess.Popen(
        [*CLI, "up", "--attach"],
        cwd=mini, env=environment(mini), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    registry = Registry(mini / "state")
    assert poll(lambda: Observation(registry.find("default") is not None), Deadline(60)).ok
    return attached, registry.require("default").supervisor


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT], ids=["SIGHUP", "SIGQUIT"])
def test_a_closed_terminal_stops_the_stack(mini: Path, number: signal.Signals) -> None:
    """As Ctrl-C does, and so does Ctrl-backslash; exit code 130, and no state file."""
    attached, _ = attached_to(mini)
    with attached:
        attached.send_signal(number)
        _, stderr = attached.communicate(timeout=60)

    assert 130 == attached.returncode, stderr
    assert [] == list((mini / "state").glob("*.json"))
    assert [] == leftovers(mini)


STUBBORN = """
import signal
signal.signal(signal.SIGTERM, lambda *_: open("asked-to-stop", "w").close())
"""


def test_a_second_ctrl_c_stops_a_hanging_cleanup(mini: Path) -> None:
    """Here the first one waits for an app that does not stop, and its supervisor is stopped."""
    (mini / "hello.py").write_text(STUBBORN + (mini / "hello.py").read_text())
    attached, supervisor = attached_to(mini)
    with attached:
        attached.send_signal(signal.SIGINT)
        errors = GoingOn(attached, attached.stderr)
        assert any("interrupt again to force it" in line for line in errors.lines())
        asked = poll(lambda: Observation((mini / "asked-to-stop").exists()), Deadline(60))
        os.kill(supervisor, signal.SIGSTOP)
        # As often as an impatient hand: what follows within half a second counts as the first.
        ended = poll(lambda: press_again(attached), Deadline(60), interval=0.2)
        rest = errors.rest()

    assert (True, True) == (asked.ok, ended.ok)
    assert 130 == attached.returncode, rest
    assert "interrupted again" in rest
    assert wait_gone(supervisor, 30)
    assert [] == leftovers(mini)


def press_again(process: subprocess.Popen[str]) -> Observation:
    """Ctrl-C, unless it has ended."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        return Observation(False, "still there")
    return Observation(True)


def test_down_stops_a_stack_whose_supervisor_is_stopped(mini: Path) -> None:
    """`down` continues its supervisor."""
    assert cli(mini, "up").returncode == 0
    os.kill(Registry(mini / "state").require("default").supervisor, signal.SIGSTOP)

    down = cli(mini, "down")

    assert 0 == down.returncode, down.stderr
    assert [] == leftovers(mini)


DATABASE = """
from harness import Postgres, Topology

mini = Topology(Postgres())
"""


def segments_of(pid: int) -> list[str]:
    """The System V shared memory that a process has made, and its files in /dev/shm."""
    rows = [row.split() for row in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return [f"segment {row[1]}" for row in rows if row[4] == str(pid)]


def mapped_by(pid: int) -> set[str]:
    """The files of /dev/shm that a process uses."""
    rows = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {row.split()[5] for row in rows if "/dev/shm/" in row}


def test_kill_9_of_everything_leaves_no_shared_memory_to_stay(mini: Path) -> None:
    """PostgreSQL's segment; `down --stale` removes it, and no other."""
    project(mini, topology_py=DATABASE)
    assert cli(mini, "up").returncode == 0
    (row,) = json.loads(cli(mini, "status", "--json").stdout)
    (server,) = (node["pid"] for node in row["nodes"])
    before, mapped = segments_of(server), mapped_by(server)

    os.kill(row["supervisor"], signal.SIGKILL)
    assert poll(lambda: Observation(not survivors(mini)), Deadline(30)).ok
    left = segments_of(server)
    stale = cli(mini, "down", "--stale")

    assert 1 == len(before)
    assert (before, set()) == (left, mapped)
    assert 0 == stale.returncode, stale.stderr
    assert [] == segments_of(server)
    assert [] == leftovers(mini)
