"""Keys as stores have them, and values of databases as JSON: the parts that need no database."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import ConfigError
from harness.dapr.state_keys import KeyPrefix, NamedKey, named, prefix_of, reach_of
from harness.stored.places import connection_of, hashes_of, secret_in, tables_of
from harness.stored.values import EXACT, cell, masked, number, shown, text_in

APPS = st.sampled_from(["shop", "clerk", "shop-2"])
KEYS = st.text("ab|.:-", min_size=1, max_size=8).filter(lambda key: "||" not in key)
"""Keys as daprd accepts them."""

FIELDS = ["", "appid", "AppId", "name", "none", "namespace", "Mine"]


def stored(store: str, field: str, namespace: str, app: str, key: str) -> str:
    """A key as daprd stores it (GetModifiedStateKey in pkg/components/state of 1.18.2)."""
    match field.lower():
        case "none":
            return key
        case "name":
            return f"{store}||{key}"
        case "" | "appid":
            return f"{app}||{key}"
        case "namespace":
            return f"{namespace}.{app}||{key}" if namespace else f"{app}||{key}"
        case fixed:
            return f"{fixed}||{key}"


@given(field=st.sampled_from(FIELDS), namespace=st.sampled_from(["", "w1"]), app=APPS, key=KEYS)
def test_the_key_of_an_app_is_found_in_what_daprd_stores(
    field: str, namespace: str, app: str, key: str
) -> None:
    """And the app is among those who can read it; another one is if they share their keys."""
    raw = stored("store", field, namespace, app, key)
    prefix = prefix_of("store", field, namespace)
    shared = field.lower() in ("name", "none", "mine")

    found = named(raw, prefix)

    assert NamedKey("" if shared else app, key) == found
    assert reach_of(prefix, [app]).has(raw)
    assert shared == reach_of(prefix, ["other"]).has(raw)


@pytest.mark.parametrize("field", FIELDS)
def test_the_state_of_an_actor_has_the_same_key_in_every_store(field: str) -> None:
    """Its id may contain the separator; that of an app whose name begins alike is not reached."""
    prefix = prefix_of("store", field, "w1")
    raw = "shop||cart||a||b||items"

    assert NamedKey("shop", "items", "actor", "cart", "a||b") == named(raw, prefix)
    assert reach_of(prefix, ["shop"]).has(raw)
    assert not reach_of(prefix, ["sho", "shop-2"]).has(raw)


def test_the_state_of_a_workflow_is_told_from_that_of_an_actor() -> None:
    raw = "shop||dapr.internal.default.shop.workflow||id||metadata"

    assert "workflow" == named(raw, KeyPrefix(True)).kind


def test_the_keys_of_another_namespace_are_not_reached() -> None:
    """Not even if the app has the same name."""
    reach = reach_of(prefix_of("store", "namespace", "w1"), ["shop"])

    assert [True, False, False] == [
        reach.has(each) for each in ("w1.shop||k", "w2.shop||k", "shop||k")
    ]


def test_keys_without_a_prefix_are_those_without_a_separator() -> None:
    reach = reach_of(prefix_of("store", "none", ""), ["shop"])

    assert [True, False] == [reach.has(each) for each in ("k", "other||k")]
    assert not reach_of(prefix_of("store", "none", ""), []).has("k")


SECRET = "s3cret-0123456789"


@pytest.mark.parametrize("kept", range(4, len(SECRET)))
def test_the_beginning_of_a_secret_at_a_cut_is_masked(kept: int) -> None:
    """Where the whole secret is not there to be found."""
    text = f"before {SECRET[:kept]}"

    assert "before ***" == masked(text, [SECRET], cut=True)
    assert text == masked(text, [SECRET])


def test_a_secret_is_masked_in_text_in_json_and_in_bytes() -> None:
    raw = f"\xff{SECRET}".encode("latin-1")

    assert "a *** b" == shown(f"a {SECRET} b", [SECRET])
    assert {"***": ["***"]} == shown(json.dumps({SECRET: [SECRET]}), [SECRET])
    assert {"base64": "/yoqKg=="} == shown(raw, [SECRET])


@given(st.binary(max_size=20), st.booleans())
def test_bytes_are_text_or_base64(data: bytes, cut: bool) -> None:
    """What is shown can always be written as JSON that everybody reads."""
    json.dumps(shown(data, [], cut=cut), allow_nan=True).encode()
    text = text_in(data, cut=cut)
    if text is not None:
        assert data.startswith(text.encode())
        assert cut or data == text.encode()


def test_bytes_with_control_characters_are_no_text() -> None:
    """Protobuf's are UTF-8 by accident; lines, tabs and colours of a terminal are text."""
    assert {"base64": "CAE="} == shown(b"\x08\x01", [])
    assert "a\tb\r\n\x1b[1m" == shown(b"a\tb\r\n\x1b[1m", [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1), ("-0.5", -0.5), ("1.25", 1.25), (str(EXACT), EXACT), (str(EXACT + 1), None),
        ("0.1234567890123456789", None), ("NaN", None), ("Infinity", None), ("1e400", None),
        ("x", None),
    ],
)  # fmt: skip
def test_a_number_is_exact_or_a_text(text: str, expected: Any) -> None:
    assert (text if expected is None else expected) == number(text)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, "text", None), ("", "text", ""), ("12", "text", "12"), ("12", "integer", 12),
        ("1.50", "numeric(10,2)", 1.5), ('{"a": 1}', "jsonb", {"a": 1}),
        ("{1,2}", "integer[]", "{1,2}"), (b"", "bytea", ""), (b"\0", "bytea", {"base64": "AA=="}),
    ],
)  # fmt: skip
def test_a_value_of_a_column_is_json(value: Any, kind: str, expected: Any) -> None:
    assert expected == cell(value, kind, [])


