"""``run``: a multi-app run file from the start to Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.core.ports import free_port
from tests.cli.test_stacks import address
from tests.projects import COMPONENT, HELLO_APP
from tests.support import CLI, ROOT, cli, environment, leftovers, project

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

TWO_APPS = """\
version: 1
common:
  daprdLogDestination: fileAndConsole
apps:
- appDirPath: hello
  appPort: {port}
  command: ["{python}", hello.py, "{port}"]
- appID: worker
  appDirPath: worker
  appLogDestination: console
  env: {{GREETING: good morning}}
  command: ["{python}", "-u", worker.py]
- appID: bare
  appDirPath: worker
"""

WORKER = """\
import os
import threading
import urllib.request

port = os.environ["DAPR_HTTP_PORT"]
url = f"http://127.0.0.1:{port}/v1.0/invoke/hello/method/from-the-worker"
answer = urllib.request.urlopen(url)  # once: by then the other app must be up
print(os.environ["GREETING"], answer.read().decode(), os.environ["WHOM"], flush=True)
threading.Event().wait(WAIT)
raise SystemExit(CODE)
"""
"""An app without a port: it calls the other one through the two sidecars."""

LATE = f"import threading\nthreading.Event().wait(1.5)\n{HELLO_APP}"
"""An app that takes a while before it listens."""

UNREADY = """\
version: 1
apps:
- appDirPath: .
  appID: silent
  appPort: {ports[0]}
  command: ["{python}", silent.py]
- appDirPath: .
  appID: job
  appPort: {ports[1]}
  command: ["{python}", "-c", "print('done')"]
- appDirPath: .
  appID: broken
  appPort: {ports[2]}
  command: ["{python}", "-c", "raise SystemExit(7)"]
- appDirPath: .
  appID: absent
  appPort: {ports[3]}
  command: [no-such-program]
- appDirPath: .
  appID: hello
  appPort: {ports[4]}
  command: ["{python}", hello.py, "{ports[4]}"]
"""

SILENT = "import threading\nprint('first words', flush=True)\nthreading.Event().wait()\n"
"""An app that never listens."""


VARIABLES = """\
import json
import os
import urllib.request

port = os.environ["DAPR_METRICS_PORT"]
assert b"dapr_" in urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read()
names = ["APP_ID", "APP_PORT", "APP_PROTOCOL", "APP_CHANNEL_ADDRESS", "DAPR_METRICS_PORT"]
print("variables", json.dumps([os.environ.get(name) for name in names]), flush=True)
"""

PLAIN_AND_TOLD = """\
version: 1
apps:
- appDirPath: .
  appID: Plain_App
  command: ["{python}", variables.py]
- appDirPath: .
  appID: told
  appProtocol: grpc
  appChannelAddress: 127.0.0.1
  metricsPort: {port}
  env: {{APP_ID: its own}}
  command: ["{python}", variables.py]
"""


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A project with a run file of three apps, one of them without a command."""
    text = TWO_APPS.format(port=free_port(), python=sys.executable)
    worker = WORKER.replace("WAIT", "600").replace("CODE", "0")
    return project(tmp_path, dapr_yaml=text, hello__hello_py=LATE, worker__worker_py=worker)


class Running:
    """A `run` in the foreground, ended at the latest with the test."""

    def __init__(self, folder: Path, *arguments: str, **more: str) -> None:
        self.output = folder / "output"
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                [*CLI, "run", *arguments], cwd=folder, stdout=file,
                env=environment(folder, WHOM="friends", **more),
                stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.interrupt()

    def says(self, text: str) -> str:
        """Wait until something is printed; everything so far."""

        def look() -> Observation:
            said = self.output.read_text()
            return Observation(text in said or self.process.poll() is not None, said)

        seen = poll(look, Deadline(180))
        assert text in seen.fact, seen.fact
        return seen.fact

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(120)


