"""Follows the log files of a run."""

from __future__ import annotations

from pathlib import Path

from harness.core.masking import mask

MOST = 256 * 1024
"""Bytes that are read of one file at once."""


class LogFiles:
    """Every file in a folder, each from its beginning.

    Args:
        folder: with a file ``<node>.log`` for each node; there may be more of them later.
        secrets: replaced in what is read.
    """

    def __init__(self, folder: Path, secrets: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._secrets = [each for each in secrets if each]
        self._read: dict[str, int] = {}
        self._left: dict[str, bytes] = {}
        self._cut: set[str] = set()

    def more(self, *, whole: bool = False) -> dict[str, list[str]]:
        """The lines that were written since the last call, by node; at most `MOST` bytes of each.

        Args:
            whole: whether a last line without its end counts, too.
        """
        found = {}
        for file in sorted(self._folder.glob("*.log")):
            if lines := self._lines(file, whole=whole):
                found[file.stem] = lines
        return found

    def _lines(self, file: Path, *, whole: bool) -> list[str]:
        node = file.stem
        *lines, last = (self._left.pop(node, b"") + self._data(file)).split(b"\n")
        if node in self._cut:
            if not lines:
                return []
            # The rest of a line whose beginning was sent: it may begin inside a secret.
            self._cut.remove(node)
            del lines[0]
        if len(last) >= MOST:
            lines.append(last)
            self._cut.add(node)
        elif whole:
            lines.append(last)
        else:
            self._left[node] = last
        texts = (each.decode("utf-8", "replace").rstrip("\r") for each in lines)
        return [mask(each, self._secrets) for each in texts if each.strip()]

    def _data(self, file: Path) -> bytes:
        try:
            with file.open("rb") as opened:
                # A file that was emptied begins anew.
                at = self._read.get(file.stem, 0)
                opened.seek(at if at <= file.stat().st_size else 0)
                data = opened.read(MOST)
                self._read[file.stem] = opened.tell()
                return data
        except OSError:
            return b""