URL = "postgresql://us%40er:p%3Aw@127.0.0.1:5/app?sslmode=disable&pool_max_conns=3"


def test_a_connection_string_is_read_as_a_url_or_as_pairs() -> None:
    """Without what only daprd's driver knows, which libpq would refuse."""
    expected = {"host": "127.0.0.1", "port": "5", "user": "us@er", "password": "p:w",
                "dbname": "app", "sslmode": "disable"}  # fmt: skip
    pairs = "host=127.0.0.1 port=5 user=us@er password=p:w database=app sslmode=disable x=1 y"

    assert expected == connection_of(URL) == connection_of(pairs)
    assert {} == connection_of("postgresql://[")


def test_the_fields_of_a_store_override_its_connection_string() -> None:
    fields = {"connectionstring": URL, "host": "db", "database": "other", "tablename": "s.t"}

    first, second = tables_of(fields, "v1"), tables_of({**fields, "tableprefix": "p_"}, "v2")

    assert (("db", "5"), "s.t") == (first.address, first.table)
    assert ("other", "p_state") == (second.connection["dbname"], second.table)
    assert "p:w" not in repr(first)


@pytest.mark.parametrize("fields", [{}, {"connectionstring": URL, "useawsiam": "true"}])
def test_a_table_that_only_its_sidecar_can_reach_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="only its sidecar"):
        tables_of(fields, "v2")


def test_the_address_of_a_redis_store_is_read() -> None:
    """With the port in it or beside it."""
    first = hashes_of({"redishost": "127.0.0.1:7", "redisdb": "3", "redispassword": SECRET})
    second = hashes_of({"redishost": "h", "redisport": "8"})

    assert (("127.0.0.1", "7"), "3") == (first.address, first.access.database)
    assert ("h", "8") == second.address
    assert SECRET not in repr(first)


@pytest.mark.parametrize(
    "fields",
    [
        {"redistype": "cluster"},
        {"enabletls": "true"},
        {"failover": "yes"},
        {"redishost": "h:x"},
        {},
    ],
)
def test_a_redis_store_that_cannot_be_listed_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        hashes_of(fields)


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [("dsn", "dsn", "one"), ("db", "dsn", "two"), ("db:dsn", "db:dsn", "two"), ("db", "x", ""),
     ("x", "", "")],
)  # fmt: skip
def test_a_secret_is_found_in_a_file(name: str, key: str, expected: str) -> None:
    """Whether levels are secrets with keys, or names with colons."""
    secrets = {"dsn": "one", "db": {"dsn": "two"}}

    assert expected == secret_in(secrets, {"name": name, "key": key})
    assert "" == secret_in([], {"name": name, "key": key})
