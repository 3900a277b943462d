"""Rows and keys as a bundle has them, without a database."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bundle.model import Bundle, StateStore, StoredKey, StoredRow, StoredTable
from harness.bundle.page import archive_of, page_of
from harness.bundle.rows import Converter, bounded, size_of_key, size_of_row
from harness.dapr.state_keys import KeyPrefix
from harness.replay.archive import read_bundle
from harness.stored.found import LAST_WRITTEN
from harness.stored.model import Column, KeyRow, Row, TableRow
from harness.stored.places import Place
from harness.stored.recent import RecentKeys, RecentRows, order_of
from harness.stored.rows import WRITTEN
from harness.stored.tables import Database, Relation

SECRET, WORLD = "s3cret-0123456789", "7c3f01ab"
COLUMNS = (Column("id", "bigint", True), Column("note", "text", False))
TABLE = TableRow("postgres", "app", "public", "orders", "table", 3, False, COLUMNS)
PLACE = Place("store", KeyPrefix(True), ("shop",), False, None)
KEY = KeyRow("store", "shop", "cart", "state", "", "", "shop||cart", "1", 5, 12.5, None)


def table(*rows: dict[str, Any], **changed: Any) -> StoredTable:
    """A table with rows, as a bundle has it."""
    found = [Row(each, {}) for each in rows]
    made = RecentRows(replace(TABLE, **changed), LAST_WRITTEN, found)
    return Converter(WORLD, [SECRET]).table(made)


def key(value: Any, *, cut: bool = False, **changed: Any) -> StoredKey:
    """A key with its value, as a bundle has it."""
    found = RecentKeys([(replace(KEY, **changed), value, cut)], 1, False, LAST_WRITTEN)
    (made,) = Converter(WORLD, [SECRET]).store(PLACE, found).keys
    return made


def test_values_of_a_row_are_texts_in_the_order_of_the_columns() -> None:
    """NULL stays apart from the empty text; JSON is text, too."""
    made = table(
        {"note": None, "id": 2**53}, {"id": 1, "note": ""}, {"id": 0, "note": {"a": [1.5, None]}}
    )

    assert ["id", "note"] == made.columns
    assert [[str(2**53), None], ["1", ""], ["0", '{"a": [1.5, null]}']] == [
        list(each.values) for each in made.rows
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), ["\ud800"], [[[[]]]] * 9])
def test_an_archive_with_any_value_of_json_can_be_read(value: Any, tmp_path: Path) -> None:
    """A state store accepts NaN, numbers without end and half a character; an archive does not."""
    store = StateStore("store", ["shop"], 1, False, LAST_WRITTEN, [key(value)])
    bundle = Bundle("t", "call", "E   no", "no", 1, 2, stores=[store])
    (tmp_path / "a.zip").write_bytes(archive_of(bundle))

    assert [key(value).value] == [
        each.value for each in read_bundle(tmp_path / "a.zip").stores[0].keys
    ]


def test_rows_and_keys_of_the_test_are_marked() -> None:
    """Those that mention its world: in a value, or in the key as the store has it."""
    mine, other = {"id": 1, "note": f"order of {WORLD}"}, {"id": 2, "note": "order"}

    assert [True, False] == [each.own for each in table(mine, other).rows]
    assert [True, True, False] == [
        key(f"of {WORLD}").own, key("x", raw=f"shop||{WORLD}-cart").own, key("x").own
    ]  # fmt: skip
    assert not Converter("", []).table(RecentRows(TABLE, "", [Row(mine, {})])).rows[0].own


def test_no_secret_is_in_the_names_or_values_of_a_table_or_a_key() -> None:
    """Values come without them; a document becomes text, in which one could appear anew."""
    hostile = Column(f"is-{SECRET}", "text", False)
    rows = [Row({hostile.name: [SECRET[:8], {"a": SECRET}]}, {hostile.name: 9})]
    made = Converter(WORLD, [SECRET]).table(
        RecentRows(replace(TABLE, name=SECRET, columns=[hostile]), f"greatest {SECRET} first", rows)
    )

    assert SECRET not in str((made, key({"token": SECRET})))
    assert {"is-***": 9} == made.rows[0].cut


def test_a_page_shows_rows_and_keys_as_json_only() -> None:
    """Nothing in a column, a value, a table or a key begins an element."""
    evil = "</script><img onerror=alert(1)><!--"
    tables = [StoredTable(evil, evil, evil, [evil], 1, False, evil, [StoredRow([evil], {evil: 1})])]
    keys = [StoredKey(evil, evil, evil, evil, evil, evil, 1)]
    bundle = Bundle("t", "call", "E   no", "no", 1, 2, tables=tables,
                    stores=[StateStore(evil, [evil], 1, False, evil, keys)])  # fmt: skip

    page = page_of(bundle)

    assert page_of(replace(bundle, tables=(), stores=())).count("<") == page.count("<")
    assert "onerror=alert(1)\\u003e" in page


def test_an_archive_keeps_tables_and_keys_and_an_older_one_has_none(tmp_path: Path) -> None:
    tables = [table({"id": 1, "note": None}), replace(table(), count=None, estimated=True)]
    stores = [StateStore("store", ["shop"], keys=[key(None, cut=True)]),
              StateStore("memory", ["shop"], keys=[], unread="within each sidecar")]  # fmt: skip
    bundle = Bundle("t", "call", "E   no", "no", 1, 2, tables=tables, stores=stores)
    content = archive_of(bundle)
    (tmp_path / "new.zip").write_bytes(content)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        raw = json.loads(archive.read("bundle.json"))
    del raw["tables"], raw["stores"]
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        archive.writestr("bundle.json", json.dumps(raw))

    new, old = (read_bundle(tmp_path / f"{name}.zip") for name in ("new", "old"))

    assert (tables, stores) == (new.tables, new.stores)
    assert ((), ()) == (old.tables, old.stores)


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=5), st.integers(0, 60))
def test_what_is_kept_of_groups_is_their_beginnings_and_has_room(
    groups: list[list[int]], most: int
) -> None:
    """And nothing is left out as long as all of it has room."""
    kept, left_out = bounded(groups, lambda each: each, most)

    assert sum(map(sum, kept)) <= most
    assert [group[: len(some)] for group, some in zip(groups, kept, strict=True)] == kept
    assert sum(map(len, groups)) - sum(map(len, kept)) == left_out
    if sum(map(sum, groups)) <= most:
        assert 0 == left_out


def test_sizes_count_what_rows_and_keys_have() -> None:
    assert 1000 <= size_of_row(StoredRow(["x" * 1000, None])) < 1100
    assert 1000 <= size_of_key(key("x" * 1000)) < 1500


@pytest.mark.parametrize(
    ("estimated", "names", "expected"),
    [
        (False, ("id",), ((WRITTEN, "ctid"), "last written first")),
        (True, ("b", "a"), (("b", "a"), "greatest b, a first")),
        (True, (), ((), "in no order")),
    ],
)
def test_the_order_of_rows_is_told_as_it_is(
    estimated: bool, names: tuple[str, ...], expected: tuple[tuple[str, ...], str]
) -> None:
    """Which row of a large table was written last would take too long to find out."""
    relation = Relation(Database("postgres", "app", {}), "public", "orders", "r", 9, COLUMNS, names)

    assert expected == order_of(relation, replace(TABLE, estimated=estimated))
