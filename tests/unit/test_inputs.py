"""What a test does to its stack: noted, recorded without secrets, and made again in its order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from harness.bundle.origin import commit_of, digest_of
from harness.bundle.recording import Given, Secrets, given_by_others, given_by_test, reference
from harness.core.deadline import Deadline
from harness.core.observation import epoch_ns
from harness.core.sources import Sources
from harness.ledger.model import EventPath, Ledger, Position, Publication, Record
from harness.probe.broker_reader import RawRecord
from harness.ready import loopback
from harness.replay import playing
from harness.replay.playing import Player, content_of
from harness.replay.substitution import Substitution
from harness.stack import inputs as noted
from harness.stack.inputs import Inputs
from harness.stack.world import World

SECRETS = Secrets({"dapr-api": "s3cret", "key": "t0ken"})
SECOND = 10**9


def exchange(
    found: Inputs, *, content: bytes = b"{}", answer: httpx.Response | None = None, at: float = 1.0,
    **headers: str,
) -> None:  # fmt: skip
    """Note a request to the app `shop`."""
    request = httpx.Request("POST", "http://127.0.0.1:1/a?b=%20c", content=content, headers=headers)
    found.requested("shop", request, answer, at, 0.5)


def recorded(found: Inputs) -> tuple[list[Given], list[str]]:
    """The inputs as they are recorded, and what is not."""
    gaps: list[str] = []
    return list(given_by_test(found.all(), SECRETS, gaps)), gaps


def test_a_request_is_recorded_with_its_answer_and_without_what_each_client_sets() -> None:
    """The path is still encoded."""
    found = Inputs()
    exchange(found, answer=httpx.Response(201, content=b'{"id": 1}', headers={"etag": "7"}), x="y")

    (made,), gaps = recorded(found)

    headers = {"x": "y"}
    assert {"path": "/a?b=%20c", "headers": headers, "body": "{}"} == made.given
    assert {"status": 201, "etag": "7", "body": '{"id": 1}'} == made.answer
    assert ("request", "shop", "POST", 0.5, []) == (
        made.kind, made.target, made.what, made.took, gaps
    )  # fmt: skip
    assert abs(made.at - epoch_ns(1.0)) < SECOND


def test_tokens_of_the_stack_are_references_everywhere() -> None:
    """In bodies, headers, answers, in the header that has credentials, and in what is told."""
    found = Inputs()
    answer = httpx.Response(200, content=b"a t0ken")
    exchange(found, content=b"s3cret", answer=answer, x="t0ken", authorization="Bearer s3cret")
    request = httpx.Request("GET", "http://127.0.0.1:1/a?b=t0ken", headers={"cookie": "mine"})
    found.requested("shop", request, None, 2.0, 0.5)

    (made, other), gaps = recorded(found)

    told = f"{made} {other} {gaps}"
    assert [f"GET /a?b={reference('key')}: the header 'cookie' is masked"] == gaps
    assert "s3cret" not in told
    assert "t0ken" not in told
    assert f"Bearer {reference('dapr-api')}" == made.given["headers"]["authorization"]


def test_other_credentials_are_masked_and_named_as_a_gap() -> None:
    """A replay cannot have them."""
    found = Inputs()
    exchange(found, authorization="Bearer mine")

    (made,), gaps = recorded(found)

    assert "***" == made.given["headers"]["authorization"]
    assert ["POST /a?b=%20c: the header 'authorization' is masked"] == gaps


def test_a_binary_body_is_kept_unless_a_token_is_in_it() -> None:
    """In which nothing could be replaced."""
    found = Inputs()
    exchange(found, content=b"\xff\x00", at=1.0)
    exchange(found, content=b"\xff s3cret", at=2.0)

    (first, second), gaps = recorded(found)

    assert b"\xff\x00" == content_of(first.given)
    assert None is content_of(second.given)
    assert ["POST /a?b=%20c: a binary value with a token in it is not recorded"] == gaps


def test_a_rule_of_an_inbox_is_recorded_although_it_has_a_path() -> None:
    """It is no request."""
    found = Inputs()
    with found.doing("fault", "shop", "fail_next", path="/orders", contains="s3cret"):
        pass

    (made,), _ = recorded(found)

    assert {"path": "/orders", "contains": reference("dapr-api")} == made.given


def test_inputs_are_in_the_order_in_which_they_began() -> None:
    """A request is noted when it has ended."""
    found = Inputs()
    exchange(found, at=2.0)
    exchange(found, at=1.0, x="first")

    assert "first" == recorded(found)[0][0].given["headers"]["x"]


def test_more_inputs_than_fit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by size; the first ones are kept."""
    monkeypatch.setattr(noted, "MOST", 2)
    monkeypatch.setattr(noted, "LARGEST", 100)
    found = Inputs()
    exchange(found, content=b"x" * 200)
    for _ in range(3):
        exchange(found)

    assert (2, 2) == (len(found.all()), found.lost)