def test_apps_run_until_ctrl_c(two: Path) -> None:
    """Up in parallel, by the ladder; an app without a port, a sidecar without an app; logs kept."""
    with Running(two) as running:
        running.says("good morning hello friends")
        said = running.says("3 apps are up")

        status = cli(two, "status", timeout=120)
        bare = address(two, "bare-daprd", "http")
        invoked = httpx.get(f"{bare}/v1.0/invoke/hello/method/by-hand", timeout=60)
        code = running.interrupt()

    assert re.search(r"3 apps are up after [\d.]+ s; Ctrl-C stops all", said)
    assert "hello-daprd is ready" in said
    assert "worker-daprd" in status.stdout
    assert "hello" == invoked.text
    assert 130 == code
    assert [] == leftovers(two)
    kept = {re.sub(r"_\d+\.log", "", each.name) for each in two.glob("*/.dapr/logs/*.log")}
    # The worker's own log goes to the console only.
    assert {"hello_app", "hello_daprd", "worker_daprd", "bare_daprd"} == kept


def test_an_app_that_is_not_ready_does_not_stop_the_others(tmp_path: Path) -> None:
    """One never listens, one ends with code 0, one with 7, one is not there; the fifth is up.

    What they print is shown, and `status` and `logs` know them, before the start is over.
    """
    ports = [free_port() for _ in range(5)]
    text = UNREADY.format(ports=ports, python=sys.executable)
    project(tmp_path, dapr_yaml=text, silent_py=SILENT, hello_py=HELLO_APP)
    # The start waits for the silent one, and is not over before this test is.
    patient = {"DAPR_HARNESS_READY_TIMEOUT": "900"}
    with Running(tmp_path, "-n", "mine", **patient) as running:
        for said in (
            "first words",
            "job has exited with code 0",
            "broken has exited with code 7",
            "'no-such-program' cannot be started",
            "hello-daprd is ready",
        ):
            running.says(said)
        logs = cli(tmp_path, "logs", "silent", "-n", "mine", timeout=120)
        status = cli(tmp_path, "status", "-n", "mine", timeout=120)
        before = running.output.read_text()
        alive = running.process.poll() is None
        code = running.interrupt()

    assert (True, 130) == (alive, code)
    assert "apps are up" not in before
    assert "first words" in logs.stdout, logs.stderr
    assert "hello-daprd" in status.stdout, status.stderr
    assert [] == leftovers(tmp_path)


def test_a_failing_app_is_reported_with_its_exit_code(two: Path) -> None:
    """With its exit code; the others go on until the last has ended."""
    worker = WORKER.replace("WAIT", "1").replace("CODE", "7")
    (two / "worker/worker.py").write_text(worker)

    with Running(two) as running:
        running.says("worker has exited with code 7")
        alive = running.process.poll() is None
        code = running.interrupt()

    assert (True, 130) == (alive, code)
    assert [] == leftovers(two)


@pytest.mark.parametrize("taken", [False, True])
def test_a_run_leaves_a_bundle_and_keeps_its_exit_code(tmp_path: Path, *, taken: bool) -> None:
    """Also where none can be written: a file has the name of the folder."""
    command = [sys.executable, "-c", "raise SystemExit(7)"]
    app = {"appID": "broken", "appDirPath": ".", "command": command}
    project(tmp_path, dapr_yaml=json.dumps({"version": 1, "apps": [app]}), pyproject_toml="")
    if taken:
        (tmp_path / "kept").write_text("")

    done = cli(tmp_path, "run", "--bundle", "kept")

    assert 1 == done.returncode, done.stderr
    assert taken == ("the bundle of run default cannot be written" in done.stderr)
    assert taken != ("broken exited with code 7\nkept/run-default.html\n" in done.stdout)
    assert taken != (tmp_path / "kept" / "run-default.zip").exists()
    assert [] == leftovers(tmp_path)


def test_apps_that_have_done_their_work_end_the_run(two: Path) -> None:
    """Each with code 0, one of them before the others are up; the whole run is a success."""
    text = (two / "dapr.yaml").read_text()
    hello = text[text.index("- appDirPath: hello") : text.index("- appID: worker")]
    alone = text.replace(hello, "").replace("appID: bare", "appID: hello")
    (two / "dapr.yaml").write_text(alone)
    (two / "worker/worker.py").write_text("print('done', flush=True)\n")

    with Running(two) as running:
        said = running.says("worker has exited with code 0")
        code = running.process.wait(120)

    assert (0, True) == (code, "done" in said)
    assert [] == leftovers(two)


