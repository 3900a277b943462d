"""Keys of several parts are never the same for other parts."""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.keys import key

# What keys are made of: a letter, what separates and escapes, and what escapes look like.
PIECES = ("a", "|", "%", "%7C", "%25")
TEXTS = [*PIECES, *map("".join, product(PIECES, PIECES))]
PARTS = st.lists(st.text("a|%-57C", min_size=1, max_size=6), min_size=1, max_size=4)


def test_different_parts_make_different_keys() -> None:
    """Of all that one or two such texts can be, and three such pieces: no two have one key."""
    every = {*product(TEXTS), *product(TEXTS, TEXTS), *product(PIECES, PIECES, PIECES)}

    shared = defaultdict(list)
    for parts in every:
        shared[key(*parts)].append(parts)
    assert [] == [alike for alike in shared.values() if len(alike) > 1]


@given(parts=PARTS | st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_parts_can_be_read_from_a_key(parts: list[str]) -> None:
    """Which is why no two are the same, whatever they are made of."""
    assert parts == [unquote(part) for part in _split(key(*parts))]


@given(parts=PARTS)
def test_a_key_has_no_two_separators_in_a_row(parts: list[str]) -> None:
    """daprd refuses `||` in a key: it parts the app's name from it."""
    assert "||" not in key(*parts)


@given(parts=PARTS)
def test_a_key_comes_through_a_path(parts: list[str]) -> None:
    """As one segment, decoded once."""
    assert unquote(quote(key(*parts), safe="")) == key(*parts)


def test_users_with_dashes_have_different_keys() -> None:
    """What was one key before."""
    assert key("conversation", "ada-x", "y") != key("conversation", "ada", "x-y")


@pytest.mark.parametrize("parts", [(), ("",), ("a", ""), ("", "a")])
def test_an_empty_part_is_refused(parts: tuple[str, ...]) -> None:
    """It would be a key of two separators in a row."""
    with pytest.raises(ValueError, match="not empty"):
        key(*parts)


def _split(text: str) -> list[str]:
    return text.split("|")
