"""Bad input gets a sentence and the right exit code, and leaves nothing running."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from harness.bundle.model import Bundle
from harness.bundle.page import archive_of
from harness.bundle.recording import Origin, Recording
from harness.cli.commands import app
from harness.core.deadline import Deadline, Observation, poll
from tests.projects import COMPONENT, GARBAGE_APP, IN_MEMORY, MINI
from tests.support import CLI, cli, environment, leftovers, project

pytestmark = pytest.mark.real


def with_app(folder: Path, app: str, extra: str = "") -> None:
    """Replace the project's topology."""
    text = MINI.partition("mini =")[0]
    project(folder, topology_py=f"{text}mini = Topology({app}{extra})\n")


def expect(folder: Path, code: int, *words: str, **env: str) -> None:
    """`up` ends with a code and these words in its message, and leaves nothing."""
    done = cli(folder, "up", env=env)

    assert done.returncode == code, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert 'Traceback (most recent call last):\n  File "/work' not in done.stderr
    assert [] == leftovers(folder)


def test_an_app_that_does_not_exist(mini: Path) -> None:
    """The command is named."""
    with_app(mini, 'App("hello", command="no-such-app {port}")')

    expect(mini, 4, "hello: 'no-such-app' cannot be started", "no such file on PATH")


def test_an_app_that_exits_at_import_shows_its_traceback(mini: Path) -> None:
    """The system under test failed: exit code 1."""
    project(mini, hello_py="import no_such_module\n")

    expect(mini, 1, "hello exited with code 1", "ModuleNotFoundError: No module named 'no_such")


@pytest.mark.parametrize(
    ("schedule", "strict", "problem", "hint"),
    [
        ("0 25 * * *", "false", "is invalid: '25' is no hour, which is 0 to 23", "'*/5 * * * *'"),
        ("0 2 30 2 *", "true", "never fires: no date and time match", "without a word"),
        ("@every 0s", "true", "fires without a pause: its time is", "without a word"),
    ],
    ids=["invalid", "never fires", "no pause"],
)
def test_a_schedule_that_cannot_be_meant(
    mini: Path, schedule: str, strict: str, problem: str, hint: str
) -> None:
    """File, line, component, field and reason; what daprd accepts is only a warning by default."""
    with_app(mini, 'App("hello", command="hello {port}")', ', resources="c"')
    cron = COMPONENT.replace("pubsub.kafka", "bindings.cron").partition("    - name: brokers")[0]
    project(mini, c__cron_yaml=f'{cron}    - name: schedule\n      value: "{schedule}"\n')

    where = f"c/cron.yaml:9: component 'pubsub': schedule '{schedule}' {problem}"
    expect(mini, 2, where, hint, DAPR_HARNESS_STRICT=strict)


def test_an_app_that_never_listens(mini: Path) -> None:
    """The failed check, and what was seen last."""
    project(mini, hello_py="import sys; sys.stdin.read(); import signal; signal.pause()\n")

    expect(mini, 1, "hello did not pass the readiness check 'port'", "refused",
           DAPR_HARNESS_READY_TIMEOUT="2")  # fmt: skip


def test_an_app_that_answers_subscribe_with_garbage_is_started_with_a_warning(mini: Path) -> None:
    """daprd goes on without its subscriptions, and so does the stack, which quotes the answer."""
    with_app(
        mini, 'App("hello", command=[sys.executable, "hello.py", "{port}"])', ', resources="c"'
    )
    project(mini, hello_py=GARBAGE_APP, c__pubsub_yaml=IN_MEMORY)
    try:
        done = cli(mini, "up")
    finally:
        ended = cli(mini, "down")

    assert (0, 0) == (done.returncode, ended.returncode), done.stderr
    assert "warning: hello-daprd: daprd subscribes to nothing of the app" in done.stderr
    assert "daprd requires a JSON array" in done.stderr
    assert [] == leftovers(mini)


def test_a_port_that_is_taken_names_who_has_it(mini: Path) -> None:
    """A port that the user has chosen is not changed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with_app(mini, f'App("hello", command="true", port={port})')

        expect(mini, 4, f"port {port} cannot be used", f"is held by pid {os.getpid()}")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version: v1\n", "version: [v1\n", ["c.yaml:8: not valid YAML"]),
        ("pubsub.kafka", "pubsub.kakfa", ["c.yaml:6", "unknown type", "did you mean"]),
        ("name: brokers", "name: borkers", ["c.yaml:8", "lacks the required field 'brokers'"]),
        (
            "value: none",
            "secretKeyRef: {name: a, key: a}",
            ["c.yaml:11", "cannot be resolved", "no `auth.secretStore`"],
        ),
        ("value: x", "value: ${kafka.brokers}", ["c.yaml:10", "not a node of the topology"]),
    ],
    ids=["syntax", "type", "field", "secret", "placeholder"],
)
def test_a_wrong_component_is_named_with_its_line(
    mini: Path, old: str, new: str, words: list[str]
) -> None:
    """Before anything starts: exit code 2."""
    with_app(mini, 'App("hello", command="true")', ', resources="c"')
    project(mini, c__c_yaml=COMPONENT.replace(old, new, 1))

    expect(mini, 2, *words)


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ('App("a", command="x"), App("a", command="x")', "two nodes of the topology are named 'a'"),
        (
            'App("a", command="x", needs=["b"]), App("b", command="x", needs=["a"])',
            "the needs of the topology form a cycle",
        ),
        ('App("a", command="x", needs=["kafka"])', "needs 'kafka', which the topology does not"),
    ],
    ids=["twice", "cycle", "unknown"],
)
def test_a_wrong_topology_is_one_sentence(mini: Path, app: str, words: str) -> None:
    """Exit code 2."""
    with_app(mini, app)

    expect(mini, 2, words)


def test_a_topology_that_cannot_be_found(mini: Path) -> None:
    """Neither module nor attribute nor setting."""
    for topology, words in {
        "nowhere:x": "cannot be imported",
        "topology:mimi": "did you mean 'mini'",
        "topology": "expected: module:attribute",
    }.items():
        done = cli(mini, "up", "--topology", topology)

        assert (2, True) == (done.returncode, words in done.stderr), done.stderr


def test_a_broker_that_dies_while_it_starts(mini: Path) -> None:
    """The stack failed: exit code 4, with the broker's last words."""
    with_app(mini, "Kafka()")
    project(mini, topology_py=(mini / "topology.py").read_text().replace("App,", "App, Kafka,"))
    java = mini / "java"
    java.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = -version ]; then echo \'openjdk version "25.0.2"\' >&2; exit 0; fi\n'
        "echo out of luck; exit 7\n"
    )
    java.chmod(0o755)

    expect(mini, 4, "kafka exited with code 7", "out of luck", DAPR_HARNESS_JAVA=str(java))


