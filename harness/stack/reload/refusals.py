"""What a sidecar's log says about resources that it does not load."""

from __future__ import annotations

import re
from pathlib import Path

from harness.stack.reload.difference import Difference

_MESSAGE = re.compile(r'"?msg"?[=:]\s?"((?:[^"\\]|\\.)*)"')

_EXITS = "Error processing component, daprd will exit"

_ABOUT_ONE = (
    _EXITS,
    "Ignoring error processing component",
    "Aborting to hot-reload",
    "Received unauthorized component update",
    "Failed to start declared subscription",
)
"""How daprd 1.18.2 says that it does not load a resource, which it names in the same sentence.

"Failed to init component" comes before the first or the third, which say whether it goes on."""

_ABOUT_ANY = (
    "error closing old component",
    "error closing deleted component",
    "Failed to close Subscription",
    "Failed to close existing Subscription",
)
"""How it says that it could not let go of one, without its name."""


class Refusals:
    """What daprd says about changed resources from now on.

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
        """What the first refusal says; "" as long as there is none."""
        with self._log.open("rb") as file:
            file.seek(self._start)
            lines = file.read().decode("utf-8", "replace").splitlines()
        messages = (found[1] for line in lines if (found := _MESSAGE.search(line)))
        return next((each for each in messages if self._is_refusal(each)), "")

    @staticmethod
    def is_fatal(said: str) -> bool:
        """Whether daprd exits because of a refusal; it does so a moment later."""
        return said.startswith(_EXITS)

    def _is_refusal(self, message: str) -> bool:
        if message.startswith(_ABOUT_ANY):
            return True
        return message.startswith(_ABOUT_ONE) and bool(self._named.search(message))
