"""``ui``: a live page for a stack that is up."""

from __future__ import annotations

import math
import secrets
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.background import in_background
from harness.cli.console import err, out
from harness.core.deadline import Deadline, ticks
from harness.core.errors import Unavailable
from harness.core.files import write_private

if TYPE_CHECKING:
    from harness.inspection.inspection import Inspection
    from harness.ui.feed import Feed

STOPPED = "the page's server was stopped; start `dapr-harness ui` again"
"""What the page says after Ctrl-C."""


def ui(
    stack: Annotated[
        str, typer.Argument(help="The stack, or a compose file whose project is up.")
    ] = "default",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The page's port; any free one by default.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Show a live page of a stack that is up: its map, events, logs, state and jobs.

    The page is served on 127.0.0.1 until Ctrl-C, or until the stack ends. Its address contains a
    random token; whoever has it can see and do everything that the page can.
    """
    require_starlette()
    from harness.inspection.inspection import Inspection
    from harness.ui.app import application
    from harness.ui.feed import Feed
    from harness.ui.record import Record
    from harness.ui.serve import listening, serving

    token, stop = secrets.token_urlsafe(32), threading.Event()
    with Inspection.of(stack) as seen, listening(port) as listener:
        number = listener.getsockname()[1]
        address = f"http://127.0.0.1:{number}/{token}/"
        feed = Feed(seen, Record())
        with (
            serving(application(seen, feed, token, number), listener),
            _ending(feed, seen),
            in_background(lambda: feed.follow(stop), stop, "feed"),
            _opened(address) if browser else nullcontext(),
        ):
            out.print(f"the page of stack {stack!r}: {address}", soft_wrap=True, markup=False)
            err.print("Ctrl-C ends it; the stack stays up", markup=False)
            for _ in ticks(Deadline(math.inf), 0.1):
                if not seen.alive:
                    err.print(f"stack {stack!r} has ended", markup=False)
                    return


def require_starlette() -> None:
    """Report that Starlette is missing before anything starts.

    Raises:
        Unavailable: it is not installed.
    """
    if find_spec("starlette") is None:
        raise Unavailable(
            "the page needs starlette, which is not installed",
            hint="pip install 'dapr-harness[ui]'",
        )


@contextmanager
def _ending(feed: Feed, seen: Inspection) -> Iterator[None]:
    """Tell the open pages why nothing more comes."""
    try:
        yield
    finally:
        feed.end(STOPPED if seen.alive else "the stack has ended; this is what was seen of it")


@contextmanager
def _opened(address: str) -> Iterator[None]:
    """Open the address in a browser, if there is one with windows.

    The browser gets a file that leads there: every user of the machine can read the arguments of a
    process, and the address would be one of them.
    """
    with tempfile.TemporaryDirectory(prefix="dapr-harness-ui-") as folder:
        page = Path(folder) / "open.html"
        write_private(page, f'<!doctype html><meta http-equiv="refresh" content="0;url={address}">')
        if _has_windows():
            webbrowser.open(page.as_uri())
        yield


def _has_windows() -> bool:
    """Whether the browser is one that does not take over the terminal."""
    try:
        return type(webbrowser.get()) is not webbrowser.GenericBrowser
    except webbrowser.Error:
        return False
