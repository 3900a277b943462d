"""What a recording says of rows that a replay does not have, with a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from harness.bundle.leftovers import rows_of_others
from harness.core.errors import ProbeError
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.nodes.postgres import Postgres
from harness.stack.run import running
from harness.stack.stack import Stack
from harness.stack.world import World

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("rows")
    with running(Topology(Postgres()), Settings.load(folder, runtime="processes")) as opened:
        statements = (
            "CREATE TABLE orders AS SELECT generate_series(1, 3) AS number",
            "CREATE TABLE many AS SELECT generate_series(1, 1001) AS number",
            "CREATE TABLE nothing (number int)",
            "CREATE TABLE alembic_version AS SELECT 1 AS number",
        )
        with psycopg.connect(opened.book.exports("postgres")["dsn"], autocommit=True) as connection:
            for each in statements:
                connection.execute(each)
        yield opened


def test_rows_of_a_stack_that_earlier_tests_have_used_are_named_by_table(stack: Stack) -> None:
    """Without tables that are empty, or tell which migrations have run."""
    with World(stack, "test_a"), World(stack, "test_b"):
        told = rows_of_others(stack, "names")

    assert "left on the stack; when the test failed, there were over 1000 in many, 3 in orders" in (
        told
    )
    assert "nothing" not in told
    assert "alembic" not in told


@pytest.mark.parametrize("isolation", ["clean", "world", "stack"])
def test_a_test_that_had_the_data_for_itself_has_no_rows_of_others(
    stack: Stack, isolation: str
) -> None:
    with World(stack, "test_a"), World(stack, "test_b"):
        assert "" == rows_of_others(stack, isolation)


def test_the_first_test_on_a_stack_has_no_rows_of_others(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "shared", {})
    with World(stack, "test_a"):
        assert "" == rows_of_others(stack, "names")


def test_nothing_waits_for_a_database_that_is_paused(stack: Stack) -> None:
    with World(stack, "test_a"), World(stack, "test_b") as world:
        world.pause("postgres")
        try:
            with pytest.raises(ProbeError, match="postgres is paused"):
                rows_of_others(stack, "names")
        finally:
            world.resume("postgres")
