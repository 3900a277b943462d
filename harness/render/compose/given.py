"""A compose file that somebody has given where the name of a stack can be given, too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.core.errors import ConfigError, Unavailable


def compose_file(given: str, folder: Path, *, subject: str = "") -> Path | None:
    """The compose file that is meant; None if it is the name of a stack.

    Args:
        given: a path or a name.
        folder: the base of a relative path.
        subject: what it was given to, for the message.

    Raises:
        ConfigError: it does not exist.
    """
    file = folder / given
    if re.fullmatch(r"[\w-]*", given):
        return None
    if file.is_file():
        return file
    if file.suffix not in (".yaml", ".yml"):
        return None
    raise ConfigError(
        f"{subject} {given}: {given} does not exist" if subject else f"{given} does not exist",
        expected="a compose file whose project is up, or the name of a stack",
        hint="`dapr-harness render compose` writes one",
    )


@contextmanager
def with_packages(subject: str) -> Iterator[None]:
    """Explain that what a compose project needs cannot be imported.

    Args:
        subject: what needs it.

    Raises:
        Unavailable: packages are missing.
    """
    try:
        yield
    except ImportError as error:
        raise Unavailable(
            f"{subject} needs two additional packages for a compose file",
            last=str(error),
            hint="pip install 'dapr-harness[containers]'",
        ) from None
