"""What kind of program a command starts."""

from __future__ import annotations

import re
import shlex
import shutil
import struct
from enum import Enum, auto
from pathlib import Path

PYTHON = re.compile(r"(python|pypy)[0-9.]*|uvx?")
"""Interpreters of Python, and what only starts one."""

INTERP = 3
"""PT_INTERP of elf.h: the program header that names the dynamic linker."""
DEEP = 4
"""How many interpreters of interpreters a kernel follows."""


class Kind(Enum):
    """What a program is."""

    PYTHON = auto()
    DYNAMIC = auto()
    STATIC = auto()


def kind_of(program: str, depth: int = DEEP) -> Kind:
    """The kind of a program; one that is not there, or is not for Linux, counts as Python.

    Args:
        program: a path, or a name on PATH.
        depth: how many interpreters may still be in between.
    """
    found = shutil.which(program)
    if found is None or PYTHON.fullmatch(Path(found).name):
        return Kind.PYTHON
    try:
        with Path(found).open("rb") as file:
            start = file.read(4096)
    except OSError:  # it can be executed and not read
        return Kind.DYNAMIC
    if start.startswith(b"#!") and depth:
        return kind_of(_interpreter(start), depth - 1)
    if not start.startswith(b"\x7fELF"):
        return Kind.PYTHON
    return Kind.DYNAMIC if _has_interpreter(start) else Kind.STATIC


def _interpreter(start: bytes) -> str:
    """The program in the first line of a script; what ``env`` starts instead of ``env``."""
    words = shlex.split(start[2:].partition(b"\n")[0].decode(errors="replace"))
    if words and Path(words[0]).name == "env":
        words = [each for each in words[1:] if not each.startswith("-") and "=" not in each]
    return words[0] if words else ""


def _has_interpreter(start: bytes) -> bool:
    """Whether an ELF file names a dynamic linker; its program headers follow its own header."""
    order = "<" if start[5] == 1 else ">"
    offset, size, count = (
        (32, 54, 56) if start[4] == 2 else (28, 42, 44)
    )  # where the header of 64 or of 32 bits has them
    (first,) = struct.unpack_from(f"{order}{'Q' if start[4] == 2 else 'I'}", start, offset)
    (step,), (number,) = (struct.unpack_from(f"{order}H", start, at) for at in (size, count))
    headers = (first + step * index for index in range(number))
    kinds = (struct.unpack_from(f"{order}I", start, at) for at in headers if at + 4 <= len(start))
    return (INTERP,) in kinds
