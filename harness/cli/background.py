"""Work that goes on in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def in_background(work: Callable[[], None], stop: threading.Event, name: str) -> Iterator[None]:
    """Run a function in a thread inside the ``with`` block, then ask it to stop and wait for it.

    Args:
        work: the function; it returns soon after the event is set.
        stop: the event.
        name: the thread's name.
    """
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
