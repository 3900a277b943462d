"""What a replay does not have as the recorded run had it, and what no replay can repeat."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from harness.bundle.model import Bundle, Declared
from harness.bundle.recording import Recording
from harness.replay.playing import Done

ALWAYS = (
    "which consumer reads which partition, and which of several nodes is first",
    "the wall clock: only times as in RFC 3339 are shifted, and only by whole seconds",
    "what apps did by themselves, such as timers, random numbers and calls to other systems",
    "calls that the test made by gRPC, or by clients other than those of `dapr`",
    "the test's own assertions: the causes are compared instead",
)
"""What could differ in every replay."""


def surroundings(old: Bundle, new: Bundle) -> Iterator[str]:
    """How the versions, the source, the nodes and the resources of two runs differ, in words."""
    known = old.versions.keys() & new.versions.keys()
    yield from _changed("", _only(known, old.versions), _only(known, new.versions))
    before, after = old.recording, new.recording
    if before is not None and after is not None:
        yield from _source(before, after)
        if before.origin.nodes and after.origin.nodes:
            yield from _changed("the node ", before.origin.nodes, after.origin.nodes)
        yield from _changed("the seed of ", before.origin.seeds, after.origin.seeds)
    if old.nodes and new.nodes:
        yield from _changed("", declared(old.resources), declared(new.resources), shown=False)


def left_out(old: Recording, made: Sequence[Done] = ()) -> Iterator[str]:
    """What of a recording was not made again, in words."""
    yield from old.gaps
    for each in made:
        if not each.made:
            what = each.given.given.get("path", each.given.target)
            yield f"{each.given.what} {what}: {each.error.partition(chr(10))[0]}"


def could_differ(old: Recording) -> list[str]:
    """What may be different in a replay although everything was made again, in words."""
    shared = ["what earlier tests had left on the stack"] if old.origin.isolation == "names" else []
    return [*shared, *ALWAYS]


def declared(resources: Sequence[Declared]) -> dict[str, str]:
    """The texts of resources, by kind and name."""
    found: dict[str, str] = {}
    for each in resources:
        name = f"{each.kind} {each.name!r}"
        found[name] = found.get(name, "") + each.text
    return found


def _source(before: Recording, after: Recording) -> Iterator[str]:
    old, new = before.origin, after.origin
    # Those of a start that has failed are not known.
    if old.sources and new.sources and old.sources != new.sources:
        names = sorted(
            name for name in {*old.sources, *new.sources}
            if old.sources.get(name) != new.sources.get(name)
        )  # fmt: skip
        yield f"the source of {', '.join(names)} has changed"
    if old.commit != new.commit:
        yield f"the commit: {old.commit[:12] or 'none'}, now {new.commit[:12] or 'none'}"
    elif old.dirty or new.dirty:
        yield f"files that were changed since the commit {old.commit[:12]} may differ"


def _only(names: Collection[str], values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name in names}


def _changed(
    what: str, old: Mapping[str, Any], new: Mapping[str, Any], *, shown: bool = True
) -> Iterator[str]:
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        if was is None or now is None:
            yield f"{what}{name} " + ("is new" if was is None else "does not exist any more")
        elif was != now:
            yield f"{what}{name}: {was}, now {now}" if shown else f"{what}{name} has changed"
