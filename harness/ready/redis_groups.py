"""Consumer groups of Redis streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.deadline import Observation
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
