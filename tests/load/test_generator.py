"""What the generator is made of: HTTP client, timer, lanes; on real sockets and clocks."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Receiver, Settings, Stack, Topology, running
from harness.core.ports import free_port
from harness.load.generate.generator import References, master_words
from harness.load.measure.collector import Collector
from harness.load.model.profile import Profile, RawKafka, Step
from tests.support import ROOT

pytestmark = pytest.mark.real


def told(program: str) -> Any:
    """What a program says in its last line; gevent patches a process of its own."""
    head = "from gevent import monkey; monkey.patch_all()\n"
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(program)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SERVER = """
import gevent, json, socket
from gevent import socket
from harness.load.generate.http import Failed, Http

heads, opened = [], []
listening = socket.create_server(("127.0.0.1", 0))
URL = "http://127.0.0.1:%d" % listening.getsockname()[1]

def serve(answers):
    # Each connection gets the next list of answers, one per request, and is closed after them.
    for script in answers:
        connection, _ = listening.accept()
        opened.append(connection)
        for answer in script:
            heads.append(connection.recv(65536).decode())
            connection.sendall(answer)
        connection.close()

def answer(status, body=b"", more=b""):
    return b"HTTP/1.1 %s\\r\\ncontent-length: %d\\r\\n%s\\r\\n%s" % (status, len(body), more, body)
"""


def test_a_connection_is_kept_and_one_that_was_closed_is_not_used() -> None:
    """Two requests on one connection; the server closes it; the third goes by a new one."""
    found = told(
        SERVER
        + """
gevent.spawn(serve, [[answer(b"200 OK", b"one"), answer(b"200 OK", b"two")], [answer(b"204 No")]])
http = Http(URL, {"dapr-api-token": "t"})
said = [http.send("GET", "/a").decode(), http.send("POST", "/b", {"x": 1}).decode()]
gevent.sleep(0.1)
said.append(http.send("GET", "/c").decode())
print(json.dumps([said, len(opened), heads]))
"""
    )

    said, connections, heads = found
    assert (["one", "two", ""], 2) == (said, connections)
    assert all("dapr-api-token: t\r\n" in head and "host: 127.0.0.1" in head for head in heads)
    assert heads[1].startswith("POST /b HTTP/1.1\r\n")
    assert heads[1].endswith('content-length: 8\r\n\r\n{"x": 1}')


def test_an_error_status_is_a_failure_and_keeps_the_connection() -> None:
    """A status that is no success is told as it is; the body is read to its end."""
    found = told(
        SERVER
        + """
gevent.spawn(serve, [[answer(b"503 Busy", b"x" * 100_000), answer(b"200 OK", b"fine")]])
http, said = Http(URL), []
try:
    http.send("GET", "/")
except Failed as error:
    said.append(str(error))
said.append(http.send("GET", "/").decode())
print(json.dumps([said, len(opened)]))
"""
    )

    assert [["HTTP 503", "fine"], 1] == found


def test_a_failure_contains_the_error_code_and_the_cause_of_the_sidecar() -> None:
    """Its code, and the last part of the message; anything else is left out."""
    body = {"errorCode": "ERR_DIRECT_INVOKE", "message": "failed to invoke, id: x, err: EOF"}
    bodies = [json.dumps(each).encode() for each in (body, ["message"], {"message": "none"})]
    found = told(
        SERVER
        + f"""
gevent.spawn(serve, [[answer(b"500 No", body) for body in {bodies!r}]])
http, said = Http(URL), []
for _ in range(3):
    try:
        http.send("GET", "/")
    except Failed as error:
        said.append(str(error))
