"""The page and the archive of a bundle, and the rules that find causes, without a stack."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from harness.bundle import page as pages
from harness.bundle.causes import causes_of
from harness.bundle.collect import as_text, summary_of
from harness.bundle.model import Bundle, Declared, EventStory, Group, NodeState, Step
from harness.bundle.page import archive_of, file_name, page_of, write
from harness.bundle.stories import story_of
from harness.core.errors import HarnessError
from harness.ledger.joining import ledger_of
from tests.unit.ledgers import Place, cloud_event, handled, publishes, stored

EMPTY = Bundle("test_a.py::test_x[1/2]", "call", "E   it failed", "it failed", 1, 2)
SHOP = NodeState("shop", "App", "app", "shop", "running", 7)
SIDECAR = NodeState("shop-daprd", "Sidecar", "sidecar", "shop", "running", 8)
KAFKA = NodeState("kafka", "Kafka", "broker", "", "running", 9)


def event(**facts: Any) -> EventStory:
    """An event on the topic `orders`, stored and not delivered, unless the facts say otherwise."""
    usual = {
        "id": "e1", "type": "t", "topics": ["orders"], "expires": "", "is_event": True,
        "dead_letters": [], "published": [], "stored": [5], "attempts": [],
    }  # fmt: skip
    return EventStory("event e1 (t) on orders", "", [(5, "stored")], facts={**usual, **facts})


def attempt(**more: Any) -> dict[str, Any]:
    """A delivery to the shop, which has answered with status 500."""
    usual = {
        "app": "shop", "status": 500, "outcome": "retry", "failed": "", "dead_letter": False,
        "time": 6,
    }  # fmt: skip
    return {**usual, **more}


PUBLISHED = {"app": "shop", "topic": "orders", "status": 500}


def subscribed(*topics: str) -> dict[str, dict[str, Any]]:
    """The metadata of a sidecar with subscriptions."""
    return {"shop-daprd": {"subscriptions": [{"topic": each} for each in topics]}}


def first(bundle: Bundle) -> str:
    """The rule and the sentence of the best cause; "" if there is none."""
    found = causes_of(bundle)
    return f"{found[0].rule}: {found[0].sentence}" if found else ""


def test_a_bundle_without_a_trace_of_a_cause_names_none() -> None:
    """No guess: all nodes run, and nothing was published."""
    assert "" == first(replace(EMPTY, nodes=[SHOP, SIDECAR, KAFKA]))


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "a node has exited": (
        {"nodes": [replace(SHOP, state="exited", exit_code=3)],
         "logs": {"shop": "Traceback\nValueError: bad port"}},
        "node_exited: shop exited with code 3: ValueError: bad port",
    ),
    "a node was killed": (
        {"nodes": [replace(SHOP, state="exited", exit_code=-9)]},
        "node_exited: shop was killed by signal 9",
    ),
    "a node that has exited because of its port": (
        {"nodes": [replace(SHOP, state="exited", exit_code=1)],
         "logs": {"shop": "OSError: [Errno 98] Address already in use"}},
        "port_taken: shop could not listen: its port is taken by another program",
    ),
    "the test has stopped a node": (
        {"nodes": [replace(SHOP, state="exited", exit_code=-9, exit_expected=True)]},
        "stopped_by_the_test: shop is still exited, as the test has asked for",
    ),
    "the test has paused a node": (
        {"nodes": [replace(SHOP, state="paused")]},
        "stopped_by_the_test: shop is still paused, as the test has asked for",
    ),
    "the broker is away": (
        {"nodes": [replace(KAFKA, state="exited", exit_code=-9, exit_expected=True)]},
        "broker_unavailable: the broker 'kafka' is not available: the test has stopped it",
    ),
    "a sidecar has lost its broker": (
        {"nodes": [KAFKA],
         "logs": {"shop-daprd": "kafka: client has run out of available brokers"}},
        "broker_unavailable: shop-daprd could not reach its broker during the test",
    ),
    "a component is not loaded": (
        {"nodes": [SIDECAR], "sidecars": {"shop-daprd": {"components": []}},
         "resources": [Declared("Component", "store", "state.redis", [], "r.yaml:1")],
         "logs": {"shop-daprd": 'level=error msg="Failed to init component store: refused"'}},
        ("component_not_loaded: the sidecar shop-daprd has not loaded the component 'store' "
        "(state.redis): Failed to init component store: refused"),
    ),
    "a call names an unknown component": (
        {"error": "E   DaprError: POST /x -> 404 ERR_PUBSUB_NOT_FOUND: pubsub x is not found"},
        ("component_unknown: the component that the call named does not exist for this app "
        "(ERR_PUBSUB_NOT_FOUND)"),
    ),
    "a topic is forbidden": (
        {"error": "E   DaprError: POST /x -> 403 ERR_PUBSUB_FORBIDDEN: no"},
        "events_forbidden: the app may not publish to this topic (ERR_PUBSUB_FORBIDDEN)",
    ),
    "an app is invoked that is not there": (
        {"error": "E   DaprError: POST /x -> 500 ERR_DIRECT_INVOKE: no host", "nodes": [SHOP]},
        ("invoked_app_unknown: an invocation found no app with the app-id, or could not connect to "
        "it"),
    ),
    "a key was changed by somebody else": (
        {"error": "E   ERR_STATE_SAVE: possible etag mismatch"},
        "key_collision: a state key was changed by somebody else in the meantime (etag mismatch)",
    ),
    "a row exists already": (
        {"logs": {"shop": "duplicate key value violates unique constraint \"users_pkey\""}},
        "key_collision: duplicate key value violates unique constraint \"users_pkey\"",
    ),
    "an app refuses its sidecar": (
        {"events": [event(attempts=[attempt(status=401)])]},
        "token_refused: shop refuses deliveries of its own sidecar with status 401",
    ),
    "a sidecar refuses its app": (
        {"timeline": [Step(1, "call", "shop", "POST /v1.0/publish/p/t -> 401")]},
        ("token_refused: the sidecar of shop refuses a call of its app: the token is missing or "
        "wrong"),
    ),
    "a record is no CloudEvent": (
        {"events": [replace(event(is_event=False), title="the record at orders[0] offset 3")],
         "logs": {"shop-daprd": "error deserializing cloud event in pubsub p"}},
        "not_a_cloud_event: the record at orders[0] offset 3, so the sidecar cannot deliver it",
    ),
    "an app answers with an error": (
        {"events": [event(attempts=[attempt(), attempt()])], "logs": {"shop": "KeyError: 'id'"}},
        ("app_rejects_event: event e1 (t) on orders is not accepted: shop answers with status 500, "
        "2 times: KeyError: 'id'"),
    ),
    "an event became a dead letter": (
        {"events": [event(attempts=[attempt()], dead_letters=["dead[0] offset 0"])]},
        ("app_rejects_event: event e1 (t) on orders is not accepted: shop answers with status 500; "
        "it is a dead letter now"),
    ),
    "an app drops an event": (
        {"events": [event(attempts=[attempt(status=200, outcome="drop")])]},
        "app_rejects_event: event e1 (t) on orders is not accepted: shop drops it with status 200",
    ),
    "a fault fails the delivery": (
        {"events": [event(attempts=[attempt(failed="before")])]},
        ("app_rejects_event: event e1 (t) on orders is not accepted: a fault of the test's inbox "
        "fails its delivery to shop"),
    ),
    "an event has expired": (
        {"events": [event(expires="2020")], "sidecars": subscribed("orders"),
         "logs": {"shop-daprd": 'msg="dropping expired pub/sub event e1 as of 2020"'}},
        "event_expired: event e1 (t) on orders expired at 2020, before it could be delivered",
    ),
    "nobody subscribes": (
        {"events": [event()], "sidecars": subscribed("order")},
        ("subscription_missing: no app subscribes to 'orders', the topic of event e1 (t) on "
        "orders: "
        "there are subscriptions to order"),
    ),
    "a subscription is for another app": (
        {"events": [event()], "sidecars": subscribed(),
         "resources": [Declared("Subscription", "s", "", ["bank"], "r.yaml:3", "topic: orders")]},
        ("subscription_missing: no app subscribes to 'orders', the topic of event e1 (t) on "
        "orders: "
        "the subscription 's' at r.yaml:3 is for bank, and that app does not have it"),
    ),
    "publishing has failed": (
        {"events": [event(stored=[], published=[PUBLISHED])],
         "sidecars": subscribed("orders")},
        "publish_failed: shop could not publish to 'orders': status 500",
    ),
    "a group has no member": (
        {"events": [event()], "sidecars": subscribed("orders"),
         "groups": [Group("shop", "orders", 0, 4, 5, 0)]},
        ("group_without_member: no member of the consumer group 'shop' reads orders[0]: it is "
        "being rebalanced, or its sidecar is away"),
    ),
    "a group is held up": (
        {"events": [event()], "sidecars": subscribed("orders"),
         "groups": [Group("shop", "orders", 0, 2, 5, 1)]},
        "held_up: the consumer group 'shop' is held up at orders[0] offset 2; 3 records wait",
    ),
    "a token is too old": (
        {"logs": {"shop": "jwt.exceptions.ExpiredSignatureError: Signature has expired"}},
        "clock_differs: a token or certificate was refused because of its time",
    ),
    "the stack did not start": (
        {"phase": "setup", "error": "the port 80 is taken\n  expected: a free one"},
        "start_failed: the port 80 is taken",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_best_cause_of(case: str) -> None:
    """Each rule alone; what it says is the first line of the page."""
    known, told = CASES[case]

    assert told == first(replace(EMPTY, **known))


HARMLESS: dict[str, dict[str, Any]] = {
    "an event that was accepted in the end": {
        "events": [event(attempts=[attempt(), attempt(status=200, outcome="success")])]
    },
    "a dead letter's topic without a subscriber": {
        "events": [event(topics=["dead"])],
        "sidecars": {"x": {"subscriptions": [{"topic": "o", "deadLetterTopic": "dead"}]}},
    },
    "a component for another app": {
        "nodes": [SIDECAR],
        "sidecars": {"shop-daprd": {"components": []}},
        "resources": [Declared("Component", "store", "state.redis", ["bank"], "r.yaml:1")],
    },
    "a component that is loaded": {
        "nodes": [SIDECAR],
        "sidecars": {"shop-daprd": {"components": [{"name": "store"}]}},
        "resources": [Declared("Component", "store", "state.redis", [], "r.yaml:1")],
    },
    "a port in the log of a node that runs": {
        "nodes": [SHOP],
        "logs": {"shop": "address already in use, trying the next one"},
    },
    "a group that has read everything": {
        "events": [event()],
        "sidecars": subscribed("orders"),
        "groups": [Group("shop", "orders", 0, 5, 5, 1)],
    },
}


@pytest.mark.parametrize("case", HARMLESS)
def test_no_cause_is(case: str) -> None:
    """What looks like a problem and is none."""
    assert "" == first(replace(EMPTY, **HARMLESS[case]))


def test_only_events_of_the_test_are_causes_if_it_has_any() -> None:
    """Those of another test on the same stack are in the bundle as well."""
    own = replace(event(attempts=[attempt(status=200, outcome="drop")]), own=True)
    other = replace(event(attempts=[attempt()]), title="another event")

    found = causes_of(replace(EMPTY, events=[other, own]))

    assert ["app_rejects_event"] == [each.rule for each in found]
    assert "event e1" in found[0].sentence


def test_a_page_contains_a_text_as_json_only() -> None:
    """Nothing in a log, an error or a name ends the script or begins an element."""
    evil = "</script><img onerror=alert(1)>&<!--\u2028"
    page = page_of(replace(EMPTY, test=evil, error=evil, logs={evil: evil}))
    empty = page_of(EMPTY)

    assert empty.count("<") == page.count("<")
    assert page.count("</script>") == 1
    assert "onerror=alert(1)\\u003e" in page


def test_an_archive_has_the_bundle_its_logs_and_its_resources() -> None:
    """Named after nodes and resources."""
    declared = Declared("Component", "../store", "state.redis", [], "r.yaml:1", "kind: Component\n")
    bundle = replace(EMPTY, logs={"shop": "hello"}, resources=[declared])
    with zipfile.ZipFile(BytesIO(archive_of(bundle))) as archive:
        names = archive.namelist()
        value = json.loads(archive.read("bundle.json"))

    assert ["bundle.json", "logs/shop.log", "resources/01-store.yaml"] == names
    assert (1, EMPTY.test) == (value["schema"], value["test"])


def test_a_large_log_is_shortened_in_the_page_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page can be sent by mail, however much a node has logged."""
    monkeypatch.setattr(pages, "LARGEST", 1000)
    page = page_of(replace(EMPTY, logs={"shop": "old " * 500 + "the end"}))

    assert len(page) < len(page_of(EMPTY)) + 1000
    assert "the end" in page


