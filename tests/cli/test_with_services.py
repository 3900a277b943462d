"""``run --with``: literal quickstarts find what they expect at the usual ports of localhost."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from harness import ConfigError, InstanceDied, Kafka, Postgres, Redis, Settings, Topology, running
from harness.cli.commands import app as command
from harness.core.ports import free_port
from harness.dapr.resources import read_resources
from harness.ready.kafka import admin_of, creates_topics
from harness.runfile.read import read_runfile
from harness.runfile.services import SERVICES, brought_along, chosen, completed
from tests.support import environment, leftovers, project

COMMON = "common: {resourcesPath: components}\n"
RUN_FILE = """\
version: 1
common: {{resourcesPath: components}}
apps:
- appID: saver
  appDirPath: .
  command: ["{python}", saver.py]
"""

SAVER = """\
import json
import os
import urllib.request

url = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/state/statestore"
body = json.dumps([{"key": "k", "value": "kept"}]).encode()
urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"}))
assert json.load(urllib.request.urlopen(url + "/k")) == "kept"
"""

STORE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: statestore}}
spec:
  type: state.redis
  version: v1
  metadata:
  - {{name: redisHost, value: "localhost:{port}"}}
  - {{name: redisPassword, value: ""}}
"""


TALKING = """\
version: 1
common: {{resourcesPath: components}}
apps:
- appID: reader
  appDirPath: .
  appPort: {port}
  command: ["{python}", reader.py]
- appID: writer
  appDirPath: .
  command: ["{python}", writer.py]
"""

READER = """\
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = [{"pubsubname": "bus", "topic": "unmade", "route": "/got"}]
        self.answer(200, wanted if self.path == "/dapr/subscribe" else [])

    def do_POST(self):
        got = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.answer(200, {})
        print("reader got", got["data"], flush=True)
        threading.Thread(target=server.shutdown).start()

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["APP_PORT"])), Handler)
server.serve_forever()
"""

WRITER = """\
import os
import urllib.request

for topic in ("unmade", "unread"):
    url = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/publish/bus/{topic}"
    urllib.request.urlopen(urllib.request.Request(url, b'"hello"', {"content-type": "text/plain"}))
print("writer has published", flush=True)
"""

BUS = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: bus}}
spec:
  type: pubsub.kafka
  version: v1
  metadata:
  - {{name: brokers, value: "localhost:{port}"}}
  - {{name: authType, value: none}}
"""


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Where Redis is expected: not 6379, which somebody on this machine may have."""
    number, usual = free_port(), SERVICES["redis"]
    assert usual.resources
    moved = tmp_path_factory.mktemp("defaults")
    for file in usual.resources.iterdir():
        (moved / file.name).write_text(file.read_text().replace("6379", str(number)))

    def make() -> Redis:
        return Redis(port=number, password=False)

    redis = dataclasses.replace(usual, port=number, make=make, resources=moved)
    monkeypatch.setitem(SERVICES, "redis", redis)
    return number


