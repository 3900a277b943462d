"""What questions about events answer, and how they say no."""

from __future__ import annotations

import json
from typing import Any, cast

import httpx
import pytest

from harness import ConfigError, ProbeTimeout
from harness.core.deadline import Deadline
from harness.core.observation import Occurrence
from harness.ledger.joining import is_step, ledger_of
from harness.ledger.model import Ledger
from harness.ledger.requests import Request, requests_of
from harness.probe.inbox_server import BODY_LIMIT
from harness.probe.waiting import unguarded
from harness.stack.account import Account
from harness.stack.in_flight import unstable
from harness.stack.ledger import LedgerProbe
from harness.stack.noted import Noted
from tests.support import ROOT
from tests.unit.ledgers import Place, called, cloud_event, handled, stored

ORDER = Place("orders")
EVENT = cloud_event("e1", {"n": 1})


class Known:
    """An account of something that was observed; counts how often it is read."""

    def __init__(self, *found: Occurrence, has_broker: bool = True) -> None:
        self.has_broker = has_broker
        self.reads = 0
        self._found = found
        self._ledger = ledger_of(found)

    def read(self) -> Ledger:
        self.reads += 1
        return self._ledger

    def settled(self, _: Deadline) -> Ledger:
        return self._ledger

    def masked(self, text: str) -> str:
        return text.replace("s3cret", "***")

    def requests(self, app: str) -> list[Request]:
        found = requests_of(self._found, {}, is_step)
        return [each for each in found if each.app == app]


def probe(account: Known) -> LedgerProbe:
    return LedgerProbe(cast("Account", account), (), unguarded)


QUESTIONS = """
from tests.unit.ledgers import cloud_event, stored
from tests.unit.test_ledger_probe import ORDER, Busy, Known, probe

known = Known(stored(ORDER, cloud_event("e1")))


def test_event():
    probe(known).event("e1").delivered_to("mail", timeout=0)


def test_once():
    probe(known).event("e2").published_once(timeout=0)


def test_others():
    probe(known).published("made", "made", timeout=0)


def test_job():
    probe(known).job("shop", "bill").fired(timeout=0)


def test_key():
    probe(known).state("store", "k").deleted(timeout=0)


def test_settled():
    probe(Busy()).settled(timeout=0)
"""


class Busy(Known):
    """An account of a stack that is never settled."""

    def settled(self, _: Deadline) -> Ledger:
        raise ProbeTimeout("something is still in flight")


