"""The page's server: who is answered, what is streamed, and what the buttons do."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from harness.core.errors import PortTaken
from harness.core.ports import free_port
from harness.ui.app import LARGEST, application, stream
from harness.ui.feed import EVENTS, LINES, Feed
from harness.ui.guard import HEADER, refusal
from harness.ui.record import Record
from harness.ui.serve import listening, serving
from tests.ui_source import ShownStack

TOKEN = "the-token"
HOST = "127.0.0.1:4711"
HOSTS = (HOST, "localhost:4711")
WITH = {HEADER: TOKEN}


def client_of(source: ShownStack, feed: Feed | None = None) -> httpx.AsyncClient:
    """A client of the page's server, which has no port."""
    app = application(source, feed or Feed(source, Record()), TOKEN, 4711)
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}/{TOKEN}/")


@pytest.fixture
async def shown() -> ShownStack:
    return ShownStack()


@pytest.fixture
async def client(shown: ShownStack) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shown) as made:
        yield made


@pytest.mark.parametrize(
    "path", ["", "page.css", "main.js", "icon.svg", "state?app=a&store=s&key=k"]
)
async def test_everything_needs_the_token_in_the_path(client: httpx.AsyncClient, path: str) -> None:
    """A wrong one, a part of it and none are all the same: nothing is there."""
    right = await client.get(path)
    wrong = [
        await client.get(f"http://{HOST}/{start}{path}")
        for start in ("the-tokem/", "the-toke/", "the-token-/", "", "%00/", "é/")
    ]

    assert 200 == right.status_code
    assert {404} == {each.status_code for each in wrong}
    assert 1 == len({each.text for each in wrong})
    assert TOKEN not in wrong[0].text


