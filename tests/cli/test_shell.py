"""Commands that talk to a running stack: one stack, many commands, good and bad input."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from harness.cli import commands
from harness.core.deadline import Deadline, Observation, poll
from harness.runtime.proc import wait_gone
from harness.stack.registry import Registry
from tests.support import cli, leftovers, project, whole_lines

pytestmark = pytest.mark.real

APP = """
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SUBSCRIBED = [
    {"pubsubname": "pubsub", "topic": "orders", "route": "/orders", "deadLetterTopic": "dead"}
]
ANSWERS = {
    "shop": {"/dapr/subscribe": SUBSCRIBED, "/dapr/config": {"entities": ["Counter"]}},
    "desk": {"/dapr/subscribe": []},
}[sys.argv[1]]


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        seen = {"app": sys.argv[1], "verb": self.command, "path": self.path, "body": body}
        seen["headers"] = {key.lower(): value for key, value in self.headers.items()}
        print(json.dumps(seen), flush=True)
        code, text = 200, json.dumps(ANSWERS.get(self.path, seen))
        if self.path == "/missing":
            code, text = 404, '{"detail": "no such thing"}'
        if self.path == "/text":
            text = "plain words"
        self.send_response(code)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = answer

    def do_OPTIONS(self):
        self.send_error(404)

    def log_message(self, format, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""

TOPOLOGY = """
import sys

from harness import App, Topology


def app(name):
    return App(name, command=[sys.executable, "app.py", name, "{port}"])


shell = Topology(app("shop"), app("desk"), resources="c")
"""


def component(name: str, kind: str, scope: str, metadata: str = "") -> str:
    """The YAML of a component that one app has, or all if the scope is empty."""
    scopes = f"scopes: [{scope}]\n" if scope else ""
    return (
        "apiVersion: dapr.io/v1alpha1\nkind: Component\n"
        f"metadata: {{name: {name}}}\n{scopes}"
        f"spec: {{type: {kind}, version: v1, metadata: [{metadata}]}}\n"
    )


COMPONENTS = "---\n".join(
    [
        component("pubsub", "pubsub.in-memory", ""),
        component("second", "pubsub.in-memory", "desk"),
        component("statestore", "state.in-memory", "", '{name: actorStateStore, value: "true"}'),
        component("ledger", "state.in-memory", "shop"),
    ]
)


LOST = """\
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: lost}
spec: {pubsubname: nosuch, topic: refunds, routes: {default: /refunds}}
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose stack is up; whatever it leaves running is a failure."""
    folder = project(
        tmp_path_factory.mktemp("shell"),
        app_py=APP,
        topology_py=TOPOLOGY,
        c__all_yaml=COMPONENTS,
        pyproject_toml='[tool.dapr-harness]\ntopology = "topology:shell"\nruntime = "processes"\n',
    )
    done = cli(folder, "up", timeout=180)
    assert done.returncode == 0, done.stderr
    yield folder
    for each in Registry(folder / "state"):
        if each.alive:
            os.kill(each.supervisor, signal.SIGTERM)
            wait_gone(each.supervisor, 30)
    assert [] == leftovers(folder)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(up: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process, which takes a tenth of the time of a process of its own.

    Anything but the errors that the command line reports is raised.
    """
    monkeypatch.chdir(up)
    monkeypatch.setenv("DAPR_HARNESS_STATE_DIR", str(up / "state"))
    monkeypatch.setenv("COLUMNS", "200")

    def act(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["dapr-harness", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        return Done(commands.run(), *capsys.readouterr())

    return act


def received(folder: Path, path: str) -> list[dict[str, str]]:
    """What the app `shop` has received at a path, by its own log."""
    (node,) = [each for each in Registry(folder / "state").require("default").nodes
               if each.name == "shop"]  # fmt: skip
    seen = [json.loads(line) for line in whole_lines(Path(node.log)) if line[:1] == "{"]
    return [each for each in seen if each["path"] == path]


def arrived(folder: Path, data: object) -> dict[str, object]:
    """The event with this data that `shop` has received; waits for it."""
    found: list[dict[str, object]] = []

    def look() -> Observation:
        events = [json.loads(each["body"]) for each in received(folder, "/orders")]
        found[:] = [each for each in events if each["data"] == data]
        return Observation(bool(found), str(events))

    seen = poll(look, Deadline(30))
    assert seen.ok, seen.fact
    return found[0]


def refused(done: Done, code: int, *words: str) -> None:
    """The command ended with a code and these words, without a traceback."""
    assert code == done.returncode, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert "" == done.stdout


def test_metadata_shows_what_a_sidecar_has_loaded(run: Run) -> None:
    """Components, subscriptions, actor types, features, and where they are connected."""
    done = run("metadata", "shop")

    assert 0 == done.returncode, done.stderr
    for words in (
        ["Dapr"],
        ["HotReload"],
        ["http 127.0.0.1:"],
        ["RUNNING, host ready, placement: connected"],
        ["pubsub", "pubsub.in-memory", "SUBSCRIBE_WILDCARDS", "up"],
        ["statestore", "state.in-memory", "TRANSACTIONAL", "up"],
        ["pubsub", "orders", "/orders", "dead", "PROGRAMMATIC", "up"],
        ["Counter", "0"],
    ):
        lines = done.stdout.splitlines()
        assert any(all(word in line for word in words) for line in lines), (words, done.stdout)
    assert "second" not in done.stdout


def test_metadata_as_json_is_daprds_own_document(run: Run) -> None:
    """With its own names."""
    found = json.loads(run("metadata", "desk", "--json").stdout)

    assert "desk" == found["id"]
    assert {"pubsub", "second", "statestore"} == {each["name"] for each in found["components"]}
    assert "runtimeVersion" in found


def test_an_event_is_published_with_a_type_and_a_key(run: Run, up: Path) -> None:
    """The subscriber receives the CloudEvent; daprd passes the partition key to the component."""
    flags = ("--app", "shop", "--type", "order.made", "--key", "k1")
    done = run("publish", "orders", '{"id": 1}', *flags)

    event = arrived(up, {"id": 1})
    (seen,) = [each for each in received(up, "/orders") if '"id":1}' in each["body"]]
    assert (0, "") == (done.returncode, done.stderr)
    assert "published to topic 'orders' of pub/sub component 'pubsub' through" in done.stdout
    assert ("order.made", "shop") == (event["type"], event["source"])
    assert "k1" == seen["headers"]["partitionkey"]  # type: ignore[index]  # the app's own JSON


@pytest.mark.parametrize("data", ["null", "0", '"text"', "[1, 2]", '{"a": "\u00e9"}'])
def test_any_json_can_be_published_from_standard_input(run: Run, up: Path, data: str) -> None:
    """It arrives as it was sent; without --type, the event has Dapr's."""
    done = run("publish", "orders", "-", "--app", "shop", stdin=data)

    assert (0, "") == (done.returncode, done.stderr)
    assert "com.dapr.event.sent" == arrived(up, json.loads(data))["type"]


def test_publishing_refuses_bad_input(run: Run) -> None:
    """Each with one sentence, the next step and exit code 2."""
    refused(run("publish", "orders", "{id: 1}"), 2, "the data is not JSON: '{id: 1}'")
    refused(run("publish", "orders", "NaN"), 2, "NaN is not allowed in JSON")
    refused(
        run("publish", "orders", "1", "--pubsub", "pubsup", "--app", "shop"),
        2,
        "has no pub/sub component 'pubsup'",
        "404 ERR_PUBSUB_NOT_FOUND: pubsub pubsup is not found",
        "did you mean 'pubsub'?",
    )
    refused(
        run("publish", "orders", "1", "--app", "desk"),
        2,
        "the sidecar of 'desk' has several pub/sub components",
        "pubsub, second",
        "--pubsub",
    )
    refused(run("publish", "orders", "1"), 2, "stack 'default' has several", "pubsub, second")
    refused(run("publish", "orders", "1", "--app", "shopp"), 2, "did you mean 'shop'?")
    refused(run("publish", "orders", "1", "-n", "other"), 2, "no stack named 'other' is up")


def test_a_named_component_is_used_where_it_is_loaded(run: Run) -> None:
    """Only the sidecar of `desk` has it."""
    done = run("publish", "orders", "1", "--pubsub", "second")

    assert 0 == done.returncode, done.stderr
    assert "'second' through the sidecar of 'desk'" in done.stdout


def test_an_app_is_called_with_a_query_a_body_and_headers(run: Run) -> None:
    """JSON is printed with indents; POST because there is a body."""
    done = run("invoke", "shop", "echo?x=1&x=2", "--data", '{"a": 1}', "--header", "X-A: b:c")

    seen = json.loads(done.stdout)
    assert (0, "") == (done.returncode, done.stderr)
    assert '\n  "verb": "POST"' in done.stdout
    assert ("/echo?x=1&x=2", '{"a": 1}') == (seen["path"], seen["body"])
    assert ("application/json", "b:c") == (
        seen["headers"]["content-type"],
        seen["headers"]["x-a"],
    )


def test_an_app_is_called_through_the_sidecar_of_another(run: Run) -> None:
    """daprd says which app called."""
    done = run("invoke", "shop", "echo", "-X", "put", "--from", "desk")

    seen = json.loads(done.stdout)
    assert ("shop", "PUT") == (seen["app"], seen["verb"])
    assert "desk" == seen["headers"]["dapr-caller-app-id"]


def test_a_response_that_is_not_json_is_printed_unchanged(run: Run) -> None:
    """With a line break at its end."""
    done = run("invoke", "shop", "text")

    assert (0, "plain words\n", "") == (done.returncode, done.stdout, done.stderr)


def test_an_error_of_the_app_is_exit_code_1_with_its_body(run: Run) -> None:
    """The status is on standard error."""
    done = run("invoke", "shop", "missing")

    assert (1, {"detail": "no such thing"}) == (done.returncode, json.loads(done.stdout))
    assert "HTTP 404 Not Found\n" == done.stderr


def test_calling_refuses_bad_input(run: Run) -> None:
    """Unknown apps, and what cannot be sent."""
    refused(run("invoke", "shopp", "x"), 2, "no app 'shopp'", "did you mean 'shop'?")
    refused(
        run("invoke", "shopp", "x", "--from", "desk"),
        1,
        "the sidecar of 'desk' did not call 'shopp'",
        "500 ERR_DIRECT_INVOKE",
        "did you mean 'shop'?",
    )
    refused(run("invoke", "shop", "x", "--data", "{"), 2, "--data is not JSON: '{'")
    refused(run("invoke", "shop", "x", "--header", "nonsense"), 2, "is not a header")
    refused(run("invoke", "shop", "x", "-X", "G T"), 2, "'G T' is not an HTTP method")


def test_state_belongs_to_an_app(run: Run) -> None:
    """What one app wrote, the other does not see."""
    wrote = run("state", "set", "a/b", '{"n": 1}', "--app", "shop", "--store", "statestore")
    read = run("state", "get", "a/b", "--app", "shop", "--store", "statestore")
    other = run("state", "get", "a/b", "--app", "desk")
    deleted = run("state", "delete", "a/b", "--app", "shop", "--store", "statestore")
    gone = run("state", "get", "a/b", "--app", "shop", "--store", "statestore")

    assert (0, 0, 0) == (wrote.returncode, read.returncode, deleted.returncode), wrote.stderr
    assert {"n": 1} == json.loads(read.stdout)
    for missing, app in ((other, "desk"), (gone, "shop")):
        refused(missing, 1, f"state store 'statestore' of app '{app}' has no key 'a/b'")


def test_a_store_that_one_app_has_needs_no_app(run: Run) -> None:
    """A value from standard input; null is a value as well."""
    wrote = run("state", "set", "k", "-", "--store", "ledger", stdin="[null]")

    assert (0, "") == (wrote.returncode, wrote.stderr)
    assert [None] == json.loads(run("state", "get", "k", "--store", "ledger").stdout)


def test_state_refuses_bad_input(run: Run) -> None:
    """What is ambiguous, unknown or no JSON."""
    refused(run("state", "get", "k"), 2, "several apps", "desk, shop", "keyPrefix", "--app")
    refused(run("state", "get", "k", "--app", "shop"), 2, "several state stores", "--store ledger")
    refused(
        run("state", "get", "k", "--app", "shop", "--store", "statestor"),
        2,
        "has no state store 'statestor'",
        "ERR_STATE_STORE_NOT_FOUND",
        "did you mean 'statestore'?",
    )
    refused(run("state", "set", "k", "text", "--store", "ledger"), 2, "the value is not JSON")
    refused(run("state", "get", ""), 2, "a key must not be empty")


def test_jobs_are_listed_shown_and_deleted(run: Run, up: Path) -> None:
    """The job is scheduled through the sidecar of the app that it belongs to."""
    from harness import DaprClient
    from harness.inspection.sidecars import endpoint_of, require_sidecar

    shop = require_sidecar(Registry(up / "state").require("default"), "shop")
    with DaprClient(endpoint_of(shop.node, "http"), shop.stack.token) as client:
        client.schedule_job("later", schedule="@every 24h", data={"n": 1})
    bare = f"{endpoint_of(shop.node, 'http').http}/v1.0/jobs/bare"
    header = {"dapr-api-token": shop.stack.token}
    httpx.post(bare, json={"dueTime": "24h"}, headers=header, trust_env=False).raise_for_status()

    listed = run("jobs", "list", "--app", "shop", "--json")
    shown = run("jobs", "list", "--app", "shop")
    others = run("jobs", "list", "--app", "desk")
    found = run("jobs", "get", "later", "--app", "shop")
    deleted = run("jobs", "delete", "later", "--app", "shop")
    run("jobs", "delete", "bare", "--app", "shop")

    assert 0 == listed.returncode, listed.stderr
    assert {("later", "@every 24h"), ("bare", None)} == {
        (each["name"], each.get("schedule")) for each in json.loads(listed.stdout)
    }
    assert re.search(r'later\W+@every 24h\W+{"n": 1.0}', shown.stdout), shown.stdout
    assert re.search(r"bare\W+24h\W*$", shown.stdout, re.MULTILINE), shown.stdout
    assert "no jobs\n" == others.stdout
    assert "@every 24h" == json.loads(found.stdout)["schedule"]
    assert (0, "deleted job 'later' of app 'shop'\n") == (deleted.returncode, deleted.stdout)
    assert "no jobs\n" == run("jobs", "list", "--app", "shop").stdout


def test_jobs_refuse_bad_input(run: Run) -> None:
    """A job that is not there, and an app that is not named."""
    refused(run("jobs", "list"), 2, "several apps", "desk, shop", "--app")
    refused(
        run("jobs", "get", "never", "--app", "shop"),
        1,
        "the sidecar of 'shop' did not find job 'never'",
        "job not found: never",
    )


def test_a_token_that_the_sidecar_rejects_is_named(run: Run, up: Path) -> None:
    """Here the state file has lost it."""
    file = up / "state" / "default.json"
    text = file.read_text()
    file.write_text(json.dumps({**json.loads(text), "token": ""}))
    try:
        done = run("publish", "orders", "1", "--app", "shop")
        listed = run("jobs", "list", "--app", "shop")
    finally:
        file.write_text(text)

    refused(done, 2, "the sidecar of 'shop' requires a token", "401: invalid api token")
    refused(listed, 1, "UNAUTHENTICATED")


UNKNOWN = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: broken}
spec: {type: state.nonsense, version: v1, ignoreErrors: true}
"""


def test_status_and_doctor_of_a_healthy_stack(run: Run) -> None:
    """`status` shows what each sidecar has loaded, and `doctor` finds nothing."""
    status = run("status")
    rows = json.loads(run("status", "--json").stdout)
    doctor = run("doctor", "--name", "default")

    assert any(
        all(word in line for word in ("shop", "statestore", "pubsub/orders", "none"))
        for line in status.stdout.splitlines()
    ), status.stdout
    (desk, shop) = rows[0]["sidecars"]
    assert ("desk", "shop", "shop-daprd") == (desk["app"], shop["app"], shop["node"])
    assert [{"pubsub": "pubsub", "topic": "orders", "up": True, "error": ""}] == shop[
        "subscriptions"
    ]
    assert {"pubsub", "statestore", "ledger"} == {each["name"] for each in shop["components"]}
    assert all(each["up"] for each in shop["components"])
    assert (0, "") == (doctor.returncode, doctor.stderr)
    assert "ok       shop-daprd   healthy; components: 3, subscriptions: 1" in doctor.stdout


def test_what_a_sidecar_cannot_load_is_shown_with_daprds_own_error(run: Run, up: Path) -> None:
    """By `status`, `metadata` and `doctor`; daprd loads what is put into its folder."""
    stack = Registry(up / "state").require("default")
    folder = Path(stack.folder) / "nodes" / "shop-daprd" / "resources"
    files = {folder / "90-broken.yaml": UNKNOWN, folder / "91-lost.yaml": LOST}
    for path, text in files.items():
        path.write_text(text)
    reason = "couldn't find state store state.nonsense/v1"

    def look() -> Observation:
        # What is in the folder is in `status` at once; this is what daprd itself tells.
        told = run("metadata", "shop", "--json").stdout
        return Observation("refunds" in told and reason in run("status", "--json").stdout, told)

    try:
        seen = poll(look, Deadline(60), interval=0.5)
        assert seen.ok, seen.fact
        metadata, status = run("metadata", "shop").stdout, run("status").stdout
        doctor = run("doctor", "-n", "default")
    finally:
        for path in files:
            path.unlink()

    assert "broken" in metadata
    assert "'nosuch' is not loaded" in " ".join(metadata.split())
    assert "broken: " in status
    assert 1 == doctor.returncode
    for line in (
        "failed   shop-daprd: component broken",
        "failed   shop-daprd: subscription to refunds",
        reason,
        "pub/sub component 'nosuch' is not loaded",
        "fix: ",
    ):
        assert line in doctor.stdout, doctor.stdout


def test_a_job_that_cannot_be_delivered_is_found_by_the_doctor(run: Run, up: Path) -> None:
    """daprd cannot hand a job without `data` to an HTTP app; only its log says so."""
    stack = Registry(up / "state").require("default")
    (sidecar,) = (each for each in stack.nodes if each.name == "desk-daprd")
    httpx.post(
        f"http://{sidecar.endpoints['http']}/v1.0/jobs/empty",
        json={"dueTime": "0s"},
        headers={"dapr-api-token": stack.token},
        trust_env=False,
    ).raise_for_status()

    def look() -> Observation:
        doctor = run("doctor", "-n", "default")
        told = "warning  desk-daprd: jobs" in doctor.stdout
        return Observation(told and "`data`" in doctor.stdout, doctor.stdout)

    seen = poll(look, Deadline(60), interval=0.5)

    assert seen.ok, seen.fact


def test_what_has_ended_is_found_by_the_doctor(run: Run, up: Path) -> None:
    """An app, the control plane, a sidecar; the last test of this stack."""
    nodes = {each.name: each for each in Registry(up / "state").require("default").nodes}
    for name in ("desk", "placement", "scheduler", "shop-daprd"):
        os.kill(nodes[name].pid, signal.SIGKILL)
    wanted = {"desk", "placement", "scheduler", "shop-daprd"}
    wanted |= {"desk-daprd: actors", "desk-daprd: jobs"}
    found: dict[str, dict[str, str]] = {}

    def look() -> Observation:
        told = json.loads(run("doctor", "-n", "default", "--json").stdout)
        found.clear()
        found.update({each["subject"]: each for each in told if each["verdict"] == "failed"})
        return Observation(wanted <= set(found), str(told))

    seen = poll(look, Deadline(60), interval=0.5)
    published = run("publish", "orders", "1", "--app", "shop")
    status = run("status")

    assert seen.ok, seen.fact
    # Which of these daprd logged last depends on the moment.
    problem = r"Failed to (connect to scheduler host|watch scheduler jobs)|stream disconnected"
    assert re.search(problem, found["desk-daprd: jobs"]["fact"])
    assert "placement" in found["desk-daprd: actors"]["fact"]
    assert all(each["fix"] for each in found.values())
    refused(published, 4, "the sidecar of 'shop' is not reachable at", "logs shop-daprd")
    assert "is not reachable at" in " ".join(status.stdout.split())
