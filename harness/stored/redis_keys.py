"""Keys of ``state.redis``, read from the server: each is a hash."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from harness.core.errors import ProbeError
from harness.dapr.state_keys import Reach
from harness.ready.resp import RedisAccess, Rejected, Reply
from harness.stored.found import BY_NAME, COUNTED, Found, Newest, Stored, Wanted
from harness.stored.places import Hashes

AT_ONCE = 1000
"""The number of keys that the server looks at in one step."""

STEPS = 200
"""The number of steps, at most: a server may have millions of other keys."""

LARGEST = 16 * 1024 * 1024
"""The number of bytes of a value that is read; Redis cannot return a part of it."""


SMALL = 20_000
"""The number of bytes of a value that is read together with many others."""


def list_keys(place: Hashes, wanted: Wanted) -> Found:
    """The keys of a database that fit; no more than are counted.

    Raises:
        ProbeError: the server does not respond.
    """
    try:
        known = _kept(place.access, wanted.reach, wanted.text.casefold(), COUNTED + 1)
        later = [each for each in known if each > wanted.after][: wanted.limit]
        return Found(list(_described(place.access, later)), len(known))
    except (OSError, Rejected) as error:
        raise _unread(place, error) from None


def read_value(place: Hashes, raw: str, most: int) -> tuple[Stored, bytes] | None:
    """A key with the first bytes of its value; None if there is no such key.

    Raises:
        ProbeError: the server does not respond, or the value is too large.
    """
    try:
        found = next(_described(place.access, [raw]), None)
        if found is None:
            return None
        if found.size > LARGEST:
            raise ProbeError(
                f"the value of {raw!r} is too large to be read",
                expected=f"at most {LARGEST} bytes",
                last=f"{found.size} bytes",
            )
        (data,) = place.access.ask(("HGET", raw, "data"))
    except (OSError, Rejected) as error:
        raise _unread(place, error) from None
    except UnicodeEncodeError:
        return None
    return found, str(data or "").encode("utf-8", "surrogateescape")[:most]


def first_keys(place: Hashes, wanted: Wanted, most: int, preferred: str) -> Newest:
    """The keys that fit with their values, by name: Redis knows no time at which they were written.

    Args:
        place: the database.
        wanted: the keys; its cursor is not used.
        most: the number of bytes of a value; of one that is much larger, nothing is read.
        preferred: keys with this text come first; "" for no such order.

    Raises:
        ProbeError: the server does not respond.
    """
    try:
        known = _kept(place.access, wanted.reach, wanted.text.casefold(), COUNTED + 1)
        chosen = sorted(known, key=lambda each: preferred not in each)[: wanted.limit]
        found = list(_described(place.access, chosen))
        small = [each.raw for each in found if each.size <= SMALL]
        read = place.access.ask(*(("HGET", each, "data") for each in small)) if small else []
    except (OSError, Rejected) as error:
        raise _unread(place, error) from None
    values = dict(zip(small, read, strict=True))
    keys = [(each, _bytes(values.get(each.raw), most)) for each in found]
    order = f"those with {preferred} first, then {BY_NAME}" if preferred else BY_NAME
    return Newest(keys, len(known), order)


def _bytes(reply: Reply, most: int) -> bytes | None:
    return reply.encode("utf-8", "surrogateescape")[:most] if isinstance(reply, str) else None


def _unread(place: Hashes, error: Exception) -> ProbeError:
    return ProbeError(f"Redis at {place.access.endpoint} cannot be read", last=str(error))


def _kept(access: RedisAccess, reach: Reach, text: str, most: int) -> list[str]:
    """The hashes whose names fit, in alphabetical order; no more than ``most`` of them."""
    found: set[str] = set()
    for names in _scanned(access):
        fitting = [each for each in names if reach.has(each) and text in each.casefold()]
        kinds = access.ask(*(("TYPE", each) for each in fitting))
        found |= {each for each, kind in zip(fitting, kinds, strict=True) if kind == "hash"}
        if len(found) >= most:
            break
    return sorted(found)


def _scanned(access: RedisAccess) -> Iterator[Sequence[str]]:
    cursor = "0"
    for _ in range(STEPS):
        (reply,) = access.ask(("SCAN", cursor, "COUNT", str(AT_ONCE)))
        if not isinstance(reply, list):
            raise Rejected(str(reply))
        cursor, names = str(reply[0]), reply[1]
        yield [str(each) for each in names] if isinstance(names, list) else []
        if cursor == "0":
            return


def _described(access: RedisAccess, names: Sequence[str]) -> Iterator[Stored]:
    asked = [
        command
        for name in names
        for command in (
            ("HGET", name, "version"), ("HSTRLEN", name, "data"), ("PTTL", name),
            ("HEXISTS", name, "data"),
        )
    ]  # fmt: skip
    replies = access.ask(*asked) if asked else []
    now = time.time()
    for at, name in enumerate(names):
        version, size, left, exists = replies[4 * at : 4 * at + 4]
        if exists == 1:
            yield Stored(name, str(version or ""), _whole(size), None, _ends(left, now))


def _whole(reply: Reply) -> int:
    return reply if isinstance(reply, int) else 0


def _ends(left: Reply, now: float) -> float | None:
    """When a key expires; Redis says how many milliseconds are left, -1 without an end."""
    return now + left / 1000 if isinstance(left, int) and left >= 0 else None
