"""Locks between processes of one machine; the system releases them when their holder exits."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.core.errors import Unavailable


class FileLock:
    """A file that processes lock: any number of them shared, or one exclusively.

    Args:
        path: the file; created by whoever locks it first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def held(self, *, shared: bool = False) -> Iterator[None]:
        """Hold the lock; a signal ends the wait for it.

        Raises:
            Unavailable: the file cannot be opened.
        """
        opened = self._open()
        try:
            fcntl.flock(opened, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield
        finally:
            os.close(opened)

    @contextmanager
    def free(self) -> Iterator[bool]:
        """Hold the lock exclusively if nobody else holds it; yields whether it was acquired.

        Raises:
            Unavailable: the file cannot be opened.
        """
        opened = self._open()
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(opened)

    def _open(self) -> int:
        try:
            # Closed on exec: a program that the holder starts must not hold the lock as well.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(self._path, flags, 0o600)
        except OSError as error:
            raise Unavailable(
                f"{self._path} cannot be locked",
                expected="a file that this user can write",
                last=str(error),
                hint="set TMPDIR to a folder that you own, on a disk with room",
            ) from None


class Turns:
    """Turns at something that many can use at a time, or one exclusively.

    A user that needs it exclusively waits for the current ones; new ones wait behind that user.

    Args:
        folder: where the two files are.
        name: of what they take turns at.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._door = FileLock(folder / f"{name}.door")
        self._room = FileLock(folder / f"{name}.room")

    @contextmanager
    def taken(self, *, exclusive: bool) -> Iterator[None]:
        """Use it together with others, or exclusively.

        Raises:
            Unavailable: the files cannot be opened.
        """
        with ExitStack() as held:
            # Without the door, new users would keep the room from ever being empty.
            with self._door.held():
                held.enter_context(self._room.held(shared=not exclusive))
            yield