def test_offline_with_an_empty_cache(mini: Path) -> None:
    """A prerequisite is missing: exit code 3, and the command that installs it."""
    empty = {"DAPR_HARNESS_CACHE_DIR": str(mini / "cache"), "HOME": str(mini)}
    empty["DAPR_HARNESS_RUNTIME"] = "processes"

    up = cli(mini, "up", "--offline", env=empty)
    provision = cli(mini, "provision", "--offline", env=empty)

    assert (3, 3) == (up.returncode, provision.returncode)
    assert "run `dapr-harness provision` once without --offline" in up.stderr


def test_wrong_usage(mini: Path) -> None:
    """An unknown option or command: exit code 2."""
    assert 2 == cli(mini, "up", "--no-such-option").returncode
    assert 2 == cli(mini, "upp").returncode
    assert 2 == cli(mini, "up", "--name", "a/b").returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_interrupted_at_any_moment_of_a_start(mini: Path, number: signal.Signals) -> None:
    """Ten moments spread over the start; each time exit code 130 and nothing left."""
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    for trial in range(10):
        with subprocess.Popen(
            [*CLI, "up"],
            cwd=mini, env=environment(mini), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        ) as starting:  # fmt: skip
            assert poll(lambda: catches(starting.pid, signal.SIGTERM), Deadline(10)).ok
            wait_for(moments.random() * 0.9)
            starting.send_signal(number)
            stdout, stderr = starting.communicate(timeout=20)

        told = f"seed {seed}, trial {trial}: {stdout}{stderr}"
        if starting.returncode == 0:
            # It was up before the signal came.
            assert 0 == cli(mini, "down").returncode, told
        else:
            assert 130 == starting.returncode, told
        assert [] == leftovers(mini), told


def catches(pid: int, number: signal.Signals) -> Observation:
    """Whether a process has come so far that it handles a signal, by the kernel's word."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = (row.split()[1] for row in status.splitlines() if row.startswith("SigCgt:"))
    return Observation(bool(int(mask, 16) >> (number - 1) & 1), status)


def wait_for(seconds: float) -> None:
    """Let that time pass, by the clock; this test is about moments, not about readiness."""
    ends = time.monotonic() + seconds
    subprocess.run(["sleep", str(max(0.0, ends - time.monotonic()))], check=True)


COMMANDS: dict[str, Any] = vars(get_command(app))["commands"]


def test_the_help_lists_every_command_with_its_first_sentence() -> None:
    """And the exit codes, at the end."""
    told = run_help()

    for name, command in COMMANDS.items():
        assert f"{name} {_plain(command.help)}" in told
    assert "Exit codes: 0 success, 1 the system under test failed" in told


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_says_what_it_does_and_describes_each_option(name: str) -> None:
    """In sentences: each option has words of its own, and arguments are in the usage line."""
    command, told = COMMANDS[name], run_help(name)

    assert _plain(command.help) in told
    for each in vars(command).get("commands", {}).values():
        assert f"{each.name} {_plain(each.help)}" in told
    for each in command.params:
        if each.param_type_name == "option":
            assert max(each.opts, key=len) in told
            assert each.help, f"{name} {each.opts[0]} has no help"
            assert each.help.split()[0] in told
        else:
            assert (each.metavar or each.name).upper() in told.upper()


def run_help(*words: str) -> str:
    """The help, wide enough that no word is broken."""
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "400", "TERM": "dumb"})
    assert 0 == done.exit_code, done.output
    return " ".join(done.output.replace("│", " ").split())


def _plain(text: str | None) -> str:
    """The first sentence, without the signs of code."""
    assert text
    return " ".join(text.split("\n\n")[0].split())


def test_replay_and_diff_of_what_is_no_archive_end_before_anything_starts(mini: Path) -> None:
    """Not a ZIP archive; one of another project; a speed that makes no sense."""
    (mini / "text.zip").write_text("hello")
    recording = Recording(Origin("no_such_module:shop"))
    bundle = Bundle("test_a.py::test_x", "call", "E   no", "no", 1, 2, recording=recording)
    (mini / "other.zip").write_bytes(archive_of(bundle))
    cases = {
        ("replay", "text.zip"): "text.zip cannot be read as a ZIP archive",
        ("diff", "other.zip", "text.zip"): "text.zip cannot be read as a ZIP archive",
        ("replay", "other.zip"): "was recorded with the topology no_such_module:shop: replay it in",
        ("replay", "other.zip", "--speed=-1"): "--speed is -1",
    }
    for arguments, message in cases.items():
        done = cli(mini, *arguments)

        assert 2 == done.returncode, done.stdout + done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
