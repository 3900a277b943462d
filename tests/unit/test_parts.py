"""What a sidecar has not loaded, from its metadata, its resources and its log."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from harness.cli.delivery import groups_of, lag_of
from harness.cli.diagnosis import _app, stream_problem
from harness.cli.inputs import headers_of, json_text
from harness.core.errors import ConfigError
from harness.dapr.model import Metadata
from harness.dapr.resources import DaprResource
from harness.inspection.parts import Inspection, inspect, log_messages, parts_of, subscription_error
from harness.inspection.sidecars import UpSidecar
from harness.stack.registry import UpNode, UpStack

FAILED = "Failed to start subscription for pubsub p, topic t: no broker"
LOST = "Failed to watch scheduler jobs, retrying: connection refused"


def resource(kind: str, name: str, **spec: object) -> DaprResource:
    """One document."""
    return DaprResource(Path("x.yaml"), 1, {"kind": kind, "metadata": {"name": name}, "spec": spec})


def metadata(*components: str, topics: tuple[tuple[str, str], ...] = ()) -> Metadata:
    """What daprd says that has loaded these."""
    return Metadata.parse(
        {
            "id": "a",
            "components": [{"name": name, "type": "pubsub.x"} for name in components],
            "subscriptions": [{"pubsubname": p, "topic": t} for p, t in topics],
        }
    )


def inspection(folder: Path, *nodes: UpNode, log: tuple[tuple[str, str], ...] = ()) -> Inspection:
    """The sidecar of `a` in a stack with these nodes."""
    stack = UpStack("s", 1, "1", 0.0, str(folder), "t", [*nodes])
    node = UpNode("a-daprd", os.getpid(), {}, "")
    return Inspection(UpSidecar(stack, "a", node), metadata(), log=log)


class Stranger(BaseHTTPRequestHandler):
    """Something else that took a sidecar's port."""

    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@pytest.mark.parametrize("body", [b"[]", b"hello", b"\xff", b'{"components": [{}]}'])
def test_an_answer_that_is_not_daprds_is_an_error_of_the_sidecar(
    tmp_path: Path, body: bytes
) -> None:
    """As if there were no answer, whatever it is."""
    handler = type("Handler", (Stranger,), {"body": body})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack = UpStack("s", 1, "1", 0.0, str(tmp_path), "t")
        node = UpNode("a-daprd", 1, {"http": f"127.0.0.1:{server.server_port}"}, "")
        seen = inspect(UpSidecar(stack, "a", node))
        server.shutdown()

    assert (None, ()) == (seen.metadata, seen.parts)
    assert "what answers for the sidecar of 'a'" in seen.error


def test_a_declared_component_that_is_not_loaded_has_daprds_reason() -> None:
    """The last one, and of this component only."""
    log = [
        ("error", "Failed to init component c (state.redis/v1): first"),
        ("error", "Failed to init component c (state.redis/v1): second"),
        ("error", "Failed to init component cc (state.redis/v1): other"),
    ]
    declared = [resource("Component", name, type="state.redis") for name in ("c", "quiet")]

    parts = {each.name: each for each in parts_of(metadata("p"), declared, log)}

    assert (True, "") == (parts["p"].up, parts["p"].error)
    assert "Failed to init component c (state.redis/v1): second" == parts["c"].error
    assert (False, "not loaded; its log gives no reason") == (
        parts["quiet"].up,
        parts["quiet"].error,
    )


def test_a_secret_store_that_is_missing_is_the_reason() -> None:
    """daprd only warns of it."""
    log = [("warning", "Component c references a secret store that isn't loaded: vault")]

    (part,) = parts_of(metadata(), [resource("Component", "c", type="state.x")], log)

    assert log[0][1] == part.error


def test_a_subscription_needs_its_component_and_must_be_active() -> None:
    """daprd lists a subscription even if it does not have its component."""
    declared = [
        resource("Subscription", "one", pubsubname="p", topic="declared"),
        resource("Subscription", "two", pubsubname="none", topic="t"),
    ]
    seen = metadata("p", topics=(("p", "t"), ("none", "t")))

    found = {(e.detail, e.name): e for e in parts_of(seen, declared, []) if e.kind != "component"}

    assert found["p", "t"].up
    assert "pub/sub component 'none' is not loaded" == found["none", "t"].error
    assert "not active; its log gives no reason" == found["p", "declared"].error


@pytest.mark.parametrize(
    ("later", "error"),
    [
        ([], FAILED),
        (["Successfully started subscription after retry for pubsub p, topic t"], ""),
        (["Successfully started subscription after retry for pubsub p, topic tt"], FAILED),
        (["app is subscribed to the following topics: [[t]] through pubsub=p"], ""),
        (["Retry failed for subscription pubsub p, topic t: again. Will retry."],
         "Retry failed for subscription pubsub p, topic t: again. Will retry."),
    ],
)  # fmt: skip
def test_the_last_message_about_a_subscription_counts(later: list[str], error: str) -> None:
    """One that was started after all is up."""
    log = [("error", FAILED), *(("info", each) for each in later)]

    assert error == subscription_error("p", "t", log)


