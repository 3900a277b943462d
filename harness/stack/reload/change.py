"""Resources that a test changes: applied to each sidecar that they concern, and taken back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from harness.core.closing import do_all
from harness.core.errors import ConfigError, did_you_mean
from harness.core.roles import SidecarRole
from harness.dapr.given import Given, read_given
from harness.stack.planning.declared import Change
from harness.stack.reload.difference import Difference, Planned
from harness.stack.reload.sidecar import Reload, require_changeable
from harness.stack.stack import Stack

_lock = threading.RLock()
"""One change at a time: the plans before and after it must be those of this change."""


class ResourceChange:
    """One change of the resources of a running stack. Its methods block.

    Args:
        stack: a started stack.
        given: the resources.
        apps: names or app-ids of the apps whose sidecars load them; all if empty.

    Attributes:
        documents: the resources as YAML, filled when they are read.
    """

    def __init__(self, stack: Stack, given: Sequence[Given], apps: Sequence[str] = ()) -> None:
        self.documents: list[str] = []
        self._stack = stack
        self._given = given
        self._apps = [apps] if isinstance(apps, str) else list(apps)
        self._change: Change | None = None
        self._plans: dict[str, Planned] = {}
        self._over = False

    def apply(self) -> Mapping[str, str]:
        """Have the sidecars load the resources; returns why sidecars were restarted, by name.

        Raises:
            ConfigError: a resource is invalid, a sidecar refuses it, or an app is unknown.
            NotReady: a resource was not in effect in time.
        """
        with _lock:
            if self._over:
                return {}
            book = self._stack.book
            change = Change(read_given(self._given, book.root), self._apps)
            self.documents += [each.text for each in change.resources]
            sidecars = self._concerned(change)
            before = {each.name: self._planned(each) for each in sidecars}
            self._change = change
            book.changes.append(change)
            for each in sidecars:
                book.require_sound(change, each)
            after = {each.name: self._planned(each) for each in sidecars}
            self._plans = after
            return self._reload(sidecars, before, after)

    def take_back(self) -> None:
        """Have the sidecars load what they would without this change. A second call does nothing.

        Raises:
            HarnessError: a sidecar could not be changed back.
        """
        with _lock:
            self._over = True
            change, self._change = self._change, None
            if change is None:
                return
            self._stack.book.changes.remove(change)
            sidecars = [each for each in self._sidecars() if each.name in self._plans]
            without = {each.name: self._planned(each) for each in sidecars}
            self._reload(sidecars, self._plans, without)

    def take_back_after(self, error: BaseException) -> None:
        """Take the change back after an error, of which a further one becomes a note."""
        try:
            self.take_back()
        except Exception as more:  # noqa: BLE001 - told with the error that is raised
            error.add_note(f"and the resources could not be changed back: {more}")

    def _concerned(self, change: Change) -> list[SidecarRole]:
        """The sidecars that load a part of the change."""
        known = [name for each in self._sidecars() for name in (each.app, each.app_id)]
        for app in self._apps:
            if app not in known:
                raise ConfigError(
                    f"apps={self._apps}: no app {app!r} has a sidecar in the topology",
                    hint=did_you_mean(app, sorted({*known})),
                )
        found = [each for each in self._sidecars() if change.of(each)]
        loaded = {id(one) for each in found for one in change.of(each)}
        for one in change.resources:
            if id(one) not in loaded:
                raise ConfigError(
                    f"{one.at('scopes')}: no sidecar may load {one.kind} {one.name!r}",
                    expected="scopes, and apps=[...], that have an app in common",
                    last=f"scopes {list(one.scopes)}, apps {self._apps}",
                )
        for each in found:
            require_changeable(self._stack, each.name)
        return found

    def _sidecars(self) -> list[SidecarRole]:
        return self._stack.topology.sidecars()

    def _planned(self, sidecar: SidecarRole) -> Planned:
        scope = self._stack.book.scope(sidecar.name)
        return Planned(self._stack.book.resources(sidecar.name, sidecar.name), sidecar.plan(scope))

    def _reload(
        self,
        sidecars: Sequence[SidecarRole],
        old: Mapping[str, Planned],
        new: Mapping[str, Planned],
    ) -> Mapping[str, str]:
        """Change sidecars at the same time; each of them is changed even if another one fails."""
        changed = [
            Reload(self._stack, each, Difference(old[each.name], new[each.name]))
            for each in sidecars
        ]
        with ThreadPoolExecutor(max(1, len(changed))) as pool:
            running = [pool.submit(each.run) for each in changed]
        do_all(partial(each.result) for each in running)
        reasons = {each.sidecar.name: each.reason for each in changed}
        return {name: reason for name, reason in reasons.items() if reason}
