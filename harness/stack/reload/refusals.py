"""What a sidecar's log says about resources that it does not load."""

from __future__ import annotations

import re
from pathlib import Path

from harness.stack.reload.difference import Difference

_COMPLAINT = re.compile(r'"?level"?[=:]\s?"?(?:error|fatal|warning)')
_MESSAGE = re.compile(r'"?msg"?[=:]\s?"((?:[^"\\]|\\.)*)"')


class Refusals:
    """Complaints about changed resources, from now on.

    Args:
        log: the sidecar's log.
        difference: what changes.
    """

    def __init__(self, log: Path, difference: Difference) -> None:
        self._log = log
        self._start = log.stat().st_size
        changed = {each.name for each in (*difference.gone, *difference.come)}
        names = "|".join(re.escape(each) for each in sorted(changed))
        self._named = re.compile(rf"(?<![\w.-])(?:{names})(?![\w.-])")

    def seen(self) -> str:
        """What the first one says; "" as long as there is none."""
        with self._log.open("rb") as file:
            file.seek(self._start)
            lines = file.read().decode("utf-8", "replace").splitlines()
        return next((told for line in lines if (told := self._told(line))), "")

    def _told(self, line: str) -> str:
        if not _COMPLAINT.search(line):
            return ""
        found = _MESSAGE.search(line)
        said = found[1] if found else line
        return said if self._named.search(said) else ""
