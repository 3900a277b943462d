"""The cache of tools: one writer at a time, written aside and renamed."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import filelock
import platformdirs

from harness.errors import Unavailable


class Store:
    """Folders of tools by name; a folder that is there is whole.

    Args:
        root: the cache's folder; the platform's user cache folder when None.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or platformdirs.user_cache_path("dapr-harness", appauthor=False)

    def find(self, name: str) -> Path | None:
        """The folder of that name, None when it has not been made."""
        folder = self.root / name
        return folder if folder.is_dir() else None

    def make(self, name: str, build: Callable[[Path], None]) -> Path:
        """The folder of that name, built first when it is missing.

        Args:
            name: includes every version that the content depends on.
            build: fills an empty folder beside the final place. If it fails or is killed, the
                final place stays untouched; if another process was faster, it is not called.

        Raises:
            Unavailable: the cache cannot be written.
        """
        target = self.root / name
        if target.is_dir():
            return target
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.root / f"{name}.lock"):
                if not target.is_dir():
                    self._build(target, build)
        except PermissionError as error:
            raise Unavailable(
                f"the cache folder {self.root} cannot be written",
                last=str(error),
                hint="set DAPR_HARNESS_CACHE_DIR to a folder of yours",
            ) from None
        return target

    def _build(self, target: Path, build: Callable[[Path], None]) -> None:
        # The lock is ours, so whatever lies aside belongs to a builder that was killed.
        for leftover in self.root.glob(f".{target.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        aside = self.root / f".{target.name}-{secrets.token_hex(4)}"
        aside.mkdir()
        try:
            build(aside)
            aside.rename(target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def require_disk(folder: Path, needed: float, purpose: str) -> None:
    """Check the free disk before a build.

    Args:
        folder: where it will be written; its nearest existing parent is asked.
        needed: bytes.
        purpose: for the message.

    Raises:
        Unavailable: there is less.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Unavailable(
            f"not enough disk at {folder} for {purpose}",
            expected=f"{needed / 1e9:.1f} GB free",
            last=f"{free / 1e9:.1f} GB free",
            hint="free some, or set DAPR_HARNESS_CACHE_DIR to a folder on another disk",
        )
