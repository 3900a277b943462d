"""Reads the newest rows and keys of a stack for its bundle, within a time limit.

Each database and each store is read in a thread, beside everything else: a server that has stopped
in the middle of an answer cannot be given up in any other way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import Thread

from harness.bundle.model import StateStore, StoredTable
from harness.bundle.rows import Converter, bounded, size_of_key, size_of_row
from harness.core.deadline import Deadline
from harness.core.errors import HarnessError
from harness.stack.stack import Stack
from harness.stack.vital import AWAY, state_of
from harness.stored.keys import reason_of
from harness.stored.places import Place, places_of
from harness.stored.recent import recent_keys, recent_tables
from harness.stored.tables import Database, databases_of
from harness.stored.values import line_of

BUDGET = 1.0
"""Seconds within which rows and keys are read; what is not read by then is named."""

AT_ONCE = 8
"""The number of databases and stores that are read at the same time."""

SIZE = 300_000
"""About the number of characters of all rows, and of all keys; the others are left out."""

Found = tuple[Sequence[StoredTable], Sequence[StateStore], Sequence[str]]
"""Tables, state stores, and what could not be read in words."""


class Databases:
    """Begins to read the databases of a stack.

    Args:
        stack: the stack.
        world: the id of the test's world; "" without one.
        secrets: what is masked.
    """

    def __init__(self, stack: Stack, world: str, secrets: Sequence[str]) -> None:
        self._converter = Converter(world, secrets)
        self._deadline = Deadline(BUDGET)
        self._tables: list[tuple[int, StoredTable]] = []
        self._stores: list[tuple[int, StateStore]] = []
        self._missing: list[str] = []
        nodes = [each.name for each in stack.topology.nodes]
        states = {name: state_of(stack.instances.get(name)) for name in nodes}
        self._open = {
            **self._planned("databases", lambda: self._of_tables(databases_of(stack), states)),
            **self._planned("state stores", lambda: self._of_stores(places_of(stack), states)),
        }
        self._next = deque(self._open)
        count = min(AT_ONCE, len(self._open))
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(count)]
        for each in self._threads:
            each.start()

    def found(self) -> Found:
        """What was read in time; threads that are late end with the answers of their servers."""
        for each in self._threads:
            each.join(self._deadline.remaining)
        late = [f"{name}: it was not read within {BUDGET:g} s" for name in [*self._open]]
        tables = [each for _, each in sorted(self._tables, key=lambda each: each[0])]
        stores = [each for _, each in sorted(self._stores, key=lambda each: each[0])]
        rows, without_rows = bounded([each.rows for each in tables], size_of_row, SIZE)
        keys, without_keys = bounded([each.keys for each in stores], size_of_key, SIZE)
        too_many = {"rows of tables": without_rows, "keys of state stores": without_keys}
        left_out = [f"{count} {what}: all have more than {SIZE} characters"
                    for what, count in too_many.items() if count]  # fmt: skip
        return (
            [replace(each, rows=some) for each, some in zip(tables, rows, strict=True)],
            [replace(each, keys=some) for each, some in zip(stores, keys, strict=True)],
            [self._converter.clean(each) for each in (*self._missing, *late, *left_out)],
        )

    def _planned(
        self, what: str, plan: Callable[[], Iterator[tuple[str, Callable[[], None]]]]
    ) -> dict[str, Callable[[], None]]:
        """What is to be read, by its name; nothing if it cannot be found out, which is noted."""
        try:
            return dict(plan())
        except Exception as error:  # noqa: BLE001 - the report of the failure itself matters more
            self._missing.append(line_of(what, f"{type(error).__name__}: {error}"))
            return {}

    def _of_tables(
        self, bases: Sequence[Database], states: Mapping[str, str]
    ) -> Iterator[tuple[str, Callable[[], None]]]:
        for number, base in enumerate(bases):
            name = f"database {base.name} of {base.node}"
            if states.get(base.node) in AWAY:
                self._missing.append(f"{name}: {base.node} is {states[base.node]}")
            else:
                yield name, partial(self._read_tables, number, base)

    def _of_stores(
        self, places: Sequence[Place], states: Mapping[str, str]
    ) -> Iterator[tuple[str, Callable[[], None]]]:
        for number, place in enumerate(places):
            name = f"state store {place.name!r} of {', '.join(place.apps)}"
            if states.get(place.node) in AWAY:
                self._missing.append(f"{name}: {place.node} is {states[place.node]}")
            elif reason := reason_of(place, {}):
                self._stores.append((number, self._converter.unread(place, reason)))
            else:
                yield name, partial(self._read_keys, number, place)

    def _work(self) -> None:
        while not self._deadline.passed:
            try:
                name = self._next.popleft()
            except IndexError:
                return
            try:
                self._open[name]()
            except HarnessError as error:
                self._missing.append(line_of(error.subject, error.last))
            except Exception as error:  # noqa: BLE001 - the report of the failure itself matters more
                self._missing.append(line_of(name, f"{type(error).__name__}: {error}"))
            del self._open[name]

    def _read_tables(self, number: int, base: Database) -> None:
        for each in recent_tables(base, self._deadline, self._converter.secrets):
            if each.problem:
                place = f"in database {base.name} of {base.node}"
                self._missing.append(line_of(f"table {each.table.name} {place}", each.problem))
            self._tables.append((number, self._converter.table(each)))

    def _read_keys(self, number: int, place: Place) -> None:
        found = recent_keys(place, self._converter.world, self._converter.secrets)
        self._stores.append((number, self._converter.store(place, found)))
