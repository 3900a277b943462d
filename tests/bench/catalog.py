"""The benches by their titles."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from harness import Settings
from tests.bench import (
    chain,
    data_folder,
    delivery,
    first_delivery,
    footprint,
    forked,
    imports,
    jobs,
    ledger,
    levels,
    load,
    noticing,
    observer,
    orphans,
    outbox,
    recovery,
    reminders,
    small_apps,
    start,
    supervisor,
    teardown,
    virtual_time,
    warm,
)
from tests.bench.numbers import Figures

Bench = Callable[[Settings], Figures]
EVERYWHERE: Mapping[str, Bench] = {
    "B1 start of the reference stack, processes": start.on_processes,
    "B2 time to the first delivery": first_delivery.first_delivery,
    "B3 attach and restart, processes": warm.on_processes,
    "B4 noticing that a program is ready": noticing.noticing,
    "B5 prepared PostgreSQL folder": data_folder.reuse,
    "B6 levels of isolation": levels.levels,
    "B14 small apps": small_apps.small_apps,
    "B14 FastAPI apps, forked": forked.forked,
    "B15 teardown of thirty processes": teardown.teardown,
    "B16 delivery ledger": ledger.ledger,
    "B17 recovery from the SIGKILL of a sidecar": recovery.recovery,
    "imports and collection": imports.imports,
    "footprint": footprint.footprint,
    "supervisor, memory and CPU": supervisor.supervisor,
    "R8 orphans, processes": orphans.of_processes,
    "B8 publish to deliver": delivery.delivery,
    "load, a minute of latency": load.latency,
    "load, calls at a rate that two cores hold": load.invoke,
    "load, the generator itself": load.generator,
    "load, jobs a second": jobs.rates,
    "load, reminders of actors": reminders.reminders,
    "virtual time": virtual_time.virtual_time,
    "load, what watching costs": observer.observer,
    "invoke chain": chain.invocation,
    "outbox under fire": outbox.under_fire,
    "outbox latency": outbox.latency,
    "outbox beside an outage": outbox.beside_an_outage,
}
WITH_AN_ENGINE: Mapping[str, Bench] = {
    "B1 start of the reference stack, containers": start.on_containers,
    "R8 orphans, containers": orphans.of_containers,
}
QUICK: Mapping[str, Bench] = {
    "B1 start of the reference stack, processes": partial(start.on_processes, pairs=2),
    "B2 time to the first delivery": partial(first_delivery.first_delivery, pairs=3),
    "B3 attach and restart, processes": partial(warm.on_processes, count=2),
    "B4 noticing that a program is ready": partial(noticing.noticing, starts=2),
    "B5 prepared PostgreSQL folder": partial(data_folder.reuse, pairs=4),
    "B6 levels of isolation": partial(levels.levels, tests=30, own=2),
    "B14 FastAPI apps, forked": partial(forked.forked, pairs=2, counts=[5]),
    "B15 teardown of thirty processes": partial(teardown.teardown, pairs=2),
    "B17 recovery from the SIGKILL of a sidecar": partial(recovery.recovery, pairs=2),
}
"""With so few pairs that all of them take less than three minutes on two cores."""


def chosen(titles: Iterable[str], words: Sequence[str]) -> list[str]:
    """The titles that contain any of the words; all titles if there are no words.

    Raises:
        SystemExit: no title contains a word.
    """
    titles = list(titles)
    for word in words:
        if not any(word in title for title in titles):
            sys.exit(f"no bench has {word!r} in its title; there are:\n  " + "\n  ".join(titles))
    return [title for title in titles if not words or any(word in title for word in words)]
