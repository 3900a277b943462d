"""Errors in a user's own node class, reported with the node, the method and the line."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from harness.core.errors import ConfigError, HarnessError, SystemFailure
from harness.core.node import Node


@contextmanager
def blamed(node: Node, method: str) -> Iterator[None]:
    """Turn an exception in a user's node into an error that names the node and the method.

    The harness's own errors pass, and so do those of its own nodes, which are bugs of the harness.

    Raises:
        ConfigError: the method raised anything else.
    """
    try:
        yield
    except (HarnessError, SystemFailure):
        raise
    except Exception as error:
        kind = type(node)
        if kind.__module__.split(".")[0] == "harness":
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"node {node.name!r}: {kind.__name__}.{method} raised {type(error).__name__}: {error}",
            last=f"{place.filename}:{place.lineno}: {place.line}",
            hint=f"correct the class {kind.__module__}.{kind.__qualname__}",
        ) from error