def test_both_files_are_private_and_complete(tmp_path: Path) -> None:
    """Bodies of events are in them; nothing else is left in the folder."""
    page = write(EMPTY, tmp_path / "artefacts")

    found = sorted((tmp_path / "artefacts").iterdir())
    assert [".html", ".zip"] == [each.suffix for each in found]
    assert [0o600, 0o600] == [each.stat().st_mode & 0o777 for each in found]
    assert page_of(EMPTY) == page.read_text()


def test_a_folder_that_cannot_be_written_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    """Such as a file of this name; a full disk is the same error."""
    (tmp_path / "artefacts").write_text("")

    with pytest.raises(HarnessError, match="cannot be written") as caught:
        write(EMPTY, tmp_path / "artefacts")

    assert "--dapr-artefacts" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("tests/test_a.py::test_x[1/2]", "tests-test_a.py--test_x-1-2"),
        ("..", "bundle"),
        ("a" * 300, "a" * 120),
        ("../../etc/passwd", "etc-passwd"),
    ],
)
def test_a_file_is_named_after_the_test_and_stays_in_the_folder(text: str, name: str) -> None:
    """No separators, no hidden files, not too long."""
    assert name == file_name(text)


def test_the_summary_is_what_went_wrong() -> None:
    """pytest's first line with an E, or the last line of a set-up error."""
    assert "assert 1 == 2" == summary_of("x\n>   assert a == b\nE   assert 1 == 2\nE    +  where")
    assert "next step: free the port" == summary_of("a port is taken\n  next step: free the port")
    assert "" == summary_of("")


def test_a_payload_is_shown_as_text() -> None:
    """JSON as JSON, text as it is."""
    assert ['{"a": "é"}', "plain", "", ""] == [
        as_text({"a": "é"}),
        as_text("plain"),
        as_text(None),
        as_text(""),
    ]


def test_secrets_are_masked_in_every_field_of_an_events_story() -> None:
    """The rules for causes, and whoever reads the archive, see its facts."""
    secret = cloud_event("s3cret", {"x": "s3cret"}, type="s3cret", expiration="s3cret")
    place = Place("topic-s3cret")
    (path,) = ledger_of([
        stored(place, secret),
        handled("shop", secret, place=place, status=500, answer="s3cret"),
        stored(Place("dead-s3cret"), secret, 3, of=place),
        publishes("shop", "topic-s3cret", {"x": "s3cret"}),
    ]).events  # fmt: skip

    story = story_of(path, "", lambda text: text.replace("s3cret", "***"))

    assert "s3cret" not in str(story)
    assert ("***", ["topic-***"]) == (story.facts["id"], story.facts["topics"])
