"""Reads user-written files: regular files of limited size, as UTF-8."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from harness.core.errors import ConfigError

LONGEST = 1_000_000
"""The maximum size in bytes; Kubernetes accepts objects of at most 1.5 MB."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def read_text(file: Path) -> str:
    """The text of a file.

    Raises:
        ConfigError: it does not exist, cannot be read, is too large, or is not text.
    """
    data = _bytes(file)
    if len(data) > LONGEST:
        raise ConfigError(
            f"{file}: is too large", expected=f"at most {LONGEST // 1000} kB", hint="split it"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{file}:{line}: is not text", expected="UTF-8", last=f"the byte {data[error.start]:#x}"
        ) from None


def _bytes(file: Path) -> bytes:
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                kind = next((word for test, word in _KINDS if test(mode)), "a device")
                raise ConfigError(f"{file}: is {kind}", expected="a file")
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                return stream.read(LONGEST + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read", last=error.strerror or str(error)) from None
