"""Consumer groups of Redis streams."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.core.deadline import Observation
from harness.core.names import is_tap
from harness.ready.resp import RedisAccess, Rejected, Reply


@dataclass
class RedisGroupCheck:
    """Every stream has the consumer group.

    The group remembers where it has read to, so that an event published from now on is delivered.
    Before Redis 7, the consumer of a group is known only after its first event.
    """

    access: RedisAccess
    group: str
    topics: Sequence[str]
    name: str = "group"

    def observe(self) -> Observation:
        """Ask for the groups of each stream once."""
        try:
            found = self.access.ask(*(("XINFO", "GROUPS", topic) for topic in self.topics))
        except (OSError, Rejected) as error:
            return Observation(False, f"group {self.group}: {self.access.endpoint}: {error}")
        groups = [_groups(reply) for reply in found]
        missing = [
            topic
            for topic, names in zip(self.topics, groups, strict=True)
            if self.group not in names
        ]
        return Observation(
            not missing,
            f"group {self.group} is on {len(groups) - len(missing)} streams, "
            f"missing {missing or 'none'}",
        )


def _groups(reply: Reply) -> set[str]:
    """The names of a stream's groups; none if it does not exist."""
    rows = reply if isinstance(reply, list) else []
    # Names and values alternate, the first value is the group's name.
    return {str(row[1]) for row in rows if isinstance(row, list)}


@dataclass(frozen=True)
class StreamGroup:
    """How far a group of a stream has come.

    Attributes:
        pending: the number of events that were delivered and are not acknowledged.
        delivered: the id of the last event that was delivered.
        newest: the id of the last event that was ever written.
    """

    stream: str
    name: str
    pending: int
    delivered: str
    newest: str

    @property
    def has_to_handle(self) -> bool:
        """Whether an event is not handled yet; what is left to a tap's group does not matter."""
        return not is_tap(self.name) and (self.pending > 0 or self.delivered != self.newest)

    @property
    def told(self) -> str:
        """The same in words."""
        if self.pending:
            return f"group {self.name} has not acknowledged {self.pending} events of {self.stream}"
        return f"group {self.name} is at {self.delivered} of {self.stream}, not at {self.newest}"


def groups_of(server: RedisAccess) -> list[StreamGroup]:
    """The groups of every stream of every database.

    Raises:
        OSError: the server does not respond.
        Rejected: it does not accept the credentials.
    """
    return [group for each in _databases(server) for group in _groups_in(each)]


def empty(server: RedisAccess) -> None:
    """Remove all keys, except streams that have groups: these lose their events.

    Raises:
        OSError: the server does not respond.
        Rejected: it does not accept the credentials.
    """
    for each in _databases(server):
        kept = {group.stream for group in _groups_in(each)}
        others = [key for key in _keys(each) if key not in kept]
        each.ask(
            *(("XTRIM", stream, "MAXLEN", "0") for stream in sorted(kept)),
            *([("DEL", *others)] if others else []),
        )


def _databases(server: RedisAccess) -> list[RedisAccess]:
    """Those that have keys."""
    (said,) = server.ask(("INFO", "keyspace"))
    return [replace(server, database=each) for each in re.findall(r"(?m)^db(\d+):", str(said))]


def _groups_in(access: RedisAccess) -> Iterator[StreamGroup]:
    names = _keys(access)
    kinds = access.ask(*(("TYPE", name) for name in names))
    streams = [name for name, kind in zip(names, kinds, strict=True) if kind == "stream"]
    for stream in streams:
        about, groups = access.ask(("XINFO", "STREAM", stream), ("XINFO", "GROUPS", stream))
        newest = str(_pairs(about).get("last-generated-id"))
        for row in map(_pairs, groups if isinstance(groups, list) else []):
            pending, delivered = int(str(row["pending"])), str(row["last-delivered-id"])
            yield StreamGroup(stream, str(row["name"]), pending, delivered, newest)


def _keys(access: RedisAccess) -> list[str]:
    (keys,) = access.ask(("KEYS", "*"))
    return [str(key) for key in keys] if isinstance(keys, list) else []


def _pairs(reply: Reply) -> dict[str, Reply]:
    """A reply in which names and values alternate."""
    items = reply if isinstance(reply, list) else []
    return {str(name): value for name, value in zip(items[::2], items[1::2], strict=True)}