def test_an_app_finds_the_variables_that_the_cli_sets(tmp_path: Path) -> None:
    """With the values of its run file or the defaults; the file's `env` comes last."""
    port = free_port()
    text = PLAIN_AND_TOLD.format(port=port, python=sys.executable)
    project(tmp_path, dapr_yaml=text, variables_py=VARIABLES)

    done = cli(tmp_path, "run", timeout=180)

    assert 0 == done.returncode, done.stdout + done.stderr
    plain, told = sorted(json.loads(each) for each in re.findall(r"variables (.*)", done.stdout))
    assert ["its own", None, "grpc", "127.0.0.1", str(port)] == told
    assert ["Plain_App", None, "http", "", plain[-1]] == plain


def test_resources_and_configuration_of_each_app_are_its_own(two: Path) -> None:
    """Files in an app's .dapr folder apply only to its own sidecar."""
    project(
        two,
        hello___dapr__resources__mine_yaml=MINE,
        hello___dapr__resources__filed_yaml=FILED,
        # daprd reads a Configuration only where a flag names it.
        hello___dapr__resources__unnamed_yaml=ACCESS.replace("storeName: mine", "storeName: filed"),
        hello___dapr__config_yaml=ACCESS,
        hello__keys_json='{"key": "of a file"}',
    )
    (two / "hello" / "_dapr").rename(two / "hello" / ".dapr")
    loaded = {}
    with Running(two) as running:
        running.says("3 apps are up")
        for app in ("hello", "bare"):
            metadata = httpx.get(
                f"{address(two, f'{app}-daprd', 'http')}/v1.0/metadata", timeout=60
            ).json()
            loaded[app] = [each["name"] for each in metadata.get("components", [])]
        store = f"{address(two, 'hello-daprd', 'http')}/v1.0/secrets/filed"
        filed = httpx.get(f"{store}/key", timeout=60).json()
        secret = httpx.get(
            f"{address(two, 'hello-daprd', 'http')}/v1.0/secrets/mine/HOME", timeout=60
        )

    assert {"hello": ["filed", "mine"], "bare": []} == loaded
    assert {"key": "of a file"} == filed, "daprd's working folder is that of the app"
    assert 403 == secret.status_code


def test_errors_of_a_run_file_are_reported_before_anything_starts(two: Path) -> None:
    """A port that is taken, a field that is not known, a component that is wrong."""
    text = (two / "dapr.yaml").read_text()
    wrong = {
        "field": text.replace("appPort: ", "appPort: port"),
        "component": text.replace("appPort", "resourcesPaths: [own]\n  appPort"),
    }
    project(two, hello__own__c_yaml=COMPONENT.replace("authType", "authTyp"))

    for said in wrong.values():
        (two / "dapr.yaml").write_text(said)
        done = cli(two, "run")
        assert 2 == done.returncode, done.stderr
        assert re.search(r"(dapr|c)\.yaml:\d+", done.stderr)
    (two / "dapr.yaml").write_text(text)
    done = cli(two, "run", "--order", "worker,helo")
    assert (2, True) == (done.returncode, "did you mean 'hello'?" in done.stderr), done.stderr
    assert [] == leftovers(two)


@pytest.mark.timeout(900)
def test_the_scenarios_pass_on_our_run_file(tmp_path: Path) -> None:
    """The reference system as dapr.yaml has it."""
    modules = (
        "task_events",
        "series",
        "reminders",
        "conversations",
        "frontend",
        "contacts",
        "bulk",
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--dapr-runtime=processes",
         *(f"scenarios/test_{name}.py" for name in modules)],
        cwd=ROOT, capture_output=True, text=True,
        env=environment(tmp_path, PATH=path,
                        DAPR_HARNESS_TOPOLOGY="scenarios.run_file:from_run_file"),
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout[-3000:]
    assert re.search(r"\n\d\d passed in", done.stdout)
    assert [] == leftovers(tmp_path)


MINE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: mine}
spec:
  type: secretstores.local.env
  version: v1
  metadata: []
"""

FILED = (
    MINE.replace("name: mine", "name: filed")
    .replace("local.env", "local.file")
    .replace("metadata: []", "metadata: [{name: secretsFile, value: keys.json}]")
)

ACCESS = """\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: mine}
spec:
  secrets:
    scopes:
    - {storeName: mine, defaultAccess: deny}
"""
