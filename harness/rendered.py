"""Files that are rendered from a topology and kept in a folder: written, compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.errors import ConfigError


class Rendered(ABC):
    """A folder of rendered files.

    Args:
        folder: where they lie.
        command: what renders them, for messages.
    """

    def __init__(self, folder: Path, command: str) -> None:
        self.folder = folder.resolve()
        self._command = command

    @abstractmethod
    def rendered(self) -> dict[str, str]:
        """The files as they should be, by name."""

    @abstractmethod
    def earlier(self) -> Iterable[Path]:
        """Files in the folder that a rendering has made, this one or an earlier."""

    def write(self) -> list[Path]:
        """Write every file, and remove what an earlier rendering had and this one has not."""
        files = self.rendered()
        for old in self._stale(files):
            old.unlink()
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return [self.folder / name for name in files]

    def require_same(self) -> None:
        """Check that the files are what would be rendered.

        Raises:
            ConfigError: one has drifted from the topology; the message names each.
        """
        files = self.rendered()
        wrong = [name for name, text in files.items() if text_of(self.folder / name) != text]
        wrong += [str(path.relative_to(self.folder)) for path in self._stale(files)]
        if wrong:
            raise ConfigError(
                f"{len(wrong)} files of {self.folder} are not what the topology renders",
                last=", ".join(sorted(wrong)),
                hint=self._command,
            )

    def _stale(self, files: Mapping[str, str]) -> list[Path]:
        known = {self.folder / name for name in files}
        return [path for path in self.earlier() if path not in known]


def text_of(path: Path) -> str:
    """What a file holds, "" when it is not there."""
    return path.read_text() if path.is_file() else ""