def test_the_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hmac.compare_digest, in the path and in the header."""
    compared: list[tuple[bytes, bytes]] = []

    def same(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", same)
    refusal("POST", "/the-token/act", {"host": HOST, HEADER: "another"}, TOKEN, HOSTS)

    assert [(b"the-token", b"the-token"), (b"another", b"the-token")] == compared


@pytest.mark.parametrize(
    "host", ["evil.example:4711", "127.0.0.1", "127.0.0.1:80", "localhost.evil:4711", ""]
)
async def test_a_request_for_another_host_name_is_refused(
    client: httpx.AsyncClient, host: str
) -> None:
    """Also with the token: a page whose name was made to resolve to this machine."""
    assert 403 == (await client.get("", headers={"host": host})).status_code


async def test_localhost_is_a_name_of_the_page(client: httpx.AsyncClient) -> None:
    assert 200 == (await client.get("", headers={"host": "localhost:4711"})).status_code


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:80", ""])
async def test_a_request_from_another_origin_is_refused(
    client: httpx.AsyncClient, shown: ShownStack, origin: str
) -> None:
    """Also with the token in path and header."""
    given = {"action": "kill", "node": "shop"}
    found = await client.post("act", json=given, headers={**WITH, "origin": origin})

    assert (403, []) == (found.status_code, shown.done)


@pytest.mark.parametrize("headers", [{}, {HEADER: ""}, {HEADER: "another"}])
@pytest.mark.parametrize("path", ["act", "publish", "invoke", "redeliver"])
async def test_what_changes_something_needs_the_token_in_a_header(
    client: httpx.AsyncClient, shown: ShownStack, path: str, headers: dict[str, str]
) -> None:
    """A form or an image of another page can have the path, but not the header."""
    found = await client.post(path, json={"id": "key-0"}, headers=headers)

    assert (403, []) == (found.status_code, shown.done)


@pytest.mark.parametrize("path", ["act", "publish", "invoke", "redeliver"])
async def test_nothing_is_changed_by_get(
    client: httpx.AsyncClient, shown: ShownStack, path: str
) -> None:
    found = await client.get(path, params={"action": "kill", "node": "shop", "id": "key-0"})

    assert (405, []) == (found.status_code, shown.done)


async def test_the_page_may_load_only_its_own_files_and_has_nothing_inline(
    client: httpx.AsyncClient,
) -> None:
    """The policy is on every answer, refusals included."""
    page, missing = await client.get(""), await client.get(f"http://{HOST}/")
    policy = page.headers["content-security-policy"]

    assert policy == missing.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text
    assert "<style" not in page.text
    assert 'style="' not in page.text
    assert ("no-referrer", "nosniff", "no-store") == tuple(
        page.headers[name]
        for name in ("referrer-policy", "x-content-type-options", "cache-control")
    )


PUBLISHED = {
    "app": "shop",
    "pubsub": "pubsub",
    "topic": "orders",
    "event_type": "order.made",
    "key": "42",
}


async def test_actions_reach_the_stack(client: httpx.AsyncClient, shown: ShownStack) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        ("act", {"action": "pause", "node": "shop"}),
        ("publish", {**PUBLISHED, "data": {"id": 1}}),
        ("invoke", {"app": "shop", "path": "orders", "verb": "POST", "data": None}),
        ("redeliver", {"id": "key-0"}),
    ]
    answers = [await client.post(path, json=given, headers=WITH) for path, given in asked]

    assert [200] * 4 == [each.status_code for each in answers]
    assert [
        ("pause", "shop"),
        ("publish", "orders", {"id": 1}, "shop", "pubsub", "order.made", "42"),
        ("invoke", "shop", "orders", "POST", None),
        ("redeliver", "key-0"),
    ] == shown.done
    assert {"status": 200, "body": {"text": "shop"}} == answers[2].json()


@pytest.mark.parametrize(
    ("path", "content", "answer"),
    [
        ("act", b'{"action": "kill", "node": "shopp"}', (400, "no node 'shopp'")),
        ("act", b'{"action": "format", "node": "shop"}', (400, "'format' is not an action")),
        ("act", b'{"action": "kill"}', (400, "no 'node'")),
        ("act", b"[]", (400, "not a JSON object")),
        ("act", b"{", (400, "not JSON")),
        ("act", b"\xff", (400, "not JSON")),
        ("act", b" " * (LARGEST + 1), (400, "too large")),
        (
            "invoke",
            b'{"app": "a", "path": "silent", "verb": "GET", "data": 1}',
            (502, "not answer"),
        ),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_sentence(
    client: httpx.AsyncClient, shown: ShownStack, path: str, content: bytes, answer: tuple[int, str]
) -> None:
    found = await client.post(path, content=content, headers=WITH)
    status, sentence = answer

    assert (status, []) == (found.status_code, shown.done)
    assert sentence in found.json()["error"]


async def test_an_unknown_event_is_said_in_a_sentence(client: httpx.AsyncClient) -> None:
    found = await client.get("event", params={"id": "nothing"})

    assert (400, {"error": "no event has the id 'nothing'"}) == (found.status_code, found.json())


async def read(feed: Feed, cursor: int) -> list[tuple[int | None, str, Any]]:
    """The messages that an ended feed sends to a reader: number, kind and data."""
    text = b"".join([each async for each in stream(feed, cursor)]).decode()
    found = []
    for part in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in part.split("\n") if ": " in line)
        if "event" in fields:
            number = int(fields["id"]) if "id" in fields else None
            found.append((number, fields["event"], json.loads(fields["data"])))
    return found


async def test_a_new_page_gets_everything_and_then_what_changes(shown: ShownStack) -> None:
    shown.add(3)
    feed = Feed(shown, Record())
    feed.look()
    shown.change(1, outcome="dropped")
    feed.look()
    feed.end("stopped")

    found = await read(feed, -1)

    assert ["reset", "overview", "events", "logs", "ended"] == [kind for _, kind, _ in found]
    assert ["delivered", "dropped", "delivered"] == [row["outcome"] for row in found[2][2]["rows"]]
    assert {"why": "stopped"} == found[-1][2]


async def test_a_page_that_comes_back_with_its_cursor_gets_only_what_it_has_missed(
    shown: ShownStack,
) -> None:
    shown.add(2)
    feed = Feed(shown, Record())
    feed.look()
    cursor = feed.record.last
    shown.add(1)
    feed.look()
    feed.end("stopped")

    found = await read(feed, cursor)

    assert ["events", "logs", "ended"] == [kind for _, kind, _ in found]
    assert ["key-2"] == [row["key"] for row in found[0][2]["rows"]]
    assert [cursor + 1, cursor + 2, cursor + 3] == [number for number, _, _ in found]


async def test_a_page_that_has_not_received_all_of_the_beginning_begins_again(
    shown: ShownStack,
) -> None:
    """It has no cursor before the end of the beginning, and browsers send the last one they had."""
    shown.add(3)
    feed = Feed(shown, Record())
    feed.look()
    feed.end("stopped")

    *beginning, last = await read(feed, -1)

    assert {None} == {number for number, _, _ in beginning}
    assert feed.record.last == last[0]


async def test_the_cursor_is_the_header_that_browsers_send(shown: ShownStack) -> None:
    shown.add(1)
    feed = Feed(shown, Record())
    feed.look()
    feed.end("stopped")
    async with client_of(shown, feed) as client:
        again = await client.get("stream", headers={"last-event-id": str(feed.record.last - 1)})
        foreign = await client.get("stream", headers={"last-event-id": "999999"})
        odd = [
            await client.get("stream", headers={b"last-event-id": text})
            for text in (b"\xb2", b"9" * 5000, b"-1", b"x")
        ]

    assert "text/event-stream; charset=utf-8" == again.headers["content-type"]
    assert "event: reset" not in again.text
    assert "event: reset" in foreign.text
    assert all("event: reset" in each.text for each in odd)


async def test_a_slow_reader_begins_again_and_the_others_do_not_wait(shown: ShownStack) -> None:
    """What is kept for readers is bounded, however slow one of them is."""
    feed = Feed(shown, Record(most=2))
    feed.look()
    slow, fast = feed.record.last, 0
    for _ in range(5):
        shown.add(1)
        feed.look()
        fast = feed.record.last
    feed.end("stopped")

    assert ["ended"] == [kind for _, kind, _ in await read(feed, fast)]
    found = await read(feed, slow)
    assert "reset" == found[0][1]
    assert 5 == sum(len(data["rows"]) for _, kind, data in found if kind == "events")


def test_the_record_keeps_a_number_of_messages_and_of_bytes() -> None:
    few, small = Record(most=3), Record(largest=100)
    for number in range(10):
        few.append("events", number)
        small.append("events", "x" * 30)

    assert [8, 9, 10] == [each.number for each in few.after(7) or ()]
    assert few.after(6) is None
    assert [8, 9, 10] == [each.number for each in small.after(7) or ()]
    assert small.after(6) is None
    assert few.after(11) is None
    assert () == few.after(10)


def test_the_feed_keeps_the_newest_events_and_lines(shown: ShownStack) -> None:
    feed = Feed(shown, Record())
    shown.add(700)
    feed.look()
    shown.add(max(EVENTS, LINES))
    feed.look()

    told = [json.loads(each.text) for each in feed.snapshot() if each.kind in ("events", "logs")]
    rows = [row["key"] for each in told for row in each.get("rows", ())]
    lines = [line["seq"] for each in told for line in each.get("lines", ())]

    assert (EVENTS, LINES) == (len(rows), len(lines))
    assert ("key-10699", 10700) == (rows[-1], lines[-1])


def test_a_failed_look_is_told_once_and_again_when_it_is_over(shown: ShownStack) -> None:
    feed = Feed(shown, Record())
    shown.failure = OSError("the broker\nis away")
    feed.look()
    feed.look()
    shown.failure = None
    feed.look()
    told = [
        json.loads(each.text)["text"]
        for each in feed.record.after(0) or ()
        if each.kind == "problem"
    ]

    assert ["the broker is away", ""] == told


async def test_the_nodes_are_looked_at_again_after_an_action(shown: ShownStack) -> None:
    """Not only when it is their turn."""
    feed = Feed(shown, Record())
    feed.look()
    feed.look()
    before = [each.kind for each in feed.record.after(0) or ()]
    async with client_of(shown, feed) as client:
        await client.post("act", json={"action": "pause", "node": "shop"}, headers=WITH)
    feed.look()
    *_, last = feed.record.after(0) or ()

    assert ["overview"] == before
    assert "paused" == json.loads(last.text)["nodes"][0]["state"]


def test_an_unforeseen_error_of_a_look_does_not_end_the_feed(shown: ShownStack) -> None:
    feed = Feed(shown, Record())
    shown.failure = KeyError("node")
    feed.look()
    shown.failure = None
    feed.look()

    assert "problem" == (feed.record.after(0) or ())[0].kind
    assert "overview" in [each.kind for each in feed.record.after(0) or ()]


def test_a_taken_port_is_named() -> None:
    with listening(free_port()) as first, pytest.raises(PortTaken, match="choose another --port"):
        listening(first.getsockname()[1])


def test_the_loggers_of_the_process_are_as_before_when_the_page_has_ended() -> None:
    """uvicorn changes them, and the apps of a test process may use the same ones."""
    loggers = [logging.getLogger(f"uvicorn.{name}") for name in ("error", "access", "asgi")]
    before = [(each.level, [*each.handlers], each.propagate) for each in loggers]

    async def nobody(scope: object, receive: object, send: object) -> None:
        """Answers nothing."""

    with serving(nobody, listening(None)):
        assert logging.CRITICAL == loggers[0].level

    assert before == [(each.level, [*each.handlers], each.propagate) for each in loggers]
