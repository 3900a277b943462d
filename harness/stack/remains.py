"""What copies of a stack have left in the nodes that they shared, if their process was killed."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack

from harness.core.closing import Closing
from harness.core.locks import FileLock
from harness.core.private import private_folder
from harness.core.roles import Part, Shareable
from harness.stack.planning.addresses import HOST
from harness.stack.sharing import app_ids_of, shared_nodes
from harness.stack.stack import Stack

SUFFIX = ".copy"


class Mark(Closing):
    """Says in the folder of a stack that there is a copy, by a lock that ends with this process.

    Args:
        base: the running stack.
        namespace: of its copy.
    """

    def __init__(self, base: Stack, namespace: str) -> None:
        self._path = private_folder(base.folder / "copies") / f"{namespace}{SUFFIX}"
        self._held = ExitStack()
        self._held.enter_context(FileLock(self._path).held())

    def remove(self) -> None:
        """Nothing of the copy is left."""
        self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let other processes remove what is left."""
        self._held.close()


def remove_remains(base: Stack) -> None:
    """Remove what copies of killed processes had in a stack's broker, databases and scheduler.

    What cannot be removed yet, as a process of the copy is still ending, is left for the next time.
    """
    for path in (base.folder / "copies").glob(f"*{SUFFIX}"):
        # Any error: it is not this test's, and the next copy that ends tries again.
        with contextlib.suppress(Exception), FileLock(path).free() as free:
            if free:
                _leave(base, path.stem)
                path.unlink(missing_ok=True)


def _leave(base: Stack, namespace: str) -> None:
    part = Part(namespace, app_ids_of(base))
    for each in shared_nodes(base):
        seen = each.seen_in(namespace)
        if isinstance(seen, Shareable):
            seen.leave(base.book.scope(each.name, HOST), part)
