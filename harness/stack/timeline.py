"""What was observed of a stack since a world began, from all sources. Everything here blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from harness.core.errors import ProbeError
from harness.core.journal import Entry, entry_of
from harness.core.observation import Occurrence, epoch_ns
from harness.core.roles import CallRecorder, Recorder, RecordsFirings
from harness.probe.api_calls import CallRecord
from harness.probe.deliveries import DeliveryRecord
from harness.probe.events import Event
from harness.probe.spans import PATH, read_spans
from harness.stack.beginning import Beginning
from harness.stack.stack import Stack

JOURNAL = "journal.jsonl"
"""The journal of a run, in its folder; its supervisor writes it, whoever acts."""

CLIENTS = ("client.joined", "client.left")
"""Entries about who uses the stack, which is not what happens in it."""


class Tapped(Protocol):
    """A tap of a world."""

    @property
    def arrived(self) -> Sequence[Event]:
        """What has been read so far."""
        ...


@dataclass(frozen=True)
class Observed:
    """What was observed since a world began.

    Attributes:
        stack: a running stack.
        beginning: of the world.
        world: its id, with which what mentions it is marked.
        taps: its taps, by topic and pub/sub component.
    """

    stack: Stack
    beginning: Beginning
    world: str
    taps: Mapping[tuple[str, str], Tapped]

    @property
    def is_recorded(self) -> bool:
        """Whether the topology records anything."""
        kinds = Recorder | CallRecorder | RecordsFirings
        return any(isinstance(each, kinds) for each in self.stack.topology.nodes)

    def all(self) -> list[Occurrence]:
        """Every occurrence, in the order of time.

        Raises:
            ProbeError: a recorder does not respond.
        """
        found, missing = self.available()
        if missing:
            raise missing[0]
        return found

    def available(self) -> tuple[list[Occurrence], list[ProbeError]]:
        """What can be read, in the order of time, and an error for each recorder that cannot."""
        found, missing = [*self._journal(), *self._events(), *self.firings()], []
        for node in self.stack.topology.nodes:
            try:
                if isinstance(node, Recorder):
                    found += self._deliveries(node)
                elif isinstance(node, CallRecorder):
                    found += self._calls(node)
            except ProbeError as error:
                missing.append(error)
        marked = [
            replace(each, world=self.world) if each.mentions(self.world) else each for each in found
        ]
        return sorted(marked, key=lambda each: each.time), missing

    def _events(self) -> Iterator[Occurrence]:
        # A coroutine may open a tap meanwhile.
        for (_, pubsub), tap in list(self.taps.items()):
            for each in tap.arrived:
                yield each.occurrence(pubsub or self.beginning.broker)

    def _deliveries(self, node: Recorder) -> Iterator[Occurrence]:
        since = epoch_ns(self.beginning.at)
        record = self.beginning.record(node.name, from_beginning=False)
        for each in DeliveryRecord(*record).read():
            if each.path == PATH:
                # Spans are reported seconds after they ended.
                spans = (span.occurrence() for span in read_spans(each))
                yield from (span for span in spans if span.time >= since)
            else:
                yield each.occurrence(node.records)

    def _calls(self, node: CallRecorder) -> Iterator[Occurrence]:
        record = self.beginning.calls(node.calls_of, from_beginning=False)
        for each in CallRecord(*record).read():
            yield each.occurrence(node.calls_of)

    def _journal(self) -> Iterator[Occurrence]:
        for entry in self._entries():
            if entry.at >= self.beginning.at and entry.kind not in CLIENTS:
                yield entry.occurrence()

    def firings(self) -> Iterator[Occurrence]:
        """What schedulers with virtual time have fired."""
        from harness.virtual_time.firings import firings_of

        for node in self.stack.topology.nodes:
            if not isinstance(node, RecordsFirings):
                continue
            file = self.stack.book.folder(node.name) / node.firings
            lines = file.read_text().splitlines(keepends=True) if file.exists() else []
            for each in firings_of(lines):
                if each.at >= self.beginning.at:
                    yield each.occurrence(node.name)

    def _entries(self) -> Iterable[Entry]:
        """The journal of the run, and what this process has noted and not seen written yet.

        The supervisor writes what a client notes, and the client does not wait for that.
        """
        own, file = list(self.stack.journal), self.stack.folder / JOURNAL
        if not file.exists():
            return own
        # A last line without its end is still being written.
        lines = file.read_text().splitlines(keepends=True)
        written = [entry_of(json.loads(line)) for line in lines if line.endswith("\n")]
        known = {(each.at, each.kind, each.node) for each in written}
        return [*written, *(each for each in own if (each.at, each.kind, each.node) not in known)]
