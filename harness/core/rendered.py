"""Files that are rendered from a topology into a folder: written, compared, removed.

Each rendering lists its files with checksums in the folder. Files that are not in the list, or that
have changed since, are never removed or overwritten: the folder belongs to the user.
"""

from __future__ import annotations

import contextlib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.core.errors import ConfigError

LIST = ".rendered.sha256"
"""The list of files rendered into this folder; ``sha256sum -c`` can read it."""


class Written(NamedTuple):
    """The result of a rendering.

    Attributes:
        files: every rendered file.
        kept: files of an earlier rendering that have changed since, and so were not removed.
    """

    files: Sequence[Path]
    kept: Sequence[Path]


class Rendered(ABC):
    """A folder of rendered files.

    Args:
        folder: where they are.
        command: the command that renders them, for messages.
    """

    def __init__(self, folder: Path, command: str) -> None:
        self.folder = folder.resolve()
        self._command = command

    @abstractmethod
    def rendered(self) -> dict[str, str]:
        """The expected contents of the files, by name."""

    def strangers(self, files: Mapping[str, str]) -> list[str]:
        """Names of files that were not rendered, in places where the system would load them."""
        return []

    def write(self, *, force: bool = False) -> Written:
        """Write every file, and remove files of an earlier rendering that are no longer part of it.

        Args:
            force: overwrite files that were not rendered, or that have changed since.

        Raises:
            ConfigError: such a file exists; nothing has been written.
        """
        files = self.rendered()
        if not force:
            self._require_ours(files)
        obsolete = self._obsolete(files)
        kept = [path for path, digest in obsolete.items() if _digest(path) != digest]
        for path in obsolete.keys() - set(kept):
            self._remove(path)
        for name, text in files.items():
            path = self._inside(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        rows = [f"{_sum(text)}  {name}\n" for name, text in sorted(files.items())]
        (self.folder / LIST).write_text("".join(rows))
        return Written([self.folder / name for name in files], kept)

    def check_drift(self) -> None:
        """Check that the files match what would be rendered.

        Raises:
            ConfigError: a file differs from the topology; the message names each.
        """
        files = self.rendered()
        wrong = [name for name, text in files.items() if text_of(self.folder / name) != text]
        wrong += [str(path.relative_to(self.folder)) for path in self._obsolete(files)]
        wrong += [f"{name} (not rendered)" for name in self.strangers(files)]
        if wrong:
            raise ConfigError(
                f"{len(wrong)} files of {self.folder} do not match the topology",
                last=", ".join(sorted(wrong)),
                hint=self._command,
            )

    def _require_ours(self, files: Mapping[str, str]) -> None:
        """Check that only rendered and unchanged files would be overwritten."""
        known = self._listed()
        foreign = [
            name
            for name, text in files.items()
            if not self._ours(self._inside(name), {known.get(name, ""), _sum(text)})
        ]
        if foreign:
            raise ConfigError(
                f"{len(foreign)} files of {self.folder} were not rendered, or were changed since",
                expected=f"files that {LIST} lists with their checksums, or none",
                last=", ".join(sorted(foreign)),
                hint="choose another --folder, or overwrite them with --force",
            )

    def _ours(self, path: Path, digests: set[str]) -> bool:
        if path.is_symlink() or path.exists():
            return not path.is_symlink() and path.is_file() and _digest(path) in digests
        return True

    def _obsolete(self, files: Mapping[str, str]) -> dict[Path, str]:
        """Existing files of an earlier rendering that are not part of this one, with checksums."""
        names = {name: digest for name, digest in self._listed().items() if name not in files}
        found = {self._inside(name): digest for name, digest in names.items()}
        return {p: digest for p, digest in found.items() if p.is_file() and not p.is_symlink()}

    def _listed(self) -> dict[str, str]:
        """Checksums of the files of the last rendering, by name."""
        rows = (row.partition("  ") for row in text_of(self.folder / LIST).splitlines())
        return {name: digest for digest, _, name in rows if name}

    def _inside(self, name: str) -> Path:
        """The path of a file, which must be inside the folder even if that contains links.

        Raises:
            ConfigError: it is outside.
        """
        path = self.folder / name
        if not path.parent.resolve().is_relative_to(self.folder):
            raise ConfigError(
                f"{path} lies outside of {self.folder}",
                expected=f"folders that are no links, and a {LIST} as it was written",
                hint="choose another --folder",
            )
        return path

    def _remove(self, path: Path) -> None:
        path.unlink()
        for parent in path.parents:
            if parent == self.folder:
                break
            with contextlib.suppress(OSError):  # the folder contains other files
                parent.rmdir()


def text_of(path: Path) -> str:
    """The contents of a file; "" if it does not exist or is not text, and so was not rendered."""
    return path.read_bytes().decode(errors="replace") if path.is_file() else ""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
