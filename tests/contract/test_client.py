"""The typed client against a real daprd, call by call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import App, AsyncWorld, DaprError, Kafka, Postgres, Settings, Topology, World, running
from harness.dapr.model import BulkEntry, StateOperation
from tests.support import project

pytestmark = pytest.mark.real

APP = """
import json

from fastapi import FastAPI, Request

app = FastAPI()
jobs = []


@app.post("/job/{name}")
async def job(name: str, request: Request) -> None:
    jobs.append({"name": name, "data": json.loads(await request.body() or b"null")})


@app.get("/jobs")
async def seen() -> list:
    return jobs


@app.api_route("/echo/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
async def echo(path: str, request: Request) -> dict:
    body = (await request.body()).decode()
    query = dict(request.query_params)
    return {"method": request.method, "path": path, "query": query, "body": body}
"""

COMPONENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: %s}
spec:
  type: %s
  version: %s
  metadata: %s
"""


def component(name: str, kind: str, version: str = "v1", **fields: str) -> str:
    items = [{"name": key, "value": value} for key, value in fields.items()]
    return COMPONENT % (name, kind, version, json.dumps(items))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One app with every component that the client speaks to."""
    folder = project(
        tmp_path_factory.mktemp("client"),
        app_py=APP,
        c__pubsub_yaml=component(
            "pubsub", "pubsub.kafka", brokers="${kafka.brokers}", authType="none"
        ),
        c__state_yaml=component(
            "store", "state.postgresql", "v2", connectionString="${postgres.dsn}"
        ),
        c__file_yaml=component("secrets", "secretstores.local.file", secretsFile="c/s.json"),
        c__env_yaml=component("variables", "secretstores.local.env"),
        c__http_yaml=component("web", "bindings.http", url="${echo.url}"),
        c__s_json='{"db": {"user": "ada", "password": "canary-1"}}',
    )
    topology = Topology(
        Kafka(topics=["t"]),
        Postgres(),
        App("echo", asgi="app:app", sidecar_env={"GREETING": "hello"}),
        resources="c",
    )
    with running(topology, Settings.load(folder)) as stack, World(stack) as opened:
        yield opened


def test_state_with_etags_bulk_and_transactions(world: World) -> None:
    """Missing keys, falsy values and order are kept."""
    dapr = world.sidecar("echo")
    for key, value in {"a": 0, "b": "", "c": None, "d": {"x": [1]}}.items():
        dapr.save_state("store", key, value)

    items = dapr.get_bulk_state("store", ["d", "missing", "a", "b"])
    dapr.transact_state("store", [StateOperation("upsert", "a", 1), StateOperation("delete", "b")])

    assert [{"x": [1]}, None, 0, ""] == [item.value for item in items]
    assert [True, False, True, True] == [item.exists for item in items]
    assert (1, False) == (
        dapr.get_state("store", "a").value,
        dapr.get_state("store", "b").exists,
    )


def test_a_transaction_with_a_stale_etag_changes_nothing(world: World) -> None:
    """Status 500, not 409: seen, and documented by this test."""
    dapr = world.sidecar("echo")
    dapr.save_state("store", "t1", 1)
    etag = dapr.get_state("store", "t1").etag
    dapr.save_state("store", "t1", 2)

    with pytest.raises(DaprError) as caught:
        dapr.transact_state(
            "store",
            [StateOperation("upsert", "t2", 1), StateOperation("upsert", "t1", 3, etag=etag)],
        )

    assert (500, "ERR_STATE_TRANSACTION") == (caught.value.status, caught.value.error_code)
    assert (False, 2) == (
        dapr.get_state("store", "t2").exists,
        dapr.get_state("store", "t1").value,
    )


async def test_an_old_etag_writes_and_deletes_nothing(world: World) -> None:
    """Saving and deleting are refused with 409 by both clients; the current etag is taken."""
    dapr = world.sidecar("echo")
    dapr.save_state("store", "e1", 1)
    old = dapr.get_state("store", "e1").etag
    dapr.save_state("store", "e1", 2)

    with pytest.raises(DaprError, match="409"):
        dapr.save_state("store", "e1", 3, etag=old)
    with pytest.raises(DaprError, match="409"):
        dapr.delete_state("store", "e1", etag=old)
    async with AsyncWorld(world.stack) as own:
        with pytest.raises(DaprError, match="409"):
            await own.sidecar("echo").save_state("store", "e1", 3, etag=old)
        with pytest.raises(DaprError, match="409"):
            await own.sidecar("echo").delete_state("store", "e1", etag=old)
    now = dapr.get_state("store", "e1")
    assert (2, True) == (now.value, now.exists)
    dapr.delete_state("store", "e1", etag=now.etag)
    assert not dapr.get_state("store", "e1").exists


def test_an_unknown_store_is_an_error_with_its_code(world: World) -> None:
    """400 for state, 401 for secrets, 404 for pubsub: Dapr's own target."""
    dapr = world.sidecar("echo")
    seen = []
    for call in (
        lambda: dapr.get_state("none", "k"),
        lambda: dapr.get_secret("none", "k"),
        lambda: dapr.publish("none", "t", {}),
    ):
        with pytest.raises(DaprError) as caught:
            call()
        seen.append((caught.value.status, caught.value.error_code))

    assert [
        (400, "ERR_STATE_STORE_NOT_FOUND"),
        (401, "ERR_SECRET_STORE_NOT_FOUND"),
        (404, "ERR_PUBSUB_NOT_FOUND"),
    ] == seen


def test_published_data_are_wrapped_and_bulk_keeps_every_entry(world: World) -> None:
    """Single and bulk, with metadata as query parameters."""
    dapr, topic = world.sidecar("echo"), world.topic("t")

    dapr.publish("pubsub", "t", {"n": 0}, metadata={"partitionKey": "k"})
    dapr.publish_bulk("pubsub", "t", [BulkEntry(str(n), {"n": n}) for n in (1, 2, 3)])
    events = topic.collect(4, type="com.dapr.event.sent")

    assert [0, 1, 2, 3] == sorted(event.data["n"] for event in events)
    assert ["k"] == [event.key for event in events if event.data["n"] == 0]


def test_a_cloud_event_is_passed_through(world: World) -> None:
    """Not wrapped again."""
    event = {"specversion": "1.0", "id": "e1", "type": "x", "source": "s", "data": {"n": 9}}

    world.sidecar("echo").publish_event("pubsub", "t", event)
    seen = world.topic("t").next(id="e1")

    assert ("x", "s", {"n": 9}) == (seen.type, seen.source, seen.data)


def test_invocation_passes_everything_through(world: World) -> None:
    """Verb, path, query and body."""
    answer = world.sidecar("echo").invoke(
        "echo", "echo/a/b", verb="PUT", params={"q": "1"}, content=b"raw"
    )

    assert {"method": "PUT", "path": "a/b", "query": {"q": "1"}, "body": "raw"} == answer.json()


def test_jobs_are_refused_twice_read_fired_and_cancelled(world: World) -> None:
    """409 without overwrite; the body of the call is the bare data."""
    dapr = world.sidecar("echo")
    dapr.schedule_job("j1", due="1h", data={"n": 1})

    with pytest.raises(DaprError) as twice:
        dapr.schedule_job("j1", due="1h")
    due = dapr.get_job("j1")["dueTime"]
    dapr.schedule_job("j1", due="0s", data={"n": 2}, overwrite=True)
    app = world.app("echo")

    def fired() -> list[object]:
        return [each["data"] for each in app.get("/jobs").json() if each["name"] == "j1"]

    world.eventually(lambda: fired() == [{"n": 2}])
    dapr.schedule_job("j2", due="1h")
    dapr.delete_job("j2")
    dapr.delete_job("never-there")
    with pytest.raises(DaprError) as gone:
        dapr.get_job("j2")

    assert (409, "1h", 500) == (twice.value.status, due, gone.value.status)


def test_a_recurring_job_repeats_as_often_as_it_says(world: World) -> None:
    """Two firings and no third before a later job's; then the scheduler knows it no more."""
    dapr, app = world.sidecar("echo"), world.app("echo")

    dapr.schedule_job("r1", schedule="@every 1s", repeats=2, data="tick")
    dapr.schedule_job("barrier", due="3500ms")

    def names() -> list[str]:
        fired = [job["name"] for job in app.get("/jobs").json()]
        assert "barrier" in fired
        return fired

    assert 2 == world.eventually(names).count("r1")
    assert {"name": "barrier", "data": None} in app.get("/jobs").json()
    with pytest.raises(DaprError):
        dapr.get_job("r1")


def test_secrets_of_both_local_stores(world: World) -> None:
    """Nested names are flattened with a colon."""
    dapr = world.sidecar("echo")

    assert {"db:user": "ada"} == dapr.get_secret("secrets", "db:user")
    assert {"GREETING": "hello"} == dapr.get_secret("variables", "GREETING")
    assert {"db:user", "db:password"} == set(dapr.get_bulk_secret("secrets"))


def test_a_binding_returns_data_and_metadata(world: World) -> None:
    """The http binding posts to the app's own address."""
    answer = world.sidecar("echo").invoke_binding("web", "post", {"x": 1}, {"path": "/echo/hook"})

    assert ("POST", "hook") == (answer.data["method"], answer.data["path"])
    assert "200" == answer.metadata["statuscode"]


def test_metadata_and_health(world: World) -> None:
    """What the ladder reads."""
    dapr = world.sidecar("echo")
    dapr.health()
    dapr.health(outbound=True)

    seen = dapr.metadata()

    assert "echo" == seen.app_id
    assert {"pubsub", "store", "secrets", "variables", "web"} == {c.name for c in seen.components}
    assert seen.schedulers


async def test_the_asynchronous_client_does_the_same(world: World) -> None:
    """One round through its own transport."""
    async with AsyncWorld(world.stack) as own:
        dapr = own.sidecar("echo")
        await dapr.save_state("store", "async", 5, ttl=60)
        item = await dapr.get_state("store", "async")
        await dapr.delete_state("store", "async", etag=item.etag)
        with pytest.raises(DaprError):
            await dapr.get_secret("none", "x")

    assert (5, False) == (item.value, world.sidecar("echo").get_state("store", "async").exists)


def test_every_listener_is_on_loopback_but_two_health_ports(world: World) -> None:
    """Dapr 1.18.2 ignores --healthz-listen-address of placement and scheduler; fixed upstream
    after 1.18.3. Whatever else listens elsewhere is a mistake of ours."""
    pids = {str(each.pid): each.name for each in world.stack.instances.values()}
    allowed = {
        world.stack.book.endpoint(node, "health").port for node in ("placement", "scheduler")
    }

    exposed = {
        (pids[pid], port) for pid, port, address in _listeners(pids) if address != "127.0.0.1"
    }

    assert {port for _, port in exposed} <= allowed, exposed


def _listeners(pids: dict[str, str]) -> list[tuple[str, int, str]]:
    """Process, port and address of every listening TCP socket of these processes."""
    owners = {}
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                owners[str(link.readlink())] = pid
            except OSError:
                continue
    found = []
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = row.split()
            owner = owners.get(f"socket:[{words[9]}]")
            if words[3] == "0A" and owner:
                address, _, port = words[1].rpartition(":")
                # The second is ::ffff:127.0.0.1, which Java prefers.
                loopback = ("0100007F", "0000000000000000FFFF00000100007F")
                shown = "127.0.0.1" if address in loopback else address
                found.append((owner, int(port, 16), shown))
    return found


def test_no_secret_is_written_to_a_log_or_shown(world: World) -> None:
    """Tokens, the database's password, and a canary from the secrets file."""
    world.sidecar("echo").get_bulk_secret("secrets")
    secrets = [*world.stack.book.secrets(), "canary-1"]

    for log in (world.stack.folder / "logs").glob("*.log"):
        text = log.read_text(errors="replace")
        assert [] == [secret for secret in secrets if secret in text], log.name
