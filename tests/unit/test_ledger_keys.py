"""What a ledger tells of the keys of state stores."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import ConfigError, ProbeTimeout
from harness.core.observation import Occurrence
from harness.ledger.joining import ledger_of
from harness.ledger.keys import KeyOperation, KeyPath
from harness.ledger.model import Ledger, Names
from harness.probe.waiting import unguarded
from harness.stack.account import Account
from harness.stack.ledger import LedgerProbe
from harness.stack.noted import Noted
from harness.stack.stored_keys import Stored
from tests.unit.ledgers import called

STORE = "/v1.0/state/store"


def writes(
    key: str, value: Any, seconds: float = 1.0, app: str = "shop", **more: Any
) -> Occurrence:
    """A call that writes a key; ``ttl`` is its time to live."""
    row = {"key": key, "value": value}
    if "ttl" in more:
        row["metadata"] = {"ttlInSeconds": more.pop("ttl")}
    return called(app, STORE, [row], seconds, **more)


def reads(key: str, answer: str, seconds: float = 1.0, **more: Any) -> Occurrence:
    """A call that reads a key; an empty answer means that there is no such key."""
    status = 200 if answer else 204
    return called(
        "shop", f"{STORE}/{key}", b"", seconds, method="GET", status=status, answer=answer, **more
    )


def deletes(key: str, seconds: float = 1.0, **more: Any) -> Occurrence:
    """A call that deletes a key."""
    return called("shop", f"{STORE}/{key}", b"", seconds, method="DELETE", **more)


def only(*found: Occurrence, names: Names | None = None) -> KeyPath:
    """The path of the only key in what was observed."""
    (path,) = ledger_of(found, names).keys
    return path


def told(each: KeyOperation) -> tuple[Any, ...]:
    """What a request says of an operation."""
    return each.kind, each.value, each.etag, each.ttl, each.found


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (writes("k", {"n": 1}), ("write", {"n": 1}, "", None, None)),
        (called("shop", STORE, [{"key": "k", "value": 1, "etag": "7"}], method="PUT"),
         ("write", 1, "7", None, None)),
        (writes("k", 1, ttl="5"), ("write", 1, "", 5, None)),
        (writes("k", 1, ttl=5), ("write", 1, "", 5, None)),
        (writes("k", 1, ttl="-1"), ("write", 1, "", None, None)),
        (writes("k", 1, ttl="soon"), ("write", 1, "", None, None)),
        (called("shop", f"{STORE}?metadata.ttlInSeconds=9", [{"key": "k", "value": 1}]),
         ("write", 1, "", 9, None)),
        (deletes("k", etag="7"), ("delete", None, "7", None, None)),
        (reads("k", '{"n": 1}'), ("read", {"n": 1}, "", None, True)),
        (reads("k", ""), ("read", None, "", None, False)),
        (called("shop", f"{STORE}/k", b"", method="GET", status=500),
         ("read", None, "", None, None)),
        (called("shop", f"{STORE}/bulk", {"keys": ["k"]}, status=200,
                answer='[{"key": "k", "data": 0, "etag": "1"}]'), ("read", 0, "", None, True)),
        (called("shop", f"{STORE}/bulk", {"keys": ["k"]}, status=200, answer='[{"key": "k"}]'),
         ("read", None, "", None, False)),
        (called("shop", f"{STORE}/bulk", {"keys": ["k"]}, status=200,
                answer='[{"key": "k", "error": "away"}]'), ("read", None, "", None, None)),
        (called("shop", f"{STORE}/transaction", {"operations": [
            {"operation": "upsert", "request": {"key": "k", "value": 2, "etag": "3"}}]}),
         ("write", 2, "3", None, None)),
        (called("shop", f"{STORE}/transaction", {"operations": [
            {"operation": "delete", "request": {"key": "k"}}]}), ("delete", None, "", None, None)),
    ],
)  # fmt: skip
def test_every_form_of_a_request_is_an_operation_on_its_key(
    call: Occurrence, expected: tuple[Any, ...]
) -> None:
    """Of the state API by HTTP, as daprd 1.18.2 has it."""
    path = only(call)

    assert ("store", "k", "shop") == (path.store, path.key, path.app)
    assert [expected] == [told(each) for each in path.operations]


def test_a_key_with_characters_of_a_path_is_one_key() -> None:
    """In the body of a write, and encoded in the path of a read."""
    path = only(writes("a|b c/d", 1, 1.0), reads("a%7Cb%20c%2Fd", "1", 2.0))

    assert ("a|b c/d", 2) == (path.key, len(path.operations))


def test_what_a_sidecar_has_refused_or_not_answered_is_no_change() -> None:
    """It is an operation all the same."""
    path = only(
        writes("k", 1, 1.0),
        writes("k", 2, 2.0, status=409),
        writes("k", 3, 3.0, status=None),
        deletes("k", 4.0, status=500),
    )

    assert [1] == [each.value for each in path.changes]
    assert [204, 409, None, 500] == [each.status for each in path.operations]


def test_equal_keys_of_two_apps_are_two_keys_unless_their_store_shares_them() -> None:
    """As the field keyPrefix of the component says; replicas are one app."""
    calls = writes("k", 1, 1.0, "shop"), writes("k", 2, 2.0, "mail"), writes("k", 3, 3.0, "mail-2")
    apps = {"mail-2": "mail"}
    shared = frozenset({("shop", "store"), ("mail", "store")})

    own = ledger_of(calls, Names(apps=apps)).keys
    both = only(*calls, names=Names(apps=apps, shared=shared))

    assert [("mail", [2, 3]), ("shop", [1])] == [
        (each.app, [one.value for one in each.operations]) for each in own
    ]
    assert ("", [1, 2, 3]) == (both.app, [each.value for each in both.operations])
    assert ["shop", "mail", "mail"] == [each.app for each in both.operations]
    assert ["shop", "mail", "mail-2"] == [each.node for each in both.operations]


def test_a_key_belongs_to_the_app_whose_sidecar_a_test_has_asked() -> None:
    """And the test is who has written it."""
    noted = Noted()
    request = httpx.Request("POST", f"http://127.0.0.1{STORE}", json=[{"key": "k", "value": 1}])
    noted.note("mail-2", request, httpx.Response(204), 1.0, took=0.1, time=5)

    path = only(*noted.since(0), names=Names(apps={"mail-2": "mail"}))

    assert ("mail", "test", "mail-2") == (path.app, path.operations[0].app, path.operations[0].node)


def test_what_a_test_has_read_is_kept_with_its_answer() -> None:
    """And the version that a deletion requires; of other APIs, no answer is."""
    noted = Noted()
    url = f"http://127.0.0.1{STORE}/k"
    noted.note(
        "shop", httpx.Request("GET", url), httpx.Response(200, json=7), 1.0, took=0.1, time=5
    )
    request = httpx.Request("DELETE", url, headers={"if-match": "3"})
    noted.note("shop", request, httpx.Response(204), 2.0, took=0.1, time=6)

    read, deleted = only(*noted.since(0)).operations

    assert ("read", 7, "", None, True) == told(read)
    assert ("delete", None, "3", None, None) == told(deleted)


def test_operations_are_in_their_order_although_the_clock_was_set_back() -> None:
    """By the clock that nobody sets."""
    late = replace(writes("k", 2, 2.0), time=0)

    assert [1, 2] == [each.value for each in only(late, writes("k", 1, 1.0)).operations]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["key", "keys", "operations", "operation", "request", "metadata", "error"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(
    body=json_values,
    answer=json_values,
    path=st.sampled_from(
        ["", "/", "/k", "/bulk", "/transaction", "/query", "/k/l", "?metadata.x=1"]
    ),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS"]),
    status=st.sampled_from([200, 204, 409, None]),
)
def test_a_request_that_daprd_would_not_understand_is_no_error(
    body: Any, answer: Any, path: str, method: str, status: int | None
) -> None:
    """An app may send anything, and a body may have been cut off."""
    call = called("shop", f"{STORE}{path}", body, method=method, status=status)
    call = replace(call, facts={**call.facts, "answer": answer})

    for each in ledger_of([call]).keys:
        assert [status] * len(each.operations) == [one.status for one in each.operations]


@given(st.integers(0, 40), st.randoms(use_true_random=False))
def test_no_operation_is_lost_or_told_twice_in_whatever_order_it_was_observed(
    count: int, rng: random.Random
) -> None:
    """Their number, their values and their order are those of the requests."""
    keys, calls = [f"k{n}" for n in range(4)], []
    wanted: dict[str, list[Any]] = {}
    for number in range(count):
        some = rng.sample(keys, rng.randrange(1, 4))
        rows = [{"key": each, "value": number} for each in some]
        operations = {"operations": [{"operation": "upsert", "request": row} for row in rows]}
        made = (
            called("shop", STORE, rows, number),
            called("shop", f"{STORE}/transaction", operations, number),
        )
        calls.append(rng.choice(made))
        for each in some:
            wanted.setdefault(each, []).append(number)

    rng.shuffle(calls)

    found = ledger_of(calls).keys
    assert wanted == {each.key: [one.value for one in each.operations] for each in found}


class Known:
    """An account of something that was observed, and of what a store has now."""

    def __init__(self, *found: Occurrence, stored: Stored | None = None) -> None:
        self.reads = 0
        self._ledger = ledger_of(found)
        self._stored = stored

    def read(self) -> Ledger:
        self.reads += 1
        return self._ledger

    def stored(self, _: KeyPath) -> Stored | None:
        return self._stored

    def masked(self, text: str) -> str:
        return text.replace("s3cret", "***")


def has(value: Any, at: float = 100.0) -> Stored:
    return Stored(True, value, at)


def lacks(at: float = 100.0) -> Stored:
    return Stored(False, None, at)


def probe(known: Known) -> LedgerProbe:
    return LedgerProbe(cast("Account", known), (), unguarded)


def test_a_key_is_committed_with_the_values_that_a_sidecar_has_acknowledged() -> None:
    """In their order, a mapping by what it contains; what was refused is none of them."""
    calls = writes("k", {"n": 1, "m": 2}), writes("k", 3, 2.0, status=409), writes("k", 2, 3.0)
    known = Known(*calls, stored=has(2))

    path = probe(known).state("store", "k").committed({"n": 1}, 2, by="shop")

    assert 3 == len(path.operations)
    assert path == probe(known).state("store", "k", app="shop").committed()


@pytest.mark.parametrize("values", [(2,), (1, 2, 3), (2, 1), (1, 3, 2)])
def test_other_values_than_those_committed_end_the_wait_if_more_cannot_help(
    values: tuple[int, ...],
) -> None:
    """Of one value too many, another write could be the one."""
    known = Known(writes("k", 1), writes("k", 2, 2.0), stored=has(2))
    timeout = 0 if values == (1, 2, 3) else 100_000

    with pytest.raises(ProbeTimeout, match=r"(?s)not committed with .*shop writes 2: status 204"):
        probe(known).state("store", "k").committed(*values, timeout=timeout)

    assert 1 == known.reads


@pytest.mark.parametrize(
    ("stored", "last"),
    [
        (has(1), "now, the store has 1"),
        (lacks(), "now, the store does not have it"),
        (None, "now, the sidecar does not say what the store has"),
    ],
)
def test_a_write_that_the_store_does_not_have_is_not_committed(
    stored: Stored | None, last: str
) -> None:
    """Although the sidecar has acknowledged it."""
    known = Known(writes("k", 2), stored=stored)

    with pytest.raises(ProbeTimeout, match=last):
        probe(known).state("store", "k").committed(2, timeout=0)


def test_a_key_that_was_deleted_after_its_write_is_not_committed() -> None:
    """Even if the store had it again."""
    known = Known(writes("k", 1), deletes("k", 2.0), stored=has(1))

    with pytest.raises(ProbeTimeout, match="shop deletes it: status 204"):
        probe(known).state("store", "k").committed(1, timeout=0)


def test_a_write_of_somebody_else_is_not_what_was_asked_for() -> None:
    """And is no reason to wait."""
    known = Known(writes("k", 1), stored=has(1))

    with pytest.raises(ProbeTimeout, match="not committed with any value by mail"):
        probe(known).state("store", "k").committed(by="mail", timeout=100_000)


def test_a_key_is_deleted_if_that_was_its_last_change_and_the_store_lacks_it() -> None:
    """By the one who did it."""
    known = Known(writes("k", 1), deletes("k", 2.0), stored=lacks())
    again = Known(writes("k", 1), deletes("k", 2.0), writes("k", 1, 3.0), stored=lacks())
    there = Known(deletes("k"), stored=has(1))

    probe(known).state("store", "k").deleted(by="shop")

    for each, by in ((known, "mail"), (again, ""), (there, "")):
        with pytest.raises(ProbeTimeout, match="is not deleted"):
            probe(each).state("store", "k").deleted(by=by, timeout=0)


def test_a_key_has_expired_if_it_is_gone_after_its_time() -> None:
    """A second after the request that wrote it."""
    found = writes("k", 1, 1.0, ttl=1), reads("k", "1", 1.3), reads("k", "", 2.1)

    probe(Known(*found, stored=lacks(2.0))).state("store", "k").expired()

    with pytest.raises(ProbeTimeout, match="the store has 1"):
        probe(Known(*found, stored=has(1, 5.0))).state("store", "k").expired(timeout=0)


@pytest.mark.parametrize(
    ("found", "stored"),
    [
        pytest.param([writes("k", 1, ttl=1)], lacks(1.9), id="seen by the question"),
        pytest.param([writes("k", 1, ttl=1), reads("k", "", 1.5)], lacks(9.0), id="by an app"),
        pytest.param([writes("k", 1)], lacks(9.0), id="no time to live"),
        pytest.param([writes("k", 1, ttl=1), deletes("k", 1.5)], lacks(9.0), id="deleted"),
    ],
)
def test_a_key_that_is_gone_before_its_time_has_not_expired(
    found: list[Occurrence], stored: Stored
) -> None:
    """No wait makes that right."""
    with pytest.raises(ProbeTimeout, match="not expired after its time"):
        probe(Known(*found, stored=stored)).state("store", "k").expired(timeout=100_000)


def test_a_read_at_the_moment_of_its_write_or_of_its_end_proves_nothing() -> None:
    """It may have come before the one or after the other."""
    path = only(
        writes("k", 1, 1.0, ttl=1, took=0.2), reads("k", "", 1.1), reads("k", "", 1.9, took=0.2)
    )

    assert path.lost_early() is None


def test_a_key_that_nobody_asked_for_is_told_with_what_is_recorded() -> None:
    """A question about it, at the end of its time."""
    with pytest.raises(ProbeTimeout, match=r"(?s)store='store', key='k'.*calls=True.*calls-grpc"):
        probe(Known(writes("other", 1))).state("store", "k").path(timeout=0)


def test_a_question_about_keys_of_two_apps_asks_whose() -> None:
    """Instead of taking one of them."""
    known = Known(writes("k", 1), writes("k", 2, app="mail"), stored=has(2))

    with pytest.raises(ConfigError, match=r"(?s)2 keys have .*key k of mail in store.*whose key"):
        probe(known).state("store", "k").path(timeout=0)

    probe(known).state("store", "k", app="mail").committed(2)
    assert ["mail", "shop"] == [each.app for each in probe(known).keys(key="k")]


def test_the_message_has_every_operation_and_no_secret() -> None:
    """In words, in the order of time."""
    known = Known(
        called("shop", STORE, [{"key": "k", "value": "s3cret", "etag": "7"}], 1.0, status=409),
        writes("k", 1, 2.0, ttl=9, status=None),
        reads("k", '"s3cret"', 3.0),
        reads("k", "", 4.0),
        stored=has("s3cret"),
    )

    with pytest.raises(ProbeTimeout) as missed:
        probe(known).state("store", "k").deleted(timeout=0)

    lines = str(missed.value).splitlines()
    assert any(
        'shop writes "***" over version 7: status 409 after 200.0 ms' in each for each in lines
    )
    assert any("shop writes 1 for 9 s: no response after" in each for each in lines)
    assert any('shop reads it: status 200 after 200.0 ms: "***"' in each for each in lines)
    assert any("shop reads it: status 204 after 200.0 ms: there is no such key" in e for e in lines)
    assert "s3cret" not in str(missed.value)
