"""Locks between processes, and turns at something that somebody may need exclusively."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import Unavailable
from harness.core.deadline import Deadline, Observation, poll
from harness.core.locks import FileLock, Turns

HOLDER = """
import sys
from pathlib import Path
from harness.core.locks import FileLock
with FileLock(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


def is_locked(path: Path, kind: int = fcntl.LOCK_EX) -> bool:
    """Whether nobody could lock it now."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def in_thread(do: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    return thread


def test_a_lock_is_held_by_one_or_shared_by_many(tmp_path: Path) -> None:
    """And free afterwards."""
    file = tmp_path / "lock"
    lock = FileLock(file)

    with lock.held():
        assert is_locked(file, fcntl.LOCK_SH)
    with lock.held(shared=True), lock.held(shared=True):
        assert is_locked(file)
        assert not is_locked(file, fcntl.LOCK_SH)
    assert not is_locked(file)


def test_kill_9_of_its_holder_frees_a_lock(tmp_path: Path) -> None:
    """The wait for it ends."""
    file = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert b"held\n" == holder.stdout.readline()
        assert is_locked(file)

        holder.kill()
        with FileLock(file).held():
            assert is_locked(file)


def test_a_program_that_its_holder_has_started_does_not_hold_a_lock(tmp_path: Path) -> None:
    """Even if it inherits files."""
    file = tmp_path / "lock"
    with FileLock(file).held():
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)

    assert not is_locked(file)
    child.communicate()


def test_a_lock_in_a_folder_that_cannot_be_used_names_it(tmp_path: Path) -> None:
    """As a message, not as an OSError."""
    with pytest.raises(Unavailable, match=r"gone/lock cannot be locked(.|\n)*No such file"):
        FileLock(tmp_path / "gone" / "lock").held().__enter__()


def test_who_needs_something_exclusively_waits_for_those_who_have_begun(tmp_path: Path) -> None:
    """Who comes later waits behind, so that the wait ends."""
    turns, order = Turns(tmp_path, "x"), list[str]()

    def take(who: str, *, exclusive: bool) -> None:
        with turns.taken(exclusive=exclusive):
            order.append(who)

    with turns.taken(exclusive=False), turns.taken(exclusive=False):
        writer = in_thread(lambda: take("exclusive", exclusive=True))
        door = tmp_path / "x.door"
        assert poll(lambda: Observation(is_locked(door)), Deadline(10)).ok
        late = in_thread(lambda: take("late", exclusive=False))
        assert [] == order
    writer.join(10)
    late.join(10)

    assert ["exclusive", "late"] == sorted(order)
    assert not is_locked(tmp_path / "x.room")


def test_nobody_has_a_turn_during_an_exclusive_one(tmp_path: Path) -> None:
    """Neither exclusively nor with others."""
    turns = Turns(tmp_path, "x")

    with turns.taken(exclusive=True):
        assert is_locked(tmp_path / "x.room", fcntl.LOCK_SH)
    with turns.taken(exclusive=False):
        assert not is_locked(tmp_path / "x.room", fcntl.LOCK_SH)