def test_an_operation_that_fails_is_noted_with_its_duration() -> None:
    """A test may expect that."""
    found = Inputs()
    with pytest.raises(ValueError, match="no"), found.doing("node", "shop", "kill"):
        raise ValueError("no")

    (made,) = found.all()
    assert made.took is not None


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was sent, in two parts."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def url() -> Any:
    """A server of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_requests_of_shared_connections_are_noted_without_their_signature(url: str) -> None:
    """Each stack signs its own; headers that the test has set itself are kept."""
    found = Inputs()
    connections = loopback.Connections(lambda *told: found.requested("shop", *told))
    with loopback.client(
        url, sign=lambda _: {"Signed": "1", "own": "2"}, connections=connections
    ) as client:
        client.post("/x", content=b"hello", headers={"own": "3"})
    connections.end()

    (made,), _ = recorded(found)
    assert ("3", None) == (made.given["headers"].get("own"), made.given["headers"].get("signed"))
    assert "hello" == made.answer["body"]


async def test_an_answer_that_is_streamed_is_left_to_the_test(url: str) -> None:
    """It is noted with its status, and with its body once the test has read it."""
    found = Inputs()
    connections = loopback.AsyncConnections(lambda *told: found.requested("shop", *told))
    async with (
        loopback.aclient(url, connections=connections) as client,
        client.stream("POST", "/x", content=b"hello") as response,
    ):
        assert {"status": 200, "etag": ""} == found.all()[0].answer
        assert b"hello" == await response.aread()
    await connections.end()

    assert b"hello" == found.all()[0].answer["content"]


def test_a_request_without_a_response_is_noted() -> None:
    """Such as one to an app that was killed."""
    found = Inputs()
    connections = loopback.Connections(lambda *told: found.requested("shop", *told))
    with (
        loopback.client("http://127.0.0.1:1", connections=connections) as client,
        pytest.raises(httpx.ConnectError),
    ):
        client.get("/x")
    connections.end()

    assert [{}] == [each.answer for each in found.all()]


# Records from outside


def raw(offset: int) -> RawRecord:
    """A record with a key, and with a token in its value."""
    headers = (("h", b"\xff"), ("n", None))
    return RawRecord("t", 0, offset, 5, b"k", headers, b"a s3cret")


def test_records_of_others_are_recorded_and_those_of_a_sidecar_are_not() -> None:
    """Not those that are published by a known request, rows of an outbox, or dead letters."""

    def path(
        offset: int, *, dead: bool = False, outbox: bool = False, sent: bool = False
    ) -> EventPath:
        known = Publication("test", "shop", "p", "t", 1, 0.1, 204)
        of = Position("t", 0, 99) if dead else None
        record = Record(Position("t", 0, offset), 5, of, outbox)
        return EventPath("", "", "", "", "", "", "", (known,) if sent else (), (record,))

    ledger = Ledger((path(0), path(1, sent=True), path(2, dead=True), path(3, outbox=True)))

    (made,) = given_by_others(map(raw, range(4)), ledger, SECRETS, [])

    assert ("record", "t", 5) == (made.kind, made.target, made.at)
    assert {"body": f"a {reference('dapr-api')}"} == made.given["value"]
    assert (b"k", 0) == (content_of(made.given["key"]), made.given["partition"])
    assert [("h", b"\xff"), ("n", None)] == [(n, content_of(v)) for n, v in made.given["headers"]]


# Where it came from


def test_the_hash_of_sources_depends_on_their_contents_and_places_in_the_project(
    tmp_path: Path,
) -> None:
    """Not on where the project is, and not on what others have installed in it."""
    hashes = []
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        root = tmp_path / name
        (root / "app" / "node_modules").mkdir(parents=True)
        (root / "app" / "main.py").write_text(text)
        (root / "app" / "node_modules" / "lib.js").write_text(name)
        (root / "app" / "out.txt").write_text(name)
        hashes.append(digest_of(Sources(root / "app"), root))

    assert hashes[0] == hashes[1] != hashes[2]


def test_a_folder_without_a_repository_has_no_commit(tmp_path: Path) -> None:
    """Nor has one that does not exist."""
    assert ("", False) == commit_of(tmp_path / "none")


# Made again


class Nodes:
    """In place of a world: notes what is done to its nodes, and what they settle for."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.settled: list[float] = []
        self.both = threading.Barrier(2)
        self.started = threading.Event()

    def kill(self, node: str) -> None:
        if node == "meet":
            self.both.wait(10)
        elif node == "slow":
            self.started.wait(0.3)
        self.started.set()
        self.done.append(node)

    @property
    def clock(self) -> Nodes:
        return self

    def advance_to(self, **given: Any) -> None:
        self.done.append(f"advance_to moment={given['moment']} timeout={given['timeout']}")

    def flow(self, speed: float) -> None:
        self.done.append(f"flow speed={speed}")

    @contextmanager
    def resources(self, *documents: str, apps: list[str]) -> Iterator[None]:
        self.done.append(f"{''.join(documents)} for {''.join(apps)}")
        yield
        self.done.append("taken back")

    def play(self, *inputs: Given, speed: float = 0) -> list[Any]:
        """Make inputs."""
        fit = Substitution({"old": "new"}, 0, 0)
        return Player(cast("World", self), fit, 0, speed, self.settled.append).play(inputs)


