"""Starts the topology of a recording, makes its inputs again, and compares what happened."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from harness.bundle.causes import causes_of
from harness.bundle.collect import Collector, without_world
from harness.bundle.model import Bundle, Failure
from harness.bundle.recording import Origin, Recording, reference
from harness.core.deadline import Deadline, ticks
from harness.core.errors import ConfigError, HarnessError, SystemFailure
from harness.core.masking import MASK
from harness.core.observation import epoch_ns
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.dapr.resources import DaprResource
from harness.replay.archive import Archive
from harness.replay.differences import declared
from harness.replay.outcome import Outcome, outcome_of, took_the_same_path
from harness.replay.playing import Done, Player
from harness.replay.seeds import seeded
from harness.replay.substitution import SECOND, Substitution
from harness.stack.loading import load_topology
from harness.stack.planning.declared import Declared as Files
from harness.stack.stack import Stack
from harness.stack.vital import state_of
from harness.stack.world import World

SETTLING = 30.0
"""Seconds for the system to settle, after the time that the recorded test took."""

SETTLED = 0.5
"""Seconds for the first look at whether it has settled; each further one has twice as many."""

Start = Callable[[Topology, Settings], Stack]
"""Makes a stack, which is not started yet."""


@dataclass(frozen=True)
class Replayed:
    """A replay.

    Attributes:
        archive: what was replayed.
        bundle: what happened now, with its recording and its causes.
        outcome: whether it is the same failure.
        done: the inputs.
        warnings: what could not be as it was, found before the start.
    """

    archive: Archive
    bundle: Bundle
    outcome: Outcome
    done: Sequence[Done] = ()
    warnings: Sequence[str] = ()


class Replays:
    """Replays archives one after the other; those of one stack share it, as their tests did.

    Args:
        settings: of the project in the current folder; what they leave open is as recorded.
        start: makes a stack.
        speed: how much faster than recorded; 0 for as fast as possible.
    """

    def __init__(self, settings: Callable[[Origin], Settings], start: Start, speed: float) -> None:
        self._settings = settings
        self._start = start
        self._speed = speed
        self._stacks = ExitStack()
        self._stack: Stack | None = None
        self._made_for: Any = None

    def close(self) -> None:
        """Stop what runs. Closing twice is allowed."""
        self._stack = None
        self._stacks.close()

    def replay(self, archive: Archive) -> Replayed:
        """Replay one archive.

        Raises:
            ConfigError: the topology cannot be found.
            HarnessError: the stack did not start, and not as in the recording.
        """
        settings = self._settings(archive.recording.origin)
        if not settings.topology:
            raise ConfigError(
                f"{archive.file} does not say where its topology is",
                expected="module:attribute: a topology that a fixture makes has none",
                hint="pass --topology module:attribute",
            )
        with seeded(archive.recording.origin):
            topology = _topology_of(archive, settings)
        topology, warnings = self._with_resources(topology, settings, archive)
        began = time.monotonic()
        try:
            stack = self._running(topology, settings)
        except (HarnessError, SystemFailure) as error:
            if archive.bundle.nodes:
                raise
            return _not_started(archive, error, began, warnings)
        return self._on(stack, archive, warnings)

    def _running(self, topology: Topology, settings: Settings) -> Stack:
        wanted = (settings.topology, topology.time, topology.resources, settings.runtime)
        if self._stack is not None and self._made_for == wanted and _is_whole(self._stack):
            return self._stack
        self._stack = None
        self._stacks.close()
        self._stack = self._stacks.enter_context(self._start(topology, settings))
        self._made_for = wanted if topology.time == "real" else None
        return self._stack

    def _with_resources(
        self, topology: Topology, settings: Settings, archive: Archive
    ) -> tuple[Topology, list[str]]:
        """The topology with the recorded resources, if those of the project are others."""
        recorded = archive.bundle.resources
        ours = {_named(each): each.text for each in _files_of(topology, settings)}
        if not recorded or declared(recorded) == ours:
            return topology, []
        if any(each.resources is not None for each in topology.sidecars()):
            return topology, ["the resources of the project have changed; those of today are used"]
        texts = {name: text for name, text in declared(recorded).items() if MASK not in text}
        kept = {name: text for name, text in ours.items() if name not in texts}
        kept = {name: text for name, text in kept.items() if name in declared(recorded)}
        folder = Path(self._stacks.enter_context(tempfile.TemporaryDirectory(prefix="replay-")))
        together = {**kept, **texts}
        for number, text in enumerate(together.values(), 1):
            (folder / f"{number:02}.yaml").write_text(text)
        return topology.with_resources(folder), [
            "the resources of the project have changed; the recorded ones are used"
            + "".join(f", except {name}, which has a secret" for name in kept)
        ]

    def _on(self, stack: Stack, archive: Archive, warnings: list[str]) -> Replayed:
        recording = archive.recording
        with World(stack, archive.bundle.test) as world:
            fit = _substitution(world, recording)
            began = time.monotonic()
            settle = partial(settle_for, world)
            player = Player(world, fit, recording.began, self._speed, settle)
            done = player.play(recording.inputs)
            found = Watching(world, archive, done, began).result()
        outcome = outcome_of(archive.bundle, found)
        return Replayed(archive, found, outcome, done, warnings)


class Watching:
    """Waits for what the inputs of a replay cause.

    Args:
        world: in which the inputs were made.
        archive: what is replayed.
        done: the inputs.
        began: when they began, on ``time.monotonic``.
    """

    def __init__(self, world: World, archive: Archive, done: Sequence[Done], began: float) -> None:
        self._world = world
        self._archive = archive
        self._done = done
        self._began = began

    def result(self) -> Bundle:
        """The bundle once the failure has come again, or enough time has passed to say it has not.

        A system that has settled is asked at once. One that has not may still change its mind: only
        an event that has taken the recorded path is taken at its word before the recorded test
        would have failed. What an app does by itself comes as late as it came in that test.
        """
        recorded = self._archive.bundle
        length = (self._archive.recording.ended - self._archive.recording.began) / SECOND
        deadline = Deadline(length + SETTLING)
        for patience in count():
            settled = settle_for(self._world, SETTLED * 2**patience)
            is_over = time.monotonic() - self._began >= length
            found = self._collect()
            certain = settled or is_over or took_the_same_path(recorded, found)
            if certain and outcome_of(recorded, found).reproduced:
                return found
            if deadline.passed or (is_over and (settled or not _is_whole(self._world.stack))):
                break
        return found

    def _collect(self) -> Bundle:
        recording, bundle = self._archive.recording, self._archive.bundle
        errors = "\n".join(f"E   {each.error}" for each in self._done if each.error)
        failure = Failure(bundle.test, "call", errors, epoch_ns(self._began), time.time_ns())
        origin = replace(recording.origin, nodes={}, sources={})
        world = self._world
        found = Collector(world.observed, world.account, world.inputs, origin).collect(failure)
        return replace(found, causes=causes_of(found))


def _topology_of(archive: Archive, settings: Settings) -> Topology:
    try:
        return load_topology(settings).with_time(archive.recording.origin.time)
    except ConfigError as error:
        error.add_note(
            f"{archive.file} was recorded with the topology "
            f"{archive.recording.origin.reference or 'of a fixture'}: replay it in the folder of "
            "that project, or pass --topology module:attribute"
        )
        raise


def settle_for(world: World, seconds: float) -> bool:
    """Wait until nothing is in flight; whether it is so after that time at most."""
    if not _is_whole(world.stack):
        for _ in ticks(Deadline(seconds)):
            pass  # without one of its nodes, it cannot settle
        return False
    try:
        world.ledger.settled(timeout=seconds)
    except (HarnessError, SystemFailure):
        return False
    return True


def _substitution(world: World, recording: Recording) -> Substitution:
    """What is to be replaced; virtual time is moved so that it differs by whole seconds."""
    stack = world.stack
    addresses = {f"{node}/{port}": str(at) for (node, port), at in stack.book.endpoints().items()}
    texts = {recording.world: world.id}
    texts |= {
        old: addresses[name] for name, old in recording.addresses.items() if name in addresses
    }
    texts |= {reference(purpose): token for purpose, token in stack.book.known()[1].items()}
    if not recording.moment:
        return Substitution(texts, recording.began, time.time_ns() - recording.began)
    shift = world.inputs.moment - recording.moment
    if rest := -shift % SECOND:
        world.clock.advance(f"{rest / SECOND:.9f}s")
    return Substitution(texts, recording.moment, shift + rest)


def _not_started(
    archive: Archive, error: HarnessError | SystemFailure, began: float, warnings: list[str]
) -> Replayed:
    """The start has failed, as in the recording."""
    logs: dict[str, str] = getattr(error, "logs", {})
    failure = Failure(archive.bundle.test, "setup", str(error), epoch_ns(began), time.time_ns())
    origin = archive.recording.origin
    recording = Recording(origin, began=failure.began, ended=failure.ended)
    found = without_world(failure, logs, recording)
    found = replace(found, causes=causes_of(found))
    return Replayed(archive, found, outcome_of(archive.bundle, found), (), warnings)


def _is_whole(stack: Stack) -> bool:
    """Whether every node runs, and none is paused."""
    return all(state_of(each) not in ("exited", "paused") for each in stack.instances.values())


def _files_of(topology: Topology, settings: Settings) -> Iterator[DaprResource]:
    return Files(settings.root, settings.inherited).everything(topology)


def _named(each: DaprResource) -> str:
    return f"{each.kind} {each.name!r}"
