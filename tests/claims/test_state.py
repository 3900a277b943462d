"""Claims about state, on PostgreSQL v2."""

from __future__ import annotations

import httpx
import pytest

from harness import World

pytestmark = pytest.mark.real

STORE = "/v1.0/state/statestore"


def test_saving_is_204_and_always_a_list(daprd: httpx.Client, dapr_sync: World) -> None:
    """One item by itself is refused."""
    item = {"key": dapr_sync.name("key"), "value": 1}

    assert [204, 204, 400] == [
        daprd.post(STORE, json=[item]).status_code,
        daprd.put(STORE, json=[item]).status_code,
        daprd.post(STORE, json=item).status_code,
    ]


def test_a_missing_key_is_204_without_a_body(daprd: httpx.Client, dapr_sync: World) -> None:
    """Not 404, and no JSON to read."""
    answer = daprd.get(f"{STORE}/{dapr_sync.name('nothing')}")

    assert (204, b"") == (answer.status_code, answer.content)


def test_first_write_without_an_etag_works_once(daprd: httpx.Client, dapr_sync: World) -> None:
    """The second save of the same key fails with 500."""
    item = {"key": dapr_sync.name("key"), "value": 1, "options": {"concurrency": "first-write"}}

    assert [204, 500] == [daprd.post(STORE, json=[item]).status_code for _ in range(2)]


def test_a_stale_etag_is_409_and_inside_a_transaction_500(
    daprd: httpx.Client, dapr_sync: World
) -> None:
    """Deleting too; a malformed one is 400."""
    key = dapr_sync.name("key")
    daprd.post(STORE, json=[{"key": key, "value": 1}])
    stale = {"key": key, "value": 2, "etag": "123456"}

    saved = daprd.post(STORE, json=[stale])
    operation = {"operation": "upsert", "request": stale}
    inside = daprd.post(f"{STORE}/transaction", json={"operations": [operation]})
    deleted = daprd.delete(f"{STORE}/{key}", headers={"if-match": "123456"})

    assert [409, 500, 409] == [each.status_code for each in (saved, inside, deleted)]


def test_a_transaction_is_204(daprd: httpx.Client, dapr_sync: World) -> None:
    """And has no body."""
    request = {"key": dapr_sync.name("key"), "value": 1}
    body = {"operations": [{"operation": "upsert", "request": request}]}

    answer = daprd.post(f"{STORE}/transaction", json=body)

    assert (204, b"") == (answer.status_code, answer.content)


def test_a_read_tells_the_etag_with_which_a_delete_is_allowed(
    daprd: httpx.Client, dapr_sync: World
) -> None:
    """It is a header; with one that is not current the key stays."""
    key = dapr_sync.name("key")
    daprd.post(STORE, json=[{"key": key, "value": 1}])
    etag = daprd.get(f"{STORE}/{key}").headers["etag"]

    stale = daprd.delete(f"{STORE}/{key}", headers={"if-match": "123456"})
    current = daprd.delete(f"{STORE}/{key}", headers={"if-match": etag})

    assert [409, 204] == [stale.status_code, current.status_code]
    assert 204 == daprd.get(f"{STORE}/{key}").status_code


def test_a_missing_key_of_a_bulk_get_comes_without_data(
    daprd: httpx.Client, dapr_sync: World
) -> None:
    """And a falsy value comes with it."""
    zero, none = dapr_sync.name("zero"), dapr_sync.name("none")
    daprd.post(STORE, json=[{"key": zero, "value": 0}])

    rows = daprd.post(f"{STORE}/bulk", json={"keys": [zero, none]}).json()

    found = {row["key"]: row.get("data", "no data") for row in rows}
    assert {zero: 0, none: "no data"} == found


def test_a_query_needs_a_store_that_can(daprd: httpx.Client) -> None:
    """PostgreSQL v2 cannot: 500."""
    answer = daprd.post("/v1.0-alpha1/state/statestore/query", json={"filter": {}})

    assert 500 == answer.status_code


def test_two_bars_in_a_key_are_refused(daprd: httpx.Client) -> None:
    """They separate the prefix from the key."""
    assert 400 == daprd.post(STORE, json=[{"key": "a||b", "value": 1}]).status_code


def test_keys_are_prefixed_with_the_app_id(daprd: httpx.Client, dapr_sync: World) -> None:
    """In the table of the store; another app does not see them."""
    key = dapr_sync.name("key")

    daprd.post(STORE, json=[{"key": key, "value": 1}])

    keys = [str(row["key"]) for row in dapr_sync.table("state").rows()]
    assert f"backend-service||{key}" in keys


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"consistency": "strong", "concurrency": "last-write"}, 204),
        ({"consistency": "eventual"}, 204),
        ({"consistency": "sometimes"}, 500),
        ({"concurrency": "best-write"}, 500),
    ],
)
def test_words_of_a_request_are_checked(
    daprd: httpx.Client, dapr_sync: World, options: dict[str, str], status: int
) -> None:
    """Those of the documentation, and no others."""
    item = {"key": dapr_sync.name("key"), "value": 1, "options": options}

    assert status == daprd.post(STORE, json=[item]).status_code


def test_letters_of_a_key(daprd: httpx.Client, dapr_sync: World) -> None:
    """Colons and dashes are fine; a plus in a path is a blank unless it is encoded."""
    for key in (f"a:b-c-{dapr_sync.id}", f"a+b-{dapr_sync.id}"):
        daprd.post(STORE, json=[{"key": key, "value": 1}]).raise_for_status()

    assert 200 == daprd.get(f"{STORE}/a:b-c-{dapr_sync.id}").status_code
    assert 204 == daprd.get(f"{STORE}/a+b-{dapr_sync.id}").status_code
    assert 200 == daprd.get(f"{STORE}/a%2Bb-{dapr_sync.id}").status_code