def kill(node: str, at: float, took: float | None) -> Given:
    """An operation; its times are seconds."""
    return Given(int(at * SECOND), took, "node", node, "kill")


def test_inputs_that_overlapped_are_made_at_the_same_time() -> None:
    """Neither would end without the other."""
    world = Nodes()
    world.play(kill("meet", 1, 5), kill("meet", 2, 5))

    assert ["meet", "meet"] == world.done


def test_an_input_waits_for_all_that_had_ended_before_it() -> None:
    """Also without any pace."""
    world = Nodes()
    world.play(kill("slow", 1, 0.5), kill("next", 2, 0.5))

    assert ["slow", "next"] == world.done


def test_an_input_that_had_not_ended_holds_nothing_up() -> None:
    """The test has failed during it, or did not wait for it."""
    world = Nodes()
    world.play(kill("meet", 1, None), kill("meet", 2, 1))

    assert ["meet", "meet"] == world.done


def test_a_replay_that_is_faster_lets_the_system_settle_for_as_long_as_was_recorded() -> None:
    """From the end of what came before; not if there was no pause."""
    world = Nodes()
    world.play(kill("a", 1, 0.5), kill("b", 4, 0.5), kill("c", 4.51, 0.1))

    assert [2.5] == world.settled


@pytest.mark.parametrize(("speed", "seconds"), [(1, 1000), (10, 100)])
def test_a_replay_waits_for_the_recorded_time_divided_by_its_speed(
    speed: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the beginning of the test on."""
    budgets: list[float] = []

    def ticks(deadline: Deadline) -> list[None]:
        budgets.append(deadline.budget)
        return []

    monkeypatch.setattr(playing, "ticks", ticks)
    Nodes().play(kill("a", 0, 0), kill("b", 1000, 0), speed=speed)

    assert 0 == budgets[0]
    assert seconds * 0.9 < budgets[1] <= seconds


def test_at_the_recorded_pace_nothing_waits_for_the_system_to_settle() -> None:
    """The test did not either."""
    world = Nodes()
    world.play(kill("a", 0, 0), kill("b", 0.1, 0), speed=1)

    assert [] == world.settled


def test_moves_of_the_clock_and_changes_of_resources_are_made_with_their_arguments() -> None:
    """As the test has made them; a change is taken back when it was."""
    world = Nodes()
    done = world.play(
        Given(1, 0, "clock", "", "advance-to", {"to": "old", "timeout": 30.0}),
        Given(2, 0, "clock", "", "flow", {"speed": 2.0, "timeout": 5.0}),
        Given(3, 0, "resources", "0", "change", {"documents": ["kind: old\n"], "apps": ["a"]}),
        Given(4, 0, "resources", "0", "take_back"),
        Given(5, 0, "resources", "7", "take_back"),
    )

    assert ["", "", "", "", ""] == [each.error for each in done]
    assert [
        "advance_to moment=new timeout=30.0",
        "flow speed=2.0",
        "kind: new\n for a",
        "taken back",
    ] == world.done


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Given(0, 0, "node", "shop", "close"), "'close' is no operation"),
        (Given(0, 0, "node", "shop", "kill", {"x": 1}), "make no sense"),
        (Given(0, 0, "call", "shop", "POST", {}), "make no sense"),
        (Given(0, 0, "record", "t", "produce", {"partition": 0}), "make no sense"),
    ],
)
def test_an_input_that_makes_no_sense_is_reported_and_ends_nothing(
    given: Given, message: str
) -> None:
    """Others are still made."""
    world = Nodes()
    first, second = world.play(given, kill("a", 1, 0))

    assert (False, True) == (first.made, second.made)
    assert message in first.error
    assert ["a"] == world.done