print(json.dumps(said))
"""
    )

    assert ["HTTP 500 ERR_DIRECT_INVOKE: EOF", "HTTP 500", "HTTP 500"] == found


HALF = 'b"HTTP/1.1 200 OK\\r\\ncontent-length: 9\\r\\n\\r\\nhalf"'


@pytest.mark.parametrize("answer", ['b""', HALF, 'b"nonsense"'])
def test_an_incomplete_response_is_an_error(answer: str) -> None:
    """It is an error, never sent again, and never taken for a success."""
    found = told(
        SERVER
        + f"""
gevent.spawn(serve, [[{answer}]] * 2)
try:
    said = Http(URL).send("GET", "/").decode()
except Exception as error:
    said = type(error).__name__
gevent.sleep(0.1)
print(json.dumps([said, len(heads)]))
"""
    )

    assert ("HTTP" in found[0] or "Error" in found[0], 1) == (True, found[1])


def test_a_timer_ends_at_its_moment_and_never_before() -> None:
    """A hundred moments: none early; a moment that is over is none to wait for."""
    early, rounds, over = told("""
import json, time
from harness.load.generate.timerfd import Timer
timer, late = Timer(), []
for number in range(100):
    due = time.monotonic() + 0.0013
    timer.wait_until(due)
    late.append(time.monotonic() - due)
began = time.monotonic()
timer.wait_until(began - 5)
timer.close()
timer.close()
print(json.dumps([min(late) < 0, len(late), time.monotonic() - began < 1]))
""")

    assert (False, 100, True) == (early, rounds, over)


def test_others_run_while_a_timer_is_waited_for() -> None:
    """It waits in its own greenlet only."""
    assert 20 <= told("""
import gevent, json, time
from harness.load.generate.timerfd import Timer
seen = []
def tick():
    while True:
        gevent.sleep(0.001)
        seen.append(1)
gevent.spawn(tick)
Timer().wait_until(time.monotonic() + 0.3)
print(json.dumps(len(seen)))
""")


def test_no_two_lanes_fire_in_step(tmp_path: Path) -> None:
    """Two lanes in each of two workers: four seeds, the same whenever it is run."""
    (tmp_path / "locustfile.py").write_text(
        textwrap.dedent("""
            import pathlib
            from harness.load.users import OpenLoop

            class Lane(OpenLoop):
                def send(self, arrival):
                    folder = pathlib.Path(__file__).parent
                    (folder / f"lane.{self.lane_seed}").write_text(f"{arrival.due}")
        """)
    )
    subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(tmp_path / "locustfile.py"), "--headless",
         "--only-summary", "--host", "http://127.0.0.1:1", "-u", "4", "-r", "4", "-t", "90s",
         "--processes", "2", *master_words(), "--rate", "40", "--lanes", "4",
         "--steps", "[[1, 1]]"],
        cwd=ROOT, capture_output=True, check=True, timeout=150,
    )  # fmt: skip

    seeds = {file.name.partition(".")[2] for file in tmp_path.glob("lane.*")}
    assert {f"Lane-{worker}-{number}" for worker in (0, 1) for number in (1, 2)} == seeds


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack beside which programs are started."""
    with running(Topology(Receiver(mail=False)), Settings.load(runtime="processes")) as stack:
        yield stack


@pytest.mark.parametrize(
    ("raw", "patience", "said"),
    [
        (RawKafka("t", "x"), 60, "could not convert"),  # type: ignore[arg-type]  # it crashes
        (RawKafka("t", 1), 2, "still running after 2 s"),
    ],
)
def test_references_that_were_not_measured_are_reported(
    stack: Stack, tmp_path: Path, raw: RawKafka, patience: float, said: str
) -> None:
    """One crashes, one has no broker: the run has no references, and says so."""
    profile = Profile(name="x", rates={}, steps=(Step(1, 1),), raw_kafka=raw)

    raw_kafka = References(stack.add, f"127.0.0.1:{free_port()}", profile, tmp_path)
    raw_kafka.begin()
    mark = raw_kafka.finish(Collector(), patience)

    assert ("references", False, True) == (mark.name, mark.met, said in mark.fact), mark.fact