def test_pytest_shows_the_question_of_a_test_and_not_how_it_is_asked(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of the test, and what is known of the event."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(QUESTIONS)

    done = pytester.runpytest_subprocess("-p", "no:randomly", "--tb=long")

    output = done.stdout.str()
    done.assert_outcomes(failed=6)
    shown = [line for line in output.splitlines() if line.startswith(">")]
    assert 6 == len(shown), output
    assert all(line.lstrip("> ").startswith("probe(") for line in shown)
    assert "is not delivered to mail" in output
    assert "something is still in flight" in output


def test_a_number_of_attempts_that_cannot_become_right_ends_the_wait() -> None:
    """It was accepted in the first one; later deliveries change nothing."""
    known = Known(
        stored(ORDER, EVENT),
        handled("mail", EVENT, place=ORDER),
        handled("mail", EVENT, 3.0, place=ORDER),
    )

    probe(known).event("e1").delivered_to("mail", attempts=1)
    before = known.reads
    with pytest.raises(ProbeTimeout, match=r"not delivered to mail in 2 attempts"):
        probe(known).event("e1").delivered_to("mail", attempts=2, timeout=60)

    assert before + 1 == known.reads


def test_an_event_that_nobody_accepted_is_not_delivered() -> None:
    """However often it came."""
    known = Known(stored(ORDER, EVENT), handled("mail", EVENT, place=ORDER, status=500))

    with pytest.raises(ProbeTimeout, match="not accepted by mail in 1 attempts"):
        probe(known).event("e1").delivered_to("mail", timeout=0)


def test_secrets_in_answers_ids_and_questions_are_masked() -> None:
    """Bodies may contain tokens."""
    known = Known(
        stored(ORDER, cloud_event("s3cret")),
        handled("mail", cloud_event("s3cret"), place=ORDER, status=500, answer="s3cret"),
    )

    for question in (probe(known).event("s3cret"), probe(known).event(topic="s3cret")):
        with pytest.raises(ProbeTimeout) as missed:
            question.delivered_to("mail", timeout=0)
        assert "s3cret" not in str(missed.value)
        assert "***" in str(missed.value)


def test_a_question_about_several_events_is_an_error() -> None:
    """Which explains the first of them."""
    known = Known(stored(ORDER, EVENT), stored(Place("orders", 0, 1), cloud_event("e2", {"n": 1})))

    with pytest.raises(ConfigError, match="2 events have") as caught:
        probe(known).event(data={"n": 1}).path()

    assert "event e2 (made) on orders" in str(caught.value)
    with pytest.raises(ConfigError, match="which event"):
        probe(known).event()


def test_an_event_without_a_broker_to_count_it_is_not_said_to_be_published_once() -> None:
    """On other brokers, records are not counted."""
    with pytest.raises(ConfigError, match="how often an event was published is not known"):
        probe(Known(has_broker=False)).event("e1").published_once()


def test_an_event_that_is_stored_twice_was_not_published_once() -> None:
    """A dead letter does not count."""
    dead = stored(Place("dead"), EVENT, of=ORDER)
    once = Known(stored(ORDER, EVENT), dead)
    twice = Known(stored(ORDER, EVENT), stored(Place("orders", 0, 1), EVENT), dead)

    probe(once).event("e1").published_once()
    with pytest.raises(ProbeTimeout, match="is not published once"):
        probe(twice).event("e1").published_once()


def test_an_event_that_comes_late_is_waited_for_before_it_is_counted() -> None:
    """An app publishes from its outbox after its answer, and perhaps more than once."""
    late = Late(stored(ORDER, EVENT), stored(Place("orders", 0, 1), EVENT))

    with pytest.raises(ProbeTimeout, match="is not published once"):
        probe(late).event("e1").published_once()

    assert late.reads > 1


class Late(Known):
    """An account that has nothing at first, and the second record only when all is handled."""

    def __init__(self, first: Occurrence, second: Occurrence) -> None:
        super().__init__(first)
        self._all = ledger_of([first, second])

    def read(self) -> Ledger:
        return super().read() if self.reads else self._nothing()

    def _nothing(self) -> Ledger:
        self.reads += 1
        return Ledger()

    def settled(self, _: Deadline) -> Ledger:
        return self._all


TASK = [cloud_event(f"e{number}", type=kind) for number, kind in enumerate(["made", "done"])]


def test_events_were_published_in_the_order_of_their_partition() -> None:
    """Whatever the clock of their publishers; offset 10 comes after 9."""
    known = Known(
        stored(Place("orders", 0, 9), TASK[0], 2.0), stored(Place("orders", 0, 10), TASK[1], 1.0)
    )

    paths = probe(known).published("made", "done", topic="orders")

    assert ["e0", "e1"] == [each.id for each in paths]
    with pytest.raises(ProbeTimeout, match="other events were published with topic='orders'"):
        probe(known).published("done", "made", topic="orders")


def test_events_of_several_partitions_were_published_in_the_order_of_time() -> None:
    """There is no other."""
    known = Known(
        stored(Place("orders", 1), TASK[0], 1.0), stored(Place("orders", 0), TASK[1], 2.0)
    )

    assert ["made", "done"] == [each.type for each in probe(known).published("made", "done")]


def test_an_event_that_is_stored_twice_was_published_twice() -> None:
    """Dead letters and rows of an outbox were not published, nor was what nobody has stored."""
    row = cloud_event("outbox-e1", type="row")
    rest = [
        stored(Place("dead"), EVENT, of=ORDER),
        stored(Place("storeordersoutbox"), row),
        handled("mail", cloud_event("e2")),
    ]
    twice = Known(stored(ORDER, EVENT), stored(Place("orders", 0, 1), EVENT), *rest)

    probe(Known(stored(ORDER, EVENT), *rest)).published("made")
    probe(twice).published("made", "made")
    with pytest.raises(ProbeTimeout) as missed:
        probe(twice).published("made")
    assert "expected: made" in str(missed.value)
    assert "last seen: made, made" in str(missed.value)


def test_nothing_was_published_if_no_event_has_the_fields() -> None:
    """A missing event is named, and so is one that is too many."""
    known = Known(stored(ORDER, EVENT))

    assert [] == probe(known).published(topic="invoices")
    with pytest.raises(ProbeTimeout, match="expected: no event"):
        probe(known).published(topic="orders")
    with pytest.raises(ProbeTimeout, match="last seen: no event"):
        probe(known).published("made", topic="invoices", timeout=0)


def test_what_was_published_is_waited_for_and_then_counted_when_nothing_is_in_flight() -> None:
    """The second event is on the broker only then."""
    late = Late(stored(ORDER, EVENT), stored(Place("orders", 0, 1), EVENT))

    with pytest.raises(ProbeTimeout, match="last seen: made, made"):
        probe(late).published("made")

    assert late.reads > 1


def test_without_a_broker_nobody_says_what_was_published() -> None:
    """Nor that nothing was."""
    with pytest.raises(ConfigError, match="how often an event was published is not known"):
        probe(Known(has_broker=False)).published(topic="orders")


def test_an_event_that_was_delivered_has_not_expired() -> None:
    """Nor one whose time is not over, or that has none."""
    late = cloud_event("late", expiration="2020-01-01T00:00:00Z")
    probe(Known(stored(ORDER, late))).event("late").expired()

    for known in (
        Known(stored(ORDER, late), handled("mail", late, place=ORDER)),
        Known(stored(ORDER, cloud_event("late"))),
    ):
        with pytest.raises(ProbeTimeout, match="is not expired"):
            probe(known).event("late").expired(timeout=60)


@pytest.mark.parametrize(
    ("status", "method", "key", "expected"),
    [
        (204, "POST", "k", True),
        (204, "GET", "k", False),
        (500, "POST", "k", False),
        (None, "POST", "k", False),
        (204, "POST", "other", False),
    ],
)
def test_a_state_is_committed_by_a_write_that_succeeded(
    status: int | None, method: str, key: str, expected: bool
) -> None:
    """Of this key."""
    call = called(
        "mail", "/v1.0/state/store", [{"key": "k", "value": 1}], 2.05, status=status, method=method
    )
    question = probe(Known(stored(ORDER, EVENT), handled("mail", EVENT, place=ORDER), call))

    if expected:
        question.event("e1").state_committed(key)
    else:
        with pytest.raises(ProbeTimeout, match=f"not followed by a write of state '{key}'"):
            question.event("e1").state_committed(key, timeout=0)


def test_a_job_fires_as_often_as_it_is_delivered() -> None:
    """Failed deliveries count, and only the last answer tells whether it was accepted."""
    known = Known(
        handled("shop", {}, 1.0, path="/job/bill", kind="application/json", status=500),
        handled("shop", {}, 2.0, path="/job/bill", kind="application/json"),
    )

    probe(known).job("shop", "bill").fired(times=2)
    probe(known).job("shop", "bill").accepted()
    with pytest.raises(ProbeTimeout, match="is not fired 1 times") as missed:
        probe(known).job("shop", "bill").fired(times=1, timeout=0)
    assert "delivered to shop: status 500" in str(missed.value)


def test_a_group_without_members_has_perhaps_something_to_do() -> None:
    """Unless it has committed everything; groups that are stable are judged by their lag."""
    committed: dict[str, Any] = {
        "done": {("orders", 0): 5},
        "behind": {("orders", 0): 4, ("orders", 1): 9},
        "new": {("orders", 0): -1001},
        "stable": {("orders", 0): 0},
    }
    ends = {"orders": {0: 5, 1: 9}}

    found = [*unstable(committed, {"stable"}, list(committed), ends)]

    assert found == [
        "group behind has no members that read orders[0] now",
        "group new has no members that read what it subscribes to now",
    ]


def test_an_answer_that_a_caller_received_is_the_one_that_the_app_has_sent() -> None:
    """Status and body, as far as the inbox has recorded it, in the order of the requests."""
    known = Known(
        handled("shop", {"n": 1}, 1.0, path="/work?x=1", kind="", status=201, answer='{"id": 1}'),
        handled("shop", {"n": 2}, 2.0, path="/more", kind="", status=404, answer="y" * BODY_LIMIT),
    )
    made = httpx.Response(201, text='{"id": 1}')
    missing = httpx.Response(404, text="y" * BODY_LIMIT + "more")

    first, _ = probe(known).requests("shop").answered(made, missing)
    probe(known).requests("shop", "/work").answered(made)
    probe(known).requests("shop").answered(201, missing)

    assert {"n": 1} == first.data
    other = httpx.Response(201, text='{"id": 2}')
    for answers in ((other, missing), (missing, made), (made,), (404, 404)):
        with pytest.raises(ProbeTimeout, match=r"(?s)were not answered so.*POST /work -> 201"):
            probe(known).requests("shop").answered(*answers, timeout=100_000)
    with pytest.raises(ProbeTimeout, match=r'expected: 201 \{"id": 2\}, 404'):
        probe(known).requests("shop").answered(other, 404, timeout=0)


def request(path: str, body: Any = None) -> httpx.Request:
    return httpx.Request("POST", f"http://127.0.0.1{path}", json=body)


def test_requests_of_a_test_are_noted_if_they_concern_events_jobs_or_state() -> None:
    """With the app whose sidecar received them, and without tokens."""
    noted = Noted()
    for path in ("/v1.0/publish/bus/orders", "/v1.0/jobs/bill", "/v1.0/state/store",
                 "/v1.0/invoke/shop/method/v1.0/publish/bus/orders"):  # fmt: skip
        noted.note("shop", request(path, {"n": 1}), httpx.Response(204), 1.0, took=0.1, time=5)
    noted.note("shop", request("/v1.0/publish/bus/orders"), None, 2.0, took=0.1, time=6)

    found = noted.since(0)

    assert [("publish", 204), ("jobs", 204), ("state", 204), ("publish", None)] == [
        (each.facts["api"], each.facts["status"]) for each in found
    ]
    assert {("test", "shop")} == {(each.node, each.facts["sidecar"]) for each in found}
    assert 3 == len(noted.since(1))
    assert json.dumps({"n": 1}) == json.dumps(found[0].payload)


def test_more_than_can_be_kept_is_not_kept_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that would miss a request says so."""
    monkeypatch.setattr("harness.stack.noted.LARGEST", 50)
    noted = Noted()

    for _ in range(3):
        noted.note(
            "shop", request("/v1.0/publish/bus/orders", "x" * 20), None, 1.0, took=0.1, time=5
        )

    assert (2, False) == (len(noted.since(0)), noted.is_complete)
