"""``mcp``: lets agents look at a stack that is up, and act on it."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.inspecting import inspected
from harness.core.errors import Unavailable
from harness.stack.run_record import this_version


def mcp(
    stack: Annotated[
        str, typer.Argument(help="The stack, or a compose file whose project is up.")
    ] = "default",
) -> None:
    """Serve the tools of a stack to an agent: Model Context Protocol on standard input and output.

    The stack does not have to be up yet; until it is, each tool reports that.
    """
    try:
        from harness.mcp_server.attached import Attached
        from harness.mcp_server.server import server_of
    except ImportError as error:
        raise Unavailable(
            "an MCP server needs a package that is not installed",
            last=str(error),
            hint="pip install 'dapr-harness[mcp]'",
        ) from None

    with Attached(lambda: inspected(stack)) as attached:
        server_of(attached, this_version()).run("stdio")
