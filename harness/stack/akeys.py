"""Questions about one key of a state store, which wait for the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.core.blocking import ablocking
from harness.core.deadline import Deadline, Observation, apoll
from harness.core.errors import ConfigError, ProbeTimeout
from harness.ledger.explain import explain_key
from harness.ledger.keys import KeyOperation, KeyPath
from harness.probe.aeventually import aexplained
from harness.probe.matching import matches, shown
from harness.probe.waiting import Guard
from harness.stack.account import Account
from harness.stack.aquestions import INTERVAL, SHOWN
from harness.stack.stored_keys import Stored

__tracebackhide__ = True
"""pytest leaves out the frames of this module: a failure is shown at the test's own line."""

HINT = "an app needs calls=True; if it calls by gRPC, the extra calls-grpc must be installed, too"

Judge = Callable[[KeyPath, Stored | None], bool]
"""Decides on what is known of a key, and what the store has now; None if that is not known."""


class AsyncTrackedKey:
    """Questions about one key. Each waits until the answer is yes, and returns the key's path.

    What the store has now is read through a sidecar that was asked for the key before. These reads
    are not in the path.

    Args:
        account: reads what was observed.
        guard: ends a wait by raising.
        wanted: fields of `KeyPath`, see `matches`.

    Raises (in every method):
        ProbeTimeout: the answer is no after ``timeout`` seconds, or cannot become yes any more; the
            message has what was asked of the key instead.
        ConfigError: several keys have the wanted fields.
    """

    def __init__(self, account: Account, guard: Guard, wanted: dict[str, Any]) -> None:
        self._account = account
        self._guard = guard
        self._wanted = wanted
        self._stored: Stored | None = None

    async def path(self, *, timeout: float = 10.0) -> KeyPath:
        """What is known of the key, as soon as anything is."""
        return await self._ask("known", lambda *_: True, timeout)

    async def committed(self, *values: Any, by: str = "", timeout: float = 10.0) -> KeyPath:
        """The key was written with these values, in this order, and the store has the last one.

        Writes that a sidecar has refused do not count.

        Args:
            values: of all writes so far, see `matches`; any if there are none.
            by: who has made each of them: an app, or ``test``; anybody if "".
            timeout: seconds.
        """

        def judge(path: KeyPath, stored: Stored | None) -> bool:
            last = path.last
            if last is None or last.kind != "write" or stored is None or not stored.exists:
                return False
            return stored.value == last.value and _are(path.writes, values, by)

        def hopeless(path: KeyPath) -> bool:
            # Another write does not make a wrong one right.
            return not _are(path.writes, values[: len(path.writes)], by)

        what = ", ".join(map(repr, values)) or "any value"
        return await self._ask(f"committed with {what}{_by(by)}", judge, timeout, hopeless)

    async def deleted(self, *, by: str = "", timeout: float = 10.0) -> KeyPath:
        """The last change of the key is its deletion, and the store does not have it.

        Args:
            by: who has deleted it: an app, or ``test``; anybody if "".
            timeout: seconds.
        """

        def judge(path: KeyPath, stored: Stored | None) -> bool:
            is_gone = stored is not None and not stored.exists
            last = path.last
            return is_gone and last is not None and last.kind == "delete" and by in ("", last.app)

        return await self._ask(f"deleted{_by(by)}", judge, timeout)

    async def expired(self, *, timeout: float = 10.0) -> KeyPath:
        """The key's time to live has ended, and not before that, the store has removed it.

        Nobody has deleted it, and each read before that time has found it.
        """

        def judge(path: KeyPath, stored: Stored | None) -> bool:
            is_gone = stored is not None and not stored.exists
            return is_gone and path.last is not None and not hopeless(path)

        def hopeless(path: KeyPath) -> bool:
            last, seen = path.last, self._stored
            if last is None:
                return False
            if last.ttl is None or path.lost_early() is not None:
                return True
            return seen is not None and not seen.exists and seen.at < last.at + last.ttl

        return await self._ask("expired after its time", judge, timeout, hopeless)

    async def _ask(
        self, what: str, judge: Judge, timeout: float,
        hopeless: Callable[[KeyPath], bool] = lambda _: False,
    ) -> KeyPath:  # fmt: skip
        path: KeyPath | None = None

        async def look() -> Observation:
            nonlocal path
            async with aexplained(self._guard):
                path = self._only((await ablocking(self._account.read)).keys)
                if path is None:
                    return Observation(False)
                self._stored = await ablocking(self._account.stored, path)
            return Observation(judge(path, self._stored) or hopeless(path))

        await apoll(look, Deadline(timeout), guard=self._guard, interval=INTERVAL)
        if path is None or not judge(path, self._stored):
            raise self._not_so(what, path, timeout)
        return path

    def _only(self, known: Sequence[KeyPath]) -> KeyPath | None:
        found = [each for each in known if matches(each, self._wanted)]
        if len(found) > 1:
            first = "\n".join(map(explain_key, found[:SHOWN]))
            raise ConfigError(
                f"{len(found)} keys have {self._shown}",
                last=self._account.masked(f"\n{first}"),
                hint="say which one: store, key, and the app whose key it is",
            )
        return found[0] if found else None

    @property
    def _shown(self) -> str:
        return self._account.masked(shown(self._wanted))

    def _not_so(self, what: str, path: KeyPath | None, timeout: float) -> ProbeTimeout:
        if path is None:
            subject = f"nobody has asked for a key with {self._shown}"
            return ProbeTimeout(subject, expected=what, budget=timeout, hint=HINT)
        seen = self._stored
        now = "the sidecar does not say what the store has"
        if seen is not None:
            now = f"the store has {seen.value!r}" if seen.exists else "the store does not have it"
        return ProbeTimeout(
            f"the key with {self._shown} is not {self._account.masked(what)}",
            last=self._account.masked(f"{explain_key(path)}\n  now, {now}"),
            budget=timeout,
        )


def _are(writes: Sequence[KeyOperation], values: Sequence[Any], by: str) -> bool:
    """Whether writes have these values, and come from somebody."""
    if not all(by in ("", each.app) for each in writes):
        return False
    if not values:
        return True
    pairs = zip(writes, values, strict=False)
    return len(writes) == len(values) and all(matches(each, {"value": v}) for each, v in pairs)


def _by(app: str) -> str:
    return f" by {app}" if app else ""