def test_a_log_is_read_as_text_and_as_json(tmp_path: Path) -> None:
    """Quotes are quotes; other lines do not count; a missing log is empty."""
    log = tmp_path / "daprd.log"
    log.write_text(
        'time="x" level=error msg="a \\"b\\"" app_id=a\n'
        '{"level": "warning", "msg": "c"}\n{"level": 1}\n{broken\nredis: other words\n'
    )

    assert [("error", 'a "b"'), ("warning", "c")] == list(log_messages(log))
    assert [] == list(log_messages(tmp_path / "none"))


def test_lag_counts_what_is_committed_and_not_read() -> None:
    """A partition without a commit is not counted."""
    committed = {("t", 0): 3, ("t", 1): 5, ("u", 0): 2}
    ends = {"t": {0: 5, 1: 6, 2: 9}, "u": {0: 2}}

    assert {"t": 3} == lag_of(committed, ends)


def test_a_scheduler_is_lost_until_its_stream_is_connected_again(tmp_path: Path) -> None:
    """By the last line about it."""
    connected = ("info", "Scheduler stream connected for [JOB_TARGET_TYPE_JOB]")
    lost = ("error", LOST)

    assert LOST == stream_problem(inspection(tmp_path, log=(connected, lost)))
    assert "" == stream_problem(inspection(tmp_path, log=(lost, connected)))
    assert "" == stream_problem(inspection(tmp_path))


def test_an_app_that_does_not_listen_is_found(tmp_path: Path) -> None:
    """It runs, and its port is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        app = UpNode("a", os.getpid(), {"main": address}, "")
        seen = inspection(tmp_path, app)
        assert [] == list(_app(seen, {"a": "running"}))

    (found,) = _app(seen, {"a": "running"})

    assert ("a", "failed") == (found.subject, found.verdict)
    assert address in found.fact


def test_the_group_of_a_kafka_component_is_looked_for_where_this_machine_sees_it(
    tmp_path: Path,
) -> None:
    """A broker's name in a container network is replaced by its node's address."""
    resources = tmp_path / "nodes" / "a-daprd" / "resources"
    resources.mkdir(parents=True)
    for name, brokers in (("one", "kafka:9092"), ("two", "127.0.0.1:1")):
        (resources / f"{name}.yaml").write_text(
            f"kind: Component\nmetadata: {{name: {name}}}\nspec:\n  type: pubsub.kafka\n"
            f"  metadata: [{{name: brokers, value: '{brokers}'}}]\n"
        )
    seen = inspection(tmp_path, UpNode("kafka", 1, {"main": "127.0.0.1:9"}, ""))

    groups = groups_of(seen)
    assert {"one": "127.0.0.1:9", "two": "127.0.0.1:1"} == {
        name: group.brokers for name, group in groups.items()
    }


def test_the_group_of_a_component_with_a_secret_is_looked_at_with_the_sidecars_own(
    tmp_path: Path,
) -> None:
    """It is in the environment of the sidecar, whose process is somebody else's child."""
    resources = tmp_path / "nodes" / "a-daprd" / "resources"
    resources.mkdir(parents=True)
    fields = {"brokers": "b:9", "authType": "password", "saslUsername": "dapr"}
    items = [{"name": name, "value": value} for name, value in fields.items()]
    items.append({"name": "saslPassword", "envRef": "WORD"})
    spec = {"type": "pubsub.kafka", "metadata": items}
    body = {"kind": "Component", "metadata": {"name": "bus"}, "spec": spec}
    (resources / "bus.yaml").write_text(json.dumps(body))
    command = [sys.executable, "-c", "print(flush=True); input()"]
    seen = inspection(tmp_path)
    with subprocess.Popen(
        command, env={"WORD": "s3cret"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        node = replace(seen.sidecar.node, pid=process.pid)
        told = groups_of(replace(seen, sidecar=replace(seen.sidecar, node=node)))["bus"]
        process.kill()

    assert ("", "s3cret") == (told.hidden, told.brokers.password)  # type: ignore[union-attr]  # known


@pytest.mark.parametrize("text", ["", "{", "NaN", "'a'", "1 2", "[" * 100_000, "\udcff"])
def test_what_is_not_json_is_refused(text: str) -> None:
    """With a sentence, whatever it is."""
    with pytest.raises(ConfigError, match="the data is not JSON"):
        json_text(text, "the data")


@pytest.mark.parametrize("text", ["a", ":b", "a b: c", "a: \u00e9", "a: b\nc: d"])
def test_what_is_not_a_header_is_refused(text: str) -> None:
    """A header cannot smuggle in another one."""
    with pytest.raises(ConfigError, match="is not a header"):
        headers_of([text])
