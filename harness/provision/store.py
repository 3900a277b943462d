"""The cache of tools: one writer at a time, written separately and renamed, with checksums."""

from __future__ import annotations

import contextlib
import errno
import math
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import Unavailable
from harness.core.files import nearest
from harness.provision.holder import Holder, holder_of, sign
from harness.provision.progress import Progress, Quiet
from harness.provision.seal import damage, seal

if TYPE_CHECKING:
    import filelock

QUIET_WAIT = 2.0
"""Seconds to wait for a lock before this is reported."""

STOPPED_WAIT = 20.0
"""Seconds to wait for a stopped process, which may never continue."""

REFUSALS = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST,
    errno.EFBIG,
)  # fmt: skip


class Store:
    """Folders of tools by name; an existing folder is complete.

    Args:
        root: the cache's folder; the platform's user cache folder if None.
        progress: informed about waiting, and about what is rebuilt.
        patience: seconds to wait for another process that builds the same folder.
        thorough: whether every byte is checked before a folder is used, not only sizes and times.
    """

    def __init__(
        self,
        root: Path | None = None,
        progress: Progress | None = None,
        *,
        patience: float = math.inf,
        thorough: bool = False,
    ) -> None:
        self.root = root or platformdirs.user_cache_path("dapr-harness", appauthor=False)
        self._progress = progress or Quiet()
        self._patience = patience
        self._thorough = thorough
        self._known: dict[str, list[str]] = {}

    def find(self, name: str) -> Path | None:
        """The folder of that name; None if it does not exist or is damaged."""
        folder = self.root / name
        return folder if folder.is_dir() and not self._damage(name) else None

    def lack(self, name: str) -> str:
        """The reason why `find` finds nothing."""
        if wrong := self._damage(name):
            return f"{self.root / name} is damaged: {shortened(wrong)}"
        return f"nothing at {self.root / name}"

    def make(self, name: str, build: Callable[[Path], None]) -> Path:
        """The folder of that name, built first if it is missing or damaged.

        Args:
            name: includes every version that the content depends on.
            build: fills an empty folder next to the final location. If it fails or is killed, the
                final location is untouched; if another process was faster, it is not called.

        Raises:
            Unavailable: the cache is not writable, or another process has been building the same
                folder for too long.
        """
        target = self.root / name
        if self.find(name):
            return target
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self._locked(name):
                self._known.pop(name, None)  # another process may have built it meanwhile
                if not self.find(name):
                    self._build(target, build)
        except OSError as error:
            if error.errno not in REFUSALS and self.root.is_dir():
                raise
            raise Unavailable(
                f"the cache folder {self.root} cannot be written",
                last=str(error),
                hint="set DAPR_HARNESS_CACHE_DIR to a folder that you own, on a disk with room",
            ) from None
        return target

    def remove(self, name: str) -> None:
        """Have a folder rebuilt on its next use, because something it depends on was rebuilt."""
        if (self.root / name).is_dir():
            with self._locked(name):
                self._discard(self.root / name)

    def _damage(self, name: str) -> list[str]:
        """The damage of a folder; checked once."""
        if name not in self._known and (self.root / name).is_dir():
            self._known[name] = damage(self.root / name, thorough=self._thorough)
        return self._known.get(name, [])

    def _build(self, target: Path, build: Callable[[Path], None]) -> None:
        # We hold the lock, so any temporary folder belongs to a builder that was killed.
        for leftover in self.root.glob(f".{target.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if wrong := self._damage(target.name):
            self._progress.end(
                f"{target.name} is damaged and will be installed again", shortened(wrong)
            )
        aside = self.root / f".{target.name}-{secrets.token_hex(4)}"
        aside.mkdir()
        try:
            build(aside)
            seal(aside)
            self._discard(target)
            aside.rename(target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _discard(self, folder: Path) -> None:
        """Move a folder out of the way at once, however long its deletion takes."""
        if folder.is_dir():
            aside = self.root / f".{folder.name}-{secrets.token_hex(4)}"
            folder.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        self._known.pop(folder.name, None)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Hold the exclusive lock for building that folder.

        Raises:
            Unavailable: another process holds it for too long, or was stopped while holding it.
        """
        import filelock  # only here: most starts install nothing

        lock = filelock.FileLock(self.root / f"{name}.lock")
        owner = self.root / f"{name}.owner"
        if not self._tried(lock):
            self._wait(name, lock, owner)
        try:
            sign(owner)
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()

    def _wait(self, name: str, lock: filelock.BaseFileLock, owner: Path) -> None:
        deadline = Deadline(self._patience)
        quiet, stopped = Deadline(QUIET_WAIT), Deadline(STOPPED_WAIT)
        told: list[Holder] = []

        def look() -> Observation:
            if self._tried(lock):
                return Observation(True)
            holder = holder_of(owner)
            if quiet.passed and told[-1:] != [holder]:
                told.append(holder)
                self._progress.end(f"waiting for {name}", f"{holder} is installing it")
            if holder.stopped and stopped.passed:
                raise self._in_use(name, holder, stopped)
            return Observation(False, str(holder))

        if not poll(look, deadline, interval=0.1).ok:
            raise self._in_use(name, holder_of(owner), deadline)

    def _tried(self, lock: filelock.BaseFileLock) -> bool:
        import filelock

        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        return True

    def _in_use(self, name: str, holder: Holder, waited: Deadline) -> Unavailable:
        go_on = f"`kill -CONT {holder.pid}` lets it continue; or kill it"
        return Unavailable(
            f"{self.root / name} is being installed by another process",
            last=str(holder),
            budget=waited.budget,
            hint=go_on if holder.stopped else "wait for it, or raise DAPR_HARNESS_LOCK_TIMEOUT",
        )


def shortened(wrong: list[str]) -> str:
    """The first of many findings, and the number of others."""
    more = f", and {len(wrong) - 3} more files" if len(wrong) > 3 else ""
    return "; ".join(wrong[:3]) + more


def require_disk(
    folder: Path,
    needed: float,
    purpose: str,
    elsewhere: str = "set DAPR_HARNESS_CACHE_DIR to a folder on another disk",
) -> None:
    """Check the free disk before a build.

    Args:
        folder: the folder to write to; its nearest existing parent is checked.
        needed: bytes.
        purpose: for the message.
        elsewhere: how to use another disk, for the message.

    Raises:
        Unavailable: there is less space.
    """
    folder = nearest(folder)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Unavailable(
            f"not enough disk space in {folder} for {purpose}",
            expected=f"{needed / 1e9:.1f} GB free",
            last=f"{free / 1e9:.1f} GB free",
            hint=f"free some, or {elsewhere}",
        )