@pytest.fixture
def quickstart(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app whose component has the literal address of Redis."""
    for key, value in environment(tmp_path).items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    return project(
        tmp_path,
        dapr_yaml=RUN_FILE.format(python=sys.executable),
        saver_py=SAVER,
        components__store_yaml=STORE.format(port=port),
    )


def run(*arguments: str) -> Result:
    """Run the command in this process; it ends with its app."""
    return CliRunner().invoke(command, ["run", *arguments], catch_exceptions=True)


@pytest.mark.real
def test_a_missing_service_is_started(quickstart: Path) -> None:
    """The sidecar waits for it, and the app has saved its state."""
    done = run("--with", "redis")

    assert (0, None) == (done.exit_code, done.exception), done.output
    assert [] == leftovers(quickstart)


@pytest.mark.real
def test_an_app_without_resources_has_those_of_dapr_init(quickstart: Path) -> None:
    """A `dapr run` without resources finds a state store on Redis in the home folder."""
    project(quickstart, dapr_yaml=RUN_FILE.format(python=sys.executable).replace(COMMON, ""))
    shutil.rmtree(quickstart / "components")

    done = run("--with", "redis")

    assert (0, None) == (done.exit_code, done.exception), done.output


def test_only_what_an_app_does_not_name_is_completed(tmp_path: Path) -> None:
    """Its own resources and Configuration stay; `dapr init` has both for the others."""
    text = "version: 1\napps:\n- {appDirPath: own}\n- {appDirPath: bare}\n"
    project(tmp_path, dapr_yaml=text, bare__x_txt="")
    (tmp_path / "own/.dapr/resources").mkdir(parents=True)
    (tmp_path / "own/.dapr/config.yaml").touch()
    said: list[str] = []

    own, bare = completed(
        read_runfile(tmp_path / "dapr.yaml"), ["redis", "zipkin"], said.append
    ).apps

    assert (tmp_path / "own/.dapr/resources",) == own.resources
    assert tmp_path / "own/.dapr/config.yaml" == own.configuration
    (folder,) = bare.resources
    found = {
        (each.name, each.type, name, field["value"])
        for each in read_resources([folder])
        for name, field in each.fields().items()
    }
    assert {
        ("statestore", "state.redis", "redisHost", "localhost:6379"),
        ("statestore", "state.redis", "redisPassword", ""),
        ("statestore", "state.redis", "actorStateStore", "true"),
        ("pubsub", "pubsub.redis", "redisHost", "localhost:6379"),
        ("pubsub", "pubsub.redis", "redisPassword", ""),
    } == found
    assert bare.configuration
    assert "http://localhost:9411/api/v2/spans" in bare.configuration.read_text()
    assert [] == said


def test_an_app_without_resources_is_named_when_nothing_completes_it(tmp_path: Path) -> None:
    """With what the Dapr CLI would read, and how to have the same."""
    text = "version: 1\napps:\n- {appDirPath: a}\n- {appDirPath: b}\n"
    project(tmp_path, dapr_yaml=text, a__x_txt="", b__x_txt="")
    file, said = read_runfile(tmp_path / "dapr.yaml"), list[str]()

    assert file == completed(file, ["kafka"], said.append)
    (line,) = said
    assert line.startswith("a, b: ")
    assert "~/.dapr/components" in line
    assert "--with redis" in line


@pytest.mark.real
def test_a_service_that_runs_already_is_used_and_named(quickstart: Path, port: int) -> None:
    """It keeps running, with what the app has saved."""
    with running(Topology(Redis(port=port, password=False)), Settings.load(quickstart)) as stack:
        done = run("--with", "redis")
        with socket.create_connection(("127.0.0.1", port)) as opened:
            opened.sendall(b"EXISTS saver||k\r\nQUIT\r\n")
            said = opened.makefile().read()
        pid = stack.instances["redis"].pid

    assert (0, None) == (done.exit_code, done.exception), done.output
    assert f"redis: the one that runs at 127.0.0.1:{port} is used" in done.output
    assert f"pid {pid} " in done.output
    assert said.startswith(":1")


@pytest.mark.real
def test_undeclared_topics_are_created_on_demand(
    quickstart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a Kafka that is brought along, as on one with automatic topics."""
    number = free_port()

    def make() -> Kafka:
        return Kafka(port=number, auto_create=True)

    monkeypatch.setitem(
        SERVICES, "kafka", dataclasses.replace(SERVICES["kafka"], port=number, make=make)
    )
    (quickstart / "components" / "store.yaml").unlink()
    project(
        quickstart,
        dapr_yaml=TALKING.format(python=sys.executable, port=free_port()),
        reader_py=READER,
        writer_py=WRITER,
        components__bus_yaml=BUS.format(port=number),
    )

    done = run("--with", "kafka")

    assert (0, None) == (done.exit_code, done.exception), done.output
    assert 'reader got "hello"' in done.output
    assert "writer has published" in done.output
    assert [] == leftovers(quickstart)


@pytest.mark.real
@pytest.mark.usefixtures("quickstart")
def test_a_refused_connection_is_the_first_line(port: int) -> None:
    """Not the twenty-fourth, after the log."""
    done = run()

    error = done.exception
    assert isinstance(error, InstanceDied), done.output
    first = str(error).partition("\n")[0]
    assert "saver-daprd exited with code 1" in first
    assert "connection refused" in first
    assert f"nothing listens on port {port}" in error.hint


def test_a_service_port_that_is_taken_is_one_sentence(port: int) -> None:
    """Who holds it, and what to do."""
    with socket.create_server(("127.0.0.1", port)) as squatter:
        squatter.settimeout(30)
        with pytest.raises(ConfigError) as raised:
            list(brought_along(["redis"], lambda _: None))

    assert f"port {port} is held by pid {os.getpid()} " in str(raised.value)
    assert "it does not answer as redis does" in str(raised.value)
    assert "leave out --with redis" in raised.value.hint


def test_an_unknown_service_is_named_with_the_known_ones() -> None:
    """Each name counts once."""
    assert ["redis", "kafka"] == chosen("redis, kafka,redis")
    with pytest.raises(ConfigError, match=r"no such service(.|\n)*did you mean 'redis'"):
        chosen("redsi")


@pytest.fixture(scope="module")
def open_ports() -> Iterator[tuple[str, str]]:
    """Brokers and the address of a database, as ``--with`` starts them."""
    topology = Topology(Kafka(auto_create=True), Postgres(trust=True))
    with running(topology) as stack:
        yield str(stack.book.endpoint("kafka")), str(stack.book.endpoint("postgres"))


@pytest.mark.real
def test_services_are_as_open_as_quickstarts_expect(open_ports: tuple[str, str]) -> None:
    """A topic that was not created, and a password that was not set."""
    brokers, database = open_ports
    assert creates_topics(admin_of(brokers))
    sent: list[object] = []
    producer = Producer({"bootstrap.servers": brokers, "log_level": 0})
    producer.produce("unmade", b"1", on_delivery=lambda error, _: sent.append(error))

    assert 0 == producer.flush(60)
    assert [None] == sent
    with psycopg.connect(f"postgresql://postgres:docker@{database}/app") as connection:
        assert (1,) == connection.execute("SELECT 1").fetchone()
